//! What is asked for in one call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use once_cell::race::OnceBox;
use uuid::Uuid;

use super::parameters::Parameters;
use crate::binding::hex;
use crate::error::{Error, ErrorKind, Result};
use crate::key::MtlsBindingStrength;
use crate::runtime::Cancel;
use crate::token::{AccessToken, CacheKey, TokenType, parse_claims};

/// A request for a token. Make one, keep it, and use it for every call: a reused request finds a
/// cached token faster. It may be shared by threads, but not changed while a call uses it.
#[derive(Clone)]
pub struct TokenRequest {
    /// As the caller wrote them.
    scopes: Box<str>,
    token_type: TokenType,
    /// Bearer, asked for over mTLS.
    over_mtls: bool,
    min_strength: MtlsBindingStrength,
    force_refresh: bool,
    claims: Option<String>,
    /// Hexadecimal SHA-256 of a token that is not to be served.
    token_hash: Option<String>,
    correlation_id: Option<String>,
    timeout: Option<Duration>,
    cancel: Option<Cancel>,
    /// Most requests have none.
    client: Option<Box<ClientOptions>>,
    memo: Memo,
}

/// The cache key of a request that was used before, in the app with this number.
#[derive(Default)]
struct Memo {
    used: AtomicBool,
    key: OnceBox<(u64, CacheKey)>,
}

/// What only a confidential client can be asked.
#[derive(Clone, Default)]
pub(super) struct ClientOptions {
    pub(super) tenant_id: Option<String>,
    pub(super) authority: Option<String>,
    pub(super) send_x5c: Option<bool>,
    pub(super) fmi_path: Option<String>,
    pub(super) client_assertion_fmi_path: Option<String>,
    pub(super) claims_from_client: Option<String>,
    pub(super) extra_client_assertion_claims: Option<String>,
    pub(super) cache_partition_keys: BTreeMap<String, String>,
    pub(super) parameters: Parameters,
}

impl TokenRequest {
    /// For a confidential client one or more scopes separated by spaces
    /// (`https://graph.microsoft.com/.default`), for a managed identity the resource
    /// (`https://graph.microsoft.com/`).
    pub fn new(scopes_or_resource: &str) -> Self {
        Self {
            scopes: scopes_or_resource.into(),
            token_type: TokenType::Bearer,
            over_mtls: false,
            min_strength: MtlsBindingStrength::None,
            force_refresh: false,
            claims: None,
            token_hash: None,
            correlation_id: None,
            timeout: None,
            cancel: None,
            client: None,
            memo: Memo::default(),
        }
    }

    /// Asks for a token that is bound to a certificate (`mtls_pop`). Never answered with Bearer.
    pub fn with_mtls_proof_of_possession(mut self, on: bool) -> Self {
        self.token_type = if on { TokenType::MtlsPop } else { TokenType::Bearer };
        self.changed()
    }

    /// Asks for a Bearer token over mTLS, with the certificate that a bound one would be asked for with: for
    /// managed identities. The token is bound to nothing. Never answered by IMDSv1, whose tokens are kept apart,
    /// and not together with [`with_mtls_proof_of_possession`](Self::with_mtls_proof_of_possession). For
    /// confidential clients see
    /// [`AppOptions::with_send_certificate_over_mtls`](super::AppOptions::with_send_certificate_over_mtls).
    pub fn with_request_over_mtls(mut self, on: bool) -> Self {
        self.over_mtls = on;
        self.changed()
    }

    /// How well the key of a bound token, or of one asked for over mTLS, must be kept at least: a floor, for
    /// managed identities. Where this host does not reach it, the error is `min_strength_not_met`, and no certificate is asked for. A cached
    /// token was acquired with the same floor.
    pub fn with_min_strength(mut self, strength: MtlsBindingStrength) -> Self {
        self.min_strength = strength;
        self.changed()
    }

    /// Fetches a new token even where a cached one is still good. The binding certificate is kept.
    pub fn with_force_refresh(mut self, on: bool) -> Self {
        self.force_refresh = on;
        self.changed()
    }

    /// A claims challenge as JSON, as an API sent it. No cached token is served; empty means none.
    pub fn with_claims(mut self, claims: &str) -> Self {
        self.claims = non_empty(claims);
        self.changed()
    }

    /// The SHA-256, in hexadecimal, of a token that an API has rejected: that one is not served from the
    /// cache, any other is, also with claims. Not together with a forced refresh; empty means none.
    pub fn with_access_token_hash_to_refresh(mut self, sha256: &str) -> Self {
        self.token_hash = non_empty(sha256);
        self.changed()
    }

    /// A UUID that identifies the call in the service's logs. Without one, each call makes its own.
    pub fn with_correlation_id(mut self, id: Uuid) -> Self {
        self.correlation_id = Some(id.hyphenated().to_string());
        self
    }

    /// How long a call may take, all of it. Without one, only the limits of its steps apply.
    pub fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets another thread stop the calls made with this request.
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Asks another tenant than the one in the app's authority, by its id or domain name.
    pub fn with_tenant_id(self, tenant_id: &str) -> Self {
        self.change(|client| client.tenant_id = Some(tenant_id.to_owned()))
    }

    /// Asks another authority of the same cloud and kind than the app's.
    pub fn with_authority(self, authority: &str) -> Self {
        self.change(|client| client.authority = Some(authority.to_owned()))
    }

    /// Whether an assertion that is signed for this request carries the certificate chain; without it
    /// the credential's own setting counts.
    pub fn with_send_x5c(self, on: bool) -> Self {
        self.change(|client| client.send_x5c = Some(on))
    }

    /// The federated managed identity path (`fmi_path`) that the token is for.
    pub fn with_fmi_path(self, path: &str) -> Self {
        self.change(|client| client.fmi_path = Some(path.to_owned()))
    }

    /// The FMI path that the assertion callback is told, and should get its assertion for.
    pub fn with_client_assertion_fmi_path(self, path: &str) -> Self {
        self.change(|client| client.client_assertion_fmi_path = Some(path.to_owned()))
    }

    /// Claims, a JSON object, that the client itself wants in the token. Unlike a challenge they are part
    /// of what a cached token is found by; empty means none.
    pub fn with_claims_from_client(self, claims: &str) -> Self {
        self.change(|client| client.claims_from_client = non_empty(claims))
    }

    /// Claims, a JSON object, for the assertion that the app's certificate signs; empty means none.
    pub fn with_extra_client_assertion_claims(self, claims: &str) -> Self {
        self.change(|client| client.extra_client_assertion_claims = non_empty(claims))
    }

    /// A query parameter for the token endpoint; percent-encoded here. `in_cache_key` tells whether
    /// tokens of requests that differ in it are different.
    pub fn with_extra_query_parameter(self, name: &str, value: &str, in_cache_key: bool) -> Self {
        self.change(|client| client.parameters.set_query(name, value, in_cache_key))
    }

    /// A form field for the token endpoint, and a part of the cache key.
    pub fn with_extra_body_parameter(self, name: &str, value: &str) -> Self {
        self.change(|client| client.parameters.set_body(name, value))
    }

    /// A header for the token endpoint, in the place of the library's of that name.
    pub fn with_extra_http_header(self, name: &str, value: &str) -> Self {
        self.change(|client| client.parameters.set_header(name, value))
    }

    /// A value of the caller's that cached tokens are kept apart by; nothing of it is sent.
    pub fn with_cache_partition_key(self, key: &str, value: &str) -> Self {
        self.change(|client| {
            client.cache_partition_keys.insert(key.to_owned(), value.to_owned());
        })
    }

    pub(super) fn client(&self) -> &ClientOptions {
        static NONE: ClientOptions = ClientOptions::NONE;
        self.client.as_deref().unwrap_or(&NONE)
    }

    /// Each once, as it was written first.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        // What `split_whitespace` would find out letter by letter.
        if !self.scopes.is_empty() && self.scopes.bytes().all(|byte| byte.is_ascii_graphic()) {
            return vec![&*self.scopes];
        }
        let mut scopes: Vec<&str> = Vec::new();
        for scope in self.scopes.split_whitespace() {
            if !scopes.iter().any(|known| known.eq_ignore_ascii_case(scope)) {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// Whether it says nothing but what it is for and of which type the token is to be.
    pub(super) fn is_plain(&self) -> bool {
        self.client.is_none() && self.min_strength == MtlsBindingStrength::None
    }

    pub(crate) fn token_type(&self) -> TokenType {
        self.token_type
    }

    /// Whether the token service itself is asked, with a certificate, for whichever type of token.
    pub(super) fn is_over_mtls(&self) -> bool {
        self.over_mtls || self.token_type == TokenType::MtlsPop
    }

    pub(super) fn min_strength(&self) -> MtlsBindingStrength {
        self.min_strength
    }

    pub(crate) fn claims(&self) -> Option<&str> {
        self.claims.as_deref()
    }

    pub(crate) fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_deref()
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The caller's flag, or one for this call alone: threads that share a request share no lock.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.clone().unwrap_or_default()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(Cancel::is_cancelled)
    }

    /// Whether a cached token must not be served.
    pub(crate) fn bypasses_cache(&self) -> bool {
        self.force_refresh || (self.claims.is_some() && self.token_hash.is_none())
    }

    pub(super) fn forces_refresh(&self) -> bool {
        self.force_refresh
    }

    /// The hash of the token that must not be served.
    pub(super) fn token_hash(&self) -> Option<&str> {
        self.token_hash.as_deref()
    }

    /// Whether `token` is the one that must not be served.
    pub(super) fn rejects(&self, token: &AccessToken) -> bool {
        self.token_hash.as_ref().is_some_and(|hash| token_sha256(token).eq_ignore_ascii_case(hash))
    }

    /// Refuses what no service could answer. Checked when the cache key is made.
    pub(crate) fn check(&self) -> Result<()> {
        if self.scopes.trim().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "scopes_required_client_credentials",
                "the request names no scope and no resource: for example https://graph.microsoft.com/.default",
            ));
        }
        if self.over_mtls && self.token_type == TokenType::MtlsPop {
            return Err(Error::argument(
                "mtls_pop and Bearer requested over mTLS exclude each other: ask for one of them",
            ));
        }
        if self.min_strength > MtlsBindingStrength::None && !self.is_over_mtls() {
            return Err(Error::argument(
                "only what is asked for over mTLS has a minimum strength: ask for mtls_pop",
            ));
        }
        if self.force_refresh && self.token_hash.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "force_refresh_and_token_hash_not_compatible",
                "a forced refresh and the hash of a token to refresh exclude each other: set one of them",
            ));
        }
        if self
            .token_hash
            .as_ref()
            .is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(Error::argument(
                "the hash of the token to refresh is not the 64 hexadecimal digits of a SHA-256",
            ));
        }
        if let Some(claims) = &self.claims {
            parse_claims(claims)?;
        }
        self.client.as_ref().map_or(Ok(()), |client| client.check())
    }

    /// Refuses what no host can be asked for its managed identity.
    pub(super) fn check_for_managed_identity(&self) -> Result<()> {
        let client = self.client();
        let misplaced = [
            ("tenant", client.tenant_id.is_some()),
            ("authority", client.authority.is_some()),
            ("x5c", client.send_x5c.is_some()),
            ("FMI path", client.fmi_path.is_some() || client.client_assertion_fmi_path.is_some()),
            ("claims of the client", client.claims_from_client.is_some()),
            ("claims for an assertion", client.extra_client_assertion_claims.is_some()),
            ("cache partition key", !client.cache_partition_keys.is_empty()),
            ("extra body parameters and headers", client.parameters.has_body_or_headers()),
        ];
        match misplaced.iter().find(|(_, set)| *set) {
            Some((what, _)) => Err(Error::argument(format!(
                "a managed identity request takes no {what}: use a confidential client app"
            ))),
            None if !self.is_over_mtls() && !client.parameters.is_empty() => Err(Error::argument(
                "extra query parameters of a request go to the token service, which is asked over mTLS only; \
                     those of the app go to the host, too",
            )),
            None => Ok(()),
        }
    }

    /// Whether it says nothing by which a cached token could not be served now.
    #[inline(always)]
    pub(super) fn takes_any_token(&self) -> bool {
        !(self.is_cancelled() || self.force_refresh || self.claims.is_some() || self.token_hash.is_some())
    }

    /// The key that is remembered for the app with number `app`.
    #[inline(always)]
    pub(super) fn remembered_key(&self, app: u64) -> Option<CacheKey> {
        let (known, key) = self.memo.key.get()?;
        (*known == app).then_some(*key)
    }

    /// The cache key in the app with number `app`, made by `make` unless it is remembered. What is wrong with the
    /// request is found there.
    pub(crate) fn cache_key(&self, app: u64, make: impl FnOnce() -> Result<CacheKey>) -> Result<CacheKey> {
        if let Some(key) = self.remembered_key(app) {
            return Ok(key);
        }
        let made = make()?;
        // Many requests are used once, and remembering takes as long as making.
        match self.memo.used.load(Ordering::Relaxed) {
            true => drop(self.memo.key.set(Box::new((app, made)))),
            false => self.memo.used.store(true, Ordering::Relaxed),
        }
        Ok(made)
    }

    fn change(mut self, edit: impl FnOnce(&mut ClientOptions)) -> Self {
        edit(self.client.get_or_insert_default());
        self.changed()
    }

    fn changed(mut self) -> Self {
        self.memo = Memo::default();
        self
    }
}

impl ClientOptions {
    const NONE: Self = Self {
        tenant_id: None,
        authority: None,
        send_x5c: None,
        fmi_path: None,
        client_assertion_fmi_path: None,
        claims_from_client: None,
        extra_client_assertion_claims: None,
        cache_partition_keys: BTreeMap::new(),
        parameters: Parameters::NONE,
    };

    fn check(&self) -> Result<()> {
        if let Some(claims) = &self.claims_from_client {
            parse_claims(claims)?;
        }
        let paths = [&self.fmi_path, &self.client_assertion_fmi_path];
        if paths.into_iter().flatten().any(|path| path.trim().is_empty()) {
            return Err(Error::argument("the FMI path is empty"));
        }
        if self.cache_partition_keys.keys().any(String::is_empty) {
            return Err(Error::argument("a cache partition key has no name"));
        }
        self.parameters.check()
    }
}

/// The SHA-256 of a token, in lower-case hexadecimal.
pub(super) fn token_sha256(token: &AccessToken) -> String {
    hex(digest(&SHA256, token.text().as_bytes()).as_ref()).to_ascii_lowercase()
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        let memo = Self { used: AtomicBool::new(self.used.load(Ordering::Relaxed)), ..Self::default() };
        if let Some(key) = self.key.get() {
            let _ = memo.key.set(Box::new(*key));
        }
        memo
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("scopes", &self.scopes)
            .field("token_type", &self.token_type)
            .field("over_mtls", &self.over_mtls)
            .field("force_refresh", &self.force_refresh)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
