//! How a confidential client proves who it is (confidential_client spec, sections 2.2, 3 and 4.1).

mod assertion;
mod client_assertion;

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::binding::Certificate;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Call;
use crate::secret::Secret;
use crate::token::TokenType;

pub use assertion::{AssertionProvider, AssertionRequest, SignedAssertion};

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
    /// A client secret. Bearer only.
    Secret(Secret),
    /// A callback that returns an assertion signed elsewhere: a federated identity credential.
    Assertion(Arc<dyn AssertionProvider>),
}

/// What a request needs of the credential.
pub(crate) struct Ask<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) tenant: Option<&'a str>,
    /// The authority as the caller gave it.
    pub(crate) authority: &'a str,
    /// Where the request will go, as far as that is known before the credential has answered.
    pub(crate) token_endpoint: &'a Url,
    pub(crate) token_type: TokenType,
    pub(crate) claims: Option<&'a str>,
    /// PS256 and SHA-256 thumbprints, or what older authorities need.
    pub(crate) sha2: bool,
}

/// What the credential gives: form fields, and the certificate for TLS.
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
            Self::Secret(_) | Self::Assertion(_) => None,
        }
    }

    /// Whether code of the caller runs when a token is fetched.
    pub(crate) fn calls_back(&self) -> bool {
        matches!(self, Self::Assertion(_))
    }

    /// Refuses what can never work with this credential, before any traffic.
    pub(crate) fn check(&self, token_type: TokenType) -> Result<()> {
        match (self, token_type) {
            (Self::Secret(_), TokenType::MtlsPop) => Err(no_certificate(
                "a client secret cannot prove possession of a key: give the app a certificate, or an assertion callback that returns one",
            )),
            (Self::Certificate { certificate, .. }, TokenType::Bearer) => certificate.ensure_rsa(),
            _ => Ok(()),
        }
    }

    /// The proof for one network request. A callback is asked exactly once.
    pub(crate) fn prove(&self, ask: &Ask<'_>, call: &Call) -> Result<Proof> {
        match self {
            Self::Certificate { certificate, .. } if ask.token_type == TokenType::MtlsPop => {
                // The certificate in TLS is the proof: no assertion (section 2.3).
                Ok(Proof {
                    client_assertion: None,
                    client_secret: None,
                    certificate: Some(certificate.clone()),
                })
            }
            Self::Certificate { certificate, send_x5c } => {
                let jwt = client_assertion::sign(certificate, *send_x5c, ask, call)?;
                Ok(Proof {
                    client_assertion: Some((JWT_BEARER, jwt)),
                    client_secret: None,
                    certificate: None,
                })
            }
            Self::Secret(secret) => {
                Ok(Proof { client_assertion: None, client_secret: Some(secret.clone()), certificate: None })
            }
            Self::Assertion(provider) => {
                let signed = assertion::ask_provider(provider.as_ref(), ask, call)?;
                let kind = if signed.certificate.is_some() { JWT_POP } else { JWT_BEARER };
                if signed.certificate.is_none() && ask.token_type == TokenType::MtlsPop {
                    return Err(no_certificate(
                        "the assertion callback returned no binding certificate, and mtls_pop needs one",
                    ));
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

fn no_certificate(message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, "mtls_certificate_not_provided", message)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { certificate, .. } => f.debug_tuple("Certificate").field(certificate).finish(),
            Self::Secret(_) => f.write_str("Secret(***)"),
            Self::Assertion(_) => f.write_str("Assertion(callback)"),
        }
    }
}
