//! In the place of `renegotiating.rs`, in builds without it: there are no such connections.

use std::io;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

use super::TlsStream;
use crate::http::renegotiation::TokenHash;
use crate::http::socket::Socket;
use crate::key::PrivateKey;

/// There is none.
pub(super) enum Renegotiator {}

impl Renegotiator {
    /// Requests that would need it are refused before they get here.
    pub(super) fn new(
        _: Arc<dyn ServerCertVerifier>,
        _: &CertifiedKey,
        _: Arc<dyn PrivateKey>,
    ) -> io::Result<Self> {
        Err(io::Error::other("this build of the library has no TLS renegotiation"))
    }

    pub(super) fn handshake(
        &self,
        _: &str,
        _: ServerName<'static>,
        _: TokenHash,
        _: Socket,
    ) -> io::Result<Box<dyn TlsStream>> {
        match *self {}
    }
}
