//! The TLS end of Key Vault: 1.2, with a client certificate that is asked for in a renegotiation.
//!
//! OpenSSL's, for neither rustls nor AWS-LC renegotiates as a server.
#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::{c_int, c_void};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use foreign_types::ForeignTypeRef as _;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use openssl::pkey::PKey;
use openssl::ssl::{
    AlpnError, NameType, Ssl, SslContext, SslMethod, SslOptions, SslRef, SslSessionCacheMode, SslVersion,
    select_next_proto,
};
use openssl::stack::{Stack, StackRef};
use openssl::x509::{X509, X509Name, X509StoreContextRef, X509VerifyResult};
use openssl_sys as ffi;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error as Refused};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;

use crate::server_certificates::ServerCertificates;
use crate::trust::Door;

type Inner = SslStream<TokioIo<Upgraded>>;

/// How long a client may take for its half of a renegotiation.
const PATIENCE: Duration = Duration::from_secs(10);
const HTTP_1_1: &[u8] = b"\x08http/1.1";

/// Makes TLS connections in which nobody has been asked for a certificate yet.
pub(crate) struct Acceptor {
    context: SslContext,
    certificates: Arc<ServerCertificates>,
}

/// One of them: hyper reads and writes it, and whoever judges a request asks it for the certificate.
#[derive(Clone)]
pub(crate) struct Stream(Arc<Mutex<Inner>>);

impl Acceptor {
    pub(crate) fn new(
        door: Arc<Door>,
        certificates: Arc<ServerCertificates>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        context.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        // A session that began with a certificate would bring it into a handshake that asks for none.
        context.set_options(SslOptions::NO_SESSION_RESUMPTION_ON_RENEGOTIATION | SslOptions::NO_TICKET);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_alpn_select_callback(|_, offered| {
            select_next_proto(HTTP_1_1, offered).ok_or(AlpnError::NOACK)
        });
        let mut names = Stack::new()?;
        for name in door.trust.any.verifier.root_hint_subjects() {
            names.push(X509Name::from_der(name.as_ref())?)?;
        }
        context.set_client_ca_list(names);
        let judging = Arc::as_ptr(&door).cast_mut().cast();
        context.set_ex_data(SslContext::new_ex_index()?, door);
        // SAFETY: the context exists, and holds the door as long as it may call back.
        unsafe { SSL_CTX_set_cert_verify_callback(context.as_ptr(), Some(judge), judging) };
        Ok(Acceptor { context: context.build(), certificates })
    }

    /// The handshake, in which the client must name this host.
    pub(crate) async fn accept(
        &self,
        host: &str,
        stream: TokioIo<Upgraded>,
    ) -> Result<Stream, Box<dyn Error + Send + Sync>> {
        let mut ssl = Ssl::new(&self.context)?;
        let certificate = self.certificates.of_host(host).ok_or("there is no certificate for this name")?;
        let leaf = certificate.cert.first().ok_or("the certificate is empty")?;
        ssl.set_certificate(X509::from_der(leaf)?.as_ref())?;
        ssl.set_private_key(PKey::private_key_from_der(&self.certificates.key())?.as_ref())?;
        let mut stream = SslStream::new(ssl, stream)?;
        Pin::new(&mut stream).accept().await?;
        match stream.ssl().servername(NameType::HOST_NAME) {
            Some(name) if name == host => Ok(Stream(Arc::new(Mutex::new(stream)))),
            name => Err(format!("TLS named {name:?}, CONNECT {host}").into()),
        }
    }
}

impl Stream {
    /// What the client has shown, leaf first; nothing as long as it was not asked.
    pub(crate) fn client_certificates(&self) -> Vec<CertificateDer<'static>> {
        let stream = self.lock();
        let leaf = stream.ssl().peer_certificate();
        let others = stream.ssl().peer_cert_chain();
        let others = others.into_iter().flatten().map(ToOwned::to_owned);
        leaf.into_iter().chain(others).filter_map(|c| Some(c.to_der().ok()?.into())).collect()
    }

    /// How often the client has been asked.
    pub(crate) fn renegotiations(&self) -> i64 {
        let stream = self.lock();
        // SAFETY: reads a number of a connection that the lock keeps alive.
        unsafe { ffi::SSL_ctrl(stream.ssl().as_ptr(), SSL_CTRL_GET_NUM_RENEGOTIATIONS, 0, ptr::null_mut()) }
    }

    /// Asks for a certificate and waits for the answer, which may be that there is none.
    pub(crate) async fn renegotiate(&self) -> io::Result<()> {
        self.request_hello().await?;
        let wait = tokio::time::timeout(PATIENCE, poll_fn(|context| self.poll_renegotiated(context)));
        wait.await.map_err(|_| io::Error::other("the client did not renegotiate"))?
    }

    /// Asks for a certificate. Who waits for no answer has hung up in the middle.
    pub(crate) async fn request_hello(&self) -> io::Result<()> {
        {
            let stream = self.lock();
            let ssl = stream.ssl().as_ptr();
            // SAFETY: the lock keeps the connection alive and to ourselves; this sets what its next handshake does.
            let scheduled = unsafe {
                ffi::SSL_set_verify(ssl, ffi::SSL_VERIFY_PEER, None);
                SSL_renegotiate(ssl)
            };
            if scheduled != 1 {
                return Err(openssl::error::ErrorStack::get().into());
            }
        }
        // The server's half ends with the request for a ClientHello; the rest happens while it reads.
        poll_fn(|context| Pin::new(&mut *self.lock()).poll_do_handshake(context))
            .await
            .map_err(io::Error::other)
    }

    fn poll_renegotiated(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.lock();
        let peeked = Pin::new(&mut *stream).poll_peek(context, &mut [0]);
        if is_renegotiated(stream.ssl()) {
            return Poll::Ready(Ok(()));
        }
        peeked.map(|peeked| match peeked {
            Ok(_) => Err(io::Error::other("the client goes on as if it had not been asked to renegotiate")),
            Err(error) => Err(io::Error::other(error)),
        })
    }

    /// A panic elsewhere leaves OpenSSL's state whole: it changes within its own calls.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(context)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

fn is_renegotiated(ssl: &SslRef) -> bool {
    // SAFETY: reads a flag of a connection that is borrowed.
    ssl.is_init_finished() && unsafe { SSL_renegotiate_pending(ssl.as_ptr()) } == 0
}

/// OpenSSL asks whether to believe the client's certificates; the cloud's own rules answer.
extern "C" fn judge(context: *mut ffi::X509_STORE_CTX, door: *mut c_void) -> c_int {
    // SAFETY: the door that `Acceptor::new` has put beside the callback; and a handshake that waits for us holds
    // the context, and in it the chain that came.
    let (door, chain) = unsafe {
        let chain = X509_STORE_CTX_get0_untrusted(context);
        (&*door.cast::<Door>(), (!chain.is_null()).then(|| StackRef::<X509>::from_ptr(chain)))
    };
    let chain: Vec<CertificateDer<'static>> =
        chain.into_iter().flatten().filter_map(|c| Some(c.to_der().ok()?.into())).collect();
    let Err(refused) = door.judge(&chain) else { return 1 };
    let reason = match refused {
        Refused::InvalidCertificate(CertificateError::Revoked) => ffi::X509_V_ERR_CERT_REVOKED,
        Refused::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ffi::X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        }
        _ => ffi::X509_V_ERR_CERT_REJECTED,
    };
    // SAFETY: OpenSSL's own context; the number is one of its own.
    unsafe { X509StoreContextRef::from_ptr_mut(context).set_error(X509VerifyResult::from_raw(reason)) };
    0
}

// What `openssl-sys` does not declare.
const SSL_CTRL_GET_NUM_RENEGOTIATIONS: c_int = 10;
unsafe extern "C" {
    fn SSL_renegotiate(ssl: *mut ffi::SSL) -> c_int;
    fn SSL_renegotiate_pending(ssl: *const ffi::SSL) -> c_int;
    fn SSL_CTX_set_cert_verify_callback(
        context: *mut ffi::SSL_CTX,
        callback: Option<extern "C" fn(*mut ffi::X509_STORE_CTX, *mut c_void) -> c_int>,
        argument: *mut c_void,
    );
    fn X509_STORE_CTX_get0_untrusted(context: *const ffi::X509_STORE_CTX) -> *mut ffi::stack_st_X509;
}
