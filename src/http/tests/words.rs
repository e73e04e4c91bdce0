//! The words for what rustls and webpki report: all of it, and none in Rust.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{
    AlertDescription, CertRevocationListError, CertificateError, ContentType, EncryptedClientHelloError,
    Error, ExtendedKeyPurpose, HandshakeType, InconsistentKeys, InvalidMessage, OtherError, PeerIncompatible,
    PeerMisbehaved,
};

use crate::http::verify::{Untrusted, WeakKey};
use crate::http::words::{alert, certificate, handshake};

/// The words of people that look like Rust's.
const NAMES: [&str; 14] = [
    "subjectAltName",
    "basicConstraints",
    "nameConstraints",
    "pathLenConstraint",
    "serverAuth",
    "KiB",
    "sha1WithRSAEncryption",
    "md5WithRSAEncryption",
    "md2WithRSAEncryption",
    "sha224WithRSAEncryption",
    "ChaCha20",
    "Poly1305",
    "dsa-with-SHA1",
    "ecdsa-with-SHA1",
];

fn check(words: &str, of: &dyn std::fmt::Debug) {
    assert!(words.len() > 10, "{of:?} has no words: {words}");
    let left = NAMES.iter().fold(words.to_owned(), |text, name| text.replace(name, ""));
    let camel =
        left.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    let debug = ["Other(", "OtherError", "{", "}", "::", "Context", "Some(", "\""];
    assert!(!camel && !debug.iter().any(|sign| left.contains(sign)), "{of:?} reads: {words}");
}

fn certificate_errors() -> Vec<CertificateError> {
    use CertificateError::*;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
    let oid = vec![6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 5];
    let expected: ServerName<'static> = "localhost".try_into().unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    #[allow(deprecated)]
    let old = UnsupportedSignatureAlgorithm;
    let weak = |own| Other(OtherError(Arc::new(WeakKey { bits: 1024, own })));
    let mut all = vec![
        BadEncoding,
        Expired,
        ExpiredContext { time, not_after: time },
        NotValidYet,
        NotValidYetContext { time, not_before: time },
        Revoked,
        UnhandledCriticalExtension,
        UnknownIssuer,
        UnknownRevocationStatus,
        ExpiredRevocationList,
        ExpiredRevocationListContext { time, next_update: time },
        BadSignature,
        old,
        UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: oid.clone(),
            supported_algorithms: Vec::new(),
        },
        UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: b"no".to_vec(),
            supported_algorithms: Vec::new(),
        },
        UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: oid.clone(),
            public_key_algorithm_id: oid,
        },
        NotValidForName,
        InvalidPurpose,
        InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: vec![ExtendedKeyPurpose::Other(vec![1, 2])],
        },
        InvalidOcspResponse,
        ApplicationVerificationFailure,
        weak(true),
        weak(false),
        Other(OtherError(Arc::new(Untrusted { issuer: "CN=ca".into() }))),
        Other(OtherError(Arc::new(std::fmt::Error))),
    ];
    for presented in [
        names(&[]),
        names(&["DirectoryName"]),
        names(&["DnsName(\"a.test\")", "IpAddress(1.2.3.4)", "DnsName(\"\u{1b}[31m\n\")"]),
        names(&["DnsName(\"a\")"; 9]),
    ] {
        all.push(NotValidForNameContext { expected: expected.clone(), presented });
    }
    all.extend(webpki_errors().into_iter().map(|error| Other(OtherError(Arc::new(error)))));
    all
}

fn webpki_errors() -> Vec<webpki::Error> {
    use webpki::Error::*;
    vec![
        BadDer,
        BadDerTime,
        CaUsedAsEndEntity,
        CertDistrusted,
        EmptyEkuExtension,
        EndEntityUsedAsCa,
        ExtensionValueInvalid,
        InvalidCertValidity,
        InvalidCrlNumber,
        InvalidNetworkMaskConstraint,
        InvalidSerialNumber,
        InvalidCrlSignatureForPublicKey,
        InvalidSignatureForPublicKey,
        IssuerNotCrlSigner,
        MalformedDnsIdentifier,
        MalformedExtensions,
        MalformedNameConstraint,
        MaximumNameConstraintComparisonsExceeded,
        MaximumPathBuildCallsExceeded,
        MaximumPathDepthExceeded,
        MaximumSignatureChecksExceeded,
        NameConstraintViolation,
        PathLenConstraintViolated,
        SignatureAlgorithmMismatch,
        TrailingData(webpki::DerTypeId::Certificate),
        UnsupportedCertVersion,
        UnsupportedCriticalExtension,
        UnsupportedCrlIssuingDistributionPoint,
        UnsupportedCrlVersion,
        UnsupportedDeltaCrl,
        UnsupportedIndirectCrl,
        UnsupportedNameType,
        UnsupportedRevocationReason,
        UnsupportedRevocationReasonsPartitioning,
    ]
}

fn errors() -> Vec<Error> {
    use PeerIncompatible as I;
    let mut all = vec![
        Error::InappropriateMessage { expect_types: vec![], got_type: ContentType::Alert },
        Error::InappropriateHandshakeMessage { expect_types: vec![], got_type: HandshakeType::Finished },
        Error::InvalidEncryptedClientHello(EncryptedClientHelloError::SniRequired),
        Error::NoCertificatesPresented,
        Error::UnsupportedNameType,
        Error::DecryptError,
        Error::EncryptError,
        Error::InvalidCertRevocationList(CertRevocationListError::ParseError),
        Error::General("the host name is not valid".into()),
        Error::FailedToGetCurrentTime,
        Error::FailedToGetRandomBytes,
        Error::HandshakeNotComplete,
        Error::PeerSentOversizedRecord,
        Error::NoApplicationProtocol,
        Error::BadMaxFragmentSize,
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
        Error::Other(OtherError(Arc::new(std::fmt::Error))),
    ];
    all.extend((0..=u8::MAX).map(|number| Error::AlertReceived(number.into())));
    all.extend(certificate_errors().into_iter().map(Error::InvalidCertificate));
    all.extend(
        [
            I::EcPointsExtensionRequired,
            I::ExtendedMasterSecretExtensionRequired,
            I::IncorrectCertificateTypeExtension,
            I::KeyShareExtensionRequired,
            I::NamedGroupsExtensionRequired,
            I::NoCertificateRequestSignatureSchemesInCommon,
            I::NoCipherSuitesInCommon,
            I::NoEcPointFormatsInCommon,
            I::NoKxGroupsInCommon,
            I::NoSignatureSchemesInCommon,
            I::NullCompressionRequired,
            I::ServerDoesNotSupportTls12Or13,
            I::ServerSentHelloRetryRequestWithUnknownExtension,
            I::ServerTlsVersionIsDisabledByOurConfig,
            I::SignatureAlgorithmsExtensionRequired,
            I::SupportedVersionsExtensionRequired,
            I::Tls12NotOffered,
            I::Tls12NotOfferedOrEnabled,
            I::Tls13RequiredForQuic,
            I::UncompressedEcPointsRequired,
            I::UnsolicitedCertificateTypeExtension,
            I::ServerRejectedEncryptedClientHello(None),
        ]
        .map(Error::PeerIncompatible),
    );
    // All of these take one way, which knows none of them by name.
    use PeerMisbehaved as M;
    all.extend(
        [
            M::AttemptedDowngradeToTls12WhenTls13IsSupported,
            M::IllegalMiddleboxChangeCipherSpec,
            M::SelectedUnofferedCipherSuite,
            M::SelectedUnofferedKxGroup,
            M::SignedKxWithWrongAlgorithm,
            M::SignedHandshakeWithUnadvertisedSigScheme,
            M::UnsolicitedSctList,
            M::IncorrectBinder,
        ]
        .map(Error::PeerMisbehaved),
    );
    use InvalidMessage as V;
    all.extend(
        [
            V::CertificatePayloadTooLarge,
            V::HandshakePayloadTooLarge,
            V::InvalidCcs,
            V::InvalidContentType,
            V::MessageTooLarge,
            V::MissingData("what"),
            V::TrailingData("what"),
            V::UnexpectedMessage("what"),
            V::UnknownProtocolVersion,
            V::DuplicateExtension(7),
            V::IllegalEmptyList("what"),
        ]
        .map(Error::InvalidMessage),
    );
    all
}

/// Has everything that rustls and webpki may report words, and none of them Rust's?
#[test]
fn everything_has_words() {
    for error in errors() {
        check(&handshake(&error), &error);
    }
    for error in certificate_errors() {
        check(&certificate(&error), &error);
    }
}

/// Is each of webpki's own reasons put into words that say more than its name?
#[test]
fn webpki_has_advice() {
    let about_certificates = webpki_errors().into_iter().filter(|error| {
        let name = format!("{error:?}");
        // Lists of revoked certificates are not read here, and wrong signatures are rustls' to report.
        !["Crl", "Revocation", "SignatureForPublicKey"].iter().any(|other| name.contains(other))
    });
    for error in about_certificates {
        let words = certificate(&CertificateError::Other(OtherError(Arc::new(error.clone()))));
        assert!(!words.contains("was not accepted"), "{error:?}");
    }
}

/// Are alerts called what RFC 8446 calls them?
#[test]
fn alerts() {
    assert_eq!(alert(AlertDescription::HandshakeFailure), "handshake_failure");
    assert_eq!(alert(AlertDescription::UnknownCA), "unknown_ca");
    assert_eq!(alert(AlertDescription::UnknownPSKIdentity), "unknown_psk_identity");
    assert_eq!(alert(AlertDescription::BadRecordMac), "bad_record_mac");
    assert_eq!(alert(200.into()), "number 200");
}

/// Is what we say that we offer what the provider offers?
#[test]
fn offered() {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    for suite in provider.cipher_suites {
        let name = format!("{:?}", suite.suite());
        assert!(name.contains("_GCM_") || name.contains("CHACHA20_POLY1305"), "{name}");
        assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
    }
    let groups: Vec<_> = provider.kx_groups.iter().map(|group| format!("{:?}", group.name())).collect();
    assert_eq!(groups, ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"]);
}
