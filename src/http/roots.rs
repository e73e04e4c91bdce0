//! The authorities that servers' certificates are checked against.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};

/// Where the roots come from, and the roots once somebody needed them.
pub(super) struct Roots {
    pem: Option<Vec<u8>>,
    file: Option<PathBuf>,
    env: Arc<dyn Env>,
    trusted: OnceCell<Arc<Trusted>>,
}

/// The roots.
pub(super) struct Trusted {
    pub(super) store: Arc<RootCertStore>,
    /// Those of the options or `SSL_CERT_FILE`, as they stand there: a server may show one of them as its own.
    pub(super) named: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// PEM text wins over a file, a file over `SSL_CERT_FILE` and `SSL_CERT_DIR`, these over the platform.
    pub(super) fn new(pem: Option<Vec<u8>>, file: Option<PathBuf>, env: Arc<dyn Env>) -> Self {
        Self { pem, file, env, trusted: OnceCell::new() }
    }

    /// Read on first use; a failure is not remembered.
    pub(super) fn trusted(&self) -> Result<Arc<Trusted>> {
        self.trusted.get_or_try_init(|| self.load().map(Arc::new)).cloned()
    }

    fn load(&self) -> Result<Trusted> {
        if let Some(pem) = &self.pem {
            let named = from_pem(pem, "the trusted roots option")?;
            return Ok(Trusted::new(store_of(&named), named));
        }
        if let Some(path) = &self.file {
            let named = from_file(path, "the trusted roots option")?;
            return Ok(Trusted::new(store_of(&named), named));
        }
        let (file, dirs) = (self.env.var("SSL_CERT_FILE"), self.env.var("SSL_CERT_DIR"));
        if file.is_some() || dirs.is_some() {
            return from_environment(file.as_deref(), dirs.as_deref());
        }
        let loaded = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // Old roots that rustls cannot read are common in system stores, and no reason to give up.
        let (added, _) = store.add_parsable_certificates(loaded.certs);
        if added == 0 {
            let reasons: Vec<_> = loaded.errors.iter().map(ToString::to_string).collect();
            return Err(unusable(format!(
                "no trusted root certificates were found on this machine; install ca-certificates, or set \
                 SSL_CERT_FILE or the trusted roots option {}",
                reasons.join("; ")
            )));
        }
        Ok(Trusted::new(store, Vec::new()))
    }
}

impl Trusted {
    fn new(store: RootCertStore, named: Vec<CertificateDer<'static>>) -> Self {
        Self { store: Arc::new(store), named }
    }
}

fn from_environment(file: Option<&str>, dirs: Option<&str>) -> Result<Trusted> {
    let named = match file {
        Some(file) => from_file(Path::new(file), "SSL_CERT_FILE")?,
        None => Vec::new(),
    };
    let mut store = store_of(&named);
    let mut problems = Vec::new();
    for dir in dirs.iter().flat_map(std::env::split_paths) {
        let loaded = rustls_native_certs::load_certs_from_paths(None, Some(&dir));
        store.add_parsable_certificates(loaded.certs);
        problems.extend(loaded.errors.iter().map(ToString::to_string));
    }
    if store.is_empty() {
        return Err(unusable(format!(
            "SSL_CERT_DIR ({}) holds no PEM file with a certificate {}",
            dirs.unwrap_or_default(),
            problems.join("; ")
        )));
    }
    Ok(Trusted::new(store, named))
}

fn from_file(path: &Path, origin: &str) -> Result<Vec<CertificateDer<'static>>> {
    let origin = format!("{origin} ({})", path.display());
    let pem = std::fs::read(path).map_err(|error| unusable(format!("{origin} cannot be read: {error}")))?;
    from_pem(&pem, &origin)
}

fn from_pem(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificates.push(certificate.map_err(|error| unusable(format!("{origin} is not PEM: {error}")))?);
    }
    if store_of(&certificates).is_empty() {
        return Err(unusable(format!(
            "{origin} holds no certificate; give PEM text with CERTIFICATE blocks"
        )));
    }
    Ok(certificates)
}

fn store_of(certificates: &[CertificateDer<'_>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    store
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, "invalid_trusted_roots", message.trim_end().to_owned())
}
