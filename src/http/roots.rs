//! The authorities that servers' certificates are checked against. None of those given is left out without a word.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use once_cell::sync::OnceCell;
use openssl_probe::candidate_cert_dirs;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::CertificateResult;

use super::trust::for_servers;
use super::words;
use crate::env::{Env, is_privileged, is_shortage};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Logger;
use crate::pem;

/// Some hundred times what distributions have.
const MAX_FILE_SIZE: u64 = 32 * 1024 * 1024;
/// That an error names; the log has them all.
const MOST_PROBLEMS: usize = 5;

/// Where the roots come from, and the roots once somebody needed them.
pub(super) struct Roots {
    pem: Option<Vec<u8>>,
    file: Option<PathBuf>,
    env: Arc<dyn Env>,
    log: Logger,
    trusted: OnceCell<Arc<Trusted>>,
}

/// The roots.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) store: Arc<RootCertStore>,
    /// Those of the options or `SSL_CERT_FILE`, as they stand there: a server may show one of them as its own.
    pub(super) named: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// PEM text wins over a file, a file over `SSL_CERT_FILE` and `SSL_CERT_DIR`, these over the platform.
    pub(super) fn new(pem: Option<Vec<u8>>, file: Option<PathBuf>, env: Arc<dyn Env>, log: Logger) -> Self {
        Self { pem, file, env, log, trusted: OnceCell::new() }
    }

    /// Read on first use; a failure is not remembered.
    pub(super) fn trusted(&self) -> Result<Arc<Trusted>> {
        self.trusted.get_or_try_init(|| self.load().map(Arc::new)).cloned()
    }

    /// Whose they are, for a person.
    pub(super) fn origin(&self) -> String {
        let (file, dirs) = (self.env.var("SSL_CERT_FILE"), self.env.var("SSL_CERT_DIR"));
        match (&self.pem, &self.file, file, dirs) {
            (None, None, None, None) => "this machine".to_owned(),
            (None, None, Some(file), None) => format!("SSL_CERT_FILE ({file})"),
            (None, None, None, Some(dirs)) => format!("SSL_CERT_DIR ({dirs})"),
            (None, None, Some(file), Some(dirs)) => {
                format!("SSL_CERT_FILE ({file}) and SSL_CERT_DIR ({dirs})")
            }
            _ => "the trusted roots option".to_owned(),
        }
    }

    fn load(&self) -> Result<Trusted> {
        if let Some(pem) = &self.pem {
            return self.pem_roots(pem, "the trusted roots option");
        }
        if let Some(path) = &self.file {
            return self.file_roots(path, "the trusted roots option");
        }
        let (file, dirs) = (self.env.var("SSL_CERT_FILE"), self.env.var("SSL_CERT_DIR"));
        if file.is_some() || dirs.is_some() {
            return self.environment_roots(file.as_deref(), dirs.as_deref());
        }
        // It reads the variables itself.
        self.platform_roots(match is_privileged() {
            true => rustls_native_certs::load_certs_from_paths(None, candidate_cert_dirs().next()),
            false => rustls_native_certs::load_native_certs(),
        })
    }

    fn environment_roots(&self, file: Option<&str>, dirs: Option<&str>) -> Result<Trusted> {
        let mut trusted = match file {
            Some(file) => self.file_roots(Path::new(file), "SSL_CERT_FILE")?,
            None => Trusted::empty(),
        };
        let Some(dirs) = dirs else { return Ok(trusted) };
        let (files, mut problems) = files_in(dirs).map_err(|(path, error)| short(&path, &error))?;
        let mut seen: HashSet<_> = trusted.named.iter().cloned().collect();
        let store = Arc::make_mut(&mut trusted.store);
        for path in files {
            // Whatever lies there: what is no root must not keep those from being used that are.
            let place = path.display().to_string();
            let found = match read_file(&path) {
                Err(error) if is_shortage(&error) => return Err(short(&path, &error)),
                Err(error) => Err(error.to_string()),
                Ok(pem) => self.read(&pem, &place),
            };
            let found = found.unwrap_or_else(|problem| {
                problems.push(format!("{place}: {problem}"));
                Vec::new()
            });
            for (line, der) in found.into_iter().filter(|(_, der)| seen.insert(der.clone())) {
                let problem = add(store, line, der).err();
                problems.extend(problem.map(|problem| format!("{place}: {problem}")));
            }
        }
        self.warn("SSL_CERT_DIR", &problems);
        if store.is_empty() {
            problems.truncate(MOST_PROBLEMS);
            let problems = problems.join("; ");
            return Err(unusable(format!(
                "SSL_CERT_DIR ({dirs}) holds no PEM file with a certificate {problems}"
            )));
        }
        Ok(trusted)
    }

    fn platform_roots(&self, loaded: CertificateResult) -> Result<Trusted> {
        for error in &loaded.errors {
            match &error.kind {
                rustls_native_certs::ErrorKind::Io { inner, path } if is_shortage(inner) => {
                    return Err(short(path, inner));
                }
                _ => {}
            }
        }
        let mut problems: Vec<_> = loaded.errors.iter().map(ToString::to_string).collect();
        let mut store = RootCertStore::empty();
        // Old roots that rustls cannot read are common in system stores, and no reason to give up.
        let (added, ignored) = store.add_parsable_certificates(loaded.certs);
        if ignored > 0 {
            problems.push(format!("{ignored} of them cannot be read by the TLS library"));
        }
        self.warn("this machine", &problems);
        if added == 0 {
            problems.truncate(MOST_PROBLEMS);
            return Err(unusable(format!(
                "no trusted root certificates were found on this machine; install ca-certificates, or set \
                 SSL_CERT_FILE or the trusted roots option {}",
                problems.join("; ")
            )));
        }
        Ok(Trusted { store: Arc::new(store), named: Vec::new() })
    }

    fn file_roots(&self, path: &Path, origin: &str) -> Result<Trusted> {
        let origin = format!("{origin} ({})", path.display());
        let pem = read_file(path).map_err(|error| match is_shortage(&error) {
            true => short(path, &error),
            false => unusable(format!("{origin} cannot be read: {error}")),
        })?;
        self.pem_roots(&pem, &origin)
    }

    /// All that are in `pem`, at least one.
    pub(super) fn pem_roots(&self, pem: &[u8], origin: &str) -> Result<Trusted> {
        let named = |problem| unusable(format!("{origin}: {problem}"));
        let mut trusted = Trusted::empty();
        let store = Arc::make_mut(&mut trusted.store);
        for (line, der) in self.read(pem, origin).map_err(named)? {
            add(store, line, der.clone()).map_err(named)?;
            trusted.named.push(der);
        }
        if store.is_empty() {
            return Err(unusable(format!(
                "{origin} holds no certificate that is trusted for servers; give PEM text with CERTIFICATE blocks"
            )));
        }
        Ok(trusted)
    }

    /// The certificates in `pem`, which is from `place`, with the lines where they begin, but for those that the text
    /// itself distrusts.
    fn read(&self, pem: &[u8], place: &str) -> Result<Vec<(usize, CertificateDer<'static>)>, String> {
        let mut certificates = Vec::new();
        for block in pem::blocks(pem)?.iter().filter(|block| !block.is_key()) {
            let Some(der) = block.certificate()? else { continue };
            match for_servers(block.trust()) {
                Some(true) => certificates.push((block.line, CertificateDer::from(der.to_vec()))),
                Some(false) => self.log.info("http", || {
                    format!(
                        "{place}: line {}: the TRUSTED CERTIFICATE there is not for servers by its own words",
                        block.line
                    )
                }),
                None => return Err(format!("line {}: the trust settings in it are malformed", block.line)),
            }
        }
        Ok(certificates)
    }

    fn warn(&self, place: &str, problems: &[String]) {
        for problem in problems {
            self.log.warn("http", || format!("not all root certificates of {place} are used: {problem}"));
        }
    }
}

impl Trusted {
    fn empty() -> Self {
        Self { store: Arc::new(RootCertStore::empty()), named: Vec::new() }
    }
}

/// What there is, and what could not be found.
type Found = (Vec<PathBuf>, Vec<String>);

/// The files in these directories, each once, however many links lead to it. An error is a shortage.
fn files_in(dirs: &str) -> Result<Found, (PathBuf, io::Error)> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for dir in std::env::split_paths(dirs).filter(|dir| !dir.as_os_str().is_empty()) {
        let mut missing = |path: &Path, error: io::Error| match is_shortage(&error) {
            true => Err((path.to_owned(), error)),
            false => {
                problems.push(format!("{}: {error}", path.display()));
                Ok(())
            }
        };
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                missing(&dir, error)?;
                continue;
            }
        };
        for entry in entries {
            match entry.map(|entry| entry.path()) {
                Ok(path) => match path.metadata() {
                    Ok(real) if !real.is_file() => {}
                    Ok(real) => files.extend(seen.insert((real.dev(), real.ino())).then_some(path)),
                    Err(error) => missing(&path, error)?,
                },
                Err(error) => missing(&dir, error)?,
            }
        }
    }
    files.sort();
    Ok((files, problems))
}

pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // One more, so that its end is found in the first read.
    let room = file.metadata()?.len().min(MAX_FILE_SIZE) + 1;
    let mut data = Vec::with_capacity(room as usize);
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut data)?;
    match data.len() as u64 > MAX_FILE_SIZE {
        true => Err(io::Error::other("it is larger than 32 MiB")),
        false => Ok(data),
    }
}

pub(super) fn short(path: &Path, error: &io::Error) -> Error {
    unusable(format!("the trusted roots in {} cannot be read now: {error}", path.display()))
        .with_kind(ErrorKind::Network)
        .with_retryable(true)
}

fn add(store: &mut RootCertStore, line: usize, der: CertificateDer<'static>) -> Result<(), String> {
    store.add(der).map_err(|fault| {
        let why = match fault {
            rustls::Error::InvalidCertificate(why) => words::certificate(&why),
            other => words::handshake(&other),
        };
        format!("line {line}: the certificate that begins there cannot be a root, take it out: it {why}")
    })
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, "invalid_trusted_roots", message.trim_end().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use rcgen::{CertificateParams, KeyPair};
    use rustix::io::Errno;

    use super::*;
    use crate::log::LogLevel;

    /// Is what the platform could not give logged where the rest is used, and said where there is no rest?
    #[test]
    fn what_the_platform_lacks_is_told() {
        let root = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        let kind = || rustls_native_certs::ErrorKind::Io {
            inner: io::ErrorKind::PermissionDenied.into(),
            path: "/certs".into(),
        };
        let mut loaded = CertificateResult::default();
        loaded.errors = vec![rustls_native_certs::Error { context: "opening", kind: kind() }];
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = lines.clone();
        let log = move |_: LogLevel, _: &str, line: &str| sink.lock().unwrap().push(line.to_owned());
        let log = Logger::new(LogLevel::Warning, Arc::new(log));
        let roots = Roots::new(None, None, Arc::new(HashMap::<String, String>::new()), log);
        loaded.certs = vec![vec![0x30, 0].into(), root.der().clone()];
        assert_eq!(roots.platform_roots(loaded).unwrap().store.len(), 1);
        let lines = std::mem::take(&mut *lines.lock().unwrap());
        assert!(
            lines.len() == 2 && lines[0].contains("/certs") && lines[1].contains("1 of them"),
            "{lines:?}"
        );
        let mut nothing = CertificateResult::default();
        nothing.errors = vec![rustls_native_certs::Error { context: "opening", kind: kind() }];
        let error = roots.platform_roots(nothing).unwrap_err();
        assert!(
            error.message().contains("install ca-certificates") && error.message().contains("/certs"),
            "{error}"
        );
    }

    /// Roots that are missing since the process has no file descriptor left: is that an error that passes, rather than an
    /// app that trusts fewer for as long as it lives?
    #[test]
    fn a_shortage_is_no_lack() {
        let root = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        let roots = Roots::new(None, None, Arc::new(HashMap::<String, String>::new()), Logger::default());
        for shortage in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            let mut loaded = CertificateResult::default();
            let kind = rustls_native_certs::ErrorKind::Io { inner: shortage.into(), path: "/certs".into() };
            loaded.errors = vec![rustls_native_certs::Error { context: "opening", kind }];
            loaded.certs = vec![root.der().clone()];
            let error = roots.platform_roots(loaded).unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Network, true));
            assert!(
                error.message().starts_with("the trusted roots in /certs cannot be read now: "),
                "{error}"
            );
        }
    }
}
