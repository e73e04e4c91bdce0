//! Where binding certificates are kept on disk, and `mtlspop_secret_op`: the question for its secret.

use std::ffi::{c_char, c_void};

use super::app_options::mtlspop_app_options;
use super::callback::{Asked, Callback, Operation, UserData, answer, mtlspop_destroy, set_error};
use super::draft::change;
use super::handle::Handle;
use super::text::{bytes, required};
use crate::app::AppOptions;
use crate::binding::BindingStore;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// A secret that is asked for. Valid during the callback only; never freed by the caller.
pub struct mtlspop_secret_op {
    _private: [u8; 0],
}

/// Gives the secret of a binding store, or the authorisation value of keys in a TPM: answers with
/// mtlspop_secret_op_set_secret().
///
/// Called by the call that needs it, mtlspop_app_new() or mtlspop_certificate_new_with_tpm_key(), on its thread;
/// for a binding store once for the settings it was set in. No exception may leave it.
///
/// Returns 0 for success; anything else fails the call with MTLSPOP_E_CALLBACK and the text of
/// mtlspop_secret_op_set_error().
pub type mtlspop_secret_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, operation: *mut mtlspop_secret_op) -> i32>;

impl Handle for mtlspop_secret_op {
    type Value = Asked<(), Option<SecretBytes>>;
    const NAME: &'static str = "secret_op";
    const TAG: u64 = 0x6d74_6c73_5345_4352;
}

impl Operation for mtlspop_secret_op {
    type Question = ();
    type Answer = Option<SecretBytes>;
    const CALLBACK: &'static str = "secret";
    const FAILED: &'static str = "secret_callback_failed";
}

/// Keeps the binding certificates of a managed identity in a directory, their private keys encrypted under
/// a secret, so that the next start of the program, and other processes with this setting, need no new
/// ones. Off without it. Of the setters of a store, the last one counts.
///
/// The directory is made if it is not there, for this user alone (mode 0700); the files have mode 0600, are
/// replaced as a whole, and processes that need a certificate at the same time wait for the one that gets
/// it, as long as their own timeout allows. A key is encrypted with AES-256-GCM, under one that is derived
/// from the secret by PBKDF2. A store that cannot be written or read is a warning in the log, and the call
/// goes on without it. It serves one host, known by /etc/machine-id: what a cloned disk brings along is not
/// used. Where that file is missing, as in many containers, this cannot be told: mtlspop_app_new() warns in the
/// log, and the directory must not be shared with other hosts, nor cloned.
///
/// mtlspop_app_new() fails with MTLSPOP_E_INVALID_ARGUMENT for a relative path, a symbolic link, a directory
/// of another user or open to others, and a secret of fewer than 16 bytes.
///
/// @param options    settings for a managed identity
/// @param directory  an absolute path
/// @param secret     at least 16 bytes; copied, and wiped when nothing uses it any more
/// @param length     the number of its bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_binding_store(
    options: *mut mtlspop_app_options,
    directory: *const c_char,
    secret: *const u8,
    length: usize,
) {
    let parse = || {
        let secret = unsafe { bytes(secret, length, "secret") }?;
        let directory = unsafe { required(directory, "directory") }?;
        Ok(BindingStore::encrypted(directory, SecretBytes::new(secret)))
    };
    let setter = "mtlspop_app_options_set_binding_store";
    unsafe { change(options, setter, parse, AppOptions::with_binding_store) }
}

/// Keeps the binding certificates in a directory, as mtlspop_app_options_set_binding_store() does, with a secret that a
/// callback gives when the app is made.
///
/// @param options    settings for a managed identity
/// @param directory  an absolute path
/// @param callback   gives the secret
/// @param userdata   passed to callback
/// @param destroy    releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_binding_store_with_callback(
    options: *mut mtlspop_app_options,
    directory: *const c_char,
    callback: mtlspop_secret_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || {
        let provide = provide(callback, userdata)?;
        let directory = unsafe { required(directory, "directory") }?;
        Ok(BindingStore::encrypted_with(directory, Box::new(provide)))
    };
    let setter = "mtlspop_app_options_set_binding_store_with_callback";
    unsafe { change(options, setter, parse, AppOptions::with_binding_store) }
}

/// Keeps the binding certificates in a directory, as mtlspop_app_options_set_binding_store() does, without encryption:
/// whoever can read this user's files can read the private keys.
///
/// @param options    settings for a managed identity
/// @param directory  an absolute path
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_options_set_unencrypted_binding_store(
    options: *mut mtlspop_app_options,
    directory: *const c_char,
) {
    let parse = || Ok(BindingStore::unencrypted(unsafe { required(directory, "directory") }?));
    let setter = "mtlspop_app_options_set_unencrypted_binding_store";
    unsafe { change(options, setter, parse, AppOptions::with_binding_store) }
}

/// Answers with the secret.
///
/// @param operation  the question
/// @param secret     at least 16 bytes for a binding store, 1 to 32 for a TPM; copied
/// @param length     the number of its bytes
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_secret_op_set_secret(
    operation: *mut mtlspop_secret_op,
    secret: *const u8,
    length: usize,
) {
    let parse = || unsafe { bytes(secret, length, "secret") };
    unsafe {
        answer(operation, "mtlspop_secret_op_set_secret", parse, |answer, secret| {
            *answer = Some(SecretBytes::new(secret));
        });
    }
}

/// Says why the callback failed; the text becomes part of the call's error message.
///
/// @param operation  the question
/// @param message    one line for a person, without secrets; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_secret_op_set_error(
    operation: *mut mtlspop_secret_op,
    message: *const c_char,
) {
    unsafe { set_error(operation, "mtlspop_secret_op_set_error", message) }
}

/// What asks the callback.
pub(super) fn provide(
    callback: mtlspop_secret_callback,
    userdata: UserData,
) -> Result<impl Fn() -> Result<SecretBytes> + Send + Sync> {
    let callback = Callback::<mtlspop_secret_op>::new(callback, userdata)?;
    Ok(move || {
        callback.ask(())?.ok_or_else(|| {
            let message = "the secret callback returned 0 but set no secret";
            Error::new(ErrorKind::Callback, mtlspop_secret_op::FAILED, message)
        })
    })
}
