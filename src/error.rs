//! The one error type: a number for the program, a sentence for the person, and what the server said.

pub(crate) mod aadsts;
mod reached;
pub(crate) mod text;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Everything that can go wrong, in one value that is cheap to clone (the waiters of a shared
/// request all get the leader's error).
///
/// `Display` is the one-line message. Neither it nor `Debug` ever contains a secret.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// What the caller can do about an error. The numbers are part of the C ABI and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A parameter or a combination of settings is wrong; the message names it.
    InvalidArgument = 101,
    /// A handle is NULL, freed, or of another type.
    InvalidHandle = 102,
    /// What was asked cannot be had here (this host, this credential, this authority).
    NotSupported = 103,
    /// No answer: DNS, connection, proxy or TLS.
    Network = 201,
    /// The time the caller gave is over, or a peer took longer than its limit.
    Timeout = 202,
    /// The caller, or the release of the app, stopped the call.
    Cancelled = 203,
    /// The server answered and said no.
    Rejected = 301,
    /// The server asks for fewer requests; see [`Error::retry_after`].
    Throttled = 302,
    /// The server wants more than this client can give (`invalid_grant`, `interaction_required`).
    InteractionRequired = 303,
    /// The server answered with something this library must not accept or cannot read.
    InvalidResponse = 304,
    /// A private key or certificate cannot be read or used.
    KeyUnavailable = 401,
    /// A callback of the caller reported a failure.
    Callback = 402,
    /// A bug in this library.
    Internal = 901,
}

/// How a connection failed, for the rules that need to tell these apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportFailure {
    /// The host name could not be resolved.
    Dns,
    /// No TCP connection to the server.
    Connect,
    /// The proxy could not be reached or refused the tunnel.
    Proxy,
    /// The server's certificate was not accepted by us, or TLS could not be agreed.
    ServerTls,
    /// The server sent a TLS alert about the certificate we presented.
    ClientCertificate,
    /// The connection was reset or closed before the whole answer had arrived.
    Reset,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: String,
    message: String,
    http_status: Option<u16>,
    aadsts: Vec<u32>,
    sub_error: Option<String>,
    correlation_id: Option<String>,
    claims: Option<String>,
    retry_after: Option<Duration>,
    retryable: bool,
    transport: Option<TransportFailure>,
    never_asked: bool,
    reached: reached::Reached,
}

/// Of a message with all that stands around it, in characters: who forgets that a server's text in it may be
/// long (`text::said`) gets it cut here.
const LONGEST_MESSAGE: usize = 4000;
/// Of codes and ids, which servers send too.
const LONGEST_NAME: usize = 200;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with MSAL's error code string and a one-line message.
    pub fn new(kind: ErrorKind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            code: text::cut(&code.into(), LONGEST_NAME),
            message: text::cut(&message.into(), LONGEST_MESSAGE),
            http_status: None,
            aadsts: Vec::new(),
            sub_error: None,
            correlation_id: None,
            claims: None,
            retry_after: None,
            retryable: false,
            transport: None,
            never_asked: false,
            reached: reached::Reached::default(),
        }))
    }

    /// A wrong parameter or setting; `code` is `invalid_argument` unless MSAL has a name for it.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, "invalid_argument", message)
    }

    /// A bug of ours, reported instead of a panic.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, "internal_error", message)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// MSAL's error code string (`invalid_client`, `token_type_mismatch`, ...); docs/ERRORS.md has them all.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// One line for a person: what happened and, where known, what to do about it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status of the answer that caused this error.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The numbers of the AADSTS codes in the answer, in the server's order.
    pub fn aadsts_codes(&self) -> &[u32] {
        &self.0.aadsts
    }

    /// OAuth's `suberror` of the answer.
    pub fn sub_error(&self) -> Option<&str> {
        self.0.sub_error.as_deref()
    }

    /// The correlation id of the call, to quote to Microsoft support.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// The claims challenge of the answer, as JSON, to be given to the next request.
    pub fn claims(&self) -> Option<&str> {
        self.0.claims.as_deref()
    }

    /// How long to wait before another try: what the server asks for, or the rest of a pause of the library.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    pub(crate) fn transport(&self) -> Option<TransportFailure> {
        self.0.transport
    }

    /// Whether the server refused what came without our certificate, for which it had not asked: another
    /// certificate would not help.
    pub(crate) fn never_asked(&self) -> bool {
        self.0.never_asked
    }

    pub(crate) fn with_http_status(self, status: u16) -> Self {
        self.change(|e| e.http_status = Some(status))
    }

    pub(crate) fn with_aadsts(self, codes: Vec<u32>) -> Self {
        self.change(|e| e.aadsts = codes)
    }

    pub(crate) fn with_sub_error(self, sub_error: Option<String>) -> Self {
        self.change(|e| e.sub_error = sub_error.map(|name| text::cut(&name, LONGEST_NAME)))
    }

    /// Sets the correlation id, unless the server already told one.
    pub(crate) fn with_correlation_id(self, id: &str) -> Self {
        if self.0.correlation_id.is_some() {
            return self;
        }
        self.change(|e| e.correlation_id = Some(text::cut(id, LONGEST_NAME)))
    }

    pub(crate) fn with_claims(self, claims: Option<String>) -> Self {
        self.change(|e| e.claims = claims)
    }

    pub(crate) fn with_retry_after(self, wait: Option<Duration>) -> Self {
        self.change(|e| e.retry_after = wait)
    }

    pub(crate) fn with_retryable(self, retryable: bool) -> Self {
        self.change(|e| e.retryable = retryable)
    }

    pub(crate) fn with_transport(self, failure: TransportFailure) -> Self {
        self.change(|e| e.transport = Some(failure))
    }

    /// Adds that the request came without our certificate, as the server did not ask for it.
    pub(crate) fn with_never_asked(self, tls_version: &str) -> Self {
        self.change(|e| {
            e.never_asked = true;
            let message = e.message.trim_end_matches('.');
            e.message = format!(
                "{message}; the server never asked for our certificate in the TLS handshake ({tls_version}), so \
                 that the request came without it"
            );
        })
    }

    /// Adds that the server asks for our certificate when it is too late.
    pub(crate) fn with_asked_late(self, advice: &str) -> Self {
        self.change(|e| {
            let message = e.message.trim_end_matches('.');
            e.message = format!(
                "{message}; it asks for the certificate after the request, by TLS 1.2 renegotiation, {advice}"
            );
        })
    }

    /// What the caller can do about it has changed.
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Self {
        self.change(|e| e.kind = kind)
    }

    /// Puts what was being done in front of the message.
    pub(crate) fn context(self, what: &str) -> Self {
        self.change(|e| e.message = text::cut(&format!("{what}: {}", e.message), LONGEST_MESSAGE))
    }

    /// Puts behind the message what a service said.
    pub(crate) fn with_words(self, words: &str) -> Self {
        self.change(|e| e.message = text::cut(&format!("{}: {words}", e.message), LONGEST_MESSAGE))
    }

    /// Replaces the code string, for errors that MSAL reports under another name at this place.
    pub(crate) fn with_code(self, code: &str) -> Self {
        self.change(|e| e.code = code.to_owned())
    }

    fn change(mut self, edit: impl FnOnce(&mut Inner)) -> Self {
        edit(Arc::make_mut(&mut self.0));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("http_status", &self.0.http_status)
            .field("aadsts", &self.0.aadsts)
            .field("retryable", &self.0.retryable)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is each text of an error one line of what can be seen, and not endless, whatever a server put into it?
    #[test]
    fn texts_are_clean() {
        let nasty = "AADSTS1: \u{202e}no.\r\nTrace\u{2028}ID: 2\r\n";
        let error = Error::new(ErrorKind::Rejected, nasty, nasty)
            .context(nasty)
            .with_sub_error(Some(nasty.to_owned()))
            .with_correlation_id(nasty);
        let clean = "AADSTS1: no. Trace ID: 2";
        assert_eq!(error.message(), format!("{clean} : {clean}"));
        for text in [Some(error.code()), error.sub_error(), error.correlation_id()] {
            assert_eq!(text, Some(clean));
        }
        let long = "x".repeat(1_000_000);
        let error = Error::new(ErrorKind::Rejected, &*long, &*long).context(&long);
        assert!(error.message().len() < 4100 && error.code().len() < 300);
    }

    /// Does changing one clone leave the other alone (single flight hands out clones)?
    #[test]
    fn clones_are_independent() {
        let one = Error::argument("a");
        let two = one.clone().with_http_status(400);
        assert_eq!((one.http_status(), two.http_status()), (None, Some(400)));
    }
}
