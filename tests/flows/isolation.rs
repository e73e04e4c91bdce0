//! Isolation as a property: for any mix of requests, nobody gets a token that was issued for another one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use devcloud::directory::{
    self, APP_A_CLIENT_ID, APP_A_SECRET, APP_B_CLIENT_ID, SYSTEM_ASSIGNED_CLIENT_ID, TENANT_ID, Tenant,
    USER_ASSIGNED_CLIENT_ID,
};
use mtlspop::{
    App, AppOptions, AssertionRequest, Certificate, CertificateProvider, Credential, Error, ErrorKind,
    ManagedIdentityId, Result, Secret, Token, TokenCache, TokenRequest, TokenSource,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

use crate::support::{Provider, World, bearer, claims, pop};

/// One way to differ. No two fields of a request may make the same token of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ask {
    app: usize,
    tenant: Option<&'static str>,
    resource: &'static str,
    bound: bool,
    fmi_path: Option<&'static str>,
    client_claims: Option<&'static str>,
    body: Option<&'static str>,
    query: Option<&'static str>,
    partition: Option<&'static str>,
}

/// Values repeat across the fields, so that one that is taken for another is found out.
const WORDS: [&str; 2] = ["a", "b"];
const FIELDS: usize = 9;
/// Those whose tokens could most easily be taken for one another come up most often.
const APPS: [usize; 14] = [0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 4, 5, 6, 7];
const MANAGED: std::ops::Range<usize> = 6..8;
/// Those of app A without capabilities.
const ALIKE: [usize; 4] = [0, 1, 3, 4];
const CHALLENGE: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;

fn ask() -> impl Strategy<Value = Ask> {
    let word = || option::weighted(0.3, select(&WORDS[..]));
    let tenant = option::weighted(
        0.5,
        select(vec![
            TENANT_ID,
            directory::OTHER_TENANT_ID,
            directory::OTHER_TENANT_DOMAIN,
            directory::THIRD_TENANT_ID,
        ]),
    );
    let resource = select(&directory::RESOURCES[..3]);
    let what = (select(&APPS[..]), tenant, resource, any::<bool>());
    (what, word(), word(), word(), word(), word()).prop_map(
        |((app, tenant, resource, bound), fmi_path, client_claims, body, query, partition)| Ask {
            app,
            tenant,
            resource,
            bound,
            fmi_path,
            client_claims,
            body,
            query,
            partition,
        },
    )
}

/// Requests that differ from the first in one field each, and a walk through them; `true` bypasses the
/// cache, by force or by a challenge.
fn walk() -> impl Strategy<Value = Vec<(Ask, bool, bool)>> {
    let asks = (ask(), vec((ask(), 0..FIELDS + 6), 12)).prop_map(|(first, others)| {
        let mut asks = vec![first.clone()];
        asks.extend(others.iter().map(|(other, field)| first.with(other, *field)));
        asks
    });
    let rarely = || prop::bool::weighted(0.1);
    (asks, vec((any::<Index>(), rarely(), rarely()), 60)).prop_map(|(asks, steps)| {
        steps.into_iter().map(|(at, force, challenge)| (at.get(&asks).clone(), force, challenge)).collect()
    })
}

impl Ask {
    /// With one field of `other`.
    fn with(&self, other: &Self, field: usize) -> Self {
        let mut ask = self.clone();
        match field {
            0 => ask.app = other.app,
            1 => ask.tenant = other.tenant,
            2 => ask.resource = other.resource,
            3 => ask.bound = other.bound,
            4 => ask.fmi_path = other.fmi_path,
            5 => ask.client_claims = other.client_claims,
            6 => ask.body = other.body,
            7 => ask.query = other.query,
            8 => ask.partition = other.partition,
            _ => ask.app = other.app,
        }
        ask
    }

    fn request(&self) -> TokenRequest {
        let scope = format!("{}/.default", self.resource);
        let mut request = if self.bound { pop(&scope) } else { bearer(&scope) };
        if let Some(tenant) = self.tenant {
            request = request.with_tenant_id(tenant);
        }
        if let Some(path) = self.fmi_path {
            request = request.with_fmi_path(path);
        }
        if let Some(word) = self.client_claims {
            request = request.with_claims_from_client(&client_claims(word).to_string());
        }
        if let Some(value) = self.body {
            request = request.with_extra_body_parameter("dc", value);
        }
        if let Some(value) = self.query {
            request = request.with_extra_query_parameter("dc", value, true);
        }
        if let Some(value) = self.partition {
            request = request.with_cache_partition_key("dc", value);
        }
        request
    }

    /// What may share a token. A tenant that is named is the same as one that is the app's own; and in
    /// one cache, Bearer tokens of one client are the same, whatever proves it.
    fn key(&self, shared: bool) -> Self {
        let own = (!MANAGED.contains(&self.app)).then_some(TENANT_ID);
        let app = if shared && !self.bound && ALIKE.contains(&self.app) { ALIKE[0] } else { self.app };
        Self { app, tenant: self.tenant.or(own), ..self.clone() }
    }

    /// What only a confidential client takes.
    fn is_for_confidential_client(&self) -> bool {
        let fields = [self.tenant, self.fmi_path, self.client_claims, self.body, self.query, self.partition];
        fields.iter().any(Option::is_some)
    }

    /// The error that this must be, if any.
    fn refusal(&self, subject: &Subject) -> Option<(ErrorKind, &'static str)> {
        if MANAGED.contains(&self.app) && self.is_for_confidential_client() {
            return Some((ErrorKind::InvalidArgument, "invalid_argument"));
        }
        let unbindable = self.bound && !subject.managed && subject.certificates.is_empty();
        unbindable.then_some((ErrorKind::InvalidArgument, "mtls_certificate_not_provided"))
    }
}

fn client_claims(word: &str) -> Value {
    json!({ "access_token": { "devcloud_word": { "value": word } } })
}

/// An app, and what its tokens must say.
struct Subject {
    app: App,
    client_id: &'static str,
    /// What its bound tokens may be bound to; empty where it has none, or a managed identity's.
    certificates: Vec<Certificate>,
    capable: bool,
    managed: bool,
}

/// Another certificate each time.
struct Alternating(Vec<Certificate>, AtomicBool);

impl CertificateProvider for Alternating {
    fn certificate(&self, _: &AssertionRequest<'_>) -> Result<Certificate> {
        Ok(self.0[usize::from(self.1.fetch_not(Ordering::SeqCst))].clone())
    }
}

/// The apps; those of confidential clients with one cache, or each with its own.
fn subjects(world: &World, shared: bool) -> Vec<Subject> {
    let cache = TokenCache::new();
    let app = |options: AppOptions| {
        App::new(if shared { options.with_token_cache(cache.clone()) } else { options }).unwrap()
    };
    let files = world.cloud.files();
    let [sni, rotated, fic] = [files.sni(), files.sni_rotated(), files.fic_binding()]
        .map(|file| Certificate::from_file(&file, None, None).unwrap());
    let with = |certificate: &Certificate| {
        world.app_a_options(Credential::Certificate { certificate: certificate.clone(), send_x5c: true })
    };
    let both = vec![sni.clone(), rotated.clone()];
    let provider = Arc::new(Alternating(both.clone(), AtomicBool::new(false)));
    let provider = world.app_a_options(Credential::CertificateProvider { provider, send_x5c: true });
    let secret = world.app_a_options(Credential::Secret(Secret::new(APP_A_SECRET)));
    let confidential = [
        (with(&sni), vec![sni.clone()]),
        (with(&rotated), vec![rotated]),
        (with(&sni).with_client_capabilities(&["cp1"]), vec![sni]),
        (secret, Vec::new()),
        (provider, both),
    ];
    let mut subjects: Vec<_> = confidential
        .into_iter()
        .enumerate()
        .map(|(at, (options, certificates))| Subject {
            app: app(options),
            client_id: APP_A_CLIENT_ID,
            certificates,
            capable: at == 2,
            managed: false,
        })
        .collect();
    let answer = world.fic_answer(true);
    subjects.push(Subject {
        app: app(world.fic_options(Provider(move |_: &AssertionRequest<'_>| Ok(answer.clone())))),
        client_id: APP_B_CLIENT_ID,
        certificates: vec![fic],
        capable: false,
        managed: false,
    });
    for (id, client_id) in [
        (ManagedIdentityId::SystemAssigned, SYSTEM_ASSIGNED_CLIENT_ID),
        (ManagedIdentityId::ClientId(USER_ASSIGNED_CLIENT_ID.to_owned()), USER_ASSIGNED_CLIENT_ID),
    ] {
        let app = world.managed_identity(id);
        subjects.push(Subject { app, client_id, certificates: Vec::new(), capable: false, managed: true });
    }
    subjects
}

/// Asserts that `token` is for `ask`, by what it says itself and by the certificate that it brings.
fn assert_for(ask: &Ask, subject: &Subject, token: &Token) {
    let said = claims(token);
    assert_eq!(said["appid"], subject.client_id);
    assert_eq!(said["tid"], Tenant::find(ask.tenant.unwrap_or(TENANT_ID)).unwrap().id);
    assert_eq!(said["aud"].as_str().unwrap().trim_end_matches('/'), ask.resource);
    assert_eq!(said["fmi_path"].as_str(), ask.fmi_path);
    let certificate = token.binding_certificate();
    assert_eq!(said["cnf"]["x5t#S256"].as_str(), certificate.map(Certificate::x5t_s256));
    assert_eq!(certificate.is_some(), ask.bound);
    assert_eq!(token.token_type().as_str(), if ask.bound { "mtls_pop" } else { "Bearer" });
    if subject.managed {
        return;
    }
    assert_eq!(said["devcloud_scope"], format!("{}/.default", ask.resource));
    assert!(certificate.is_none_or(|certificate| subject.certificates.contains(certificate)));
    let asked: Value = serde_json::from_str(said["devcloud_claims"].as_str().unwrap_or("{}")).unwrap();
    let expected = ask.client_claims.map_or(Value::Null, |word| json!({ "value": word }));
    assert_eq!(asked["access_token"]["devcloud_word"], expected);
    let capabilities = if subject.capable { json!(["cp1"]) } else { Value::Null };
    assert_eq!(said.get("xms_cc").unwrap_or(&Value::Null), &capabilities);
}

/// Asserts that a token that answers a challenge does so.
fn assert_answers_challenge(token: &Token) {
    let said = claims(token);
    let asked: Map<String, Value> =
        serde_json::from_str(said["devcloud_claims"].as_str().unwrap_or("{}")).unwrap();
    assert_eq!(asked["access_token"]["acrs"]["value"], "c1");
}

fn judge_refusal(error: &Error, expected: Option<(ErrorKind, &str)>) {
    assert_eq!(Some((error.kind(), error.code())), expected, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20,
        max_shrink_iters: 100,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0x006d_746c_7370_6f70),
        ..ProptestConfig::default()
    })]

    /// For any mix of apps, with one cache or with separate ones, of tenants, resources, claims, FMI paths, certificates, token types and extra
    /// parameters: is each token the one that was issued last for exactly this request, and is the
    /// network asked no more often than there are different requests and bypasses
    /// (confidential_client spec, sections 2.6, 5.1 and 5.2)?
    #[test]
    fn no_token_for_another_request(walk in walk(), shared in prop::bool::weighted(0.7)) {
        let world = World::new();
        let subjects = subjects(&world, shared);
        let mut requests = HashMap::<Ask, TokenRequest>::new();
        let mut issued = HashMap::<Ask, String>::new();
        let mut seen = HashSet::<String>::new();
        let mut expected = 0;
        for (ask, force, challenge) in &walk {
            let subject = &subjects[ask.app];
            // One request object for all apps: it remembers a key, which must not go from app to app.
            let request = requests.entry(Ask { app: 0, ..ask.clone() }).or_insert_with(|| ask.request());
            let request = match (*force, *challenge) {
                (false, false) => request,
                (force, false) => &request.clone().with_force_refresh(force),
                (force, true) => &request.clone().with_force_refresh(force).with_claims(CHALLENGE),
            };
            let token = match (subject.app.acquire_token(request), ask.refusal(subject)) {
                (Ok(token), None) => token,
                (Ok(_), refusal) => panic!("a token in the place of {refusal:?}"),
                (Err(error), refusal) => {
                    judge_refusal(&error, refusal);
                    continue;
                }
            };
            assert_for(ask, subject, &token);
            let last = issued.get(&ask.key(shared));
            if *force || *challenge || last.is_none() {
                expected += 1;
                assert_eq!(token.source(), TokenSource::IdentityProvider);
                assert!(seen.insert(token.access_token().to_owned()), "a token of another request");
                if *challenge && !subject.managed {
                    assert_answers_challenge(&token);
                }
                issued.insert(ask.key(shared), token.access_token().to_owned());
            } else {
                assert_eq!(Some(token.access_token()), last.map(String::as_str));
                assert_eq!(token.source(), TokenSource::Cache);
            }
        }
        let asked = world.cloud.counter("token") + world.cloud.counter("imds_token");
        assert!(asked <= expected, "{asked} token requests for {expected} different ones and bypasses");
    }
}
