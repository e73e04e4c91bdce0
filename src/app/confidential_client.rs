//! Tokens for an app registration: credential, endpoint, request (confidential_client spec, 2 to 4).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::TokenRequest;
use super::caches::Caches;
use super::core::Core;
use super::parameters::Parameters;
use crate::authority::{Authority, Endpoint, Region, Resolver};
use crate::binding::Certificate;
use crate::credential::{Ask, Credential, Proof, SignedAssertions};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Pool, TokenProxy, add_query};
use crate::key::MtlsBindingStrength;
use crate::runtime::Call;
use crate::token::{
    AccessToken, Api, CacheRefreshReason, CallerSdk, KeyBuilder, Origin, Partition, Telemetry, Texts,
    TokenPost, TokenResponse, TokenType, merge_claims, request_token,
};

/// An app registration and how it proves itself.
pub(super) struct ConfidentialClient {
    settings: Settings,
    credential: Credential,
    assertions: SignedAssertions,
}

/// What an app registration is made from, besides its credential.
pub(super) struct Settings {
    pub(super) client_id: String,
    pub(super) authority: Authority,
    pub(super) resolver: Resolver,
    /// Asked for tokens in the place of the authority.
    pub(super) token_proxy: Option<TokenProxy>,
    /// The certificate is presented in TLS for Bearer tokens, too (section 4.5).
    pub(super) send_certificate_over_mtls: bool,
    /// For every request; those of a request come on top.
    pub(super) parameters: Parameters,
}

impl ConfidentialClient {
    pub(super) fn new(settings: Settings, credential: Option<Credential>) -> Result<Self> {
        if settings.client_id.trim().is_empty() {
            return Err(invalid("no_client_id", "the client id is empty"));
        }
        let Some(credential) = credential else {
            return Err(invalid(
                "Client_Credentials_Required_In_Confidential_Client_Application",
                "no credential: give the app a certificate, a secret, an assertion callback or a federated token file",
            ));
        };
        if let Credential::Secret(secret) = &credential
            && secret.expose().trim().is_empty()
        {
            return Err(Error::argument("the client secret is empty"));
        }
        if settings.send_certificate_over_mtls && !credential.is_certificate() {
            return Err(invalid(
                "invalid_credential_material",
                "sending the certificate over mTLS needs a certificate as the credential",
            ));
        }
        settings.parameters.check()?;
        Ok(Self { settings, credential, assertions: SignedAssertions::new() })
    }

    /// What makes its tokens different from others', but for the scopes. The certificate is part of it where it is the
    /// app's own; one that a callback returns comes with the cached token, and is no other app's.
    ///
    /// Refuses what cannot work, so that this is found out before the cache is asked.
    pub(super) fn cache_key(
        &self,
        core: &Core,
        key: KeyBuilder,
        request: &TokenRequest,
    ) -> Result<KeyBuilder> {
        if request.is_over_mtls() && request.token_type() == TokenType::Bearer {
            return Err(Error::argument(
                "a request over mTLS is for managed identities: have the app send its certificate over mTLS \
                 (send_certificate_over_mtls)",
            ));
        }
        if request.min_strength() > MtlsBindingStrength::None {
            return Err(Error::argument(
                "a minimum strength is for managed identities: the certificate of a confidential client is its own",
            ));
        }
        let authority = self.authority(request)?;
        let client = request.client();
        let bound = request.token_type() == TokenType::MtlsPop;
        self.credential.check(request.token_type(), client.extra_client_assertion_claims.as_deref())?;
        if bound {
            authority.require_tenant_for_pop()?;
        }
        let certificate = match self.credential.static_certificate() {
            _ if !bound => String::new(),
            // The token brings its certificate: a key that can be exported is not for an app whose own cannot.
            Some(certificate) if certificate.key().calls_back() => {
                format!("{} with a key elsewhere", certificate.x5t_s256())
            }
            Some(certificate) if certificate.key().in_tpm().is_some() => {
                format!("{} with a key in a TPM", certificate.x5t_s256())
            }
            Some(certificate) => certificate.x5t_s256().to_owned(),
            None => format!("of app {}", core.number),
        };
        let mut key = key
            .component("client", &self.settings.client_id)
            .component("environment", authority.environment())
            .component("tenant", authority.tenant().unwrap_or_default())
            .component("x5t#S256", &certificate)
            .component("fmi_path", client.fmi_path.as_deref().unwrap_or_default())
            .component("credential_fmi_path", client.client_assertion_fmi_path.as_deref().unwrap_or_default())
            .component("client_claims", client.claims_from_client.as_deref().unwrap_or_default())
            .component(
                "extra_client_assertion_claims",
                client.extra_client_assertion_claims.as_deref().unwrap_or_default(),
            );
        key = self.settings.parameters.overlaid(&client.parameters).cache_key(key);
        for (name, value) in &client.cache_partition_keys {
            key = key.component(&format!("partition {name}"), value);
        }
        Ok(key)
    }

    /// Where a store keeps the tokens of `request`, and the certificate that bound ones there must be
    /// bound to. `None` where that certificate comes from a callback: nobody else could use the token.
    pub(super) fn partition(
        &self,
        key: &KeyBuilder,
        request: &TokenRequest,
    ) -> Result<Option<(Partition, Option<Certificate>)>> {
        let authority = self.authority(request)?;
        let certificate = match (request.token_type(), self.credential.static_certificate()) {
            (TokenType::Bearer, _) => None,
            (TokenType::MtlsPop, None) => return Ok(None),
            (TokenType::MtlsPop, certificate) => certificate.cloned(),
        };
        let key_id = certificate.as_ref().map_or("", Certificate::x5t_s256);
        let tenant = authority.tenant().unwrap_or_default();
        Ok(Some((key.partition(key_id, &self.settings.client_id, tenant), certificate)))
    }

    /// Asks the token service.
    pub(super) fn fetch(
        &self,
        core: &Core,
        caches: &Caches,
        request: &TokenRequest,
        reason: CacheRefreshReason,
        call: &Call,
    ) -> Result<AccessToken> {
        let authority = self.authority(request)?;
        let bound = request.token_type() == TokenType::MtlsPop;
        let mtls = bound || self.settings.send_certificate_over_mtls;
        let mut endpoint = self.settings.resolver.resolve(&authority, mtls, &core.pool, call)?;
        if let Some(proxy) = &self.settings.token_proxy {
            endpoint.url = proxy.endpoint(&endpoint.url);
        }
        let scope = request.scopes().join(" ");
        let spared = |endpoint: &Endpoint| {
            let tenant = authority.tenant().unwrap_or_default();
            core.spared(&self.settings.client_id, tenant, endpoint.url.as_str(), &scope)
        };
        spared(&endpoint).check().map_err(|error| endpoint.told_by(error))?;
        let serialized = caches.tokens.store().is_some();
        let attempt = Attempt {
            client: self,
            core,
            serialized,
            request,
            authority: &authority,
            scope: &scope,
            reason,
            call,
        };
        let proof = attempt.prove(&endpoint.url).map_err(|error| endpoint.told_by(error))?;
        if proof.certificate.is_some() && !mtls {
            // A bound assertion travels over mTLS, also for a Bearer token (section 3.3).
            endpoint = self.settings.resolver.resolve(&authority, true, &core.pool, call)?;
            spared(&endpoint).check().map_err(|error| endpoint.told_by(error))?;
        }
        let answer = attempt.ask(&endpoint, &proof).map_err(|error| {
            spared(&endpoint).note(&error, Duration::ZERO);
            if error.code() == "invalid_client" {
                self.assertions.clear();
            }
            endpoint.told_by(error)
        })?;
        let (received_on, expires_on, refresh_on) = core.times(&answer);
        let granted: Vec<_> = answer.scope.as_ref().unwrap_or(&scope).split_whitespace().collect();
        let certificate = proof.certificate.filter(|_| bound);
        if certificate.is_some() != bound {
            return Err(Error::internal("a bound token was asked for without a certificate"));
        }
        Ok(AccessToken {
            texts: Texts::new(request.token_type(), &answer.access_token, &granted.join(" ")),
            received_on,
            refresh_on,
            expires_on,
            origin: Arc::new(Origin {
                tenant: authority.tenant().map(str::to_owned),
                endpoint: endpoint.url.into(),
                region: endpoint.region,
                response_parameters: answer.response_parameters,
                tls: answer.tls,
            }),
            certificate,
        })
    }

    /// Whom `request` leads to: where the authority says who the tenant is, the token endpoint, and the certificate that
    /// is shown there.
    pub(super) fn servers(
        &self,
        request: &TokenRequest,
        bound: bool,
        pool: &Pool,
        call: &Call,
    ) -> Result<(Option<Url>, Endpoint, Option<&Certificate>)> {
        let authority = self.authority(request)?;
        let mtls = bound || self.settings.send_certificate_over_mtls;
        let endpoint = self.settings.resolver.resolve(&authority, mtls, pool, call)?;
        let certificate = self.credential.static_certificate().filter(|_| mtls);
        Ok((authority.tenant_configuration(), endpoint, certificate))
    }

    /// Who calls, according to the query parameters that say so.
    pub(super) fn caller<'a>(&'a self, request: &'a TokenRequest) -> CallerSdk<'a> {
        request.client().parameters.caller(self.settings.parameters.caller(CallerSdk::default()))
    }

    /// The authority of `request`: the app's, or what the request puts in its place (section 1.4).
    fn authority(&self, request: &TokenRequest) -> Result<Cow<'_, Authority>> {
        let own = &self.settings.authority;
        let client = request.client();
        let authority = match &client.authority {
            Some(other) => {
                Cow::Owned(own.overridden_by(&own.parse_other(other)?, self.settings.resolver.has_region())?)
            }
            None => Cow::Borrowed(own),
        };
        match &client.tenant_id {
            Some(tenant) => authority.with_tenant(tenant).map(Cow::Owned),
            None => Ok(authority),
        }
    }
}

fn invalid(code: &str, message: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, code, message)
}

/// One network request for one token.
struct Attempt<'a> {
    client: &'a ConfidentialClient,
    core: &'a Core,
    /// The token cache has a store.
    serialized: bool,
    request: &'a TokenRequest,
    authority: &'a Authority,
    scope: &'a str,
    reason: CacheRefreshReason,
    call: &'a Call,
}

impl Attempt<'_> {
    fn prove(&self, endpoint: &Url) -> Result<Proof> {
        let (settings, options) = (&self.client.settings, self.request.client());
        let canonical = self.authority.canonical();
        let ask = Ask {
            client_id: &settings.client_id,
            tenant: self.authority.tenant(),
            authority: &canonical,
            token_endpoint: endpoint,
            token_type: self.request.token_type(),
            claims: self.request.claims(),
            client_capabilities: &self.core.client_capabilities,
            assertion_fmi_path: options.client_assertion_fmi_path.as_deref(),
            extra_assertion_claims: options.extra_client_assertion_claims.as_deref(),
            sha2: self.authority.supports_sha2_assertions(),
            over_mtls: settings.send_certificate_over_mtls,
            send_x5c: options.send_x5c,
        };
        self.client.credential.prove(&ask, &self.client.assertions, self.call)
    }

    fn ask(&self, endpoint: &Endpoint, proof: &Proof) -> Result<TokenResponse> {
        let (settings, options) = (&self.client.settings, self.request.client());
        let parameters = settings.parameters.overlaid(&options.parameters);
        let capabilities = &self.core.client_capabilities;
        let claims =
            merge_claims(self.request.claims(), options.claims_from_client.as_deref(), capabilities)?;
        let claims = claims.as_deref().unwrap_or_default();
        let mut form = form(&settings.client_id, self.scope, claims, self.request, proof);
        form.extend(parameters.body());
        let mut url = endpoint.url.clone();
        add_query(&mut url, &parameters.query());
        let region = &endpoint.region;
        let telemetry = Telemetry {
            region: region.used.as_ref().map_or("", Region::as_str),
            region_source: Some(region.source as i32).filter(|number| *number != 0),
            region_outcome: Some(region.outcome as i32).filter(|number| *number != 0),
            serialized: self.serialized,
            caller: self.client.caller(self.request),
            ..Telemetry::new(Api::AcquireTokenForClient, self.reason, self.request.token_type())
        };
        let post = TokenPost {
            endpoint: &url,
            form: &form,
            expected: self.request.token_type(),
            telemetry: &telemetry,
            extra_headers: parameters.headers(),
        };
        let connections = match (&settings.token_proxy, &proof.certificate) {
            (Some(proxy), _) => self.core.pool.token_proxy(proxy)?,
            (None, Some(certificate)) => self.core.pool.for_certificate(certificate)?,
            (None, None) => self.core.pool.plain()?,
        };
        let answer = request_token(&connections, &post, self.call);
        answer.map_err(|error| match &settings.token_proxy {
            None => self.authority.advise(error),
            Some(proxy) if error.aadsts_codes().is_empty() => proxy.explain(error),
            // What it has from Entra.
            Some(_) => error,
        })
    }
}

/// The body of the request: the matrix of section 4.1. Empty values are not sent.
fn form<'a>(
    client_id: &'a str,
    scope: &'a str,
    claims: &'a str,
    request: &'a TokenRequest,
    proof: &'a Proof,
) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![("client_id", client_id)];
    if let Some((kind, assertion)) = &proof.client_assertion {
        form.push(("client_assertion_type", kind));
        form.push(("client_assertion", assertion.expose()));
    }
    if let Some(secret) = &proof.client_secret {
        form.push(("client_secret", secret.expose()));
    }
    form.push(("scope", scope));
    form.push(("claims", claims));
    form.push(("grant_type", "client_credentials"));
    form.push(("client_info", "2"));
    if request.token_type() == TokenType::MtlsPop {
        form.push(("token_type", "mtls_pop"));
    }
    form.push(("fmi_path", request.client().fmi_path.as_deref().unwrap_or_default()));
    form
}
