//! `MSAL_MI_DISABLE_IMDS_V2`: what it stops, what it leaves, and that it can be turned back (since_july_2026 spec,
//! section 3).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use devcloud::{Fault, Source};
use mtlspop::{
    App, AppOptions, Env, ErrorKind, LogLevel, Logger, ManagedIdentityCapabilities, ManagedIdentitySource,
    MtlsBindingStrength, Result, TokenSource, TpmOptions,
};
use serde_json::json;

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, bearer, pop, wait_for};

const NAME: &str = "MSAL_MI_DISABLE_IMDS_V2";

/// A host on which somebody turns the variable while the program runs.
#[derive(Debug)]
struct Host {
    variables: HashMap<String, String>,
    value: Mutex<Option<String>>,
    reads: AtomicU32,
}

impl Host {
    fn new(world: &World) -> Arc<Self> {
        Self::with(world.env())
    }

    fn with(variables: HashMap<String, String>) -> Arc<Self> {
        Arc::new(Self { variables, value: Mutex::default(), reads: AtomicU32::new(0) })
    }

    fn turn(&self, value: &str) {
        *self.value.lock().unwrap() = Some(value.to_owned());
    }

    fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }

    fn options(self: &Arc<Self>, world: &World) -> AppOptions {
        world.managed_identity_options(SYSTEM).with_env(self.clone())
    }

    fn app(self: &Arc<Self>, world: &World) -> App {
        App::new(self.options(world)).unwrap()
    }
}

impl Env for Host {
    fn var(&self, name: &str) -> Option<String> {
        if name != NAME {
            return self.variables.var(name);
        }
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.value.lock().unwrap().clone().filter(|value| !value.is_empty())
    }
}

type Lines = Arc<Mutex<Vec<(LogLevel, String)>>>;

fn lines() -> (Logger, Lines) {
    let lines = Lines::default();
    let sink = lines.clone();
    let log = Logger::new(
        LogLevel::Verbose,
        Arc::new(move |level, _: &str, line: &str| sink.lock().unwrap().push((level, line.to_owned()))),
    );
    (log, lines)
}

/// IMDSv1, both parts of IMDSv2, tokens over mTLS.
fn calls(world: &World) -> [u64; 4] {
    ["imds_token", "metadata", "issuecredential", "token"].map(|operation| world.cloud.counter(operation))
}

fn code<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.unwrap_err().code().to_owned()
}

fn ask(app: &App) -> ManagedIdentityCapabilities {
    app.managed_identity_capabilities(None, None).unwrap()
}

/// Do `1` and `true` turn it off, in any case; does everything else leave it on; and is a value that means nothing
/// told about once, by the name of the variable?
#[test]
fn values() {
    let world = World::new();
    for (value, off) in [
        ("1", true),
        ("true", true),
        ("TRUE", true),
        ("tRuE", true),
        ("", false),
        ("0", false),
        ("false", false),
        ("yes", false),
        ("hunter2", false),
        (" true", false),
        ("1 ", false),
        ("01", false),
    ] {
        let host = Host::new(&world);
        host.turn(value);
        let (log, lines) = lines();
        let app = App::new(host.options(&world).with_logger(log)).unwrap();
        app.acquire_token(&bearer(GRAPH).with_force_refresh(true)).unwrap();
        let outcome = app.acquire_token(&pop(GRAPH).with_force_refresh(true));
        assert_eq!(outcome.is_err(), off, "{value:?}: {outcome:?}");
        let lines = lines.lock().unwrap();
        let warned = lines.iter().filter(|(level, line)| *level == LogLevel::Warning && line.contains(NAME));
        assert_eq!(warned.count(), usize::from(!off && !value.is_empty()), "{value:?}: {lines:?}");
        assert!(!lines.iter().any(|(_, line)| line.contains("hunter2")), "{lines:?}");
    }
}

/// Does `mtls_pop` fail at once, before what the host can do and before a floor, also where the keys could not be
/// had either; and does Bearer come from IMDSv1?
#[test]
fn fails_at_once() {
    let world = World::new();
    let host = Host::new(&world);
    host.turn("true");
    let no_tpm = TpmOptions::new().with_tcti("nonsense:");
    let with_tpm = App::new(host.options(&world).with_tpm(no_tpm)).unwrap();
    let attested = App::new(host.options(&world).with_min_strength(MtlsBindingStrength::Attested)).unwrap();
    let app = host.app(&world);
    let floor = pop(GRAPH).with_min_strength(MtlsBindingStrength::Hardware);
    for (app, request) in
        [(&app, pop(GRAPH)), (&app, floor), (&attested, pop(GRAPH)), (&with_tpm, pop(GRAPH))]
    {
        let error = app.acquire_token(&request).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotSupported, "imds_v2_disabled"), "{error}");
        assert_eq!((error.http_status(), error.is_retryable()), (None, false));
        assert!(error.message().contains(NAME), "{error}");
    }
    assert!(world.cloud.requests().is_empty());
    assert_eq!(app.acquire_token(&bearer(GRAPH)).unwrap().token_type().as_str(), "Bearer");
    assert_eq!(calls(&world), [1, 0, 0, 0]);
    // What a request is wrong in is said first.
    assert_eq!(code(app.acquire_token(&pop(""))), "scopes_required_client_credentials");
}

/// Does it stop a process that has a certificate already, leave it the tokens that it has, and cost a cache hit
/// nothing? Is the certificate still there when it is turned on again?
#[test]
fn warm_process() {
    let world = World::new();
    let host = Host::new(&world);
    let app = host.app(&world);
    let first = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(calls(&world), [0, 1, 1, 1]);
    let reads = host.reads();
    host.turn("1");
    for _ in 0..3 {
        let hit = app.acquire_token(&pop(GRAPH)).unwrap();
        assert_eq!((hit.source(), hit.access_token()), (TokenSource::Cache, first.access_token()));
    }
    assert_eq!(host.reads(), reads, "not read on a hit");
    let claims = r#"{"access_token":{"acrs":{"values":["c1"]}}}"#;
    for request in [pop(VAULT), pop(GRAPH).with_force_refresh(true), pop(GRAPH).with_claims(claims)] {
        assert_eq!(code(app.acquire_token(&request)), "imds_v2_disabled");
    }
    assert_eq!(app.acquire_token(&pop(GRAPH)).unwrap().access_token(), first.access_token());
    world.advance(Duration::from_secs(3600));
    assert_eq!(code(app.acquire_token(&pop(GRAPH))), "imds_v2_disabled", "the token has ended");
    assert_eq!(calls(&world), [0, 1, 1, 1]);
    host.turn("0");
    let again = app.acquire_token(&pop(GRAPH)).unwrap();
    assert_eq!(assert_bound(&again), assert_bound(&first));
    assert_eq!(calls(&world), [0, 1, 1, 2]);
}

/// Is a token that is due for replacement served until it ends, by an app with a background and by one without?
#[test]
fn early_refresh() {
    for background in [true, false] {
        let world = World::new();
        let host = Host::new(&world);
        let (log, lines) = lines();
        let options = host.options(&world).with_logger(log).with_background_refresh(background);
        let app = App::new(options).unwrap();
        world.cloud.fault(Fault::set("token", json!({ "refresh_in": 600 }))).unwrap();
        let first = app.acquire_token(&pop(GRAPH)).unwrap();
        host.turn("1");
        world.advance(Duration::from_secs(900));
        let failed = || {
            let lines = lines.lock().unwrap();
            lines.iter().filter(|(_, line)| line.contains("early refresh failed")).count()
        };
        for _ in 0..3 {
            let hit = app.acquire_token(&pop(GRAPH)).unwrap();
            assert_eq!((hit.source(), hit.access_token()), (TokenSource::Cache, first.access_token()));
        }
        wait_for(|| failed() == 1);
        assert_eq!(calls(&world), [0, 1, 1, 1], "nobody was asked");
        world.advance(Duration::from_secs(2700));
        assert_eq!(code(app.acquire_token(&pop(GRAPH))), "imds_v2_disabled");
    }
}

/// Do capabilities say that there is no strength, and why, without a probe of IMDSv2? Do they say what is there when
/// it is turned on again, and is what was known before still known, without a request?
#[test]
fn capabilities() {
    let cold = World::new();
    let host = Host::new(&cold);
    let app = host.app(&cold);
    host.turn("1");
    for _ in 0..2 {
        let found = ask(&app);
        assert_eq!(found.source(), Some(ManagedIdentitySource::Imds));
        assert_eq!(found.max_supported_binding_strength(), MtlsBindingStrength::None);
        assert!(!found.is_mtls_pop_supported_by_host());
        assert!(found.error_reason().unwrap().contains(NAME), "{found:?}");
        assert!(found.detection_reason().contains("IMDSv1 answered its probe"), "{found:?}");
        assert_eq!(calls(&cold), [1, 0, 0, 0]);
    }
    assert_eq!(cold.cloud.counter("compute"), 0);
    host.turn("");
    let found = ask(&app);
    assert_eq!(
        (found.max_supported_binding_strength(), found.error_reason()),
        (MtlsBindingStrength::Software, None)
    );
    assert_eq!(calls(&cold), [1, 1, 0, 0]);
    app.acquire_token(&pop(GRAPH).with_min_strength(MtlsBindingStrength::Software)).unwrap();

    host.turn("true");
    let off = ask(&app);
    assert_eq!((off.source(), off.is_mtls_pop_supported_by_host()), (found.source(), false));
    assert_eq!(off.detection_reason(), found.detection_reason());
    assert!(off.error_reason().unwrap().contains(NAME), "{off:?}");
    host.turn("no");
    assert_eq!(ask(&app), found);
    assert_eq!(calls(&cold), [1, 2, 1, 1]);
}

/// Is a host without any IMDS still told from one whose IMDSv2 is turned off, and is nothing of that kept for long?
#[test]
fn nothing_there() {
    let world = World::new();
    let host = Host::new(&world);
    let app = host.app(&world);
    host.turn("1");
    world.cloud.fault(Fault { times: 9, ..Fault::status("imds_token", 404) }).unwrap();
    let found = ask(&app);
    assert_eq!((found.source(), found.is_mtls_pop_supported_by_host()), (None, false));
    for words in [NAME, "IMDSv2: not asked", "IMDSv1: HTTP 404"] {
        assert!(found.error_reason().unwrap().contains(words), "{found:?}");
    }
    assert_eq!(calls(&world), [1, 0, 0, 0]);
    world.cloud.clear_faults();
    world.advance(Duration::from_secs(61));
    assert_eq!(ask(&app).source(), Some(ManagedIdentitySource::Imds));
    host.turn("0");
    assert!(ask(&app).is_mtls_pop_supported_by_host());
    // What an IMDSv1 host could do by its hardware counts for nothing either.
    let world = World::new();
    let host = Host::new(&world);
    world.cloud.fault(Fault { times: 9, ..Fault::status("metadata", 404) }).unwrap();
    let windows = json!({"osType": "Windows", "securityProfile": {"securityType": "ConfidentialVM"}});
    world.cloud.fault(Fault::set("compute", windows)).unwrap();
    let app = host.app(&world);
    assert!(ask(&app).is_mtls_pop_supported_by_host());
    host.turn("1");
    assert!(!ask(&app).is_mtls_pop_supported_by_host());
    assert_eq!(code(app.acquire_token(&pop(GRAPH))), "imds_v2_disabled", "also where the host has no IMDSv2");
}

/// Is it for IMDS only: do the other sources never read it?
#[test]
fn other_sources() {
    let world = World::new();
    for source in Source::ALL {
        let mut env = world.env();
        env.extend(world.cloud.source_env(source));
        let host = Host::with(env);
        host.turn("1");
        let app = host.app(&world);
        assert_eq!(code(app.acquire_token(&pop(GRAPH))), "mtls_pop_not_supported_for_environment");
        assert_eq!(ask(&app).error_reason(), None, "{source:?}");
        if source != Source::AzureArc {
            app.acquire_token(&bearer(GRAPH)).unwrap();
        }
        assert_eq!(host.reads(), 0, "{source:?}");
    }
}
