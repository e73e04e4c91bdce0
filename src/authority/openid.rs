//! OpenID providers: where their token endpoint is, and whether they are who they say (confidential_client spec, 1.1).

use std::time::SystemTime;

use serde::Deserialize;
use url::Url;

use super::cloud::Cloud;
use super::parse::{Authority, AuthorityKind};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Policy, Refusal, Request, Response, https_url, retry_after, send_with_retry};
use crate::runtime::Call;

#[derive(Deserialize)]
struct Configuration {
    issuer: Option<String>,
    token_endpoint: Option<String>,
}

impl Authority {
    /// Adds what to try where a provider that may be Entra refuses in a way which says that its
    /// authority was cut short, and the audience of this cloud where another one was refused.
    pub(crate) fn advise(&self, error: Error) -> Error {
        let error = self.name_audience(error);
        let wants_path = error.aadsts_codes().iter().any(|code| matches!(code, 500_207 | 900_144));
        if self.kind != AuthorityKind::Generic || !wants_path || self.path.ends_with("/v2.0") {
            return error;
        }
        error.context("the OIDC authority may need /v2.0 at its end")
    }
}

impl Authority {
    /// Where Entra says who a tenant is, or that there is none of this name.
    pub(crate) fn tenant_configuration(&self) -> Option<Url> {
        let text = format!("{}v2.0/.well-known/openid-configuration", self.canonical());
        Url::parse(&text).ok().filter(|_| self.kind == AuthorityKind::Aad)
    }
}

/// Asks the provider for its configuration.
pub(super) fn token_endpoint(authority: &Authority, client: &Client, call: &Call) -> Result<Url> {
    let url = configuration_url(authority)?;
    let request = Request::get(&url).identified(call);
    let response = match send_with_retry(client, &request, call, Policy::Sts) {
        Ok(response) => response,
        Err(error) => {
            let end = call.end(&error);
            return Err(
                end.unwrap_or_else(|| error.with_code("oidc_failure").context("no OpenID configuration"))
            );
        }
    };
    read(authority, &response, call.clock.now())
}

/// The query of the authority belongs to the request.
fn configuration_url(authority: &Authority) -> Result<Url> {
    let mut url = Url::parse(&authority.canonical())
        .map_err(|error| Error::internal(format!("authority {}: {error}", authority.canonical())))?;
    let path = format!("{}/.well-known/openid-configuration", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn read(authority: &Authority, response: &Response, now: SystemTime) -> Result<Url> {
    let failed = |why: &str| {
        let message = format!("the OpenID configuration of {} {why}", authority.canonical());
        Error::new(ErrorKind::InvalidResponse, "oidc_failure", message).with_http_status(response.status)
    };
    if response.status != 200 {
        let refusal = Refusal::read(response);
        let why =
            format!("was answered with HTTP {}: {}; check the authority", response.status, refusal.said());
        let error = failed(&why)
            .with_kind(Refusal::kind(response.status))
            .with_retry_after(retry_after(response, now))
            .with_retryable(matches!(response.status, 408 | 429 | 500..));
        return Err(refusal.details(error));
    }
    let configuration = response.json().map_err(|_| failed("is not the JSON expected"));
    configuration
        .and_then(|configuration| endpoint_in(configuration, authority, failed))
        .map_err(|error| Refusal::explain(error, response))
}

fn endpoint_in(
    configuration: Configuration,
    authority: &Authority,
    failed: impl Fn(&str) -> Error,
) -> Result<Url> {
    let issuer = configuration.issuer.unwrap_or_default();
    if !is_issuer_of(authority, &issuer) {
        let shown: String = issuer.chars().take(200).collect();
        let message = format!(
            "the issuer {shown:?} in the OpenID configuration is not the authority's, {}: check the authority",
            authority.canonical()
        );
        return Err(Error::new(ErrorKind::InvalidResponse, "authority_validation_failed", message));
    }
    let endpoint = configuration.token_endpoint.ok_or_else(|| failed("names no token_endpoint"))?;
    https_url(&endpoint).ok_or_else(|| failed("names a token_endpoint that is not an https URL"))
}

/// The same host, Entra by one of its names or a regional one, or the CIAM tenant that the authority
/// names. Entra's test cloud vouches for nobody.
fn is_issuer_of(authority: &Authority, issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let Some(host) = url.host_str().filter(|_| url.scheme() == "https") else { return false };
    let without_region = host.split_once('.').map_or("", |(_, rest)| rest);
    let is_entra = |host| Cloud::of_host(host).is_some_and(|cloud| !cloud.is_test());
    host == authority.host || is_entra(host) || is_entra(without_region) || is_ciam_issuer(authority, issuer)
}

/// `https://{tenant}.ciamlogin.com[/{tenant}[/v2.0]]`, also for an authority of the customer's domain.
fn is_ciam_issuer(authority: &Authority, issuer: &str) -> bool {
    let first = |text: &str, end: &[char]| text.split(end).next().unwrap_or_default().to_ascii_lowercase();
    let tenant = match first(&authority.path, &['/', '?']) {
        segment if segment.is_empty() => first(&authority.host, &['.']),
        segment => segment,
    };
    let host = format!("https://{tenant}.ciamlogin.com");
    let forms = [host.clone(), format!("{host}/{tenant}"), format!("{host}/{tenant}/v2.0")];
    forms.contains(&issuer.trim_end_matches('/').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn oidc(text: &str) -> Authority {
        Authority::parse_oidc(text).unwrap()
    }

    fn read_json(status: u16, body: &serde_json::Value) -> Result<Url> {
        let response =
            Response { status, headers: Vec::new(), body: body.to_string().into_bytes().into(), tls: None };
        read(&oidc("https://idp.example/t"), &response, SystemTime::now())
    }

    /// Where is the configuration (section 1.1): below the path, with the query kept?
    #[test]
    fn configuration_urls() {
        let rows = [
            ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/T/", "https://idp.example/T/.well-known/openid-configuration"),
            (
                "https://idp.example:1/T/v2.0?a=B",
                "https://idp.example:1/T/v2.0/.well-known/openid-configuration?a=B",
            ),
        ];
        for (authority, url) in rows {
            assert_eq!(configuration_url(&oidc(authority)).unwrap().as_str(), url);
        }
    }

    /// Whose word is taken for an authority (section 1.1, issuer check)?
    #[test]
    fn issuers() {
        let tenant = "https://idp.example/t1";
        let rows = [
            (tenant, "https://idp.example", true),
            (tenant, "https://IDP.example/other/path", true),
            (tenant, "http://idp.example", false),
            (tenant, "https://idp.example.evil.test", false),
            (tenant, "https://evil.test/idp.example", false),
            (tenant, "", false),
            (tenant, "idp.example", false),
            (tenant, "https://sts.windows.net/t1/", true),
            (tenant, "http://sts.windows.net/t1/", false),
            (tenant, "https://login.sovcloud-identity.fr/t1/v2.0", true),
            (tenant, "https://westus2.login.microsoft.com/t1", true),
            (tenant, "https://a.b.login.microsoft.com/t1", false),
            (tenant, "https://login.windows-ppe.net/t1", false),
            (tenant, "https://westus2.login.windows-ppe.net/t1", false),
            (tenant, "https://t1.ciamlogin.com", true),
            (tenant, "https://T1.ciamlogin.com/T1/", true),
            (tenant, "https://t1.ciamlogin.com/t1/v2.0", true),
            (tenant, "https://t1.ciamlogin.com/t2/v2.0", false),
            (tenant, "https://t2.ciamlogin.com/t2/v2.0", false),
            (tenant, "http://t1.ciamlogin.com", false),
            ("https://contoso.example", "https://contoso.ciamlogin.com/contoso", true),
            ("https://contoso.example?x=y", "https://contoso.ciamlogin.com", true),
        ];
        for (authority, issuer, fine) in rows {
            assert_eq!(is_issuer_of(&oidc(authority), issuer), fine, "{authority} {issuer}");
        }
    }

    /// What makes a configuration unusable, and under which name (section 1.1)?
    #[test]
    fn configurations() {
        let with = |issuer: &str, endpoint: &str| {
            read_json(200, &json!({ "issuer": issuer, "token_endpoint": endpoint }))
                .map_err(|e| e.code().to_owned())
        };
        let ours = "https://idp.example/t";
        assert_eq!(with(ours, "https://sts.example/token").unwrap().as_str(), "https://sts.example/token");
        assert_eq!(with(ours, "http://idp.example/token").unwrap_err(), "oidc_failure");
        assert_eq!(with(ours, "/token").unwrap_err(), "oidc_failure");
        assert_eq!(
            with("https://evil.test", "https://idp.example/x").unwrap_err(),
            "authority_validation_failed"
        );
        assert_eq!(read_json(200, &json!({ "issuer": ours })).unwrap_err().code(), "oidc_failure");
        assert_eq!(read_json(200, &json!([])).unwrap_err().code(), "oidc_failure");
        assert_eq!(with(ours, "https://u:p@idp.example/token").unwrap_err(), "oidc_failure");
        for (status, kind, retryable) in [
            (404, ErrorKind::Rejected, false),
            (302, ErrorKind::InvalidResponse, false),
            (429, ErrorKind::Throttled, true),
            (503, ErrorKind::Rejected, true),
        ] {
            let error = read_json(status, &json!({ "error": { "code": "Gone", "message": "not here" } }))
                .unwrap_err();
            assert_eq!((error.code(), error.kind(), error.is_retryable()), ("oidc_failure", kind, retryable));
            assert!(error.message().contains("Gone: not here"), "{error}");
        }
    }

    /// Is `/v2.0` suggested for the two refusals that it cures, and only then (section 1.1)?
    #[test]
    fn advice_about_the_path() {
        let refusal = |code| Error::new(ErrorKind::Rejected, "invalid_request", "no").with_aadsts(vec![code]);
        let advised =
            |authority: Authority, code| authority.advise(refusal(code)).message().contains("/v2.0");
        assert!(advised(oidc("https://idp.example/t"), 900_144));
        assert!(advised(oidc("https://idp.example/t"), 500_207));
        assert!(!advised(oidc("https://idp.example/t"), 700_016));
        assert!(!advised(oidc("https://idp.example/t/v2.0"), 900_144));
        assert!(!advised(Authority::parse("https://login.microsoftonline.com/t").unwrap(), 900_144));
    }
}
