//! The certificate that a client presents in TLS, and whether it speaks for that client.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::asked::Sts;
use super::refusal::{Refusal, malformed};
use crate::directory::{Client, TENANT_ID};
use crate::exchange::Request;
use crate::pki::thumbprint;

const DOMAIN_COMPONENT: Oid<'static> = oid!(0.9.2342.19200300.100.1.25);

/// The client certificate of the connection. TLS has verified its chain, but not its dates.
pub(crate) struct Binding<'a> {
    /// Leaf first, as presented.
    pub(crate) chain: &'a [CertificateDer<'static>],
    /// `x5t#S256` of the leaf.
    pub(crate) thumbprint: String,
}

impl<'a> Binding<'a> {
    pub(crate) fn of(sts: &Sts, request: &Request<'a>) -> Result<Self, Refusal> {
        let chain = &request.connection.client_certificates[..];
        let [leaf, ..] = chain else {
            return Err(malformed("The mtlsauth endpoint needs a client certificate."));
        };
        let binding = Binding { chain, thumbprint: thumbprint(leaf) };
        let certificate = parse(leaf)?;
        let now = sts.clock.now();
        let validity = certificate.validity();
        if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
            return Err(Refusal::new(
                "invalid_client",
                1000610,
                "The client certificate is not within its validity period.",
            ));
        }
        Ok(binding)
    }

    /// Whether the certificate alone authenticates the client.
    pub(crate) fn judge_trust(&self, sts: &Sts, client: Client) -> Result<(), Refusal> {
        match client {
            Client::App(_) | Client::Agent(_) => judge_subject_name_and_issuer(sts, self.chain, client),
            Client::ManagedIdentity(identity) => {
                let certificate = parse(&self.chain[0])?;
                let subject = certificate.subject();
                let issued_by_imds = sts.trust.imds.verify(self.chain, &sts.clock).is_ok();
                if issued_by_imds
                    && common_name(subject) == Some(identity.client_id)
                    && domain_component(subject) == Some(TENANT_ID)
                {
                    return Ok(());
                }
                let text = format!(
                    "The client certificate does not speak for the managed identity '{}'.",
                    identity.client_id
                );
                Err(Refusal::new("invalid_client", 1000610, text))
            }
        }
    }
}

/// SN/I: the chain ends at the SN/I issuer, and the leaf has the subject name that the application trusts.
pub(crate) fn judge_subject_name_and_issuer(
    sts: &Sts,
    chain: &[CertificateDer<'static>],
    client: Client,
) -> Result<(), Refusal> {
    let not_registered = |reason: &str| {
        let text = format!(
            "The certificate with identifier used to sign the client assertion is not registered on application. \
             [Reason - {reason}, Thumbprint of key used by client: '{}', Application '{}'].",
            thumbprint(&chain[0]),
            client.client_id()
        );
        Refusal::new("invalid_client", 700027, text)
    };
    let Client::App(app) = client else {
        return Err(not_registered("Only an application has registered certificates"));
    };
    let trusted = app.subject_name.ok_or_else(|| not_registered("The application trusts no subject name"))?;
    sts.trust
        .sni
        .verify(chain, &sts.clock)
        .map_err(|error| not_registered(&format!("The issuer is not trusted: {error}")))?;
    let certificate = parse(&chain[0])?;
    if common_name(certificate.subject()) == Some(trusted) {
        Ok(())
    } else {
        Err(not_registered("The subject name is not the registered one"))
    }
}

pub(crate) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Refusal> {
    X509Certificate::from_der(certificate)
        .map(|(_, certificate)| certificate)
        .map_err(|error| malformed(format!("The certificate cannot be read: {error}.")))
}

fn common_name<'a>(name: &'a X509Name<'_>) -> Option<&'a str> {
    name.iter_common_name().next()?.as_str().ok()
}

fn domain_component<'a>(name: &'a X509Name<'_>) -> Option<&'a str> {
    name.iter_by_oid(&DOMAIN_COMPONENT).next()?.as_str().ok()
}
