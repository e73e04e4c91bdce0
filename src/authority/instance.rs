//! Instance discovery: is a host that the library does not know one of Entra's (confidential_client spec, 1.3)?

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::parse::Authority;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Pool, Refusal, Request, Response, Shared, add_query};
use crate::runtime::{Call, Memory};

/// The name that is preferred on the network, by the host that was asked about; `None` where the host
/// itself is to be used, an error where Entra denies it. A fact of that host: neighbours share this.
pub(crate) type Instances = Memory<Result<Option<String>>, Shared>;

#[derive(Deserialize)]
struct Discovered {
    /// Its presence tells the answer from any other JSON.
    #[serde(rename = "tenant_discovery_endpoint")]
    _tenant_discovery_endpoint: String,
    #[serde(default)]
    metadata: Vec<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    preferred_network: String,
    aliases: Vec<String>,
}

/// Who is asked. Without the port of the authority, which is that of another host.
const DISCOVERY: &str = "https://login.microsoftonline.com/common/discovery/instance";
const INVALID_INSTANCE: &str = "invalid_instance";
const BUDGET: Duration = Duration::from_secs(10);

/// The name for the host of `authority`. Only Entra's clear "no" is an error (`invalid_instance`):
/// where it gives no answer, the host is used as it was given. Both are believed for a while.
pub(super) fn preferred_network(
    instances: &Instances,
    authority: &Authority,
    pool: &Pool,
    call: &Call,
) -> Result<Option<String>> {
    let host = &authority.host;
    let fetch = |call: &Call| ask(authority, &*pool.plain()?, call).map(Ok);
    let assume = |error: Error| match error.code() {
        INVALID_INSTANCE => Ok(Err(error)),
        _ => {
            call.log.warn("authority", || {
                format!("{host} is used without asking Entra about it: {error} [{}]", call.correlation_id)
            });
            Ok(Ok(None))
        }
    };
    let key = (pool.neighbours(&call.clock), host.clone());
    instances.get_or_assume(&key, call, BUDGET, fetch, assume)?.0
}

fn ask(authority: &Authority, client: &Client, call: &Call) -> Result<Option<String>> {
    let endpoint = format!("{}oauth2/v2.0/authorize", authority.canonical());
    let query = [("api-version", "1.1"), ("authorization_endpoint", endpoint.as_str())];
    let mut url =
        Url::parse(DISCOVERY).map_err(|error| Error::internal(format!("instance discovery: {error}")))?;
    add_query(&mut url, &query);
    let response = client.send(&Request::get(&url).identified(call), call)?;
    read(&response, &authority.host)
}

fn read(response: &Response, host: &str) -> Result<Option<String>> {
    let unreadable = || {
        let message = format!("instance discovery was answered with HTTP {} and no answer", response.status);
        let error = Error::new(ErrorKind::InvalidResponse, "instance_discovery_failed", message);
        Refusal::explain(error, response)
    };
    if response.status != 200 {
        let refusal = Refusal::read(response);
        if refusal.error.as_deref() != Some(INVALID_INSTANCE) {
            return Err(unreadable());
        }
        let message = format!(
            "{host} is not a host of Microsoft Entra, says Entra: correct the authority, or set it as an OIDC \
             authority if it is another provider ({})",
            refusal.description.as_deref().unwrap_or(refusal.said())
        );
        let error = Error::new(ErrorKind::Rejected, "invalid_instance", message);
        return Err(refusal.details(error.with_http_status(response.status)));
    }
    let discovered: Discovered = response.json().map_err(|_| unreadable())?;
    let is_about_host = |entry: &Metadata| entry.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(host));
    match discovered.metadata.into_iter().find(is_about_host) {
        None => Ok(None),
        Some(entry) if is_host_name(&entry.preferred_network) => Ok(Some(entry.preferred_network)),
        Some(_) => Err(unreadable()),
    }
}

fn is_host_name(text: &str) -> bool {
    Url::parse(&format!("https://{text}/")).is_ok_and(|url| url.host_str() == Some(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(status: u16, body: &serde_json::Value) -> Result<Option<String>> {
        read(
            &Response { status, headers: Vec::new(), body: body.to_string().into_bytes().into(), tls: None },
            "login.x",
        )
    }

    /// Does the preferred name come from the entry of the host, and must it be a host name (section 1.3)?
    #[test]
    fn preferred_names() {
        let answer = |alias: &str, name: &str| {
            let entries = json!([
                { "preferred_network": "login.y", "preferred_cache": "login.y", "aliases": ["login.y"] },
                { "preferred_network": name, "preferred_cache": name, "aliases": ["sts.x", alias] },
            ]);
            read_json(200, &json!({ "tenant_discovery_endpoint": "https://x", "metadata": entries }))
        };
        assert_eq!(answer("Login.X", "sts.x").unwrap().as_deref(), Some("sts.x"));
        assert_eq!(answer("login.z", "sts.x").unwrap(), None, "an answer about others: the host as it is");
        for name in ["", "sts.x/y", "u@sts.x", "sts.x:1", "sts.x?", "sts.x#", "STS.x", "st s.x", "sts.x\\"] {
            assert_eq!(answer("login.x", name).unwrap_err().code(), "instance_discovery_failed", "{name:?}");
        }
        assert_eq!(read_json(200, &json!({})).unwrap_err().code(), "instance_discovery_failed");
    }

    /// Is a refusal quoted, and everything else no answer (section 1.3)?
    #[test]
    fn refusals() {
        let body = json!({ "error": "invalid_instance", "error_description": "AADSTS50049: no", "error_codes": [50049] });
        let error = read_json(400, &body).unwrap_err();
        assert_eq!((error.code(), error.aadsts_codes()), ("invalid_instance", [50_049].as_slice()));
        assert!(error.message().contains("AADSTS50049: no"), "{error}");
        for body in [json!("oops"), json!({}), json!({ "error": "temporarily_unavailable" })] {
            assert_eq!(read_json(500, &body).unwrap_err().code(), "instance_discovery_failed");
        }
    }
}
