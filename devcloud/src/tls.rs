//! The TLS ends of the cloud: certificates for every host on demand, client certificates by service.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::hosts::ClientCertificate;
use crate::pki::Identity;
use crate::renegotiation;
use crate::server_certificates::ServerCertificates;
use crate::trust::Door;

/// One configuration for each way to ask for a client certificate; sessions resume only within one.
pub(crate) struct Tls {
    not_requested: Arc<ServerConfig>,
    requested: Arc<ServerConfig>,
    required: Arc<ServerConfig>,
    /// For Key Vault.
    pub(crate) renegotiating: renegotiation::Acceptor,
}

impl Tls {
    pub(crate) fn new(
        provider: &Arc<CryptoProvider>,
        clock: &Clock,
        certificates: Arc<ServerCertificates>,
        door: Arc<Door>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let config = |asks: ClientCertificate| -> Result<Arc<ServerConfig>, Box<dyn Error + Send + Sync>> {
            let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock.clone()))
                .with_safe_default_protocol_versions()?;
            let builder = match asks {
                ClientCertificate::NotRequested => builder.with_no_client_auth(),
                asks => builder.with_client_cert_verifier(Arc::new(ClientCertificates {
                    door: door.clone(),
                    mandatory: asks == ClientCertificate::Required,
                })),
            };
            let mut config = builder.with_cert_resolver(certificates.clone());
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            config.ticketer = Ticketer::new()?;
            Ok(Arc::new(config))
        };
        Ok(Tls {
            not_requested: config(ClientCertificate::NotRequested)?,
            requested: config(ClientCertificate::Requested)?,
            required: config(ClientCertificate::Required)?,
            renegotiating: renegotiation::Acceptor::new(door, certificates)?,
        })
    }

    /// A server for `host` with a certificate that nobody has a reason to trust.
    pub(crate) fn stranger(
        &self,
        host: &str,
    ) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
        let own = rcgen::generate_simple_self_signed([host.to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(self.not_requested.crypto_provider().clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self, asks: ClientCertificate) -> TlsAcceptor {
        TlsAcceptor::from(match asks {
            ClientCertificate::NotRequested => self.not_requested.clone(),
            ClientCertificate::Requested => self.requested.clone(),
            ClientCertificate::Required => self.required.clone(),
        })
    }
}

/// The TLS end of Service Fabric, which no authority vouches for.
pub(crate) fn fabric(
    identity: &Identity,
    provider: &Arc<CryptoProvider>,
    clock: &Clock,
) -> Result<TlsAcceptor, Box<dyn Error + Send + Sync>> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let config = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts client certificates of the cloud's authorities.
struct ClientCertificates {
    door: Arc<Door>,
    mandatory: bool,
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.door.trust.any.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<_> = [end_entity].into_iter().chain(intermediates).cloned().collect();
        self.door.judge(&chain)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.door.trust.any.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.door.trust.any.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.door.trust.any.verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificates")
    }
}
