//! What a request carries besides its credential, and what the caller learns of how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devcloud::Fault;
use mtlspop::{
    App, AppOptions, AssertionRequest, CacheLevel, CacheRefreshReason, ErrorKind, Metric, MetricKind, Token,
    TokenSource,
};

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, SYSTEM, TestClock, World, bearer, claims, pop};

const VAULT_SCOPE: &str = "https://vault.azure.net/.default";

fn options(world: &World) -> AppOptions {
    world.app_a_options(world.sni_credential())
}

fn told_to_wait() -> Fault {
    let headers: BTreeMap<_, _> = [("retry-after".to_owned(), "60".to_owned())].into();
    Fault { headers, ..Fault::status("token", 503) }
}

/// A service that said Retry-After: is it left alone by the same request until then, by that alone, whichever app of
/// the process it asks, and is the rest of the time told (confidential_client spec, section 6.5)?
#[test]
fn retry_after() {
    let world = World::new();
    let app = world.sni();
    world.cloud.fault(told_to_wait()).unwrap();
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    for (passed, left, app) in [(0, 60, &app), (20, 40, &world.sni())] {
        world.advance(Duration::from_secs(passed));
        let before = world.cloud.requests().len();
        let error = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Throttled, "service_not_available"));
        assert!(error.retry_after().is_some_and(|wait| wait <= Duration::from_secs(left)), "{error:?}");
        assert!(error.is_retryable());
        assert_eq!(world.cloud.requests().len(), before);
    }
    app.acquire_token(&bearer(VAULT_SCOPE)).expect("another scope");
    app.acquire_token(&pop(GRAPH_SCOPE)).expect("another endpoint");
    world.advance(Duration::from_secs(41));
    app.acquire_token(&bearer(GRAPH_SCOPE)).expect("the time is over");
}

/// Does an app never wait because of what one heard that trusts other roots, goes through another proxy, or has
/// another clock? And is an error without Retry-After forgotten at once (section 6.5: the 60 s are for others)?
#[test]
fn retry_after_is_told_to_neighbours_only() {
    let world = World::new();
    world.cloud.fault(told_to_wait()).unwrap();
    world.sni().acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    let env = world.env();
    let direct = env["HTTPS_PROXY"].replace("http://", "http://user:password@");
    let roots = std::fs::read(&env["SSL_CERT_FILE"]).unwrap();
    let strangers = [
        options(&world).with_clock(Arc::new(TestClock::default())),
        options(&world).with_proxy(&direct),
        options(&world).with_trusted_roots_pem(roots),
        options(&world).with_trusted_roots_file(&env["SSL_CERT_FILE"]),
    ];
    for (number, options) in strangers.into_iter().enumerate() {
        let token = App::new(options).unwrap().acquire_token(&bearer(GRAPH_SCOPE));
        token.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    let error = world.sni().acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);

    let app = world.sni();
    for status in [429, 503] {
        world.cloud.fault(Fault { times: 2, ..Fault::status("token", status) }).unwrap();
        app.acquire_token(&bearer(VAULT_SCOPE).with_force_refresh(true)).unwrap_err();
        world.cloud.clear_faults();
        app.acquire_token(&bearer(VAULT_SCOPE).with_force_refresh(true)).unwrap();
    }
}

/// `x-client-current-telemetry` (section 9.1): does it say why the network was asked, for which type of
/// token, in which region, and who calls?
#[test]
fn telemetry() {
    let world = World::new();
    let app = world.sni();
    let header = || world.last_token_request().header("x-client-current-telemetry").unwrap().to_owned();
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(header(), "5|1004,2,eastus,,6|0,1,1,,,");
    app.acquire_token(&bearer(GRAPH_SCOPE).with_force_refresh(true)).unwrap();
    assert_eq!(header(), "5|1004,1,eastus,,6|0,1,1,,,");
    world.advance(Duration::from_secs(3400));
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(header(), "5|1004,3,eastus,,6|0,1,1,,,");
    let caller = pop(GRAPH_SCOPE)
        .with_extra_query_parameter("caller-sdk-id", "sdk", false)
        .with_extra_query_parameter("caller-sdk-ver", "1.2", false);
    app.acquire_token(&caller).unwrap();
    assert_eq!(header(), "5|1004,2,eastus,,6|0,1,6,sdk,1.2,");
    assert_eq!(world.last_token_request().query, "", "who calls is told in the header only");
}

/// Do extra parameters arrive as they were given, encoded (sections 4.2 and 6.3; the design's table, row
/// "query values"), those of the request on top of the app's, with %20 for a blank in the query?
#[test]
fn extra_parameters() {
    let world = World::new();
    let options = options(&world)
        .with_extra_query_parameter("dc", "app", false)
        .with_extra_query_parameter("slice", "of app", false);
    let request = bearer(GRAPH_SCOPE)
        .with_extra_query_parameter("dc", "a b&c=ü", false)
        .with_extra_body_parameter("devcloud", "x=y&z +ü")
        .with_extra_http_header("x-devcloud", "one")
        .with_extra_http_header("X-Client-SKU", "mine");
    App::new(options).unwrap().acquire_token(&request).unwrap();
    let received = world.last_token_request();
    assert_eq!(received.query("dc").as_deref(), Some("a b&c=ü"));
    assert_eq!(received.query("slice").as_deref(), Some("of app"));
    assert_eq!(received.query, "slice=of%20app&dc=a%20b%26c%3D%C3%BC");
    assert_eq!(received.form("devcloud").as_deref(), Some("x=y&z +ü"));
    assert_eq!(received.header("x-devcloud"), Some("one"));
    assert_eq!(received.header("x-client-sku"), Some("mine"));
}

/// Is a header that cannot be sent, or is the library's, found out before anybody is asked, be it the callback or the
/// cache?
#[test]
fn bad_headers() {
    let world = World::new();
    let provider = Provider(|_: &AssertionRequest<'_>| {
        panic!("asked for an assertion of a request that cannot be sent")
    });
    let app = App::new(world.fic_options(provider)).unwrap();
    let cached = world.sni();
    cached.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let before = world.cloud.requests().len();
    for (name, value) in [("x", "a\r\nb"), ("x y", "a"), ("", "a"), ("Host", "a"), ("accept", "a")] {
        let request = bearer(GRAPH_SCOPE).with_extra_http_header(name, value);
        for app in [&app, &cached] {
            let error = app.acquire_token(&request).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}: {error}");
        }
    }
    assert_eq!(world.cloud.requests().len(), before);
}

/// Do claims stand behind the scope in the form (section 4.2), also in that of a managed identity?
#[test]
fn order_of_the_form() {
    let world = World::new();
    let claims = r#"{"access_token":{"acrs":{"values":["c1"]}}}"#;
    let sent = |app: &App, scope: &str| {
        app.acquire_token(&pop(scope).with_claims(claims)).unwrap();
        let body = world.last_token_request().body;
        body.split('&').map(|field| field.split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let client = sent(&world.sni(), GRAPH_SCOPE);
    assert_eq!(client, ["client_id", "scope", "claims", "grant_type", "client_info", "token_type"]);
    let identity = sent(&world.managed_identity(SYSTEM), GRAPH);
    assert_eq!(identity, ["client_id", "scope", "claims", "grant_type", "token_type"]);
}

/// `client_info` and what else the service says (section 6.4): can it be read, also on a hit, without
/// the ids of an account?
#[test]
fn client_info() {
    let world = World::new();
    let app = world.sni();
    for _ in 0..2 {
        let token = app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
        assert_eq!(token.response_parameter("xms_devcloud"), Some("demo"));
        assert_eq!((token.response_parameter("uid"), token.response_parameter("access_token")), (None, None));
    }
    assert_eq!(world.cloud.counter("token"), 1);
}

/// FMI paths (section 3.6): does the token's go into the form, and the assertion's to the callback only?
#[test]
fn fmi_paths() {
    let world = World::new();
    let (told, answer) = (Arc::new(Mutex::new(None)), world.fic_answer(true));
    let tell = told.clone();
    let provider = Provider(move |request: &AssertionRequest<'_>| {
        *tell.lock().unwrap() = request.fmi_path.map(str::to_owned);
        Ok(answer.clone())
    });
    let app = App::new(world.fic_options(provider)).unwrap();
    let request =
        pop(GRAPH_SCOPE).with_fmi_path("SomePath/Token").with_client_assertion_fmi_path("SomePath/One");
    let token = app.acquire_token(&request).unwrap();
    assert_eq!(world.last_token_request().form("fmi_path").as_deref(), Some("SomePath/Token"));
    assert_eq!(claims(&token)["fmi_path"], "SomePath/Token");
    assert_eq!(told.lock().unwrap().as_deref(), Some("SomePath/One"));
    assert!(!world.last_token_request().body.contains("One"), "the assertion's is not the token's");
}

/// Metadata (section 8): source, cache and reason, for each way to get a token.
#[test]
fn metadata() {
    let world = World::new();
    let app = world.sni();
    let ask = bearer(GRAPH_SCOPE);
    let assert_fetched = |token: Token, reason| {
        let metadata = *token.metadata();
        assert_eq!(metadata.token_source, TokenSource::IdentityProvider);
        assert_eq!((metadata.cache_level, metadata.cache_refresh_reason), (CacheLevel::None, reason));
        assert!(!metadata.duration_in_http.is_zero(), "{metadata:?}");
        assert!(metadata.duration_total >= metadata.duration_in_http, "{metadata:?}");
        assert!(metadata.duration_in_cache.is_zero());
    };
    assert_fetched(app.acquire_token(&ask).unwrap(), CacheRefreshReason::NoCachedAccessToken);
    let metadata = *app.acquire_token(&ask).unwrap().metadata();
    assert_eq!((metadata.token_source, metadata.cache_level), (TokenSource::Cache, CacheLevel::L1Cache));
    assert_eq!(metadata.cache_refresh_reason, CacheRefreshReason::NotApplicable);
    assert!(metadata.duration_in_http.is_zero());
    let bypass = CacheRefreshReason::ForceRefreshOrClaims;
    assert_fetched(app.acquire_token(&ask.clone().with_force_refresh(true)).unwrap(), bypass);
    let challenge = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
    assert_fetched(app.acquire_token(&ask.clone().with_claims(challenge)).unwrap(), bypass);
    world.advance(Duration::from_secs(3400));
    assert_fetched(app.acquire_token(&ask).unwrap(), CacheRefreshReason::Expired);
}

type Tags = BTreeMap<&'static str, String>;

/// Kind, unit and tags, by name.
type Metrics = BTreeMap<&'static str, (MetricKind, &'static str, Tags)>;

/// Keeps what it receives.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Metrics>>);

impl Sink {
    fn of(&self, options: AppOptions) -> AppOptions {
        let sink = self.clone();
        options.with_metrics(Arc::new(move |metric: &Metric<'_>| {
            let tags = metric.tags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            assert!(metric.value >= 0, "{}", metric.name);
            let known = sink.0.lock().unwrap().insert(metric.name, (metric.kind, metric.unit, tags));
            assert!(known.is_none(), "{} twice in one acquisition", metric.name);
        }))
    }

    fn take(&self) -> Metrics {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn tags(pairs: &[(&'static str, &str)]) -> Tags {
    let always = [("ApiId", "AcquireTokenForClient"), ("TokenType", "1")];
    always.iter().chain(pairs).map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// Metrics (section 9.2): which instruments, with which tags, for a miss, a hit and a failure?
#[test]
fn metrics() {
    let world = World::new();
    let sink = Sink::default();
    let app = App::new(sink.of(options(&world))).unwrap();
    let version = [("MsalVersion", env!("CARGO_PKG_VERSION")), ("Platform", std::env::consts::OS)];
    let names = |seen: &Metrics| seen.keys().copied().collect::<BTreeSet<_>>();
    let found = |source, level, reason| {
        let common = [("TokenSource", source), ("CacheLevel", level), ("CacheRefreshReason", reason)];
        tags(&[&version[..], &common, &[("CallerSdkId", "")]].concat())
    };

    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let miss = sink.take();
    let common = ["MsalSuccess", "MsalTotalDuration.1A", "MsalRemainingTokenLifetime.1A"];
    let with = |own: &'static str| BTreeSet::from_iter(common.into_iter().chain([own]));
    assert_eq!(names(&miss), with("MsalDurationInHttp.1A"));
    let expected = found("IdentityProvider", "None", "NoCachedAccessToken");
    assert_eq!(miss["MsalSuccess"], (MetricKind::Counter, "1", expected));
    assert_eq!(
        (miss["MsalDurationInHttp.1A"].0, miss["MsalDurationInHttp.1A"].1),
        (MetricKind::Histogram, "ms")
    );
    assert_eq!(miss["MsalDurationInHttp.1A"].2, tags(&version));

    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let hit = sink.take();
    assert_eq!(names(&hit), with("MsalDurationInL1CacheInUs.1B"));
    assert_eq!(hit["MsalSuccess"].2, found("Cache", "L1Cache", "NotApplicable"));
    assert_eq!(hit["MsalDurationInL1CacheInUs.1B"].1, "us");

    let body = r#"{"error":"invalid_scope","error_description":"AADSTS70011: no"}"#;
    world.cloud.fault(Fault { body: Some(body.into()), ..Fault::status("token", 400) }).unwrap();
    app.acquire_token(&bearer(GRAPH_SCOPE).with_force_refresh(true)).unwrap_err();
    let failure = sink.take();
    assert_eq!(names(&failure), ["MsalFailure", "MsalDurationInHttp.1A"].into());
    let code = [("ErrorCode", "invalid_scope"), ("RawStsErrorCode", "70011"), ("CallerSdkId", "")];
    let expected = [&version[..], &code, &[("CacheRefreshReason", "ForceRefreshOrClaims")]].concat();
    assert_eq!(failure["MsalFailure"], (MetricKind::Counter, "1", tags(&expected)));
}

/// Do the instruments of MSAL's second generation take the place of the first where the environment says so?
#[test]
fn extended_metrics() {
    let world = World::new();
    let sink = Sink::default();
    let mut env = world.env();
    env.insert("MSAL_ENABLE_EXTENDED_TOKEN_METRICS".to_owned(), "true".to_owned());
    let app = App::new(sink.of(options(&world)).with_env(Arc::new(env))).unwrap();
    world.cloud.fault(Fault { times: 2, ..Fault::status("token", 503) }).unwrap();
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap_err();
    let failure = sink.take();
    let both = format!("{},{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    let http = tags(&[("MsalVersionPlatform", &both), ("HttpStatusCode", "503")]);
    assert_eq!(failure["MsalDurationInHttpV2.1A"].2, http);
    assert_eq!(failure["MsalTotalDurationV2.1A"].2["Succeeded"], "false");
    assert_eq!(failure["MsalTotalDurationV2.1A"].2["ErrorCode"], "service_not_available");
    assert!(!failure.contains_key("MsalTotalDuration.1A") && !failure.contains_key("MsalDurationInHttp.1A"));
}
