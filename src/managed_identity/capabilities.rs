//! What this host's managed identity can do, and how that is known (managed_identity spec, section 4.4).

use super::ManagedIdentitySource;
use super::imds_v2::TURNED_OFF;
use crate::error::{Error, ErrorKind, Result};
use crate::key::MtlsBindingStrength;

/// What this host's managed identity can do. See
/// [`App::managed_identity_capabilities`](crate::App::managed_identity_capabilities).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedIdentityCapabilities {
    pub(super) source: Option<ManagedIdentitySource>,
    pub(super) strength: MtlsBindingStrength,
    pub(super) detection: String,
    /// Why bound tokens have no stronger keys.
    pub(super) limit: String,
    pub(super) error: Option<String>,
    /// Whether it certifies keys that are made here, so that these decide.
    pub(super) issues_certificates: bool,
}

impl ManagedIdentityCapabilities {
    /// What the environment alone tells: a source that issues no bound tokens.
    pub(crate) fn of_environment(kind: ManagedIdentitySource) -> Self {
        let detection = match kind {
            ManagedIdentitySource::AzureArc => {
                "the environment sets IDENTITY_ENDPOINT and IMDS_ENDPOINT, or /opt/azcmagent/bin/himds exists"
                    .to_owned()
            }
            _ => format!("the environment sets {}", kind.variables()),
        };
        Self {
            source: Some(kind),
            strength: MtlsBindingStrength::None,
            detection,
            limit: format!("{} issues no bound tokens", kind.name()),
            error: None,
            issues_certificates: false,
        }
    }

    /// The same for an app whose keys have this strength, which is not exceeded for the reason `limit`.
    pub(crate) fn with_keys(self, strength: MtlsBindingStrength, limit: String) -> Self {
        match self.issues_certificates {
            true => Self { strength, limit, ..self },
            false => self,
        }
    }

    /// The same while IMDSv2 is turned off: no keys, whatever was found out about the host.
    pub(super) fn with_v2_turned_off(self) -> Self {
        let error = self.error.or_else(|| Some(TURNED_OFF.to_owned()));
        let (strength, limit) = (MtlsBindingStrength::None, TURNED_OFF.to_owned());
        Self { strength, limit, issues_certificates: false, error, ..self }
    }

    /// Which service vouches for the workload; `None` where none was found.
    pub fn source(&self) -> Option<ManagedIdentitySource> {
        self.source
    }

    /// How well the key of a bound token can be kept at best, by this version on this host.
    pub fn max_supported_binding_strength(&self) -> MtlsBindingStrength {
        self.strength
    }

    /// Why it can be kept no better.
    pub fn strength_reason(&self) -> &str {
        &self.limit
    }

    /// Whether the host gives tokens that are bound to a certificate (`mtls_pop`).
    pub fn is_mtls_pop_supported_by_host(&self) -> bool {
        self.strength > MtlsBindingStrength::None
    }

    /// What each probe ran into, where no source was found, or that IMDSv2 is turned off; else `None`.
    pub fn error_reason(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// One sentence for a person: by which environment variables or by which probe the source was
    /// detected. Names, never values.
    pub fn detection_reason(&self) -> &str {
        &self.detection
    }

    /// Refuses a floor that this host does not reach (section 4.9).
    pub(crate) fn check(&self, floor: MtlsBindingStrength) -> Result<()> {
        if let (None, Some(why)) = (self.source, &self.error) {
            let text = format!("no source of managed identity was found, so no bound token either: {why}");
            let code = "managed_identity_all_sources_unavailable";
            return Err(Error::new(ErrorKind::NotSupported, code, text).with_retryable(true));
        }
        if self.strength >= floor {
            return Ok(());
        }
        let text = format!(
            "the key of the binding certificate must have the strength {}, this host reaches {}: {}",
            floor.name(),
            self.strength.name(),
            self.limit
        );
        Err(Error::new(ErrorKind::NotSupported, "min_strength_not_met", text))
    }
}
