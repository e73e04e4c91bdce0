//! `mtlspop_tpm_options`: which TPM 2.0 holds keys, and how it is used.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::app_options::mtlspop_app_options;
use super::binding_store::{mtlspop_secret_callback, provide};
use super::buffer::{BufferValue, mtlspop_buffer};
use super::callback::{UserData, mtlspop_destroy};
use super::certificate::mtlspop_certificate;
use super::draft::{Draft, change};
use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, Out, boxed, free, value};
use super::text::{bytes, required};
use crate::app::AppOptions;
use crate::binding::Certificate;
use crate::error::{Error, Result};
use crate::key::{TpmAuthFn, TpmOptions};
use crate::secret::SecretBytes;

/// A TPM 2.0 that holds keys: this host's, unless a setter says another. Use from one thread at a time; free
/// after what it was given to has been made, which copies it.
///
/// The TPM is reached by a plugin, libmtlspop_tpm.so, and that by tpm2-tss. Both are loaded when the first key
/// is asked for; where plugin, tpm2-tss or TPM is missing, that call fails with MTLSPOP_E_NOT_SUPPORTED, the
/// code tpm_unavailable and a message that says which. Never is a key in software used in its place.
///
/// A TPM does one thing at a time, so that callers wait for each other, each as long as its own timeout allows
/// and at most 60 seconds (300 where a key is made or attested). Other errors of a TPM have MTLSPOP_E_KEY_UNAVAILABLE and
/// the codes tpm_busy, tpm_auth_failed, tpm_locked_out, tpm_key_lost and tpm_error; waiting too long is
/// MTLSPOP_E_TIMEOUT, a TCTI of an unknown kind MTLSPOP_E_INVALID_ARGUMENT. tpm2-tss writes its own
/// errors to standard error unless the environment has TSS2_LOG=all+none.
pub struct mtlspop_tpm_options {
    _private: [u8; 0],
}

impl Handle for mtlspop_tpm_options {
    type Value = Draft<TpmOptions>;
    const NAME: &'static str = "tpm_options";
    const TAG: u64 = 0x6d74_6c73_5450_4d32;
}

/// The TPM of this host.
///
/// @return settings, yours to free; NULL only when memory is exhausted
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_tpm_options_new() -> *mut mtlspop_tpm_options {
    guard_or(std::ptr::null_mut(), || Ok(boxed(Draft::new(TpmOptions::new()))))
}

/// Sets where the plugin is. Without this setting libmtlspop_tpm.so is loaded from the directory of this
/// library, or of the program it is linked into, else from the one that this library was installed in, or from
/// mtlspop/ there; never from the working directory or a search path. It must have exactly the version of this
/// library.
///
/// @param options  settings
/// @param path     an absolute path
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_plugin(
    options: *mut mtlspop_tpm_options,
    path: *const c_char,
) {
    let parse = || unsafe { required(path, "path") };
    let apply = |options: TpmOptions, path: &str| options.with_plugin(path);
    unsafe { change(options, "mtlspop_tpm_options_set_plugin", parse, apply) }
}

/// Sets how the TPM is reached. Without this setting the environment variable TPM2TOOLS_TCTI or TCTI says so,
/// else it is "device:/dev/tpmrm0".
///
/// @param options  settings
/// @param tcti     as the TPM's own tools take it: "device:<path>", "tabrmd:bus_type=system",
///                 "swtpm:host=127.0.0.1,port=2321" or "mssim:..."
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_tcti(
    options: *mut mtlspop_tpm_options,
    tcti: *const c_char,
) {
    let parse = || unsafe { required(tcti, "tcti") };
    unsafe { change(options, "mtlspop_tpm_options_set_tcti", parse, TpmOptions::with_tcti) }
}

/// Sets the authorisation value of the keys: new ones get it, and those that are loaded have it. The TPM
/// counts wrong ones and locks itself. It never goes to the TPM in the clear. Without it keys have none. Of
/// the setters of this value, the last one counts.
///
/// @param options  settings
/// @param auth     1 to 32 bytes of which the last is not 0; copied, and wiped when nothing uses it any more
/// @param length   the number of its bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_auth(
    options: *mut mtlspop_tpm_options,
    auth: *const u8,
    length: usize,
) {
    let parse = || not_empty(SecretBytes::new(unsafe { bytes(auth, length, "auth") }?), "auth");
    unsafe { change(options, "mtlspop_tpm_options_set_auth", parse, TpmOptions::with_auth) }
}

/// Sets the authorisation value of the keys, as mtlspop_tpm_options_set_auth() does, to one that a callback gives: asked by mtlspop_app_new() or
/// mtlspop_certificate_new_with_tpm_key(), on its thread.
///
/// @param options   settings
/// @param callback  gives the value, 1 to 32 bytes
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_auth_callback(
    options: *mut mtlspop_tpm_options,
    callback: mtlspop_secret_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let provide = provide(callback, userdata)?;
        Ok::<Arc<TpmAuthFn>, Error>(Arc::new(move || not_empty(provide()?, "the secret of the callback")))
    };
    let setter = "mtlspop_tpm_options_set_auth_callback";
    unsafe { change(options, setter, parse, TpmOptions::with_auth_callback) }
}

/// Sets the authorisation value of the TPM's owner hierarchy, where that has one: keys are made below it.
///
/// @param options  settings
/// @param auth     1 to 32 bytes; copied, and wiped when nothing uses it any more
/// @param length   the number of its bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_owner_auth(
    options: *mut mtlspop_tpm_options,
    auth: *const u8,
    length: usize,
) {
    let parse = || not_empty(SecretBytes::new(unsafe { bytes(auth, length, "auth") }?), "auth");
    unsafe { change(options, "mtlspop_tpm_options_set_owner_auth", parse, TpmOptions::with_owner_auth) }
}

/// Keeps the key of a managed identity inside the TPM, at this handle: one that is there is used, for every
/// certificate, else it is made there. Without this setting a key is a blob that only the TPM can read, and
/// each certificate has a new one.
///
/// @param options  settings
/// @param handle   0x81000000 to 0x817fffff
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_persistent_handle(
    options: *mut mtlspop_tpm_options,
    handle: i64,
) {
    let parse =
        || u32::try_from(handle).map_err(|_| Error::argument(format!("{handle} is not a handle of a TPM")));
    let setter = "mtlspop_tpm_options_set_persistent_handle";
    unsafe { change(options, setter, parse, TpmOptions::with_persistent_handle) }
}

/// Has the TPM vouch for each key of a managed identity, and the attestation service that the host names for
/// the TPM, before a certificate is issued: TPM2_Certify and a quote of these PCRs, signed by an attestation
/// key, sent by the protocol of Microsoft Azure Attestation for TPMs. Bound tokens then have the strength
/// MTLSPOP_STRENGTH_ATTESTED. Where the service refuses, the call fails with the code attestation_failed.
///
/// @param options  settings
/// @param pcrs     the numbers of the PCRs, 0 to 23, each a byte
/// @param length   how many there are, at least 1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_set_attestation(
    options: *mut mtlspop_tpm_options,
    pcrs: *const u8,
    length: usize,
) {
    let parse = || unsafe { bytes(pcrs, length, "pcrs") };
    unsafe { change(options, "mtlspop_tpm_options_set_attestation", parse, TpmOptions::with_attestation) }
}

/// Frees settings. Apps and certificates made with them are not affected.
///
/// @param options  the settings; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_tpm_options_free(options: *mut mtlspop_tpm_options) {
    guard_or((), || {
        unsafe { free(options) };
        Ok(())
    });
}

/// Keeps the keys of a managed identity's bound tokens in a TPM, which they never leave; their strength is
/// MTLSPOP_STRENGTH_HARDWARE. Certificates and tokens for keys of another home are never used. With a binding
/// store a certificate is found again by the next process, with the same key. A TPM that was cleared is
/// noticed, and key and certificate are replaced. Of this setter and mtlspop_app_options_set_key_signer() the
/// last one counts. Bearer tokens are not affected.
///
/// @param options  settings for a managed identity
/// @param tpm      the TPM; it may be freed afterwards
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_tpm(
    options: *mut mtlspop_app_options,
    tpm: *const mtlspop_tpm_options,
) {
    let parse = || Ok(unsafe { value(tpm, "tpm") }?.settings()?.clone());
    unsafe { change(options, "mtlspop_app_options_set_tpm", parse, AppOptions::with_tpm) }
}

/// Makes a certificate whose private key is in a TPM: one that this library exported with
/// mtlspop_certificate_export_tpm_key_pem(), or that was made by OpenSSL with its TPM provider. It can be used
/// for whatever a certificate with a key of its own can; only its key cannot be exported. RSA from 2048 bits,
/// without a policy, below the owner hierarchy or a persistent key.
///
/// The TPM is asked to use the key at once. Fails as mtlspop_tpm_options says; with MTLSPOP_E_KEY_UNAVAILABLE
/// where key or certificate are malformed, do not belong together, or the key is of another kind; with
/// MTLSPOP_E_INVALID_ARGUMENT for NULL, and where a value is set for a key without one, or none for one with.
///
/// @param data             PEM, the certificate first and its issuers after it, or one certificate in DER;
///                         copied
/// @param length           length of data in bytes
/// @param key              "TSS2 PRIVATE KEY" in PEM; copied
/// @param key_length       length of key in bytes
/// @param tpm              the TPM; it may be freed afterwards
/// @param out_certificate  receives the certificate, yours to free
/// @param out_error        receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_new_with_tpm_key(
    data: *const u8,
    length: usize,
    key: *const u8,
    key_length: usize,
    tpm: *const mtlspop_tpm_options,
    out_certificate: *mut *mut mtlspop_certificate,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_certificate, "out_certificate")?;
            let tpm = value(tpm, "tpm")?.settings()?.clone();
            for (pointer, parameter) in [(data, "data"), (key, "key")] {
                if pointer.is_null() {
                    return Err(Error::argument(format!("{parameter} is NULL")));
                }
            }
            let (chain, key) = (bytes(data, length, "data")?, bytes(key, key_length, "key")?);
            out.set(Certificate::with_tpm_key(chain, key, tpm)?.into());
            Ok(())
        })
    }
}

/// Exports the private key as "TSS2 PRIVATE KEY" in PEM, where it is in a TPM: a file with which OpenSSL (by
/// its TPM provider) and this library use the same key in the same TPM. It is useless elsewhere. Whoever has it
/// and may use the TPM can use the key, unless that has an authorisation value.
///
/// Fails with MTLSPOP_E_KEY_UNAVAILABLE where the key is not in a TPM, or at a persistent handle.
///
/// @param certificate  the certificate
/// @param out_pem      receives the text, yours to free
/// @param out_error    receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_certificate_export_tpm_key_pem(
    certificate: *const mtlspop_certificate,
    out_pem: *mut *mut mtlspop_buffer,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_pem, "out_pem")?;
            let pem = value(certificate, "certificate")?.certificate().tpm_key_pem()?;
            out.set(BufferValue::new(pem.as_bytes()));
            Ok(())
        })
    }
}

/// An empty value is what keys without one have: who sets one means something else.
fn not_empty(auth: SecretBytes, what: &str) -> Result<SecretBytes> {
    match auth.expose() {
        [] => Err(Error::argument(format!("{what} is empty; an authorisation value has 1 to 32 bytes"))),
        _ => Ok(auth),
    }
}
