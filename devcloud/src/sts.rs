//! The security token service: one flow from the POST to the token, judged the way Entra judges.

mod asked;
mod assertion;
mod binding;
mod discovery;
mod federation;
mod refusal;
mod site;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::directory::{Client, Tenant};
use crate::exchange::{Answer, Pairs, Request, new_id};
use crate::hosts::Service;
use crate::issuer::Grant;
use crate::jwt::Token;
use crate::registry::Resource;

pub(crate) use asked::Sts;
use asked::{TokenRequest, tenant};
use binding::Binding;
use refusal::{Refusal, malformed};
use site::Site;

/// `expires_in` of every token, unless the owner of the cloud says another.
const EXPIRES_IN: i64 = 3599;
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_POP: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-pop";

impl Sts {
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let answer = match (request.method, Site::of(request)) {
            ("POST", Some(site)) => match token(self, request, site) {
                Ok(body) => Answer::json(200, &body),
                Err(refusal) => refusal.answer(request, self.clock.now()),
            },
            ("GET", _) => discovery::answer(self, request),
            _ => Answer::not_found(request),
        };
        let answer = answer.header("cache-control", "no-store, no-cache").header("x-ms-request-id", new_id());
        match request.header("client-request-id") {
            Some(id) => answer.header("client-request-id", id),
            None => answer,
        }
    }
}

fn token(sts: &Sts, request: &Request<'_>, site: Site<'_>) -> Result<Value, Refusal> {
    let form = form(request)?;
    let tenant = site.tenant.map_or(Ok(Tenant::home()), |name| tenant(sts, name))?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(other) => {
            let text = format!("The app requested an unsupported grant type '{other}'.");
            return Err(Refusal::new("unsupported_grant_type", 70003, text));
        }
        None => return Err(missing("grant_type")),
    }
    let basic = basic(request)?;
    let basic = basic.as_ref().map(|(id, secret)| (id.as_str(), secret.as_str()));
    let client_id = match (form.get("client_id"), basic) {
        (Some(client_id), Some((id, _))) if client_id != id => {
            return Err(malformed("The client_id is another one than that of the Authorization header."));
        }
        (client_id, basic) => client_id.or(basic.map(|(id, _)| id)).ok_or_else(|| missing("client_id"))?,
    };
    let secret = match (form.get("client_secret"), basic) {
        (Some(_), Some(_)) => {
            return Err(malformed(
                "Present the secret in the body or in the Authorization header, not in both.",
            ));
        }
        (secret, basic) => secret.or(basic.map(|(_, secret)| secret)),
    };
    let client = Client::find(tenant, client_id).ok_or_else(|| {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen if the \
             application has not been installed by the administrator of the tenant.",
            tenant.domain
        );
        Refusal::new("unauthorized_client", 700016, text)
    })?;
    let resource = resource(sts, form.get("scope"))?;
    let claims = claims(form.get("claims"))?;
    let bound = match form.get("token_type") {
        None => false,
        Some("mtls_pop") => true,
        Some(other) if other.eq_ignore_ascii_case("bearer") => false,
        Some(other) => {
            return Err(malformed(format!("The token_type '{other}' is not supported.")));
        }
    };
    let endpoint = format!("https://{}{}", request.host, request.path);
    let asked = TokenRequest {
        form: &form,
        secret,
        client,
        tenant,
        bound,
        endpoint: &endpoint,
        host: request.host,
        in_cluster: request.connection.service == Service::TokenProxy,
        rs256: site.rs256,
    };
    let bound_to = authenticate(sts, request, &asked)?;
    if bound && !resource.mtls_pop {
        let text = "The resource application does not support certificate-bound token. Please set token_type to 'bearer'.";
        return Err(Refusal::new("invalid_request", 392_196, text));
    }

    let grant = Grant {
        tenant,
        client,
        audience: &resource.audience,
        resource: &resource,
        by_secret: secret.is_some(),
        bound_to: bound_to.as_deref(),
        claims: claims.as_ref(),
        form: Some(&form),
        lifetime: sts.issuer.lifetime(EXPIRES_IN),
    };
    let token = sts
        .issuer
        .access_token(&grant, request.fault)
        .map_err(|text| Refusal::new("server_error", 90033, text))?;
    let mut answer = json!({
        "token_type": if bound { "mtls_pop" } else { "Bearer" },
        "expires_in": grant.lifetime,
        "ext_expires_in": grant.lifetime,
        "access_token": token,
    });
    if let Some(seconds) = sts.refresh_in {
        answer["refresh_in"] = json!(seconds);
    }
    // With 1 Entra tells about users, and an app is none: MSAL for Python relies on that to find its tokens again.
    if let Some("2") = form.get("client_info") {
        answer["client_info"] = json!(client_info(client, tenant));
    }
    Ok(answer)
}

/// Who the client is, for the client: base64url of JSON. Real ones have members of other names as well.
fn client_info(client: Client, tenant: &Tenant) -> String {
    let info = json!({ "uid": client.object_id(), "utid": tenant.id, "xms_devcloud": "demo" });
    URL_SAFE_NO_PAD.encode(info.to_string())
}

/// Lets the client in, or does not. Returns the certificate that the token is to be bound to.
fn authenticate(
    sts: &Sts,
    request: &Request<'_>,
    asked: &TokenRequest<'_>,
) -> Result<Option<String>, Refusal> {
    let secret = asked.secret;
    let assertion = asked.form.get("client_assertion");
    let kind = asked.form.get("client_assertion_type");
    if asked.in_cluster && (secret.is_some() || kind != Some(JWT_BEARER)) {
        return Err(malformed("The token proxy of the cluster takes the tokens of its pods only."));
    }
    if secret.is_some() && assertion.is_some() {
        return Err(malformed("Present a client_secret or a client_assertion, not both."));
    }
    let binding = match request.connection.service {
        Service::Mtlsauth => Some(Binding::of(sts, request)?),
        Service::Authority if request.client_certificate().is_some() => Some(Binding::of(sts, request)?),
        _ if asked.bound => {
            return Err(malformed(
                "An mtls_pop token is issued over mutual TLS only; Entra does that at its mtlsauth endpoint.",
            ));
        }
        _ => None,
    };
    match (&binding, secret, assertion) {
        (None, Some(secret), _) => judge_secret(asked.client, secret)?,
        (Some(_), Some(_), _) => {
            return Err(malformed("A client_secret is not accepted over mutual TLS."));
        }
        (_, None, Some(assertion)) => match (kind, &binding) {
            (None, _) => return Err(missing("client_assertion_type")),
            (Some(JWT_BEARER), Some(_)) if asked.bound => {
                return Err(malformed(
                    "With token_type=mtls_pop the certificate of the TLS connection authenticates the client; a \
                     client_assertion of type jwt-bearer is not accepted beside it.",
                ));
            }
            (Some(JWT_BEARER), _) => judge_bearer_assertion(sts, asked, assertion, binding.as_ref())?,
            (Some(JWT_POP), Some(binding)) => federation::judge(sts, asked, assertion, Some(binding), true)?,
            (Some(JWT_POP), None) => {
                return Err(malformed(
                    "A client_assertion of type jwt-pop is accepted over mutual TLS only.",
                ));
            }
            (Some(other), _) => {
                return Err(malformed(format!("The client_assertion_type '{other}' is not supported.")));
            }
        },
        (Some(binding), None, None) => {
            binding.judge_trust(sts, asked.client)?;
            let enabled = match asked.client {
                // It may have a Bearer token, if it says so.
                Client::ManagedIdentity(_) => asked.form.get("token_type").is_some(),
                Client::App(_) | Client::Agent(_) => asked.bound,
            };
            if !enabled {
                let text = "The application is not enabled for bearer tokens over mutual TLS; ask for token_type=mtls_pop.";
                return Err(Refusal::new("invalid_request", 51000, text));
            }
        }
        (None, None, None) => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return Err(Refusal::new("invalid_client", 7000218, text));
        }
    }
    Ok(binding.filter(|_| asked.bound).map(|binding| binding.thumbprint))
}

/// An assertion of type jwt-bearer is the client's own, signed with its certificate, or a federated one.
fn judge_bearer_assertion(
    sts: &Sts,
    asked: &TokenRequest<'_>,
    assertion: &str,
    binding: Option<&Binding<'_>>,
) -> Result<(), Refusal> {
    let token = Token::parse(assertion).map_err(refusal::malformed_assertion)?;
    let own = token.text("iss").is_some_and(|issuer| issuer.eq_ignore_ascii_case(asked.client.client_id()));
    if own {
        assertion::judge(sts, asked, &token, binding)
    } else {
        federation::judge(sts, asked, assertion, binding, false)
    }
}

fn judge_secret(client: Client, secret: &str) -> Result<(), Refusal> {
    let Client::App(app) = client else {
        return Err(Refusal::new("invalid_client", 7000218, "Only an application has a client secret."));
    };
    if app.secret == Some(secret) {
        return Ok(());
    }
    let text = format!(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
         the client secret ID, for a secret added to app '{}'.",
        app.client_id
    );
    Err(Refusal::new("invalid_client", 7000215, text))
}

/// Client id and secret by HTTP Basic, each form-encoded (RFC 6749, 2.3.1), which Entra's metadata lists.
fn basic(request: &Request<'_>) -> Result<Option<(String, String)>, Refusal> {
    let Some(credentials) = request.header("authorization").and_then(|value| value.strip_prefix("Basic "))
    else {
        return Ok(None);
    };
    let decoded = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (id, secret) = pair.ok_or_else(|| malformed("The Authorization header is no Basic credentials."))?;
    let decode = |text: &str| {
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
    };
    Ok(Some((decode(id), decode(secret))))
}

fn form(request: &Request<'_>) -> Result<Pairs, Refusal> {
    if !request.is_form() {
        return Err(Refusal::new(
            "invalid_request",
            900144,
            "The body must be application/x-www-form-urlencoded.",
        ));
    }
    let form = request.form();
    match form.repeated() {
        Some(name) => Err(malformed(format!("The parameter '{name}' is repeated."))),
        None => Ok(form),
    }
}

fn resource(sts: &Sts, scope: Option<&str>) -> Result<Resource, Refusal> {
    let scope = scope.ok_or_else(|| missing("scope"))?;
    let Some(name) = scope.strip_suffix("/.default").filter(|_| !scope.contains(' ')) else {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
             /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(Refusal::new("invalid_scope", 1002012, text));
    };
    sts.registry.find(name).ok_or_else(|| {
        let text = format!("The resource principal named {name} was not found in the tenant named devcloud.");
        Refusal::new("invalid_resource", 500011, text)
    })
}

fn claims(text: Option<&str>) -> Result<Option<Value>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    match serde_json::from_str::<Value>(text) {
        Ok(claims) if claims.is_object() => Ok(Some(claims)),
        _ => Err(malformed("The claims parameter is not a JSON object.")),
    }
}

fn missing(parameter: &str) -> Refusal {
    let text = format!("The request body must contain the following parameter: '{parameter}'.");
    Refusal::new("invalid_request", 900144, text)
}
