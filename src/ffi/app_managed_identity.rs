//! Settings of `mtlspop_app_options` that only managed identities have.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::app_options::mtlspop_app_options;
use super::attestation::mtlspop_attestation_callback;
use super::callback::{Callback, UserData, mtlspop_destroy};
use super::draft::change;
use super::sign::mtlspop_sign_callback;
use super::strength::strength;
use super::text::{bytes, required, timeout};
use crate::app::AppOptions;
use crate::attestation::AttestationProvider;
use crate::error::Error;
use crate::key::Signer;
use crate::managed_identity::ManagedIdentityId;

/// Names a user-assigned managed identity by its client id.
///
/// IMDS, App Service and Machine Learning take it.
///
/// @param options    settings for a managed identity
/// @param client_id  the identity's client id
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_user_assigned_client_id(
    options: *mut mtlspop_app_options,
    client_id: *const c_char,
) {
    unsafe { user_assigned(options, client_id, "client_id", ManagedIdentityId::ClientId) }
}

/// Names a user-assigned managed identity by its object (principal) id.
///
/// IMDS, App Service, Azure Arc and Service Fabric take it.
///
/// @param options    settings for a managed identity
/// @param object_id  the identity's object id
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_user_assigned_object_id(
    options: *mut mtlspop_app_options,
    object_id: *const c_char,
) {
    unsafe { user_assigned(options, object_id, "object_id", ManagedIdentityId::ObjectId) }
}

/// Names a user-assigned managed identity by its ARM resource id (/subscriptions/...).
///
/// IMDS, App Service and Azure Arc take it.
///
/// @param options      settings for a managed identity
/// @param resource_id  the identity's resource id
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_user_assigned_resource_id(
    options: *mut mtlspop_app_options,
    resource_id: *const c_char,
) {
    unsafe { user_assigned(options, resource_id, "resource_id", ManagedIdentityId::ResourceId) }
}

/// Limits how long one attempt to find out what this host's metadata service can do may take; 3 seconds by
/// default, of which connecting gets 2.
///
/// An attempt that was too slow, or refused for the moment, is repeated up to three times, with 1, 2 and 4
/// seconds between: a busy host is not taken for one that has no such service. For
/// mtlspop_app_managed_identity_capabilities() and mtlspop_token_request_set_min_strength(); nothing else
/// probes.
///
/// @param options       settings for a managed identity
/// @param milliseconds  more than 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_probe_timeout_ms(
    options: *mut mtlspop_app_options,
    milliseconds: i64,
) {
    let parse = || timeout(milliseconds)?.ok_or_else(|| Error::argument("milliseconds is 0"));
    unsafe {
        change(options, "mtlspop_app_options_set_probe_timeout_ms", parse, AppOptions::with_probe_timeout)
    }
}

/// Has the keys attested that bound tokens are bound to, as MSAL's WithAttestationSupport does: each
/// certificate of the app is then one for an attested key, or there is none. Never mixed with the
/// certificates and tokens of apps without attestation. Bearer tokens are not affected.
///
/// @param options   settings for a managed identity
/// @param callback  called whenever a certificate is to be issued, for renewals, too
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_attestation(
    options: *mut mtlspop_app_options,
    callback: mtlspop_attestation_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || Ok::<Arc<dyn AttestationProvider>, Error>(Arc::new(Callback::new(callback, userdata)?));
    unsafe { change(options, "mtlspop_app_options_set_attestation", parse, AppOptions::with_attestation) }
}

/// Has a key that lives elsewhere be the one of a managed identity's bound tokens: callback signs with it, for
/// the certificate request and for TLS. One key for every certificate. Its strength is
/// MTLSPOP_STRENGTH_SOFTWARE: how it is kept cannot be seen from here. The app shares neither certificates nor
/// tokens with others of the process, so that callback is called for nobody else. Of this setter and
/// mtlspop_app_options_set_tpm() the last one counts. For a confidential client see
/// mtlspop_certificate_new_with_signer().
///
/// mtlspop_app_new() fails with MTLSPOP_E_KEY_UNAVAILABLE where public_key is malformed, and with
/// MTLSPOP_E_INVALID_ARGUMENT where it is not RSA: IMDS takes no other.
///
/// @param options     settings for a managed identity
/// @param public_key  RSA from 2048 bits, a SubjectPublicKeyInfo in DER; copied
/// @param length      the number of its bytes
/// @param callback    signs
/// @param userdata    passed to callback
/// @param destroy     releases userdata, exactly once: when nothing uses the key any more (apps, tokens), or at
///                    once if this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_key_signer(
    options: *mut mtlspop_app_options,
    public_key: *const u8,
    length: usize,
    callback: mtlspop_sign_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let signer: Arc<dyn Signer> = Arc::new(Callback::new(callback, userdata)?);
        match public_key.is_null() {
            true => Err(Error::argument("public_key is NULL")),
            false => Ok((unsafe { bytes(public_key, length, "public_key") }?, signer)),
        }
    };
    let apply =
        |options: AppOptions, (public_key, signer): (&[u8], _)| options.with_key_signer(public_key, signer);
    unsafe { change(options, "mtlspop_app_options_set_key_signer", parse, apply) }
}

/// Sets how well the keys of bound tokens must be kept at least: a floor for each request of the app; one that
/// sets a higher floor keeps it. See mtlspop_token_request_set_min_strength(). Bearer tokens are not affected.
///
/// @param options       settings for a managed identity
/// @param min_strength  one of MTLSPOP_STRENGTH_...; MTLSPOP_STRENGTH_NONE, the default, is no floor
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_min_strength(
    options: *mut mtlspop_app_options,
    min_strength: i32,
) {
    let setter = "mtlspop_app_options_set_min_strength";
    unsafe { change(options, setter, || strength(min_strength), AppOptions::with_min_strength) }
}

unsafe fn user_assigned(
    options: *mut mtlspop_app_options,
    id: *const c_char,
    parameter: &str,
    kind: fn(String) -> ManagedIdentityId,
) {
    let parse = || Ok(kind(unsafe { required(id, parameter) }?.to_owned()));
    let setter = format!("mtlspop_app_options_set_user_assigned_{parameter}");
    unsafe { change(options, &setter, parse, AppOptions::with_managed_identity_id) }
}
