//! TLS 1.2 with renegotiation, for servers that ask for a client certificate only once they have read the request. rustls
//! does not renegotiate.
//!
//! This is AWS-LC's own libssl, over the libcrypto that rustls uses, and as much of it as that takes: a client that resumes
//! nothing, with the ciphers, groups and signature schemes of rustls. Who is believed, who signs and how often a server may
//! ask are up to the caller, its [`Party`].

mod border;
mod context;
mod error;
mod session;
mod sys;

use std::io;

pub use context::{ClientCertificate, Context};
pub use error::Error;
pub use session::Session;

/// The caller's side of a session: it judges the server, and signs.
pub trait Party: 'static {
    /// Whether the server may be who it says it is. `chain` is DER, the server's own certificate first, and never empty;
    /// `ocsp` is what it says about revocation, or empty. That it has the key of the certificate is checked afterwards.
    ///
    /// Called in the first handshake alone: in a renegotiation, the same certificates are shown or it fails.
    fn verify(&mut self, chain: &[&[u8]], ocsp: &[u8]) -> Result<(), Refused>;

    /// Hashes and signs `message` with the key of the client certificate. `scheme` is one of those that it came with.
    fn sign(&mut self, scheme: u16, message: &[u8]) -> io::Result<Vec<u8>>;

    /// The server asked for a client certificate, in the first handshake or in a renegotiation.
    fn certificate_requested(&mut self);
}

/// Why a server is not believed.
#[derive(Debug)]
pub struct Refused {
    /// The number of the alert that tells the server (RFC 5246, section 7.2.2).
    pub alert: u8,
    pub error: io::Error,
}
