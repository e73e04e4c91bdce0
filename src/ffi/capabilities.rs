//! `mtlspop_capabilities`: what this host's managed identity can do.

use std::ffi::c_char;

use super::app::mtlspop_app;
use super::cancel::mtlspop_cancel;
use super::error::{guard, mtlspop_error, mtlspop_status};
use super::guard::guard_or;
use super::handle::{Handle, Out, free, value};
use super::strength;
use super::text::{Lent, timeout};
use crate::error::Result;
use crate::managed_identity::{ManagedIdentityCapabilities, ManagedIdentitySource};

/// Source of managed identity: none was found.
pub const MTLSPOP_SOURCE_NONE: i32 = 0;
/// Source of managed identity: Azure App Service and Azure Functions.
pub const MTLSPOP_SOURCE_APP_SERVICE: i32 = 1;
/// Source of managed identity: Azure Arc.
pub const MTLSPOP_SOURCE_AZURE_ARC: i32 = 2;
/// Source of managed identity: Azure Cloud Shell.
pub const MTLSPOP_SOURCE_CLOUD_SHELL: i32 = 3;
/// Source of managed identity: the instance metadata service of a virtual machine.
pub const MTLSPOP_SOURCE_IMDS: i32 = 4;
/// Source of managed identity: Azure Machine Learning.
pub const MTLSPOP_SOURCE_MACHINE_LEARNING: i32 = 5;
/// Source of managed identity: Azure Service Fabric.
pub const MTLSPOP_SOURCE_SERVICE_FABRIC: i32 = 6;

/// What this host's managed identity can do. Owned by who received it; immutable, so any thread may read it.
pub struct mtlspop_capabilities {
    _private: [u8; 0],
}

pub(super) struct CapabilitiesValue {
    capabilities: ManagedIdentityCapabilities,
    detection_reason: Lent,
    error_reason: Lent,
}

impl Handle for mtlspop_capabilities {
    type Value = CapabilitiesValue;
    const NAME: &'static str = "capabilities";
    const TAG: u64 = 0x6d74_6c73_4341_5053;
}

/// Tells which service vouches for this host's managed identity, and how strong the binding of its tokens
/// can be, as MSAL's GetManagedIdentityCapabilitiesAsync() does. Acquires nothing. Blocks.
///
/// Where the environment does not name the source, the instance metadata service is probed. That it
/// has IMDSv2 is remembered as long as the process lives, anything less for a minute. While it is turned off by
/// the environment variable MSAL_MI_DISABLE_IMDS_V2 it is not probed, and there is no strength. That there is no
/// source is a result, too: MTLSPOP_SOURCE_NONE, with the reason. Acquiring tokens does not depend on it,
/// unless mtlspop_token_request_set_min_strength() asks for it.
///
/// Fails with MTLSPOP_E_INVALID_ARGUMENT for the app of a confidential client, MTLSPOP_E_TIMEOUT,
/// MTLSPOP_E_CANCELLED, MTLSPOP_E_INVALID_HANDLE for a handle that is none, and MTLSPOP_E_INTERNAL.
///
/// @param app               an app that is made for a managed identity
/// @param timeout_ms        how long the call may take, all of it; 0 for no limit but those of its steps
/// @param cancel            lets another thread stop the call; may be NULL
/// @param out_capabilities  receives the result, yours to free
/// @param out_error         receives the error, yours to free; may be NULL
/// @return MTLSPOP_OK or the error's status
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_app_managed_identity_capabilities(
    app: *const mtlspop_app,
    timeout_ms: i64,
    cancel: *const mtlspop_cancel,
    out_capabilities: *mut *mut mtlspop_capabilities,
    out_error: *mut *mut mtlspop_error,
) -> mtlspop_status {
    unsafe {
        guard(out_error, || {
            let out = Out::new(out_capabilities, "out_capabilities")?;
            let app = value(app, "app")?.hold();
            let cancel = match cancel.is_null() {
                true => None,
                false => Some(value(cancel, "cancel")?.clone()),
            };
            let capabilities = app.managed_identity_capabilities(timeout(timeout_ms)?, cancel)?;
            let (detection_reason, error_reason) = Default::default();
            out.set(CapabilitiesValue { capabilities, detection_reason, error_reason });
            Ok(())
        })
    }
}

/// Which service vouches for the managed identity.
///
/// @param capabilities  the capabilities
/// @return one of MTLSPOP_SOURCE_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_capabilities_source(capabilities: *const mtlspop_capabilities) -> i32 {
    guard_or(-1, || {
        Ok(match unsafe { known(capabilities) }?.source() {
            None => MTLSPOP_SOURCE_NONE,
            Some(ManagedIdentitySource::AppService) => MTLSPOP_SOURCE_APP_SERVICE,
            Some(ManagedIdentitySource::AzureArc) => MTLSPOP_SOURCE_AZURE_ARC,
            Some(ManagedIdentitySource::CloudShell) => MTLSPOP_SOURCE_CLOUD_SHELL,
            Some(ManagedIdentitySource::Imds) => MTLSPOP_SOURCE_IMDS,
            Some(ManagedIdentitySource::MachineLearning) => MTLSPOP_SOURCE_MACHINE_LEARNING,
            Some(ManagedIdentitySource::ServiceFabric) => MTLSPOP_SOURCE_SERVICE_FABRIC,
        })
    })
}

/// How well the key of a bound token can be kept at best, by this app on this host: in software; in hardware
/// where the app has a TPM that answers (else there is no key, and no bound token); attested where it also has
/// that key attested.
///
/// @param capabilities  the capabilities
/// @return one of MTLSPOP_STRENGTH_..., -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_capabilities_max_supported_binding_strength(
    capabilities: *const mtlspop_capabilities,
) -> i32 {
    guard_or(-1, || Ok(strength::number(unsafe { known(capabilities) }?.max_supported_binding_strength())))
}

/// Whether the host gives tokens that are bound to a certificate (mtls_pop).
///
/// @param capabilities  the capabilities
/// @return 1 or 0; 0 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_capabilities_is_mtls_pop_supported_by_host(
    capabilities: *const mtlspop_capabilities,
) -> i32 {
    guard_or(0, || Ok(i32::from(unsafe { known(capabilities) }?.is_mtls_pop_supported_by_host())))
}

/// By which environment variables or by which probe the source was detected: a sentence for a person, with
/// the names of variables, never their values.
///
/// @param capabilities  the capabilities
/// @return text, borrowed from capabilities; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_capabilities_detection_reason(
    capabilities: *const mtlspop_capabilities,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(capabilities, "capabilities") }?;
        Ok(value.detection_reason.get(|| Some(value.capabilities.detection_reason())))
    })
}

/// What each probe ran into, where no source was found; or that IMDSv2 is turned off.
///
/// @param capabilities  the capabilities
/// @return text, borrowed from capabilities; NULL where neither is so
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_capabilities_error_reason(
    capabilities: *const mtlspop_capabilities,
) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let value = unsafe { value(capabilities, "capabilities") }?;
        Ok(value.error_reason.get(|| value.capabilities.error_reason()))
    })
}

/// Frees capabilities and everything borrowed from them.
///
/// @param capabilities  the capabilities; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_capabilities_free(capabilities: *mut mtlspop_capabilities) {
    guard_or((), || {
        unsafe { free(capabilities) };
        Ok(())
    });
}

/// # Safety
/// As for [`value`].
unsafe fn known<'a>(capabilities: *const mtlspop_capabilities) -> Result<&'a ManagedIdentityCapabilities> {
    // SAFETY: as promised by the caller.
    Ok(&unsafe { value(capabilities, "capabilities") }?.capabilities)
}
