//! What services answer, hostile ones among them.
//!
//! The first letter says who is asked. Behind it come the answers, one for each connection, with form feeds between: the
//! status, and maybe one header, in the first line, then the body.

use std::collections::HashMap;
use std::sync::Arc;

use once_cell::sync::Lazy;
use serde_json::Value;
use url::Url;

use super::{SECRET, call, judge};
use crate::attestation::{
    AttestationCache, AttestationProvider, AttestationRequest, Attestor, Provider, fuzz_service,
};
use crate::authority::{Authority, RegionMemory, RegionSetting, Resolver};
use crate::binding::Certificate;
use crate::error::Result;
use crate::http::{Imds, Pool, Response, TransportOptions, scripted};
use crate::log::Logger;
use crate::managed_identity::imds_v2::{Order, mint, platform_metadata};
use crate::managed_identity::{BearerRequest, ManagedIdentityId, Probed, Source, detect};
use crate::resource::{Parameters, claims_in};
use crate::runtime::{Memory, PerProcess};
use crate::secret::Secret;
use crate::token::{
    Api, CacheRefreshReason, LONGEST_LIFE, Telemetry, TokenPost, TokenType, is_token, parse_claims,
    request_token,
};

/// RSA, as IMDS issues certificates for; and one of its certificates.
const RSA: &[u8] = include_bytes!("../../fuzz/given/rsa.pem");

static CERTIFICATE: Lazy<Certificate> = Lazy::new(|| Certificate::from_pem(RSA, None, None).unwrap());

/// Nothing of an answer stays in it: what has come over a connection of a script is at its end.
pub(super) static POOL: Lazy<Pool> = Lazy::new(|| {
    let options = TransportOptions { roots_pem: Some(RSA.to_vec()), ..TransportOptions::default() };
    Pool::new(options, Arc::new(HashMap::new())).unwrap()
});

/// A token endpoint: `m` is asked for a bound token, `b` for a Bearer token.
pub(super) fn token(data: &[u8]) {
    let (letter, answers) = script(data);
    let (expected, client) = match letter {
        b'b' => (TokenType::Bearer, POOL.plain().unwrap()),
        _ => (TokenType::MtlsPop, POOL.for_certificate(&CERTIFICATE).unwrap()),
    };
    let endpoint = Url::parse("https://eastus.mtlsauth.microsoft.com/tenant/oauth2/v2.0/token").unwrap();
    let form = [("client_id", "the-client"), ("client_secret", SECRET), ("scope", "the-scope")];
    let reason = CacheRefreshReason::NoCachedAccessToken;
    let telemetry = Telemetry::new(Api::AcquireTokenForClient, reason, expected);
    let post =
        TokenPost { endpoint: &endpoint, form: &form, expected, telemetry: &telemetry, extra_headers: &[] };
    match scripted(http(&answers), || request_token(&client, &post, &call())) {
        Ok(token) => {
            assert!(is_token(token.access_token.expose()));
            assert!((1..=LONGEST_LIFE).contains(&token.expires_in), "{}", token.expires_in);
            assert!(token.refresh_in.is_none_or(|seconds| (1..=LONGEST_LIFE).contains(&seconds)));
            // Nobody but the service says what a token is bound to: it must have said so.
            let says = |answer: &Answer| {
                let json = answer.json();
                let said = json.as_ref().and_then(|json| json["token_type"].as_str());
                said.is_some_and(|said| said.eq_ignore_ascii_case(expected.as_str()))
            };
            assert!(answers.iter().any(says), "a token of another type than {expected:?}");
        }
        Err(error) => {
            judge(&error);
            assert!(!tells_a_token(&answers, "access_token", error.message()), "{error}");
            // Whoever repeats what it was sent, in whatever way, makes no words of it.
            assert!(!format!("{error:?}").contains(SECRET), "{error}");
        }
    }
}

/// A host: `m` for its metadata, `c` for a certificate, `p` for what it can do, and for a Bearer token by its sources: `v`
/// IMDS, `a` App Service, `z` Azure Arc, `s` Cloud Shell, `l` Machine Learning, `f` Service Fabric.
pub(super) fn imds(data: &[u8]) {
    let (letter, answers) = script(data);
    let host = Imds::from_env(&HashMap::new()).unwrap();
    let (call, id) = (call(), ManagedIdentityId::ClientId("the-client".to_owned()));
    let client = POOL.direct().unwrap();
    scripted(http(&answers), || match letter {
        b'm' => match platform_metadata(&host, &client, &id, &call) {
            Ok(metadata) => assert!(metadata.cu_id.names_something() && !metadata.tenant_id.is_empty()),
            Err(error) => judge(&error),
        },
        b'c' => {
            let metadata = r#"200
{"cuId":{"vmId":"a"},"clientId":"c","tenantId":"t","attestationEndpoint":"a.test"}"#;
            let (_, metadata) = script(format!("m{metadata}").as_bytes());
            let metadata =
                scripted(http(&metadata), || platform_metadata(&host, &client, &id, &call)).unwrap();
            let key = CERTIFICATE.key().clone();
            let order = Order { metadata: &metadata, key: key.clone(), attestor: None, again: false };
            match mint(&host, &client, &id, &order, &call) {
                Ok(binding) => {
                    assert_eq!(binding.certificate.key().public_key_der(), key.public_key_der());
                    assert!(!binding.certificate.is_attested());
                    let (url, tenant) = (&binding.endpoint, binding.tenant_id.trim_matches('/'));
                    assert_eq!((url.scheme(), url.query(), url.fragment()), ("https", None, None));
                    assert!(url.username().is_empty() && url.password().is_none());
                    let last = url.path_segments().and_then(Iterator::last);
                    assert!(last == Some(tenant) || matches!(tenant, "" | "." | ".."), "{url} {tenant}");
                }
                Err(error) => judge(&error),
            }
        }
        b'p' => {
            let time = std::time::Duration::from_secs(1);
            match Probed::new().capabilities(&host, &client, &id, time, &call) {
                Ok(found) => assert!(!found.is_mtls_pop_supported_by_host() || found.source().is_some()),
                Err(error) => judge(&error),
            }
        }
        other => bearer(other, &id, &answers),
    });
}

fn bearer(letter: u8, id: &ManagedIdentityId, answers: &[Answer]) {
    let variables: &[&str] = match letter {
        b'a' => &["IDENTITY_ENDPOINT", "IDENTITY_HEADER"],
        b'z' => &["IDENTITY_ENDPOINT", "IMDS_ENDPOINT"],
        b's' => &["MSI_ENDPOINT"],
        b'l' => &["MSI_ENDPOINT", "MSI_SECRET"],
        b'f' => &["IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"],
        _ => &[],
    };
    let value = |name: &str| match name {
        "IDENTITY_SERVER_THUMBPRINT" => "00112233445566778899AABBCCDDEEFF00112233",
        "IDENTITY_HEADER" | "MSI_SECRET" => SECRET,
        _ => "http://127.0.0.1:9/token",
    };
    let variables: HashMap<String, String> =
        variables.iter().map(|name| ((*name).to_owned(), value(name).to_owned())).collect();
    let source: Source = detect(&variables).unwrap();
    let asked = BearerRequest {
        id,
        resource: "https://the-resource",
        client_capabilities: &[],
        token_to_refresh: None,
        extra_query: &[],
    };
    match source.acquire_bearer(&POOL, &asked, &call()) {
        Ok(token) => {
            assert!(is_token(token.access_token.expose()) && token.expires_in > 0);
            assert!(token.refresh_in.is_none_or(|seconds| (1..=token.expires_in).contains(&seconds)));
        }
        Err(error) => {
            judge(&error);
            assert!(!tells_a_token(answers, "access_token", error.message()), "{error}");
            // Where none was sent, it is but a word that an answer has.
            let sent = variables.values().any(|value| value == SECRET);
            assert!(!sent || !error.message().contains(SECRET), "{error}");
        }
    }
}

/// Who says where tokens come from: `o` an OpenID provider, `i` Entra about a host it may know, `w` AD FS, `r` IMDS about the
/// region.
pub(super) fn discovery(data: &[u8]) {
    let (letter, answers) = script(data);
    let (authority, region) = match letter {
        b'o' => (Authority::parse_oidc("https://idp.example/t"), RegionSetting::Global),
        b'w' => (Authority::parse("https://fs.example/adfs"), RegionSetting::Global),
        b'r' => {
            let region = RegionSetting::Detect(Imds::from_env(&HashMap::new()).unwrap());
            (Authority::parse("https://login.microsoftonline.com/t"), region)
        }
        _ => (Authority::parse("https://login.example/t"), RegionSetting::Global),
    };
    let regions = Arc::new(PerProcess::new(RegionMemory::new));
    let resolver = Resolver::new(region, true, regions, Arc::new(PerProcess::new(Memory::new)));
    match scripted(http(&answers), || resolver.resolve(&authority.unwrap(), false, &POOL, &call())) {
        Ok(endpoint) => {
            let url = &endpoint.url;
            let host = url.host_str().unwrap();
            assert!(
                url.scheme() == "https" && url.username().is_empty() && url.password().is_none(),
                "{url}"
            );
            match letter {
                b'o' => {}
                b'w' => assert_eq!(host, "fs.example"),
                b'r' => {
                    assert!(host.ends_with(".microsoft.com") || host == "login.microsoftonline.com", "{url}")
                }
                _ => assert!(url.path().starts_with("/t/") && url.port().is_none(), "{url}"),
            }
        }
        Err(error) => judge(&error),
    }
}

/// What attests keys: `c` a callback, whose token is all there is; `s` the service, which answers twice.
pub(super) fn attestation(data: &[u8]) {
    let (letter, answers) = script(data);
    let outcome = match letter {
        b'c' => {
            let text = String::from_utf8_lossy(data.get(1..).unwrap_or_default()).into_owned();
            let (cache, callback) = (AttestationCache::new(), Says(text));
            let attestor = Attestor { provider: Provider::Callback(&callback), cache: &cache };
            let key = CERTIFICATE.key();
            let ask = |again| attestor.token("attest.test", "the-client", key, again, &call());
            let (first, second) = (ask(false), ask(false));
            assert_eq!(first.is_ok(), second.is_ok());
            first
        }
        _ => {
            let endpoint = Url::parse("https://attest.test/").unwrap();
            scripted(http(&answers), || fuzz_service(&POOL, &endpoint, &call()))
        }
    };
    match outcome {
        Ok(token) => assert!(is_token(token.expose())),
        Err(error) => judge(&error),
    }
}

/// The values of one or more headers, one in each line.
pub(super) fn www_authenticate(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for value in text.lines() {
        let mut total = 0;
        for (name, parsed) in Parameters::new(value) {
            assert!(!name.is_empty() && value.contains(name));
            // Backslashes go, nothing comes.
            let mut rest = value.chars();
            assert!(parsed.chars().all(|c| rest.any(|other| other == c)), "{parsed:?}");
            total += name.len() + parsed.len();
        }
        assert!(total <= value.len());
    }
    let headers = text.lines().map(|value| ("WWW-Authenticate".to_owned(), value.to_owned())).collect();
    let response = Response { status: 401, headers, body: Vec::new().into(), tls: None };
    if let Some(claims) = claims_in(&response, &Logger::default()) {
        assert!(!parse_claims(&claims).unwrap().is_empty() || claims.contains('{'));
        assert!(claims.len() <= data.len());
    }
}

/// What a service says over one connection.
pub(super) struct Answer {
    status: u16,
    header: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body)).ok()
    }
}

/// The letter, and the answers behind it.
fn script(data: &[u8]) -> (u8, Vec<Answer>) {
    let (letter, rest) = data.split_first().map_or((0, data), |(letter, rest)| (*letter, rest));
    let answer = |text: &[u8]| {
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(0);
        let (head, body) = text.split_at(end);
        let head = String::from_utf8_lossy(head);
        let (status, header) = head.split_once(' ').unwrap_or((&head, ""));
        let status = status.parse().ok().filter(|status| (200..600).contains(status)).unwrap_or(200);
        let body = body.strip_prefix(b"\n").unwrap_or(body).to_vec();
        Answer { status, header: header.replace(['\r', '\0'], ""), body }
    };
    (letter, rest.split(|byte| *byte == b'\x0c').map(answer).collect())
}

fn http(answers: &[Answer]) -> Vec<Vec<u8>> {
    let written = |answer: &Answer| {
        let Answer { status, header, body } = answer;
        let header = if header.contains(':') { format!("{header}\r\n") } else { String::new() };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nServer: IMDS/1\r\n{header}Content-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    answers.iter().map(written).collect()
}

/// Whether `message` tells a token that came with an answer of success and stands there once, so that it is told as
/// nothing else.
fn tells_a_token(answers: &[Answer], name: &str, message: &str) -> bool {
    answers.iter().filter(|answer| answer.status == 200).any(|answer| {
        let json = answer.json();
        let token = json.as_ref().and_then(|json| json[name].as_str()).unwrap_or_default();
        let body = String::from_utf8_lossy(&answer.body);
        token.len() >= 12 && body.matches(token).count() == 1 && message.contains(token)
    })
}

struct Says(String);

impl AttestationProvider for Says {
    fn attest(&self, _: &AttestationRequest<'_>) -> Result<Secret> {
        Ok(Secret::new(self.0.as_str()))
    }
}
