//! Tokens for an app registration: credential, endpoint, request (confidential_client spec, 2 to 4).

use super::{Core, TokenRequest};
use crate::authority::{Authority, Resolver};
use crate::credential::{Ask, Credential, Proof};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::Call;
use crate::token::{AccessToken, KeyBuilder, TokenType, request_token};

/// An app registration and how it proves itself.
pub(super) struct ConfidentialClient {
    client_id: String,
    authority: Authority,
    resolver: Resolver,
    credential: Credential,
}

impl ConfidentialClient {
    pub(super) fn new(
        client_id: String,
        authority: Authority,
        resolver: Resolver,
        credential: Option<Credential>,
    ) -> Result<Self> {
        if client_id.trim().is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "no_client_id", "the client id is empty"));
        }
        let credential = credential.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                "Client_Credentials_Required_In_Confidential_Client_Application",
                "no credential: give the app a certificate, a secret or an assertion callback",
            )
        })?;
        Ok(Self { client_id, authority, resolver, credential })
    }

    /// What makes its tokens different from others'. The certificate is part of it where it is the
    /// app's own; one that a callback returns comes with the cached token.
    pub(super) fn cache_key(&self, key: KeyBuilder, request: &TokenRequest) -> KeyBuilder {
        let bound = request.token_type() == TokenType::MtlsPop;
        let certificate = self.credential.static_certificate().filter(|_| bound);
        key.part("client", &self.client_id)
            .part("environment", self.authority.environment())
            .part("tenant", self.authority.tenant().unwrap_or_default())
            .part("x5t#S256", certificate.map_or("", |certificate| certificate.x5t_s256()))
            .scopes(request.scopes())
    }

    /// Asks the token service.
    pub(super) fn fetch(&self, core: &Core, request: &TokenRequest, call: &Call) -> Result<AccessToken> {
        let token_type = request.token_type();
        let bound = token_type == TokenType::MtlsPop;
        self.credential.check(token_type)?;
        if bound {
            self.authority.require_tenant_for_pop()?;
        }
        let mut endpoint = self.resolver.resolve(&self.authority, bound, &core.pool, call)?;
        let canonical = self.authority.canonical();
        let ask = Ask {
            client_id: &self.client_id,
            tenant: self.authority.tenant(),
            authority: &canonical,
            token_endpoint: &endpoint.url,
            token_type,
            claims: request.claims(),
            sha2: self.authority.supports_sha2_assertions(),
        };
        let proof = self.credential.prove(&ask, call)?;
        if proof.certificate.is_some() && !bound {
            // A bound assertion travels over mTLS, also for a Bearer token (section 3.3).
            endpoint = self.resolver.resolve(&self.authority, true, &core.pool, call)?;
        }
        let client = match &proof.certificate {
            Some(certificate) => core.pool.for_certificate(certificate)?,
            None => core.pool.plain()?,
        };
        let scope = request.scopes().join(" ");
        let form = form(&self.client_id, &scope, request, &proof);
        let answer = request_token(&client, &endpoint.url, &form, token_type, call)
            .map_err(|error| self.authority.advise(error))?;
        let (expires_on, refresh_on) = core.times(&answer);
        let granted = answer.scope.unwrap_or(scope);
        Ok(AccessToken {
            authorization: AccessToken::authorization(token_type, &answer.access_token),
            token_type,
            expires_on,
            refresh_on,
            scopes: granted.split_whitespace().map(str::to_owned).collect(),
            tenant: self.authority.tenant().map(str::to_owned),
            endpoint: endpoint.url.into(),
            region: endpoint.region.used.map(|region| region.as_str().to_owned()),
            certificate: proof.certificate.filter(|_| bound),
        })
    }
}

/// The body of the request: the matrix of section 4.1.
fn form<'a>(
    client_id: &'a str,
    scope: &'a str,
    request: &'a TokenRequest,
    proof: &'a Proof,
) -> Vec<(&'static str, &'a str)> {
    let mut form = vec![("client_id", client_id)];
    if let Some((kind, assertion)) = &proof.client_assertion {
        form.push(("client_assertion_type", kind));
        form.push(("client_assertion", assertion.expose()));
    }
    if let Some(secret) = &proof.client_secret {
        form.push(("client_secret", secret.expose()));
    }
    form.push(("scope", scope));
    form.push(("grant_type", "client_credentials"));
    form.push(("client_info", "2"));
    if request.token_type() == TokenType::MtlsPop {
        form.push(("token_type", "mtls_pop"));
    }
    form.push(("claims", request.claims().unwrap_or_default()));
    form
}
