//! How a confidential client proves who it is (confidential_client spec, sections 2.2, 3 and 4.1).

mod assertion;
mod client_assertion;
mod signed;
mod token_file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use url::{Position, Url};

use crate::binding::Certificate;
use crate::clock::date_text;
use crate::env::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Call;
use crate::secret::Secret;
use crate::token::TokenType;

pub use assertion::{AssertionProvider, AssertionRequest, CertificateProvider, SignedAssertion};
pub(crate) use signed::SignedAssertions;

/// The one credential of a confidential client.
#[derive(Clone)]
pub enum Credential {
    /// A certificate registered with the app, by thumbprint or by subject name and issuer (SN/I).
    Certificate {
        /// The certificate with its private key.
        certificate: Certificate,
        /// Whether assertions carry the chain in `x5c`, as SN/I needs. PoP sends no assertion.
        send_x5c: bool,
    },
    /// The same, where a callback gives the certificate: it can be replaced without a restart.
    CertificateProvider {
        /// Asked once per network request, never when a cached token is served.
        provider: Arc<dyn CertificateProvider>,
        /// As above.
        send_x5c: bool,
    },
    /// A client secret. Bearer only.
    Secret(Secret),
    /// A callback that returns an assertion signed elsewhere: a federated identity credential.
    Assertion(Arc<dyn AssertionProvider>),
    /// A file with a federated token, as Kubernetes' workload identity has it; read for each network
    /// request, since it is replaced before the token in it expires. Bearer only. `None` stands for the
    /// file that `AZURE_FEDERATED_TOKEN_FILE` names when the app is made.
    FederatedTokenFile(Option<PathBuf>),
}

/// What a request needs of the credential.
pub(crate) struct Ask<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) tenant: Option<&'a str>,
    /// The authority as the caller gave it, with the tenant of the request.
    pub(crate) authority: &'a str,
    /// Where the request will go, as far as that is known before the credential has answered.
    pub(crate) token_endpoint: &'a Url,
    pub(crate) token_type: TokenType,
    pub(crate) claims: Option<&'a str>,
    pub(crate) client_capabilities: &'a [String],
    pub(crate) assertion_fmi_path: Option<&'a str>,
    /// JSON, for the assertion a certificate signs.
    pub(crate) extra_assertion_claims: Option<&'a str>,
    /// PS256 and SHA-256 thumbprints, or what older authorities need.
    pub(crate) sha2: bool,
    /// A certificate is presented in TLS also where an assertion is sent (section 4.5).
    pub(crate) over_mtls: bool,
    /// The request's own wish for `x5c`, where it has one.
    pub(crate) send_x5c: Option<bool>,
}

impl Ask<'_> {
    /// The endpoint as assertions name it: without a query.
    pub(crate) fn audience(&self) -> &str {
        &self.token_endpoint[..Position::AfterPath]
    }
}

/// What the credential gives: form fields, and the certificate for TLS.
#[derive(Default)]
pub(crate) struct Proof {
    pub(crate) client_assertion: Option<(&'static str, Secret)>,
    pub(crate) client_secret: Option<Secret>,
    /// Presented in TLS; the request then goes to the mTLS endpoint.
    pub(crate) certificate: Option<Certificate>,
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_POP: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-pop";

impl Credential {
    /// The certificate that bound tokens will be bound to, where that is known without asking anybody.
    pub(crate) fn static_certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certificate { certificate, .. } => Some(certificate),
            _ => None,
        }
    }

    /// With what the environment adds.
    pub(crate) fn resolved(self, env: &dyn Env) -> Result<Self> {
        match self {
            Self::FederatedTokenFile(None) => match env.var("AZURE_FEDERATED_TOKEN_FILE") {
                Some(path) => Ok(Self::FederatedTokenFile(Some(path.into()))),
                None => Err(Error::argument(
                    "no federated token file: AZURE_FEDERATED_TOKEN_FILE is not set; in Kubernetes, label the pod \
                     azure.workload.identity/use: \"true\" and annotate its service account",
                )),
            },
            other => Ok(other),
        }
    }

    /// Whether it is a certificate of the app's, static or from a callback.
    pub(crate) fn is_certificate(&self) -> bool {
        matches!(self, Self::Certificate { .. } | Self::CertificateProvider { .. })
    }

    /// Whether code of the caller runs when a token is fetched, to answer or to sign.
    pub(crate) fn calls_back(&self) -> bool {
        match self {
            Self::Certificate { certificate, .. } => certificate.key().calls_back(),
            Self::Assertion(_) | Self::CertificateProvider { .. } => true,
            Self::Secret(_) | Self::FederatedTokenFile(_) => false,
        }
    }

    /// Refuses what can never work with this credential, before any traffic.
    pub(crate) fn check(&self, token_type: TokenType, extra_assertion_claims: Option<&str>) -> Result<()> {
        client_assertion::extra_claims(extra_assertion_claims)?;
        if extra_assertion_claims.is_some() && !self.is_certificate() {
            return Err(Error::argument(
                "extra claims for the client assertion need a certificate that signs it; this credential has none",
            ));
        }
        match (self, token_type) {
            (Self::Secret(_), TokenType::MtlsPop) => Err(no_certificate(
                "a client secret cannot prove possession of a key: give the app a certificate, or an assertion callback that returns one",
            )),
            (Self::FederatedTokenFile(_), TokenType::MtlsPop) => Err(no_certificate(
                "a federated token file brings no certificate: use an assertion callback that returns one",
            )),
            (Self::Certificate { certificate, .. }, TokenType::Bearer) => certificate.ensure_rsa(),
            _ => Ok(()),
        }
    }

    /// The proof for one network request. A callback is asked exactly once.
    pub(crate) fn prove(&self, ask: &Ask<'_>, signed: &SignedAssertions, call: &Call) -> Result<Proof> {
        match self {
            Self::Certificate { certificate, send_x5c } => {
                prove_with(certificate, *send_x5c, ask, signed, call)
            }
            Self::CertificateProvider { provider, send_x5c } => {
                let certificate = assertion::ask_for_certificate(provider.as_ref(), ask, call)?;
                certificate.log_notes(&call.log);
                prove_with(&certificate, *send_x5c, ask, signed, call)
            }
            Self::Secret(secret) => Ok(Proof { client_secret: Some(secret.clone()), ..Proof::default() }),
            Self::FederatedTokenFile(path) => {
                let token = token_file::read(path.as_deref().unwrap_or(Path::new("")))?;
                Ok(Proof { client_assertion: Some((JWT_BEARER, token)), ..Proof::default() })
            }
            Self::Assertion(provider) => {
                let signed = assertion::ask_provider(provider.as_ref(), ask, call)?;
                let kind = if signed.certificate.is_some() { JWT_POP } else { JWT_BEARER };
                match &signed.certificate {
                    Some(certificate) => {
                        certificate.log_notes(&call.log);
                        require_valid(certificate, call.clock.now())?;
                    }
                    None if ask.token_type == TokenType::MtlsPop => {
                        return Err(no_certificate(
                            "the assertion callback returned no binding certificate, and mtls_pop needs one",
                        ));
                    }
                    None => {}
                }
                Ok(Proof {
                    client_assertion: Some((kind, signed.assertion)),
                    client_secret: None,
                    certificate: signed.certificate,
                })
            }
        }
    }
}

/// For PoP the certificate in TLS is the proof, and no assertion is sent (section 2.3).
fn prove_with(
    certificate: &Certificate,
    send_x5c: bool,
    ask: &Ask<'_>,
    signed: &SignedAssertions,
    call: &Call,
) -> Result<Proof> {
    require_valid(certificate, call.clock.now())?;
    let in_tls = ask.over_mtls || ask.token_type == TokenType::MtlsPop;
    let client_assertion = match ask.token_type {
        TokenType::MtlsPop => None,
        TokenType::Bearer => {
            certificate.ensure_rsa()?;
            // Over mTLS always with the chain (section 4.3).
            let send_x5c = ask.over_mtls || ask.send_x5c.unwrap_or(send_x5c);
            Some((JWT_BEARER, signed.get(certificate, send_x5c, ask, call)?))
        }
    };
    Ok(Proof { client_assertion, client_secret: None, certificate: in_tls.then(|| certificate.clone()) })
}

/// Says in words what a service would answer with an alert or a number.
fn require_valid(certificate: &Certificate, now: SystemTime) -> Result<()> {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    let (code, what, when) = if to <= now {
        ("certificate_expired", "has expired: it was valid until", to)
    } else if from > now {
        ("certificate_not_yet_valid", "is not valid yet: it will be from", from)
    } else {
        return Ok(());
    };
    let message = format!(
        "the certificate {:?} (x5t#S256 {}) {what} {}; use a current one, and check this host's clock",
        certificate.subject(),
        certificate.x5t_s256(),
        date_text(when)
    );
    Err(Error::new(ErrorKind::KeyUnavailable, code, message))
}

fn no_certificate(message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, "mtls_certificate_not_provided", message)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { certificate, .. } => f.debug_tuple("Certificate").field(certificate).finish(),
            Self::CertificateProvider { .. } => f.write_str("CertificateProvider(callback)"),
            Self::Secret(_) => f.write_str("Secret(***)"),
            Self::Assertion(_) => f.write_str("Assertion(callback)"),
            Self::FederatedTokenFile(path) => f.debug_tuple("FederatedTokenFile").field(path).finish(),
        }
    }
}
