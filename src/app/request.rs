//! What is asked for in one call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Cancel;
use crate::token::{CacheKey, TokenType};

/// A request for a token. Make one, keep it, and use it for every call: a reused request finds a
/// cached token faster. It may be shared by threads, but not changed while a call uses it.
pub struct TokenRequest {
    scopes: Vec<String>,
    token_type: TokenType,
    force_refresh: bool,
    claims: Option<String>,
    correlation_id: Option<String>,
    timeout: Option<Duration>,
    cancel: Option<Cancel>,
    /// The cache key this request has in the app with this number.
    memo: ArcSwapOption<(u64, Arc<CacheKey>)>,
}

impl TokenRequest {
    /// For a confidential client one or more scopes separated by spaces
    /// (`https://graph.microsoft.com/.default`), for a managed identity the resource
    /// (`https://graph.microsoft.com/`).
    pub fn new(scopes_or_resource: &str) -> Self {
        let mut scopes: Vec<String> = Vec::new();
        for scope in scopes_or_resource.split_whitespace() {
            if !scopes.iter().any(|known| known.eq_ignore_ascii_case(scope)) {
                scopes.push(scope.to_owned());
            }
        }
        Self {
            scopes,
            token_type: TokenType::Bearer,
            force_refresh: false,
            claims: None,
            correlation_id: None,
            timeout: None,
            cancel: None,
            memo: ArcSwapOption::empty(),
        }
    }

    /// Asks for a token that is bound to a certificate (`mtls_pop`). Never answered with Bearer.
    pub fn with_mtls_proof_of_possession(mut self, on: bool) -> Self {
        self.token_type = if on { TokenType::MtlsPop } else { TokenType::Bearer };
        self.changed()
    }

    /// Fetches a new token even where a cached one is still good. The binding certificate is kept.
    pub fn with_force_refresh(mut self, on: bool) -> Self {
        self.force_refresh = on;
        self
    }

    /// A claims challenge as JSON, as an API sent it. No cached token is served; empty means none.
    pub fn with_claims(mut self, claims: &str) -> Self {
        self.claims = Some(claims.trim().to_owned()).filter(|claims| !claims.is_empty());
        self
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

    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(crate) fn token_type(&self) -> TokenType {
        self.token_type
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
        self.force_refresh || self.claims.is_some()
    }

    /// Refuses what no service could answer.
    pub(crate) fn check(&self) -> Result<()> {
        if self.scopes.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "scopes_required_client_credentials",
                "the request names no scope and no resource: for example https://graph.microsoft.com/.default",
            ));
        }
        if let Some(claims) = &self.claims
            && !serde_json::from_str::<serde_json::Value>(claims).is_ok_and(|json| json.is_object())
        {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "invalid_json_claims_format",
                "the claims are not a JSON object",
            ));
        }
        Ok(())
    }

    /// The cache key in the app with number `app`, made by `make` on first use.
    pub(crate) fn cache_key(&self, app: u64, make: impl FnOnce() -> CacheKey) -> Arc<CacheKey> {
        if let Some(memo) = self.memo.load().as_deref()
            && memo.0 == app
        {
            return memo.1.clone();
        }
        let key = Arc::new(make());
        self.memo.store(Some(Arc::new((app, key.clone()))));
        key
    }

    fn changed(self) -> Self {
        self.memo.store(None);
        self
    }
}

impl Clone for TokenRequest {
    fn clone(&self) -> Self {
        Self {
            scopes: self.scopes.clone(),
            token_type: self.token_type,
            force_refresh: self.force_refresh,
            claims: self.claims.clone(),
            correlation_id: self.correlation_id.clone(),
            timeout: self.timeout,
            cancel: self.cancel.clone(),
            memo: ArcSwapOption::new(self.memo.load_full()),
        }
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("scopes", &self.scopes)
            .field("token_type", &self.token_type)
            .field("force_refresh", &self.force_refresh)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
