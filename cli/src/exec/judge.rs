//! Who may ask the identity endpoint, and for what.

use std::net::SocketAddr;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use mtlspop::Secret;

use crate::server::{Callers, Refusal};

/// What is looked at before a token is got.
pub(super) struct Judge {
    address: String,
    secret: Secret,
    callers: Callers,
    /// By the names of the query that an identity can be asked for with.
    ids: Vec<(&'static str, String)>,
    allowed: Vec<String>,
}

const PATH: &str = "/MSI/token";
const API_VERSION: &str = "2019-08-01";
/// Names under which Azure's libraries name an identity.
const IDS: [&str; 6] = ["client_id", "clientid", "object_id", "principal_id", "mi_res_id", "msi_res_id"];

impl Judge {
    pub(super) fn new(address: SocketAddr, ids: Vec<(&'static str, String)>, allowed: &[String]) -> Self {
        let secret = Callers::new_secret();
        let callers = Callers::by_names(vec![address.to_string()]).with_secret(
            "x-identity-header",
            secret.clone(),
            "the header X-IDENTITY-HEADER is not there once with the value of IDENTITY_HEADER",
        );
        Self {
            address: address.to_string(),
            secret,
            callers,
            ids,
            allowed: allowed.iter().map(|uri| without_slash(uri).to_owned()).collect(),
        }
    }

    /// `IDENTITY_ENDPOINT`.
    pub(super) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// `IDENTITY_HEADER`.
    pub(super) fn secret(&self) -> &str {
        self.secret.expose()
    }

    /// The client id, where it is known.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.ids.iter().find_map(|(name, id)| (*name == "client_id").then_some(id.as_str()))
    }

    /// The resource that a request is for. Who has not the secret is told nothing.
    pub(super) fn resource(&self, head: &Parts) -> Result<String, Refusal> {
        self.callers.check(head)?;
        if without_slash(head.uri.path()) != PATH {
            return Err((StatusCode::NOT_FOUND, "there is nothing but the endpoint of IDENTITY_ENDPOINT"));
        }
        if head.method != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "a token is asked for with GET"));
        }
        self.query(head.uri.query().unwrap_or_default())
    }

    fn query(&self, query: &str) -> Result<String, Refusal> {
        let members: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let only = |wanted: &str| {
            let mut values = members.iter().filter(|(name, _)| name == wanted).map(|(_, value)| &**value);
            values.next().filter(|_| values.next().is_none())
        };
        if only("api-version") != Some(API_VERSION) {
            return Err((StatusCode::BAD_REQUEST, "api-version must be 2019-08-01"));
        }
        for (name, id) in
            members.iter().filter(|(name, _)| IDS.iter().any(|known| name.eq_ignore_ascii_case(known)))
        {
            let ours = |(known, own): &(&str, String)| name == known && id.eq_ignore_ascii_case(own);
            if !self.ids.iter().any(ours) {
                return Err((
                    StatusCode::BAD_REQUEST,
                    "there is one identity here, and it is not the one that was asked for",
                ));
            }
        }
        let resource = only("resource")
            .filter(|resource| !resource.is_empty() && !resource.contains(char::is_whitespace));
        let resource =
            resource.ok_or((StatusCode::BAD_REQUEST, "there must be one resource, without blanks"))?;
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == without_slash(resource))
        {
            return Err((StatusCode::FORBIDDEN, "--allow-resource does not name this resource"));
        }
        Ok(resource.to_owned())
    }
}

fn without_slash(text: &str) -> &str {
    text.strip_suffix('/').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const ASKED: &str = "/MSI/token?api-version=2019-08-01&resource=https://vault.azure.net";

    fn judge(allowed: &[&str]) -> Judge {
        let allowed: Vec<String> = allowed.iter().map(|&uri| uri.to_owned()).collect();
        Judge::new(([127, 0, 0, 1], 8080).into(), vec![("client_id", "abc".to_owned())], &allowed)
    }

    fn ask(judge: &Judge, target: &str, headers: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        judge.resource(&request.body(()).unwrap().into_parts().0).map_err(|(status, _)| status.as_u16())
    }

    /// Is a token given to who has the secret and came by this address, and nobody else?
    #[test]
    fn callers() {
        let judge = judge(&[]);
        let secret = judge.secret().to_owned();
        let (host, good) = (("host", "127.0.0.1:8080"), ("x-identity-header", secret.as_str()));
        assert_eq!(ask(&judge, ASKED, &[host, good]), Ok("https://vault.azure.net".to_owned()));
        assert_eq!(ask(&judge, ASKED, &[("host", "localhost:8080"), good]), Err(403));
        assert_eq!(ask(&judge, ASKED, &[host, ("x-identity-header", &secret[1..])]), Err(401));
    }

    /// Is what is asked for one resource, of those that are allowed, for the identity that there is?
    #[test]
    fn questions() {
        const VAULT: &str = "resource=https://vault.azure.net";
        let good = format!("api-version={API_VERSION}&{VAULT}");
        for (allowed, path, query, answer) in [
            (vec![], "/MSI/token/", good.clone(), Ok("https://vault.azure.net")),
            (vec!["https://vault.azure.net/"], PATH, good.clone(), Ok("https://vault.azure.net")),
            (vec!["https://vault.azure.net"], PATH, format!("{good}/"), Ok("https://vault.azure.net/")),
            (vec!["https://graph.microsoft.com"], PATH, good.clone(), Err(403)),
            (vec!["https://vault.azure.net"], PATH, format!("{good}.evil.example"), Err(403)),
            (vec![], "/", good.clone(), Err(404)),
            (vec![], "/MSI/token/x", good.clone(), Err(404)),
            (vec![], PATH, VAULT.to_owned(), Err(400)),
            (vec![], PATH, format!("api-version=2017-09-01&{VAULT}"), Err(400)),
            (vec![], PATH, format!("{good}&{VAULT}"), Err(400)),
            (vec![], PATH, format!("api-version={API_VERSION}"), Err(400)),
            (vec![], PATH, format!("api-version={API_VERSION}&resource="), Err(400)),
            (vec![], PATH, format!("{good}%20https://graph.microsoft.com"), Err(400)),
            (vec![], PATH, format!("{good}&client_id=ABC"), Ok("https://vault.azure.net")),
            (vec![], PATH, format!("{good}&client_id=other"), Err(400)),
            (vec![], PATH, format!("{good}&client_id=abc&CLIENT_ID=other"), Err(400)),
            (vec![], PATH, format!("{good}&mi_res_id=/subscriptions/x"), Err(400)),
        ] {
            let judge = judge(&allowed);
            let headers = [("host", "127.0.0.1:8080"), ("x-identity-header", judge.secret())];
            let answer = answer.map(str::to_owned);
            assert_eq!(ask(&judge, &format!("{path}?{query}"), &headers), answer, "{path} {query}");
        }
    }
}
