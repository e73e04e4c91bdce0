//! What the cloud writes into its state directory: certificates, keys and assertions.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::directory::IDENTITY_BINDING_AUDIENCE;
use crate::oidc::{Assertion, Oidc};
use crate::pki::{Identity, Pki, thumbprint};

/// The assertions on disk are for people, who take their time.
const ASSERTION_LIFETIME: i64 = 24 * 3600;

/// The files, by what they are.
#[derive(Debug, Clone)]
pub struct Files {
    /// The directory they are in.
    pub directory: PathBuf,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The root that clients must trust, for `SSL_CERT_FILE`.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Application A: certificate, intermediate and key in one file.
    pub fn sni(&self) -> PathBuf {
        self.path("sni.pem")
    }

    /// Application A: certificate and intermediate.
    pub fn sni_certificate(&self) -> PathBuf {
        self.path("sni-cert.pem")
    }

    /// Application A: the key, PKCS#8.
    pub fn sni_key(&self) -> PathBuf {
        self.path("sni-key.pem")
    }

    /// Application A after a rotation: the same subject name, another key.
    pub fn sni_rotated(&self) -> PathBuf {
        self.path("sni-rotated.pem")
    }

    /// Application A with an EC P-256 key.
    pub fn sni_ec(&self) -> PathBuf {
        self.path("sni-ec.pem")
    }

    /// Application B: the certificate that its assertion is bound to, with chain and key.
    pub fn fic_binding(&self) -> PathBuf {
        self.path("fic-binding.pem")
    }

    /// Application B: an assertion bound to `fic_binding`.
    pub fn fic_assertion(&self) -> PathBuf {
        self.path("fic-assertion.jwt")
    }

    /// Application B: an assertion that is bound to nothing.
    pub fn fic_assertion_unbound(&self) -> PathBuf {
        self.path("fic-assertion-unbound.jwt")
    }

    /// The authority of the cluster's token proxy.
    pub fn cluster_ca(&self) -> PathBuf {
        self.path("cluster-ca.pem")
    }

    /// The token of a pod in the cluster, for its token proxy.
    pub fn identity_binding(&self) -> PathBuf {
        self.path("identity-binding.jwt")
    }

    /// Certificate and key for a server of the tests' own, on `localhost`.
    pub fn localhost(&self) -> PathBuf {
        self.path("localhost.pem")
    }

    /// Whose client certificates such a server takes.
    pub fn client_cas(&self) -> PathBuf {
        self.path("client-cas.pem")
    }

    /// Where Azure Arc's keys are written; not there before the first one.
    pub fn arc_tokens(&self) -> PathBuf {
        self.path("arc-tokens")
    }

    pub(crate) fn write(&self, pki: &Pki, oidc: &Oidc, cluster_ca: &str) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        fs::set_permissions(&self.directory, Permissions::from_mode(0o700))?;
        let bundle =
            |identity: &Identity| format!("{}{}", pki.sni_chain_pem(identity), identity.key.serialize_pem());
        let assertion = |bound_to: Option<String>| {
            let assertion = Assertion { bound_to, expires_in: ASSERTION_LIFETIME, ..Assertion::default() };
            oidc.mint(&assertion).map_err(io::Error::other)
        };
        write(&self.ca(), &pki.server_ca.pem())?;
        write(&self.sni(), &bundle(&pki.sni))?;
        write(&self.sni_certificate(), &pki.sni_chain_pem(&pki.sni))?;
        write(&self.sni_key(), &pki.sni.key.serialize_pem())?;
        write(&self.sni_rotated(), &bundle(&pki.sni_rotated))?;
        write(&self.sni_ec(), &bundle(&pki.sni_ec))?;
        write(&self.fic_binding(), &bundle(&pki.fic_binding))?;
        let localhost = &pki.localhost;
        write(&self.localhost(), &format!("{}{}", localhost.certificate_pem, localhost.key.serialize_pem()))?;
        write(&self.client_cas(), &pki.client_cas_pem())?;
        write(&self.fic_assertion(), &assertion(Some(thumbprint(&pki.fic_binding.certificate)))?)?;
        write(&self.fic_assertion_unbound(), &assertion(None)?)?;
        write(&self.cluster_ca(), cluster_ca)?;
        let audience = IDENTITY_BINDING_AUDIENCE.to_owned();
        let of_pod = Assertion { audience, expires_in: ASSERTION_LIFETIME, ..Assertion::default() };
        write(&self.identity_binding(), &oidc.mint(&of_pod).map_err(io::Error::other)?)
    }
}

/// Writes a file that only its owner may read; one that exists is replaced, never written through.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
