//! `mtlspop_app_options`, the part about credentials: how a confidential client proves itself.

use std::ffi::{c_char, c_void};
use std::path::PathBuf;
use std::sync::Arc;

use super::app_options::mtlspop_app_options;
use super::assertion::mtlspop_assertion_callback;
use super::callback::{Callback, UserData, mtlspop_destroy};
use super::certificate::mtlspop_certificate;
use super::draft::change;
use super::handle::value;
use super::text::{optional, required};
use crate::app::AppOptions;
use crate::credential::Credential;
use crate::error::Error;
use crate::secret::Secret;

/// Makes a certificate the credential: presented in TLS for mtls_pop, signing an assertion for Bearer.
/// Bearer needs an RSA key. Of the credential setters, the last one counts.
///
/// @param options      settings for a confidential client
/// @param certificate  a certificate with its private key; it may be freed afterwards
/// @param send_x5c     1 to send the certificate chain in assertions, as SN/I registration needs; else 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_certificate(
    options: *mut mtlspop_app_options,
    certificate: *const mtlspop_certificate,
    send_x5c: i32,
) {
    let parse = || unsafe {
        let certificate = value(certificate, "certificate")?.certificate().clone();
        Ok(Credential::Certificate { certificate, send_x5c: send_x5c != 0 })
    };
    unsafe { change(options, "mtlspop_app_options_set_certificate", parse, AppOptions::with_credential) }
}

/// Makes a callback the credential that gives the app's certificate as it is now, so that certificates
/// rotate without a restart. Tokens that are bound to an earlier certificate stay in use, with that one.
///
/// The callback is an assertion callback that sets no assertion, only a certificate. One that returns 0 and sets
/// none is MTLSPOP_E_CALLBACK, mtls_certificate_not_provided.
///
/// @param options   settings for a confidential client
/// @param callback  called once per token request that goes to the network, never for a cached token
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
/// @param send_x5c  1 to send the certificate chain in assertions, as SN/I registration needs; else 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_certificate_provider(
    options: *mut mtlspop_app_options,
    callback: mtlspop_assertion_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
    send_x5c: i32,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let provider = Arc::new(Callback::new(callback, userdata)?);
        Ok(Credential::CertificateProvider { provider, send_x5c: send_x5c != 0 })
    };
    let setter = "mtlspop_app_options_set_certificate_provider";
    unsafe { change(options, setter, parse, AppOptions::with_credential) }
}

/// Sets whether the credential's certificate is presented in TLS for Bearer tokens, too, beside the
/// assertion (MSAL's SendCertificateOverMtls). Off by default. Entra must have enabled the app for it;
/// AADSTS51000 says that it has not.
///
/// @param options  settings for a confidential client whose credential is a certificate
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_send_certificate_over_mtls(
    options: *mut mtlspop_app_options,
    on: i32,
) {
    let setter = "mtlspop_app_options_set_send_certificate_over_mtls";
    unsafe { change(options, setter, || Ok(on != 0), AppOptions::with_send_certificate_over_mtls) }
}

/// Makes a client secret the credential. Bearer only: a secret cannot prove possession of a key.
///
/// @param options  settings for a confidential client
/// @param secret   the secret's value, not its id
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_client_secret(
    options: *mut mtlspop_app_options,
    secret: *const c_char,
) {
    let parse = || {
        let secret = unsafe { required(secret, "secret") }?;
        match secret.trim() {
            "" => Err(Error::argument("secret is empty")),
            _ => Ok(Credential::Secret(Secret::new(secret))),
        }
    };
    unsafe { change(options, "mtlspop_app_options_set_client_secret", parse, AppOptions::with_credential) }
}

/// Makes a callback the credential: a federated identity credential (FIC). It gives an assertion, and
/// for mtls_pop the certificate the assertion is bound to.
///
/// @param options   settings for a confidential client
/// @param callback  called once per token request that goes to the network, never for a cached token
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_client_assertion(
    options: *mut mtlspop_app_options,
    callback: mtlspop_assertion_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || Ok(Credential::Assertion(Arc::new(Callback::new(callback, userdata)?)));
    unsafe { change(options, "mtlspop_app_options_set_client_assertion", parse, AppOptions::with_credential) }
}

/// Makes a file with a federated token the credential, as Kubernetes' workload identity has it. The file
/// is read for each token request that goes to the network, since it is replaced before the token in it
/// expires. Bearer only: such a token brings no certificate.
///
/// @param options  settings for a confidential client
/// @param path     the file; NULL for the one that AZURE_FEDERATED_TOKEN_FILE names
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_federated_token_file(
    options: *mut mtlspop_app_options,
    path: *const c_char,
) {
    let parse = || Ok(Credential::FederatedTokenFile(unsafe { optional(path, "path") }?.map(PathBuf::from)));
    let setter = "mtlspop_app_options_set_federated_token_file";
    unsafe { change(options, setter, parse, AppOptions::with_credential) }
}

/// Sets whether a federated token file is exchanged by the token proxy of the cluster, which AKS identity bindings
/// have (EnableAzureProxy of the Azure SDKs). Off by default, and without effect where AZURE_KUBERNETES_TOKEN_PROXY
/// and its like are not set. The variables are read by mtlspop_app_new(): AZURE_KUBERNETES_TOKEN_PROXY, the https URL
/// of the proxy; AZURE_KUBERNETES_CA_FILE or AZURE_KUBERNETES_CA_DATA, who vouches for it, in PEM;
/// AZURE_KUBERNETES_SNI_NAME, by which name. The file is looked at for each token request, since it is replaced when
/// authorities rotate. Only the token is asked of the proxy; a region does not count.
///
/// @param options  settings for a confidential client whose credential is a federated token file
/// @param on       1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_enable_azure_proxy(
    options: *mut mtlspop_app_options,
    on: i32,
) {
    let setter = "mtlspop_app_options_set_enable_azure_proxy";
    unsafe { change(options, setter, || Ok(on != 0), AppOptions::with_enable_azure_proxy) }
}
