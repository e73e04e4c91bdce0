//! Tokens for a managed identity: IMDSv1 for Bearer, a certificate from IMDSv2 for what is asked for over mTLS
//! (managed_identity spec; since_july_2026 spec, section 2).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::TokenRequest;
use super::binding_certificate::{BindingCertificates, worth_replacing};
use super::caches::Caches;
use super::core::Core;
use super::parameters::Parameters;
use crate::attestation::{AttestationProvider, Attestor, Provider};
use crate::authority::RegionDetails;
use crate::binding::{Binding, BindingCache, Certificate, REPLACEMENT_PAUSE};
use crate::clock::unix_seconds;
use crate::error::{Error, ErrorKind, Result, TransportFailure};
use crate::http::{Imds, add_query};
use crate::key::{KeyHome, MtlsBindingStrength};
use crate::managed_identity::imds_v2::{self, Switch};
use crate::managed_identity::{BearerRequest, ManagedIdentityId, OUR_QUERY, Source};
use crate::runtime::{Call, Claim, Claimed};
use crate::token::{
    AccessToken, Api, CacheRefreshReason, CallerSdk, KeyBuilder, Origin, Telemetry, Texts, TokenPost,
    TokenType, merge_claims, request_token,
};

/// An identity and the service of this host that vouches for it.
pub(super) struct ManagedIdentity {
    pub(super) id: ManagedIdentityId,
    pub(super) source: Source,
    /// Where the keys of its bound tokens are.
    pub(super) home: KeyHome,
    pub(super) attestation: Attestation,
    /// What the app adds to queries.
    parameters: Parameters,
    /// The floor of all its bound tokens.
    pub(super) min_strength: MtlsBindingStrength,
    /// Whether IMDSv2 may be used.
    pub(super) imds_v2: Switch,
}

/// Who attests the keys of bound tokens.
pub(super) enum Attestation {
    None,
    Callback(Arc<dyn AttestationProvider>),
    /// The TPM that they are in.
    Tpm {
        pcrs: Vec<u8>,
    },
}

impl ManagedIdentity {
    pub(super) fn new(
        id: ManagedIdentityId,
        source: Source,
        home: KeyHome,
        attestation: Attestation,
        parameters: Parameters,
        min_strength: MtlsBindingStrength,
        imds_v2: Switch,
    ) -> Result<Self> {
        let empty = match &id {
            ManagedIdentityId::SystemAssigned => false,
            ManagedIdentityId::ClientId(id)
            | ManagedIdentityId::ObjectId(id)
            | ManagedIdentityId::ResourceId(id) => id.trim().is_empty(),
        };
        if empty {
            return Err(Error::argument(
                "the id of the user-assigned managed identity is empty; for the system-assigned one set no id",
            ));
        }
        source.check(&id)?;
        check_query(&parameters)?;
        // Section 2.4: apps of a process share tokens, and what they ask the host with must not mix.
        let parameters = parameters.all_in_cache_key();
        Ok(Self { id, source, home, attestation, parameters, min_strength, imds_v2 })
    }

    /// Where tokens are asked for, where the environment says it: IMDS has a place that every host knows.
    pub(super) fn host_endpoint(&self) -> Option<Url> {
        match &self.source {
            Source::Imds(_) => None,
            other => Some(other.token_endpoint()),
        }
    }

    /// Client id and tenant by which IMDSv2 knows it.
    pub(super) fn known_to_host(&self, core: &Core, call: &Call) -> Result<Option<(String, String)>> {
        match &self.source {
            Source::Imds(imds) if !self.is_imds_v2_off(core) => {
                let found = imds_v2::platform_metadata(imds, &*core.pool.direct()?, &self.id, call)?;
                Ok(Some((found.client_id, found.tenant_id)))
            }
            _ => Ok(None),
        }
    }

    /// What makes its tokens different from others', but for the resource.
    pub(super) fn cache_key(&self, key: KeyBuilder, request: &TokenRequest) -> Result<KeyBuilder> {
        request.check_for_managed_identity()?;
        self.source.check_for_token(&self.id)?;
        let parameters = self.parameters.overlaid(&request.client().parameters);
        check_query(&parameters)?;
        let (attested, home) = match request.is_over_mtls() {
            true => (self.attested(), self.home.name_in_memory()),
            false => (Cow::Borrowed("0"), String::new()),
        };
        // The type says it of the others.
        let key = match (request.is_over_mtls(), request.token_type()) {
            (true, TokenType::Bearer) => key.component("over_mtls", "1"),
            _ => key,
        };
        Ok(self
            .strength_in_key(parameters.cache_key(key), request)
            .component("client", &self.id.cache_name())
            .component("environment", &self.source.cache_name())
            .component("tenant", "managed_identity")
            .component("attested", &attested)
            .component("key", &home))
    }

    /// Whether bound tokens of this app come from an attested key: no cache gives them to an app that
    /// differs in this (sections 5.9 and 5.13).
    fn attested(&self) -> Cow<'static, str> {
        match &self.attestation {
            Attestation::None => Cow::Borrowed("0"),
            Attestation::Callback(_) => Cow::Borrowed("1"),
            Attestation::Tpm { pcrs } => Cow::Owned(format!("tpm {pcrs:?}")),
        }
    }

    /// Which of MSAL's calls this is.
    pub(super) fn api(&self) -> Api {
        match self.id {
            ManagedIdentityId::SystemAssigned => Api::SystemAssignedManagedIdentity,
            _ => Api::UserAssignedManagedIdentity,
        }
    }

    /// Who calls, according to the query parameters that say so.
    pub(super) fn caller<'a>(&'a self, request: &'a TokenRequest) -> CallerSdk<'a> {
        request.client().parameters.caller(self.parameters.caller(CallerSdk::default()))
    }

    /// Asks the host, and over mTLS the token service.
    pub(super) fn fetch(
        &self,
        core: &Core,
        caches: &Caches,
        request: &TokenRequest,
        reason: CacheRefreshReason,
        call: &Call,
    ) -> Result<AccessToken> {
        // Before what the host can do, and what it was found to do.
        if self.is_imds_v2_off(core) && request.is_over_mtls() {
            return Err(imds_v2::turned_off());
        }
        self.check_strength(core, caches, request, call)?;
        match (&self.source, request.is_over_mtls()) {
            (_, false) => self.fetch_bearer(core, caches, request, call),
            (Source::Imds(imds), true) => self.fetch_over_mtls(core, caches, imds, request, reason, call),
            (other, true) => {
                let what = match request.token_type() {
                    TokenType::MtlsPop => "issues no bound tokens; ask for Bearer",
                    TokenType::Bearer => {
                        "issues no certificate for a request over mTLS; ask for ordinary Bearer"
                    }
                };
                let text =
                    format!("this host's managed identity comes from {}, which {what}", other.kind().name());
                Err(Error::new(ErrorKind::NotSupported, "mtls_pop_not_supported_for_environment", text))
            }
        }
    }

    /// Whether IMDSv2 is turned off, for who has it.
    fn is_imds_v2_off(&self, core: &Core) -> bool {
        matches!(self.source, Source::Imds(_)) && self.imds_v2.is_off(&core.log)
    }

    /// Section 6. What the host is not told about claims, a cache of its own cannot know (section 6.8).
    fn fetch_bearer(
        &self,
        core: &Core,
        caches: &Caches,
        request: &TokenRequest,
        call: &Call,
    ) -> Result<AccessToken> {
        let resource = resource_of(request)?;
        let token_to_refresh = match &self.source {
            Source::ServiceFabric(_) => core.token_to_refresh(caches, request)?,
            _ => None,
        };
        let bearer = BearerRequest {
            id: &self.id,
            resource,
            client_capabilities: &core.client_capabilities,
            token_to_refresh: token_to_refresh.as_deref(),
            extra_query: &self.parameters.query(),
        };
        let issued = self.source.acquire_bearer(&core.pool, &bearer, call)?;
        let (received_on, expires_on, refresh_on) = core.times_of(issued.expires_in, issued.refresh_in);
        Ok(AccessToken {
            texts: Texts::new(TokenType::Bearer, &issued.access_token, resource),
            received_on,
            refresh_on,
            expires_on,
            origin: Arc::new(Origin { endpoint: issued.endpoint, tls: issued.tls, ..Origin::default() }),
            certificate: None,
        })
    }

    /// Sections 5.10 and 5.11: the token over mTLS. A certificate that is rejected is replaced, as often as
    /// the design's table says.
    fn fetch_over_mtls(
        &self,
        core: &Core,
        caches: &Caches,
        imds: &Imds,
        request: &TokenRequest,
        reason: CacheRefreshReason,
        call: &Call,
    ) -> Result<AccessToken> {
        let scope = format!("{}/.default", resource_of(request)?.trim_end_matches('/'));
        let ask = |binding: &Binding| {
            let (client, tenant) = (&binding.client_id, &binding.tenant_id);
            let spared = core.spared(client, tenant, binding.endpoint.as_str(), &scope);
            let asked = || {
                spared.check()?;
                self.ask(core, binding, &scope, request, reason, call)
                    .inspect_err(|error| spared.note(error, UNSAID))
            };
            asked().map_err(|error| error.with_token_endpoint(&token_endpoint(binding)))
        };
        let certificates = self.certificates(core, caches, imds);
        let mut binding = certificates.current(call)?;
        // Those that were given up, and whether that was a verdict on them.
        let mut suspects: Vec<(Arc<Binding>, bool)> = Vec::new();
        let mut claim: Option<Claim> = None;
        let (mut asked_again, mut renamed) = (false, false);
        loop {
            let error = match ask(&binding) {
                Err(error) => error,
                Ok(token) => {
                    // Only now is it clear that it was the certificate: until then its tokens stay in use.
                    for (rejected, _) in suspects.iter().filter(|(_, verdict)| *verdict) {
                        caches.tokens.remove_bound_to(rejected.certificate.x5t_s256());
                    }
                    if let Some(claim) = claim {
                        claim.done();
                    }
                    return Ok(token);
                }
            };
            let reset = error.transport() == Some(TransportFailure::Reset);
            // Most resets are the network's: one is no verdict on the certificate.
            if reset && !asked_again {
                asked_again = true;
                match call.sleep(AFTER_RESET) {
                    Ok(()) => continue,
                    Err(_) => return Err(given_up(call, claim, error)),
                }
            }
            let worth = worth_replacing(&error, &binding, &*core.clock);
            if suspects.len() >= worth {
                // The service does not know the client: its name may mean another one by now.
                let unknown = matches!(error.code(), "unauthorized_client" | "invalid_client");
                if unknown && suspects.is_empty() && error.kind() != ErrorKind::Throttled && !renamed {
                    renamed = true;
                    if certificates.means_another(&binding, call) {
                        binding = certificates.current(call)?;
                        continue;
                    }
                }
                // An answer about something else is no verdict on the new one.
                return Err(match worth {
                    0 => given_up(call, claim, error),
                    _ => rejected_too(call, claim, error),
                });
            }
            if suspects.is_empty() {
                claim = match certificates.claim_replacement() {
                    Claimed::Yours(claim) => Some(claim),
                    // All get the one that the other gets.
                    Claimed::Taken => None,
                    Claimed::Paused(left) => return Err(paused(error, left)),
                };
            } else if call.sleep(BACK_OFF).is_err() {
                call.note_cut_short();
                return Err(given_up(call, claim, error));
            }
            core.log.warn("managed_identity", || {
                format!("the binding certificate may have been rejected ({}), getting another", error.code())
            });
            let next = match certificates.replace(&binding, call) {
                Ok(next) => next,
                Err(minting) => {
                    let error = error
                        .context(&format!("no other certificate either ({minting})"))
                        .with_retryable(minting.is_retryable())
                        .with_retry_after(minting.retry_after());
                    return Err(given_up(call, claim, error));
                }
            };
            suspects.push((std::mem::replace(&mut binding, next), !reset));
        }
    }

    /// Whether the certificate that `request` was answered with should be renewed while nobody waits.
    pub(super) fn is_renewal_due(&self, core: &Core, caches: &Caches, request: &TokenRequest) -> bool {
        match &self.source {
            Source::Imds(imds) if request.is_over_mtls() => {
                self.certificates(core, caches, imds).is_renewal_due()
            }
            _ => false,
        }
    }

    /// Renews it, where it is due.
    pub(super) fn renew(
        &self,
        core: &Core,
        caches: &Caches,
        request: &TokenRequest,
        call: &Call,
    ) -> Result<()> {
        match &self.source {
            Source::Imds(imds) if request.is_over_mtls() && !self.is_imds_v2_off(core) => {
                self.certificates(core, caches, imds).renew(call)
            }
            _ => Ok(()),
        }
    }

    /// Has another certificate issued now, for whatever comes.
    pub(super) fn next_certificate(&self, core: &Core, caches: &Caches, call: &Call) -> Result<Certificate> {
        match &self.source {
            Source::Imds(_) if self.is_imds_v2_off(core) => Err(imds_v2::turned_off()),
            Source::Imds(imds) => Ok(self.certificates(core, caches, imds).next(call)?.certificate.clone()),
            other => {
                let name = other.kind().name();
                let text =
                    format!("this host's managed identity comes from {name}, which issues no certificates");
                Err(Error::new(ErrorKind::NotSupported, "mtls_pop_not_supported_for_environment", text))
            }
        }
    }

    /// Where its certificates are kept: those of apps with other values for their TPM are not for this one.
    pub(super) fn bindings(&self, caches: &Caches) -> Arc<BindingCache> {
        caches.bindings.of(&self.home.name_in_memory())
    }

    fn certificates<'a>(
        &'a self,
        core: &'a Core,
        caches: &'a Caches,
        imds: &'a Imds,
    ) -> BindingCertificates<'a> {
        let provider = match &self.attestation {
            Attestation::None => None,
            Attestation::Callback(provider) => Some(Provider::Callback(provider.as_ref())),
            Attestation::Tpm { pcrs } => Some(Provider::Tpm { pool: &core.pool, pcrs }),
        };
        let attestor = provider.map(|provider| Attestor { provider, cache: &caches.attestations });
        let (id, home, attested) = (&self.id, &self.home, self.attested());
        BindingCertificates { core, bindings: self.bindings(caches), imds, id, home, attestor, attested }
    }

    /// The token leg (section 5.10).
    fn ask(
        &self,
        core: &Core,
        binding: &Binding,
        scope: &str,
        request: &TokenRequest,
        reason: CacheRefreshReason,
        call: &Call,
    ) -> Result<AccessToken> {
        let bound = request.token_type() == TokenType::MtlsPop;
        let endpoint = token_endpoint(binding);
        let parameters = self.parameters.overlaid(&request.client().parameters);
        let mut url = endpoint.clone();
        add_query(&mut url, &parameters.query());
        let claims = merge_claims(request.claims(), None, &core.client_capabilities)?;
        let form = [
            ("client_id", binding.client_id.as_str()),
            ("scope", scope),
            ("claims", claims.as_deref().unwrap_or_default()),
            ("grant_type", "client_credentials"),
            ("token_type", if bound { "mtls_pop" } else { "bearer" }),
        ];
        let caller = self.caller(request);
        let telemetry = Telemetry { caller, ..Telemetry::new(self.api(), reason, request.token_type()) };
        let post = TokenPost {
            endpoint: &url,
            form: &form,
            expected: request.token_type(),
            telemetry: &telemetry,
            extra_headers: &[],
        };
        let client = core.pool.for_certificate(&binding.certificate)?;
        let answer = request_token(&client, &post, call)?;
        let (received_on, mut expires_on, refresh_on) = core.times(&answer);
        if bound {
            // Who has no certificate any more has no use for the token: both are given up five minutes before.
            expires_on = expires_on.min(unix_seconds(binding.certificate.not_after()));
        }
        Ok(AccessToken {
            texts: Texts::new(request.token_type(), &answer.access_token, resource_of(request)?),
            received_on,
            refresh_on,
            expires_on,
            origin: Arc::new(Origin {
                tenant: Some(binding.tenant_id.clone()),
                endpoint: endpoint.into(),
                region: RegionDetails::default(),
                response_parameters: answer.response_parameters,
                tls: answer.tls,
            }),
            certificate: bound.then(|| binding.certificate.clone()),
        })
    }
}

/// How long a token service is left alone that is overloaded or out of order and does not say for how long
/// (section 7.4).
const UNSAID: Duration = Duration::from_secs(60);
/// Before the same certificate is tried on another connection, as long as the STS policy waits.
const AFTER_RESET: Duration = Duration::from_secs(1);
/// Before yet another certificate is tried.
const BACK_OFF: Duration = Duration::from_secs(2);

/// What a call ends with that could not go on: its own end, or else `error`. It lets others try what it could not.
fn given_up(call: &Call, claim: Option<Claim>, error: Error) -> Error {
    if let Some(claim) = claim {
        claim.done();
    }
    call.end(&error).unwrap_or(error)
}

/// What it ends with where others were rejected as well: with the claim a pause begins, unless the call itself
/// had an end.
fn rejected_too(call: &Call, claim: Option<Claim>, error: Error) -> Error {
    match call.check() {
        Ok(()) if !call.was_cut_short() => {
            paused(error, Duration::from_secs(REPLACEMENT_PAUSE.unsigned_abs()))
        }
        _ => given_up(call, claim, error),
    }
}

/// The service's word, for a caller who may try again when the pause is over.
fn paused(error: Error, left: Duration) -> Error {
    let left = left.max(error.retry_after().unwrap_or_default());
    error
        .context(&format!("no other certificate is tried for {} s", left.as_secs()))
        .with_retry_after(Some(left))
        .with_retryable(true)
}

fn token_endpoint(binding: &Binding) -> Url {
    let mut endpoint = binding.endpoint.clone();
    endpoint.set_path(&format!("{}/oauth2/v2.0/token", binding.endpoint.path().trim_end_matches('/')));
    endpoint
}

/// Refuses additions that would make another request of it.
fn check_query(parameters: &Parameters) -> Result<()> {
    parameters.check()?;
    let ours = |name: &str| OUR_QUERY.iter().any(|ours| ours.eq_ignore_ascii_case(name));
    match parameters.query().iter().find(|(name, _)| ours(name)) {
        Some((name, _)) => Err(Error::argument(format!("the query parameter {name} is set by the library"))),
        None => Ok(()),
    }
}

/// The one resource of a request, without the `/.default` that scopes end in (section 2.3).
pub(super) fn resource_of(request: &TokenRequest) -> Result<&str> {
    match request.scopes()[..] {
        [one] => Ok(one.strip_suffix("/.default").unwrap_or(one)),
        _ => Err(Error::argument(
            "a managed identity request names exactly one resource, for example https://graph.microsoft.com/",
        )),
    }
}
