//! What a call gives back: the token and everything known about it.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use once_cell::race::OnceBox;
use uuid::Uuid;

use super::request::token_sha256;
use crate::authority::{Region, RegionOutcome};
use crate::binding::Certificate;
use crate::clock::from_unix_seconds;
use crate::http::TlsVersion;
use crate::key::MtlsBindingStrength;
use crate::runtime::Shared;
use crate::token::{CacheRefreshReason, CachedToken, TokenType};

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TokenSource {
    /// The token service issued it in this call. The number is MSAL's.
    IdentityProvider = 0,
    /// The cache had it.
    Cache = 1,
}

/// Which cache answered. The numbers are MSAL's and part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum CacheLevel {
    /// None: the token service did.
    None = 0,
    /// The memory of this process.
    L1Cache = 2,
    /// The caller's store.
    L2Cache = 3,
}

/// How a token was got (MSAL's `AuthenticationResultMetadata`).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Metadata {
    /// Where it came from.
    pub token_source: TokenSource,
    /// Which cache it came from.
    pub cache_level: CacheLevel,
    /// Why the network was asked.
    pub cache_refresh_reason: CacheRefreshReason,
    /// What the call took. Not measured, and zero, where the memory had the token.
    pub duration_total: Duration,
    /// What of it was spent in HTTP, retries included and the waits between them not.
    pub duration_in_http: Duration,
    /// What of it was spent in the caller's store.
    pub duration_in_cache: Duration,
}

/// A token with the certificate it is bound to. A snapshot: later renewals do not change it.
pub struct Token {
    token: Shared<CachedToken>,
    /// Made on demand for a look into the memory, which sends no id to anybody. Without a lock: a forked child may have the
    /// token, too.
    call: OnceBox<CallDetails>,
}

struct Authorization(Shared<CachedToken>);

/// What is known of the call that a token came from.
struct CallDetails {
    metadata: Metadata,
    correlation_id: String,
}

impl Token {
    /// One that this call got, from the service or the store.
    pub(super) fn got(
        token: impl Into<Shared<CachedToken>>,
        metadata: Metadata,
        correlation_id: String,
    ) -> Self {
        Self { token: token.into(), call: CallDetails::known(metadata, correlation_id) }
    }

    /// One that the memory had, or another call got meanwhile.
    #[inline(always)]
    pub(super) fn cached(token: impl Into<Shared<CachedToken>>, correlation_id: Option<&str>) -> Self {
        let call = match correlation_id {
            None => OnceBox::new(),
            Some(id) => CallDetails::known(Metadata::L1, id.to_owned()),
        };
        Self { token: token.into(), call }
    }

    /// The same where this call had the next one fetched.
    pub(super) fn being_refreshed(self) -> Self {
        let metadata =
            Metadata { cache_refresh_reason: CacheRefreshReason::ProactivelyRefreshed, ..Metadata::L1 };
        let correlation_id = self.correlation_id().to_owned();
        Self::got(self.token, metadata, correlation_id)
    }

    /// The token itself. A secret: do not log it.
    pub fn access_token(&self) -> &str {
        self.token.text()
    }

    /// Its hash, by which a request names it as one that is not to be served.
    pub(super) fn sha256(&self) -> String {
        token_sha256(&self.token)
    }

    /// How it must be presented.
    pub fn token_type(&self) -> TokenType {
        self.token.token_type()
    }

    /// The value of the `Authorization` header: type, space, token. A secret: do not log it.
    pub fn authorization(&self) -> &str {
        self.token.authorization()
    }

    /// The same for who sends it: no copy, but a reference to the token, which is wiped when the last of them ends.
    pub(super) fn authorization_bytes(&self) -> Bytes {
        Bytes::from_owner(Authorization(self.token.clone()))
    }

    /// Type, space and token with a NUL behind them, and where the token starts.
    pub(crate) fn terminated(&self) -> (&[u8], usize) {
        (self.token.terminated(), self.token.token_offset())
    }

    /// When it ends; a bound token of a managed identity no later than its certificate.
    pub fn expires_on(&self) -> SystemTime {
        from_unix_seconds(self.token.expires_on)
    }

    /// When the library will fetch the next one although this one still lives.
    pub fn refresh_on(&self) -> Option<SystemTime> {
        self.token.refresh_on.map(|on| from_unix_seconds(on.get().into()))
    }

    /// What was granted, or what was asked where the service did not say.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.token.scopes()
    }

    /// The tenant it was issued in.
    pub fn tenant_id(&self) -> Option<&str> {
        self.token.origin.tenant.as_deref()
    }

    /// Where it came from.
    pub fn source(&self) -> TokenSource {
        self.metadata().token_source
    }

    /// How it was got.
    pub fn metadata(&self) -> &Metadata {
        self.call.get().map_or(&Metadata::L1, |call| &call.metadata)
    }

    /// What else the service said when it issued the token: members of its answer and of `client_info`
    /// that are none of OAuth's, by name. Values that are no text are JSON.
    pub fn response_parameter(&self, name: &str) -> Option<&str> {
        self.response_parameter_index(name)
            .map(|index| self.token.origin.response_parameters[index].1.as_str())
    }

    pub(crate) fn response_parameter_index(&self, name: &str) -> Option<usize> {
        self.token.origin.response_parameters.iter().position(|(known, _)| known == name)
    }

    /// The values in their order.
    pub(crate) fn response_parameters(&self) -> impl Iterator<Item = &str> {
        self.token.origin.response_parameters.iter().map(|(_, value)| value.as_str())
    }

    /// The URL of the token endpoint that issued it, whether in this call or in an earlier one.
    pub fn token_endpoint(&self) -> &str {
        &self.token.origin.endpoint
    }

    /// The version of TLS that it was issued over, in this call or in an earlier one; `None` where that was plain
    /// http, and for a token from a store.
    pub fn tls_version(&self) -> Option<TlsVersion> {
        self.token.origin.tls.map(|tls| tls.version)
    }

    /// Whether the endpoint that issued it asked for a client certificate in the TLS handshake; where the
    /// connection resumed a TLS session, in the handshake that one began with. `None` as for
    /// [`tls_version`](Self::tls_version).
    pub fn certificate_requested(&self) -> Option<bool> {
        self.token.origin.tls.map(|tls| tls.certificate_requested)
    }

    /// The Azure region whose endpoint issued it.
    pub fn region(&self) -> Option<&str> {
        self.token.origin.region.used.as_ref().map(Region::as_str)
    }

    /// How the endpoint that issued it came by its region, or by none.
    pub fn region_outcome(&self) -> RegionOutcome {
        self.token.origin.region.outcome
    }

    /// Why the region could not be detected, where it could not.
    pub fn region_error(&self) -> Option<&str> {
        self.token.origin.region.error.as_deref()
    }

    /// The certificate it is bound to, with its private key; `None` for Bearer.
    pub fn binding_certificate(&self) -> Option<&Certificate> {
        self.token.certificate.as_ref()
    }

    /// How well the key that it is bound to is kept (MSAL's names and numbers); `None`, the strength, for Bearer.
    ///
    /// That is what this process knows, not what a service says: `Software` for a key in memory and for one that a
    /// signer has, of which no more can be seen from here; `Hardware` for one that was made in a TPM and cannot
    /// leave it; `Attested` where the certificate was issued for an attestation of such a key.
    pub fn binding_strength(&self) -> MtlsBindingStrength {
        self.token.certificate.as_ref().map_or(MtlsBindingStrength::None, Certificate::strength)
    }

    /// The id of this call, also where the cache answered.
    pub fn correlation_id(&self) -> &str {
        let make = || CallDetails { metadata: Metadata::L1, correlation_id: Uuid::new_v4().to_string() };
        &self.call.get_or_init(|| Box::new(make())).correlation_id
    }
}

impl AsRef<[u8]> for Authorization {
    fn as_ref(&self) -> &[u8] {
        self.0.authorization().as_bytes()
    }
}

impl CallDetails {
    #[inline(never)]
    fn known(metadata: Metadata, correlation_id: String) -> OnceBox<Self> {
        OnceBox::with_value(Box::new(Self { metadata, correlation_id }))
    }
}

impl Metadata {
    const L1: Self = Self {
        token_source: TokenSource::Cache,
        cache_level: CacheLevel::L1Cache,
        cache_refresh_reason: CacheRefreshReason::NotApplicable,
        duration_total: Duration::ZERO,
        duration_in_http: Duration::ZERO,
        duration_in_cache: Duration::ZERO,
    };
}

impl TokenSource {
    /// MSAL's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::IdentityProvider => "IdentityProvider",
            Self::Cache => "Cache",
        }
    }
}

impl CacheLevel {
    /// MSAL's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::L1Cache => "L1Cache",
            Self::L2Cache => "L2Cache",
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("token_type", &self.token_type())
            .field("expires_on", &self.token.expires_on)
            .field("source", &self.source())
            .field("binding_strength", &self.binding_strength())
            .field("certificate", &self.token.certificate)
            .finish_non_exhaustive()
    }
}
