//! Keys in a TPM 2.0, by way of a plugin: see docs/adr/011.

mod device;
#[cfg(any(test, fuzzing))]
mod fuzzing;
#[allow(dead_code, reason = "some of it is for the other side")]
mod interface;
mod key;
mod key_file;
mod plugin;
mod pss;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use once_cell::sync::Lazy;

use crate::env::{Env, ProcessEnv};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{MtlsBindingStrength, PrivateKey as _, SignatureScheme, unusable};
use crate::runtime::{Wait, undisturbed};
use crate::secret::SecretBytes;

use device::Device;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzing::fuzz_plugin_frame;
pub(crate) use interface::Evidence;
use interface::{Auth, Request};
pub(crate) use key::TpmKey;

/// Gives an authorisation value.
pub type TpmAuthFn = dyn Fn() -> Result<SecretBytes> + Send + Sync;

/// Which TPM holds keys, and how it is used. Nothing is contacted before a key is asked for.
#[derive(Clone, Default)]
pub struct TpmOptions {
    plugin: Option<PathBuf>,
    tcti: Option<String>,
    auth: Option<Source>,
    owner_auth: Option<SecretBytes>,
    persistent_handle: Option<u32>,
    attested_pcrs: Option<Vec<u8>>,
}

#[derive(Clone)]
enum Source {
    Value(SecretBytes),
    Asked(Arc<TpmAuthFn>),
}

/// A TPM as [`TpmOptions`] describe it, with the values it asks for.
#[derive(Clone, Debug)]
pub(crate) struct TpmSettings {
    plugin: Option<PathBuf>,
    tcti: String,
    auth: SecretBytes,
    owner_auth: SecretBytes,
    persistent_handle: Option<u32>,
}

/// The same, with the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Tpm {
    device: Arc<Device>,
    auth: SecretBytes,
    owner_auth: SecretBytes,
    persistent_handle: Option<u32>,
}

const RESOURCE_MANAGER: &str = "device:/dev/tpmrm0";
/// The first that is set says where the TPM is, as for the TPM's own tools.
const VARIABLES: [&str; 2] = ["TPM2TOOLS_TCTI", "TCTI"];
/// Of the owner, by TCG's registry of reserved handles.
const PERSISTENT: std::ops::RangeInclusive<u32> = 0x8100_0000..=0x817f_ffff;
/// What a secret is made of.
const SECRET: &[u8] = b"mtlspop: a secret of this TPM, v1";
const LAST_PCR: u8 = 23;
/// What a name algorithm of SHA-256 admits.
const LONGEST_AUTH: usize = 32;

impl TpmOptions {
    /// The TPM of this host.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plugin library, by its absolute path. Without it `libmtlspop_tpm.so` beside this library is loaded,
    /// else the one in the directory that this library was installed into, or in `mtlspop/` there.
    pub fn with_plugin(mut self, path: impl Into<PathBuf>) -> Self {
        self.plugin = Some(path.into());
        self
    }

    /// How the TPM is reached: `device:/dev/tpmrm0`, `tabrmd:bus_type=system`, `swtpm:host=127.0.0.1,port=2321`.
    /// Without it `TPM2TOOLS_TCTI` or `TCTI` in the environment says so, else it is `device:/dev/tpmrm0`.
    pub fn with_tcti(mut self, tcti: &str) -> Self {
        self.tcti = Some(tcti.to_owned());
        self
    }

    /// The authorisation value of the keys, at most 32 bytes: new ones get it, and are guarded by the TPM's
    /// lock against guessing. It is never sent to the TPM in the clear. The last one set counts.
    pub fn with_auth(mut self, auth: SecretBytes) -> Self {
        self.auth = Some(Source::Value(auth));
        self
    }

    /// The same, asked for when the app or certificate is made.
    pub fn with_auth_callback(mut self, provide: Arc<TpmAuthFn>) -> Self {
        self.auth = Some(Source::Asked(provide));
        self
    }

    /// The authorisation value of the owner hierarchy, where the TPM has one.
    pub fn with_owner_auth(mut self, auth: SecretBytes) -> Self {
        self.owner_auth = Some(auth);
        self
    }

    /// Keeps the key of a managed identity inside the TPM, at this handle (0x81000000 to 0x817fffff): one
    /// that is there is used, else it is made there. Without it the key is a blob that only the TPM can read,
    /// and a new one is made for each certificate.
    pub fn with_persistent_handle(mut self, handle: u32) -> Self {
        self.persistent_handle = Some(handle);
        self
    }

    /// Has the TPM vouch for each key of a managed identity, and Microsoft Azure Attestation for the TPM, before
    /// a certificate is issued: with an attestation key, TPM2_Certify and a quote of these PCRs (0 to 23; of the
    /// SHA-256 bank). docs/adr/012 says which of this is documented.
    pub fn with_attestation(mut self, pcrs: &[u8]) -> Self {
        self.attested_pcrs = Some(pcrs.to_vec());
        self
    }

    /// A secret that nobody has without this TPM: what a key in it makes of a fixed text, and the same each time. `key` is the
    /// file of that key, a "TSS2 PRIVATE KEY" in PEM, of no use without the TPM; where there is none, a key is made, and its file
    /// is given, too. Sign nothing else with it.
    pub fn secret(&self, key: Option<&[u8]>) -> Result<(SecretBytes, Option<String>)> {
        let tpm = Self { persistent_handle: None, ..self.clone() }.resolve(&ProcessEnv)?.open()?;
        let wait = Wait::default();
        let (key, file) = match key {
            Some(pem) => (TpmKey::from_pem(&tpm, pem, &wait)?, None),
            None => {
                let key = TpmKey::generate(&tpm, &wait)?;
                let file = key.to_pem()?;
                (key, Some(file))
            }
        };
        if key.strength() != MtlsBindingStrength::Hardware {
            return Err(unusable("the key can leave its TPM, so it keeps no secret").with_code("tpm_error"));
        }
        // PKCS #1 v1.5 is without salt (RFC 8017, 8.2).
        let signature = key.sign_within(SignatureScheme::RsaPkcs1Sha256, SECRET, &wait)?;
        Ok((SecretBytes::new(signature), file))
    }

    /// The PCRs to quote, ascending; `None` without attestation.
    pub(crate) fn attested_pcrs(&self) -> Result<Option<Vec<u8>>> {
        let Some(mut pcrs) = self.attested_pcrs.clone() else { return Ok(None) };
        pcrs.sort_unstable();
        pcrs.dedup();
        if pcrs.is_empty() || pcrs.iter().any(|pcr| *pcr > LAST_PCR) {
            return Err(Error::argument("a quote needs PCRs, and they have the numbers 0 to 23"));
        }
        Ok(Some(pcrs))
    }

    /// Checks all that can be checked without the TPM, and asks for the authorisation value.
    pub(crate) fn resolve(self, env: &dyn Env) -> Result<TpmSettings> {
        if let Some(plugin) = self.plugin.as_ref().filter(|path| !path.is_absolute()) {
            let shown = plugin.display();
            return Err(Error::argument(format!("the path of the TPM plugin is not absolute: {shown}")));
        }
        if let Some(handle) = self.persistent_handle.filter(|handle| !PERSISTENT.contains(handle)) {
            return Err(Error::argument(format!(
                "{handle:#x} is not the handle of a persistent object of the owner: 0x81000000 to 0x817fffff"
            )));
        }
        let auth = match self.auth {
            Some(Source::Value(auth)) => auth,
            Some(Source::Asked(provide)) => provide()?,
            None => SecretBytes::new([]),
        };
        let owner_auth = self.owner_auth.unwrap_or_else(|| SecretBytes::new([]));
        if auth.expose().len().max(owner_auth.expose().len()) > LONGEST_AUTH {
            return Err(Error::argument("an authorisation value of the TPM has more than 32 bytes"));
        }
        // The TPM takes zeros at the end for nothing.
        if auth.expose().last() == Some(&0) {
            return Err(Error::argument("the authorisation value of the TPM key ends with a zero byte"));
        }
        let tcti = self.tcti.or_else(|| VARIABLES.iter().find_map(|name| env.var(name)));
        Ok(TpmSettings {
            plugin: self.plugin,
            tcti: tcti.unwrap_or_else(|| RESOURCE_MANAGER.to_owned()),
            auth,
            owner_auth,
            persistent_handle: self.persistent_handle,
        })
    }
}

impl TpmSettings {
    /// Loads the plugin.
    pub(crate) fn open(&self) -> Result<Tpm> {
        Ok(Tpm {
            device: Device::get(self.plugin.as_deref(), &self.tcti)?,
            auth: self.auth.clone(),
            owner_auth: self.owner_auth.clone(),
            persistent_handle: self.persistent_handle,
        })
    }

    /// Stands for the authorisation values, in this process only: nothing that could be guessed at is to be found
    /// on a disk. Empty where there are none.
    pub(crate) fn tag(&self) -> String {
        static KEY: Lazy<hmac::Key> = Lazy::new(|| {
            let mut random = [0; 32];
            // Without random numbers values are told apart all the same.
            let _ = undisturbed(|| SystemRandom::new().fill(&mut random));
            hmac::Key::new(hmac::HMAC_SHA256, &random)
        });
        let (auth, owner) = (self.auth.expose(), self.owner_auth.expose());
        if auth.is_empty() && owner.is_empty() {
            return String::new();
        }
        let mut context = hmac::Context::with_key(&KEY);
        context.update(&[auth.len() as u8]);
        context.update(auth);
        context.update(owner);
        context.sign().as_ref().iter().fold(" ".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Tells TPMs, and places in them, apart; and keys with an authorisation value, of which no more may be told,
    /// from those without.
    pub(crate) fn cache_name(&self) -> String {
        let guarded = if self.auth.expose().is_empty() { "" } else { " guarded" };
        match self.persistent_handle {
            Some(handle) => format!("tpm {} {handle:#x}{guarded}", self.tcti),
            None => format!("tpm {}{guarded}", self.tcti),
        }
    }
}

impl Tpm {
    /// Fails where no TPM answers.
    pub(crate) fn ping(&self, wait: &Wait) -> Result<()> {
        self.device.call(&Request::Ping, wait).map(drop)
    }

    fn auth(&self) -> Auth {
        Auth::new(self.auth.expose())
    }

    fn owner(&self) -> Auth {
        Auth::new(self.owner_auth.expose())
    }
}

/// The code of the error that a key is not one of its TPM, and will not be.
pub(crate) const KEY_LOST: &str = "tpm_key_lost";

/// What a TPM key needs is not there: the plugin, tpm2-tss or the TPM.
fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::NotSupported, "tpm_unavailable", message)
}

impl fmt::Debug for TpmOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TpmOptions").field("tcti", &self.tcti).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
