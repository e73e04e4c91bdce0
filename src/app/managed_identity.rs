//! Tokens for a managed identity: IMDSv1 for Bearer, a certificate from IMDSv2 for PoP (managed_identity spec).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Caches, Core, TokenRequest};
use crate::authority::RegionDetails;
use crate::binding::{Binding, Lifetime, lifetime};
use crate::clock::unix_seconds;
use crate::error::{Error, ErrorKind, Result, TransportFailure};
use crate::http::Imds;
use crate::managed_identity::{ManagedIdentityId, Source, imds_v1, imds_v2};
use crate::runtime::Call;
use crate::token::{
    AccessToken, Api, CacheRefreshReason, KeyBuilder, Telemetry, TokenPost, TokenType, merge_claims,
    request_token,
};

/// An identity and the service of this host that vouches for it.
pub(super) struct ManagedIdentity {
    id: ManagedIdentityId,
    source: Source,
}

impl ManagedIdentity {
    pub(super) fn new(id: ManagedIdentityId, source: Source) -> Result<Self> {
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
        Ok(Self { id, source })
    }

    /// The resource is the one scope of these tokens; a trailing `/.default` is the same (section 2.3).
    pub(super) fn cache_key(&self, key: KeyBuilder, request: &TokenRequest) -> Result<KeyBuilder> {
        request.check_for_managed_identity()?;
        let host = match &self.source {
            Source::Imds(imds) => imds.cache_name(),
            Source::Other(kind) => kind.name(),
        };
        Ok(key
            .component("client", &self.id.cache_name())
            .component("environment", host)
            .component("tenant", "managed_identity")
            .part("scopes", resource_of(request)?))
    }

    /// Which of MSAL's calls this is.
    pub(super) fn api(&self) -> Api {
        match self.id {
            ManagedIdentityId::SystemAssigned => Api::SystemAssignedManagedIdentity,
            _ => Api::UserAssignedManagedIdentity,
        }
    }

    /// Asks the host, and for PoP the token service.
    pub(super) fn fetch(
        &self,
        core: &Core,
        caches: &Caches,
        request: &TokenRequest,
        reason: CacheRefreshReason,
        call: &Call,
    ) -> Result<AccessToken> {
        let resource = resource_of(request)?;
        match (&self.source, request.token_type()) {
            (Source::Imds(imds), TokenType::Bearer) => self.fetch_bearer(core, imds, resource, call),
            (Source::Imds(imds), TokenType::MtlsPop) => {
                self.fetch_bound(core, caches, imds, request, reason, call)
            }
            (other, TokenType::MtlsPop) => Err(Error::new(
                ErrorKind::NotSupported,
                "mtls_pop_not_supported_for_environment",
                format!(
                    "this host's managed identity comes from {}, which issues no bound tokens; ask for Bearer",
                    other.kind().name()
                ),
            )),
            (other, TokenType::Bearer) => Err(Error::new(
                ErrorKind::NotSupported,
                "managed_identity_all_sources_unavailable",
                format!(
                    "this host's managed identity comes from {}, which this version does not speak; it speaks IMDS",
                    other.kind().name()
                ),
            )),
        }
    }

    fn fetch_bearer(&self, core: &Core, imds: &Imds, resource: &str, call: &Call) -> Result<AccessToken> {
        let client = core.pool.direct()?;
        let issued = imds_v1::acquire(imds, &client, &self.id, resource, call)?;
        let (expires_on, refresh_on) = core.times_of(issued.expires_in, issued.refresh_in);
        Ok(AccessToken {
            authorization: AccessToken::authorization(TokenType::Bearer, &issued.access_token),
            token_type: TokenType::Bearer,
            expires_on,
            refresh_on,
            scopes: vec![resource.to_owned()],
            tenant: None,
            endpoint: issued.endpoint,
            region: RegionDetails::default(),
            response_parameters: Vec::new(),
            certificate: None,
        })
    }

    /// Sections 5.10 and 5.11: the token over mTLS; a certificate that is rejected is replaced once.
    fn fetch_bound(
        &self,
        core: &Core,
        caches: &Caches,
        imds: &Imds,
        request: &TokenRequest,
        reason: CacheRefreshReason,
        call: &Call,
    ) -> Result<AccessToken> {
        let scope = format!("{}/.default", resource_of(request)?.trim_end_matches('/'));
        let ask = |binding: &Binding| self.ask(core, binding, &scope, request, reason, call);
        let binding = self.binding(core, caches, imds, None, call)?;
        let error = match ask(&binding) {
            Err(error) => error,
            token => return token,
        };
        if !blames_certificate(&error, &binding, core.clock.now()) {
            return Err(error);
        }
        core.log.warn("managed_identity", || {
            format!("the binding certificate may have been rejected ({}), getting a new one", error.code())
        });
        let next = match self.binding(core, caches, imds, Some(&binding), call) {
            Ok(next) => next,
            Err(minting) => return Err(error.context(&format!("no new certificate either ({minting})"))),
        };
        let token = ask(&next)?;
        // Only now is it clear that it was the certificate: until then its tokens stay in use.
        caches.tokens.remove_bound_to(binding.certificate.x5t_s256());
        Ok(token)
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
        let mut url = binding.endpoint.clone();
        url.set_path(&format!("{}/oauth2/v2.0/token", binding.endpoint.path().trim_end_matches('/')));
        let claims = merge_claims(request.claims(), None, &core.client_capabilities)?;
        let form = [
            ("client_id", binding.client_id.as_str()),
            ("scope", scope),
            ("claims", claims.as_deref().unwrap_or_default()),
            ("grant_type", "client_credentials"),
            ("token_type", "mtls_pop"),
        ];
        let telemetry = Telemetry::new(self.api(), reason, TokenType::MtlsPop);
        let post = TokenPost {
            endpoint: &url,
            form: &form,
            expected: TokenType::MtlsPop,
            telemetry: &telemetry,
            extra_headers: &[],
        };
        let client = core.pool.for_certificate(&binding.certificate)?;
        let answer = request_token(&client, &post, call)?;
        let (expires_on, refresh_on) = core.times(&answer);
        Ok(AccessToken {
            authorization: AccessToken::authorization(TokenType::MtlsPop, &answer.access_token),
            token_type: TokenType::MtlsPop,
            expires_on,
            refresh_on,
            scopes: vec![resource_of(request)?.to_owned()],
            tenant: Some(binding.tenant_id.clone()),
            endpoint: url.into(),
            region: RegionDetails::default(),
            response_parameters: answer.response_parameters,
            certificate: Some(binding.certificate.clone()),
        })
    }

    /// The certificate of this identity: the one in use, unless that is `rejected`, or a new one.
    fn binding(
        &self,
        core: &Core,
        caches: &Caches,
        imds: &Imds,
        rejected: Option<&Arc<Binding>>,
        call: &Call,
    ) -> Result<Arc<Binding>> {
        let name = format!("{} {}", imds.cache_name(), self.id.cache_name());
        let known = |binding: Option<Arc<Binding>>, wanted: Lifetime| {
            binding
                .filter(|b| rejected.is_none_or(|rejected| !Arc::ptr_eq(b, rejected)))
                .filter(|b| lifetime(&b.certificate, core.clock.now()) == wanted)
        };
        let usable = |binding| known(binding, Lifetime::Fresh);
        if let Some(binding) = usable(caches.bindings.of_name(&name)) {
            return Ok(binding);
        }
        let ending = known(caches.bindings.of_name(&name), Lifetime::RenewFirst);
        let renewal = match &ending {
            // Another caller is trying, or has just failed.
            Some(ending) if !caches.bindings.claim_renewal(unix_seconds(core.clock.now())) => {
                return Ok(ending.clone());
            }
            // A host that does not answer must leave time for the certificate in use.
            Some(_) => call.limited(call.remaining().map_or(RENEWAL_TIME, |left| RENEWAL_TIME.min(left / 2))),
            None => call.clone(),
        };
        let minted = caches.bindings.name_once(
            &name,
            &renewal,
            || usable(caches.bindings.of_name(&name)),
            || {
                let client = core.pool.direct()?;
                let metadata = imds_v2::platform_metadata(imds, &client, &self.id, &renewal)?;
                let identity = format!("{} {}", imds.cache_name(), metadata.client_id);
                caches.bindings.name(&name, &identity);
                let present = || usable(caches.bindings.of_identity(&identity));
                caches.bindings.mint_once(&identity, &renewal, present, || {
                    let again = rejected.is_some();
                    let minted =
                        Arc::new(imds_v2::mint(imds, &client, &self.id, &metadata, again, &renewal)?);
                    caches.bindings.put(&identity, minted.clone());
                    Ok(minted)
                })
            },
        );
        match (minted, ending) {
            (Err(error), Some(ending)) if call.check().is_ok() => {
                core.log.warn("managed_identity", || {
                    format!(
                        "renewal failed ({}), the certificate in use has less than a day left",
                        error.code()
                    )
                });
                Ok(ending)
            }
            (minted, _) => minted,
        }
    }
}

/// What a renewal may take while there still is a certificate to use.
const RENEWAL_TIME: Duration = Duration::from_secs(30);

/// A certificate is not suspected in its first minutes: a service that resets every connection would
/// otherwise cost a new key and certificate for each call.
const ABOVE_SUSPICION: Duration = Duration::from_secs(5 * 60);

/// Whether another certificate may help: the service said so, TLS did, or the connection broke after
/// the certificate had been sent.
fn blames_certificate(error: &Error, binding: &Binding, now: SystemTime) -> bool {
    let age = now.duration_since(binding.minted).unwrap_or_default();
    match error.transport() {
        Some(TransportFailure::ClientCertificate) => true,
        Some(TransportFailure::Reset) => age >= ABOVE_SUSPICION,
        _ => error.code().eq_ignore_ascii_case("invalid_client"),
    }
}

/// The one resource of a request, without the `/.default` that scopes end in (section 2.3).
fn resource_of(request: &TokenRequest) -> Result<&str> {
    match request.scopes() {
        [one] => Ok(one.strip_suffix("/.default").unwrap_or(one)),
        _ => Err(Error::argument(
            "a managed identity request names exactly one resource, for example https://graph.microsoft.com/",
        )),
    }
}
