//! A token request, taken apart into fields that can be compared one by one.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use devcloud::{Cloud, ReceivedRequest};
use serde_json::{Map, Value};
use url::form_urlencoded;

/// By name, which begins with the part of the request: `header accept`, `claim aud`.
pub(crate) type Fields = BTreeMap<String, Value>;

/// The one token request that `cloud` received since it was reset. It must have been answered with a token.
pub(crate) fn only_token_request(cloud: &Cloud) -> Fields {
    let requests = cloud.requests();
    let tokens: Vec<_> =
        requests.iter().filter(|request| request.operation.as_deref() == Some("token")).collect();
    let [request] = tokens[..] else { panic!("one token request, not {tokens:#?}") };
    assert_eq!(request.status, Some(200), "{request:#?}");
    fields(request)
}

fn fields(request: &ReceivedRequest) -> Fields {
    let mut fields = Fields::new();
    let mut add = |part: &str, name: &str, value: Value| {
        let name = format!("{part} {name}").trim_end().to_owned();
        assert_eq!(fields.insert(name.clone(), value), None, "{name} is there twice");
    };
    for (part, value) in [("method", &request.method), ("path", &request.path), ("query", &request.query)] {
        add(part, "", value.as_str().into());
    }
    for (name, value) in &request.headers {
        add("header", name, value.as_str().into());
    }
    for (name, value) in form_urlencoded::parse(request.body.as_bytes()) {
        if name != "client_assertion" {
            add("form", &name, value.as_ref().into());
            continue;
        }
        let (header, claims) = assertion(&value);
        add("assertion", "lifetime", lifetime(&claims).into());
        for (part, members) in [("assertion", header), ("claim", claims)] {
            for (name, value) in members {
                add(part, &name, value);
            }
        }
    }
    fields
}

/// The claims of a JWT.
pub(crate) fn claims(jwt: &str) -> Map<String, Value> {
    assertion(jwt).1
}

/// Header and claims of a JWT. The cloud has verified its signature.
fn assertion(jwt: &str) -> (Map<String, Value>, Map<String, Value>) {
    let parts: Vec<_> = jwt.split('.').collect();
    let [header, claims, _] = parts[..] else { panic!("{jwt} is no JWT") };
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(header), read(claims))
}

/// Seconds from the beginning of the assertion to its end.
fn lifetime(claims: &Map<String, Value>) -> i64 {
    let start = claims.get("nbf").or_else(|| claims.get("iat")).unwrap();
    (claims["exp"].as_f64().unwrap() - start.as_f64().unwrap()).round() as i64
}
