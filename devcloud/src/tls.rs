//! The TLS ends of the cloud: certificates for every host on demand, client certificates by service.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::KeyPair;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::{Ticketer, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use crate::hosts::{ClientCertificate, Service};
use crate::renegotiation;
use crate::world::World;

/// One configuration for each way to ask for a client certificate; sessions resume only within one.
pub(crate) struct Tls {
    not_requested: Arc<ServerConfig>,
    requested: Arc<ServerConfig>,
    required: Arc<ServerConfig>,
    /// For Key Vault.
    pub(crate) renegotiating: renegotiation::Acceptor,
}

impl Tls {
    pub(crate) fn new(world: &Arc<World>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let resolver = Arc::new(ServerCertificates {
            world: world.clone(),
            signing_key: sign::any_ecdsa_type(&der)?,
            key,
            cache: Mutex::default(),
        });
        let config =
            |asks: ClientCertificate| -> Result<Arc<ServerConfig>, Box<dyn std::error::Error + Send + Sync>> {
                let builder =
                    ServerConfig::builder_with_details(world.provider.clone(), Arc::new(world.clock.clone()))
                        .with_safe_default_protocol_versions()?;
                let builder = match asks {
                    ClientCertificate::NotRequested => builder.with_no_client_auth(),
                    asks => builder.with_client_cert_verifier(Arc::new(ClientCertificates {
                        world: world.clone(),
                        mandatory: asks == ClientCertificate::Required,
                    })),
                };
                let mut config = builder.with_cert_resolver(resolver.clone());
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                config.ticketer = Ticketer::new()?;
                Ok(Arc::new(config))
            };
        Ok(Tls {
            renegotiating: renegotiation::Acceptor::new(world, resolver.clone())?,
            not_requested: config(ClientCertificate::NotRequested)?,
            requested: config(ClientCertificate::Requested)?,
            required: config(ClientCertificate::Required)?,
        })
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
pub(crate) fn fabric(world: &World) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let identity = &world.pki.fabric;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let config = ServerConfig::builder_with_details(world.provider.clone(), Arc::new(world.clock.clone()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether the cloud takes a client's certificates, leaf first.
pub(crate) fn judge_client_certificates(
    world: &World,
    chain: &[CertificateDer<'_>],
) -> Result<(), rustls::Error> {
    if world.faults.take("tls_client_certificate").is_some() {
        return Err(CertificateError::Revoked.into());
    }
    world.trust.any.verify(chain, &world.clock)
}

/// Issues a certificate for each host name at its first visit.
pub(crate) struct ServerCertificates {
    world: Arc<World>,
    key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    cache: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl ServerCertificates {
    /// The key of every certificate, in PKCS#8.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    pub(crate) fn of_host(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        Service::of_host(host)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.get(host) {
            return Some(known.clone());
        }
        // The machine's time, not the advanced one: clients look at theirs.
        let certificate = self.world.pki.issue_server(host, &self.key, self.world.started).ok()?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], self.signing_key.clone()));
        cache.insert(host.to_owned(), certified.clone());
        Some(certified)
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of_host(hello.server_name()?)
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificates")
    }
}

/// Accepts client certificates of the cloud's authorities.
struct ClientCertificates {
    world: Arc<World>,
    mandatory: bool,
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.world.trust.any.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let chain: Vec<_> = [end_entity].into_iter().chain(intermediates).cloned().collect();
        judge_client_certificates(&self.world, &chain)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.world.trust.any.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.world.trust.any.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.world.trust.any.verifier.supported_verify_schemes()
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificates")
    }
}
