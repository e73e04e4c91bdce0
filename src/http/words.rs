//! What rustls and webpki report, in words, with what to do about it. Never their Rust names for things.

use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved,
};
use x509_parser::asn1_rs::{FromDer, Oid};

use super::verify::{Untrusted, WeakKey};
use crate::clock::{date_text, from_unix_seconds};

/// What we offer, and what most servers have of it.
pub(super) const OFFERED: &str = "offered are TLS 1.3 and TLS 1.2 with AES-GCM or ChaCha20-Poly1305, ECDHE over X25519, P-256 or \
                       P-384, and RSA, ECDSA or Ed25519 signatures with SHA-256 or longer; usual for a server is TLS \
                       1.2 with ECDHE-RSA-AES128-GCM-SHA256";
const OLD_VERSION: &str = "it has neither TLS 1.3 nor TLS 1.2; have TLS 1.2 switched on there, which is usual: 1.1 and \
                           older are out of use (RFC 8996)";
const IN_BETWEEN: &str = "a proxy or firewall that opens TLS may stand between";

/// Why there is no TLS with a server: what follows "TLS with the server failed: ". Its certificate has words of
/// its own, [`certificate`].
pub(super) fn handshake(error: &Error) -> String {
    match error {
        Error::AlertReceived(alert) => refused(*alert),
        Error::PeerIncompatible(why) => incompatible(why),
        Error::PeerMisbehaved(
            PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme
            | PeerMisbehaved::SignedKxWithWrongAlgorithm,
        ) => format!("it signs in a way that was not offered, with SHA-1 perhaps; {OFFERED}"),
        Error::PeerMisbehaved(why) => {
            format!("it broke the rules of TLS ({}); {IN_BETWEEN}", plain(&format!("{why:?}")))
        }
        Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "it sent a message that is too long; its chain of certificates may be".to_owned()
        }
        Error::InvalidMessage(InvalidMessage::CertificatePayloadTooLarge) => {
            "its chain of certificates is longer than 64 KiB".to_owned()
        }
        Error::InvalidMessage(why) => format!(
            "what it sent is not TLS ({}); check that the port is one for https, and that no proxy answers in its \
             place",
            plain(&format!("{why:?}"))
        ),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            format!("it sent a message out of turn; {IN_BETWEEN}")
        }
        Error::PeerSentOversizedRecord => format!("it sent more at once than TLS allows; {IN_BETWEEN}"),
        Error::DecryptError => format!("what it sent was changed on the way; {IN_BETWEEN}"),
        Error::NoCertificatesPresented => "it showed no certificate".to_owned(),
        Error::NoApplicationProtocol => "it does not speak HTTP/1.1".to_owned(),
        Error::UnsupportedNameType => "its host name is of no type that certificates have".to_owned(),
        Error::InvalidCertificate(why) => format!("its certificate {}", certificate(why)),
        Error::InvalidCertRevocationList(_) => "a list of revoked certificates cannot be used".to_owned(),
        Error::InvalidEncryptedClientHello(_) => "encrypted hellos cannot be agreed on".to_owned(),
        Error::InconsistentKeys(_) => "our private key does not belong to our certificate".to_owned(),
        Error::FailedToGetCurrentTime => "this machine's clock cannot be used".to_owned(),
        Error::FailedToGetRandomBytes => "this machine gives no random numbers".to_owned(),
        Error::EncryptError | Error::HandshakeNotComplete | Error::BadMaxFragmentSize => {
            "the connection was used in a wrong way, which is a mistake in this library".to_owned()
        }
        Error::General(text) => text.clone(),
        Error::Other(inner) => format!("a step of the cryptography failed ({})", plain(&inner.0.to_string())),
        other => format!("it ended without a reason that is known here ({})", plain(&format!("{other:?}"))),
    }
}

/// Why the certificate of a server is not accepted: what follows "the certificate of the server ".
pub(super) fn certificate(error: &CertificateError) -> String {
    let date = |time: &rustls::pki_types::UnixTime| {
        date_text(from_unix_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)))
    };
    let words = match error {
        CertificateError::UnknownIssuer => {
            "is issued by an authority that is not trusted here; add that authority with SSL_CERT_FILE or the \
             trusted roots option"
        }
        CertificateError::Expired => "has expired; have it renewed, or check the clock of this machine",
        CertificateError::ExpiredContext { not_after, .. } => {
            let date = date(not_after);
            return format!("has expired on {date}; have it renewed, or check the clock of this machine");
        }
        CertificateError::NotValidYet => "is not valid yet; check the clock of this machine",
        CertificateError::NotValidYetContext { not_before, .. } => {
            let date = date(not_before);
            return format!("is not valid yet, but from {date} on; check the clock of this machine");
        }
        CertificateError::NotValidForName => {
            "is for another name; check the host name, and that no proxy answers in its place"
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            return other_name(expected, presented);
        }
        CertificateError::Revoked => "was revoked by its issuer; the server needs a new one",
        CertificateError::UnhandledCriticalExtension => {
            "has a critical extension that is not known here; have it issued without"
        }
        CertificateError::BadEncoding => "cannot be read; have it issued anew",
        CertificateError::BadSignature => {
            "comes with a signature that is wrong: the server's key, its certificate and those of its issuers do \
             not belong together"
        }
        #[allow(deprecated)]
        CertificateError::UnsupportedSignatureAlgorithm => {
            "is signed in a way that is not accepted; have it issued anew, signed with SHA-256"
        }
        CertificateError::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            let name = algorithm(signature_algorithm_id);
            return format!(
                "is signed with {name}, which is not accepted; have it issued anew, signed with SHA-256"
            );
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            public_key_algorithm_id,
            ..
        } => {
            let name = algorithm(public_key_algorithm_id);
            return format!(
                "has a key ({name}) that does not fit the signature or is not accepted; use RSA of 2048 bits or \
                 more, P-256 or P-384"
            );
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: its extended key usage lacks serverAuth; have it issued with that"
        }
        CertificateError::UnknownRevocationStatus
        | CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. }
        | CertificateError::InvalidOcspResponse => "may have been revoked: what says so is out of date",
        CertificateError::ApplicationVerificationFailure => "was not accepted",
        CertificateError::Other(inner) => return other(inner),
        other => return format!("was not accepted ({})", plain(&format!("{other:?}"))),
    };
    words.to_owned()
}

/// The name of an alert in RFC 8446.
pub(super) fn alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::Unknown(number) => format!("number {number}"),
        AlertDescription::UnrecognisedName => "unrecognized_name".to_owned(),
        other => plain(&format!("{other:?}")).replace(' ', "_"),
    }
}

fn refused(description: AlertDescription) -> String {
    let name = alert(description);
    match description {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            format!(
                "it finds no cipher, key exchange or signature that both sides have (alert {name}); {OFFERED}"
            )
        }
        AlertDescription::ProtocolVersion => format!("{OLD_VERSION} (alert {name})"),
        AlertDescription::UnrecognisedName => {
            format!("it serves no host of that name (alert {name}); check the host name")
        }
        AlertDescription::InternalError => {
            format!("it has a fault of its own (alert {name}); look into its log")
        }
        _ => format!("it refused the connection with the alert {name}"),
    }
}

fn incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => OLD_VERSION.to_owned(),
        PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "it asks for a certificate, but for none with a signature that is known here".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoEcPointFormatsInCommon
        | PeerIncompatible::KeyShareExtensionRequired
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::EcPointsExtensionRequired
        | PeerIncompatible::UncompressedEcPointsRequired
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            format!("no cipher, key exchange or signature is had by both sides; {OFFERED}")
        }
        other => format!("it does not do what is needed ({})", plain(&format!("{other:?}"))),
    }
}

fn other_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    // They are shown as `DnsName("host")` and `IpAddress(1.2.3.4)`.
    let names: Vec<_> = presented
        .iter()
        .filter_map(|name| name.strip_suffix(')')?.split_once('('))
        .filter(|(kind, _)| matches!(*kind, "DnsName" | "IpAddress"))
        .map(|(_, name)| name.trim_matches('"'))
        .map(|name| name.chars().filter(char::is_ascii_graphic).take(80).collect::<String>())
        .collect();
    let kind = if matches!(expected, ServerName::IpAddress(_)) { "IP" } else { "DNS" };
    let expected = expected.to_str();
    if names.is_empty() {
        return format!(
            "names no host in its subjectAltName, and one in its common name alone does not count (RFC 9525); have \
             it issued with subjectAltName={kind}:{expected}"
        );
    }
    let more = if names.len() > 3 { ", ..." } else { "" };
    format!(
        "is for another name: for {}{more}, not for {expected}; check the host name, and that no proxy answers in \
         its place",
        names[..names.len().min(3)].join(", ")
    )
}

fn other(inner: &OtherError) -> String {
    if let Some(weak) = inner.0.downcast_ref() {
        return weak_key(weak);
    }
    if let Some(Untrusted { issuer }) = inner.0.downcast_ref() {
        return format!(
            "is issued by an authority that is not trusted here ({issuer}); add that authority with SSL_CERT_FILE or \
             the trusted roots option; where another one that is trusted vouches for it, have the server send its \
             certificate, too"
        );
    }
    match inner.0.downcast_ref() {
        Some(error) => by_webpki(error),
        None => format!("was not accepted ({})", plain(&inner.0.to_string())),
    }
}

fn weak_key(weak: &WeakKey) -> String {
    let bits = weak.bits;
    match weak.own {
        true => format!(
            "has an RSA key of {bits} bits, which is too short to be accepted; have one issued for a key of 2048 bits"
        ),
        false => format!(
            "is issued by an authority with an RSA key of {bits} bits, which is too short to be accepted; have \
             one issued by an authority with 2048 bits or more"
        ),
    }
}

fn by_webpki(error: &webpki::Error) -> String {
    use webpki::Error::*;
    let words = match error {
        CaUsedAsEndEntity => {
            "is that of an authority (basicConstraints CA:TRUE), not of a server; have the server use one that is \
             issued for it, or give exactly this one as trusted roots option or SSL_CERT_FILE"
        }
        EndEntityUsedAsCa => {
            "is issued by a certificate that may not issue any (basicConstraints lack CA:TRUE); have the server send \
             the right intermediates"
        }
        CertDistrusted => "has a key that is distrusted everywhere; have it issued anew for another key",
        NameConstraintViolation => {
            "has a name that its issuer may not vouch for (nameConstraints); have it issued by another authority"
        }
        PathLenConstraintViolated => {
            "has more issuers in its chain than one of them allows (pathLenConstraint); have it issued by the one above"
        }
        EmptyEkuExtension => {
            "is for no purpose at all: its extended key usage is empty; have it issued with serverAuth"
        }
        InvalidCertValidity => "has dates of which the end is before the start; have it issued anew",
        UnsupportedCertVersion => {
            "is of X.509 version 1, which has no subjectAltName; have it issued as version 3, with subjectAltName"
        }
        UnsupportedCriticalExtension => {
            "has a critical extension that is not known here; have it issued without"
        }
        SignatureAlgorithmMismatch => "names two signature algorithms; have it issued anew",
        MaximumPathDepthExceeded
        | MaximumPathBuildCallsExceeded
        | MaximumSignatureChecksExceeded
        | MaximumNameConstraintComparisonsExceeded => {
            "comes with a chain that is too long; have the server send the intermediates that are needed, and no more"
        }
        MalformedDnsIdentifier => "has a name that is no host name; have it issued anew",
        MalformedNameConstraint | InvalidNetworkMaskConstraint => {
            "has an issuer whose nameConstraints cannot be read; have that one issued anew"
        }
        MalformedExtensions
        | ExtensionValueInvalid
        | InvalidSerialNumber
        | BadDer
        | BadDerTime
        | TrailingData(_) => "cannot be read; have it issued anew",
        UnsupportedNameType => "cannot be checked for a host name of this type",
        other => return format!("was not accepted ({})", plain(&format!("{other:?}"))),
    };
    words.to_owned()
}

/// The algorithm of an AlgorithmIdentifier, of which `der` is what its SEQUENCE holds.
fn algorithm(der: &[u8]) -> String {
    let Ok((_, oid)) = Oid::from_der(der) else { return "an unknown algorithm".to_owned() };
    let name = match oid.to_id_string().as_str() {
        "1.2.840.113549.1.1.2" => "MD2 (md2WithRSAEncryption)",
        "1.2.840.113549.1.1.4" => "MD5 (md5WithRSAEncryption)",
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "SHA-1 (sha1WithRSAEncryption)",
        "1.2.840.10045.4.1" => "SHA-1 (ecdsa-with-SHA1)",
        "1.2.840.10040.4.3" => "SHA-1 (dsa-with-SHA1)",
        "1.2.840.113549.1.1.14" => "SHA-224 (sha224WithRSAEncryption)",
        "1.2.840.10045.4.3.1" => "SHA-224 (ecdsa-with-SHA224)",
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS with parameters that are not usual",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.10045.2.1" => "an elliptic curve",
        "1.3.101.113" => "Ed448",
        other => return format!("the algorithm {other}"),
    };
    name.to_owned()
}

/// A name of Rust's as words: `SelectedUnofferedCipherSuite(..)` is "selected unoffered cipher suite".
fn plain(name: &str) -> String {
    let name: Vec<_> = name.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut words = String::new();
    for (index, letter) in name.iter().enumerate() {
        let after_small = index > 0 && !name[index - 1].is_ascii_uppercase();
        let before_small = index > 0 && name.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && (after_small || before_small) {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}
