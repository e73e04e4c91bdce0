//! Regions: which one is used, who is asked for it, and what happens where nobody tells.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use devcloud::{Fault, Service, directory};
use mtlspop::{App, AppOptions, Cancel, Credential, ErrorKind, LogLevel, Logger, Secret, Token};
use serde_json::json;

use crate::support::{GRAPH_SCOPE, World, authority, bearer, pop, wait_for};

const GLOBAL: &str = "login.microsoftonline.com";
const REGIONAL: &str = "eastus.login.microsoft.com";
/// Has the region of this host found out.
const DETECT: &str = "TryAutoDetect";

/// App A with its secret and without a region.
fn options(world: &World) -> AppOptions {
    environment(world, &[])
}

fn environment(world: &World, variables: &[(&str, &str)]) -> AppOptions {
    let mut env = world.env();
    env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
        .with_authority(&authority(GLOBAL))
        .with_credential(Credential::Secret(Secret::new(directory::APP_A_SECRET)))
        .with_clock(world.clock.clone())
        .with_env(Arc::new(env))
}

fn token(options: AppOptions) -> Token {
    App::new(options).unwrap().acquire_token(&bearer(GRAPH_SCOPE)).unwrap()
}

/// Where `token` comes from: the host, and the region that was used.
fn origin(token: &Token) -> (String, Option<&str>) {
    let host = token.token_endpoint().split('/').nth(2).unwrap();
    (host.to_owned(), token.region())
}

/// A place for log lines, and the setting that fills it.
fn log_of(options: AppOptions) -> (AppOptions, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let sink = {
        let lines = lines.clone();
        move |_: LogLevel, _: &str, line: &str| lines.lock().unwrap().push(line.to_owned())
    };
    (options.with_logger(Logger::new(LogLevel::Verbose, Arc::new(sink))), lines)
}

fn outcomes(lines: &Mutex<Vec<String>>) -> Vec<String> {
    let lines = lines.lock().unwrap();
    let outcomes = lines.iter().filter_map(|line| line.strip_prefix("region: ")?.split(" [").next());
    outcomes.map(str::to_owned).collect()
}

/// TryAutoDetect: is IMDS asked as section 1.5 says, once for all apps of the host?
#[test]
fn detected_from_imds() {
    let world = World::new();
    let (first, lines) = log_of(options(&world).with_azure_region(DETECT));
    assert_eq!(origin(&token(first)), (REGIONAL.to_owned(), Some("eastus")));
    let asked = &world.cloud.requests_to(Service::Imds)[0];
    assert_eq!(
        (asked.path.as_str(), asked.query.as_str()),
        ("/metadata/instance/compute", "api-version=2021-02-01")
    );
    assert_eq!(asked.header("metadata"), Some("true"));
    let (second, more) = log_of(options(&world).with_azure_region("tryautodetect"));
    assert_eq!(origin(&token(second)), (REGIONAL.to_owned(), Some("eastus")));
    assert_eq!(world.cloud.counter("compute"), 1);
    assert_eq!(outcomes(&lines), ["AutodetectSuccess, from Imds"]);
    assert_eq!(outcomes(&more), ["AutodetectSuccess, from Cache"]);
}

/// Does the environment's `REGION_NAME` spare the question, in any spelling, and is it passed over where
/// it is no region (section 1.5)?
#[test]
fn detected_from_the_environment() {
    let world = World::new();
    let ask = |name| {
        let (options, lines) =
            log_of(environment(&world, &[("REGION_NAME", name)]).with_azure_region(DETECT));
        let token = token(options);
        let (host, region) = origin(&token);
        (host, region.map(str::to_owned), outcomes(&lines)[0].clone())
    };
    let named = "AutodetectSuccess, from EnvVariable";
    for name in ["West US 2", "westus2"] {
        assert_eq!(
            ask(name),
            ("westus2.login.microsoft.com".to_owned(), Some("westus2".to_owned()), named.to_owned())
        );
    }
    assert_eq!(world.cloud.counter("compute"), 0);
    let (host, region, outcome) = ask("fake.com/x");
    assert_eq!((host.as_str(), region.as_deref()), (REGIONAL, Some("eastus")));
    assert_eq!((outcome.as_str(), world.cloud.counter("compute")), ("AutodetectSuccess, from Imds", 1));
}

/// Is nobody asked where the region is named, by the app or by `MSAL_FORCE_REGION`, or where
/// `MSAL_DISABLE_REGION` rules it out (section 1.5)?
#[test]
fn named_regions_are_not_looked_up() {
    let world = World::new();
    let (explicit, lines) = log_of(options(&world).with_azure_region("East US"));
    assert_eq!(origin(&token(explicit)), (REGIONAL.to_owned(), Some("eastus")));
    let forced = environment(&world, &[("MSAL_FORCE_REGION", "eastus")]);
    assert_eq!(origin(&token(forced)), (REGIONAL.to_owned(), Some("eastus")));
    let opted_out =
        environment(&world, &[("MSAL_FORCE_REGION", "eastus")]).with_azure_region("DisableMsalForceRegion");
    assert_eq!(origin(&token(opted_out)), (GLOBAL.to_owned(), None));
    let (disabled, more) =
        log_of(environment(&world, &[("MSAL_DISABLE_REGION", "1")]).with_azure_region(DETECT));
    assert_eq!(origin(&token(disabled)), (GLOBAL.to_owned(), None));
    assert_eq!(world.cloud.counter("compute"), 0);
    assert_eq!(outcomes(&lines), ["UserProvided, from None"]);
    assert_eq!(outcomes(&more), ["None, from None"]);
}

/// Is a region that Azure does not have a warning when the app is made, and no error, since regions are opened; and
/// is nothing said where no region is used?
#[test]
fn unknown_regions_are_doubted() {
    let world = World::new();
    let doubts = |options: AppOptions| {
        let (options, lines) = log_of(options);
        App::new(options).unwrap();
        let lines = lines.lock().unwrap();
        lines.iter().filter(|line| line.contains("none of the Azure regions")).count()
    };
    assert_eq!(doubts(options(&world).with_azure_region("eastusa")), 1);
    assert_eq!(doubts(environment(&world, &[("MSAL_FORCE_REGION", "eastusa")])), 1);
    assert_eq!(doubts(options(&world).with_azure_region("East US")), 0);
    let dsts = "https://a.dsts.core.azure-test.net/dstsv2/t";
    assert_eq!(doubts(options(&world).with_authority(dsts).with_azure_region("eastusa")), 0);
}

/// An IMDS that does not know our version: is it asked for the newest that it knows (section 1.5)?
#[test]
fn version_fallback() {
    let world = World::new();
    world.cloud.fault(Fault::status("compute", 400)).unwrap();
    assert_eq!(origin(&token(options(&world).with_azure_region(DETECT))).1, Some("eastus"));
    let queries: Vec<_> =
        world.cloud.requests_to(Service::Imds).iter().map(|asked| asked.query.clone()).collect();
    assert_eq!(queries, ["api-version=2021-02-01", "", "api-version=2023-07-01"]);
}

/// IMDS is down: do two seconds suffice for it, is the global endpoint asked then, and is IMDS left in
/// peace for five minutes (design: failed discovery is forgotten after a short while)?
#[test]
fn outage() {
    let world = World::new();
    let (options, lines) = log_of(options(&world).with_azure_region(DETECT));
    let app = App::new(options).unwrap();
    let ask = || app.acquire_token(&bearer(GRAPH_SCOPE).with_force_refresh(true)).unwrap();
    world.cloud.fault(Fault { times: 9, ..Fault::status("compute", 503) }).unwrap();
    assert_eq!(origin(&ask()), (GLOBAL.to_owned(), None));
    assert_eq!(world.cloud.counter("compute"), 2, "once more after a second; two more would be too late");
    assert_eq!(origin(&ask()), (GLOBAL.to_owned(), None));
    assert_eq!(world.cloud.counter("compute"), 2);
    world.cloud.clear_faults();
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(origin(&ask()), (REGIONAL.to_owned(), Some("eastus")));
    let failed = "FallbackToGlobal, from FailedAutoDiscovery";
    assert_eq!(outcomes(&lines), [failed, failed, "AutodetectSuccess, from Imds"]);
    let warnings = lines.lock().unwrap().iter().filter(|line| line.starts_with("no region")).count();
    assert_eq!(warnings, 1);
}

/// Which answers of IMDS are tried again (section 6.2, region row)?
#[test]
fn retries() {
    for (status, requests) in [(404, 1), (408, 1), (410, 2), (429, 2), (500, 2)] {
        let world = World::new();
        world.cloud.fault(Fault::status("compute", status)).unwrap();
        let region = origin(&token(options(&world).with_azure_region(DETECT))).1.map(str::to_owned);
        assert_eq!(world.cloud.counter("compute"), requests, "{status}");
        assert_eq!(region.is_some(), requests == 2, "{status}");
    }
}

/// Whatever IMDS calls a location: does nothing of it reach a host name but `[a-z0-9]` (section 1.5)?
#[test]
fn nasty_locations() {
    let world = World::new();
    // Longer than a label of a host name may be (since July 2026, section 11).
    let endless = "a".repeat(64);
    for location in
        ["evil.test/", "evil.test#", "a@evil", "east-us", "eastus\n", "ｅａｓｔｕｓ", "east.us", "", &endless]
    {
        world.cloud.fault(Fault::set("compute", json!({ "location": location }))).unwrap();
        assert_eq!(origin(&token(options(&world).with_azure_region(DETECT))), (GLOBAL.to_owned(), None));
        world.advance(Duration::from_secs(301));
    }
    world.cloud.fault(Fault::set("compute", json!({ "location": "West US 2" }))).unwrap();
    assert_eq!(origin(&token(options(&world).with_azure_region(DETECT))).1, Some("westus2"));
}

/// Do many cold apps ask IMDS once (design: single flight)?
#[test]
fn asked_once_for_all() {
    let world = World::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(origin(&token(options(&world).with_azure_region(DETECT))).1, Some("eastus"))
            });
        }
    });
    assert_eq!(world.cloud.counter("compute"), 1);
}

/// A caller who gives up while IMDS is slow: is that its own matter, not a failure for all (section 1.5,
/// without MSAL's poisoning)?
#[test]
fn giving_up_is_not_remembered() {
    let world = World::new();
    let app = App::new(options(&world).with_azure_region(DETECT)).unwrap();
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("compute") }).unwrap();
    let cancel = Cancel::new();
    let request = bearer(GRAPH_SCOPE).with_cancel(cancel.clone());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| app.acquire_token(&request).unwrap_err());
        wait_for(|| world.cloud.counter("compute") == 1);
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().kind(), ErrorKind::Cancelled);
    });
    world.cloud.fault(Fault { delay_ms: 60_000, ..Fault::on("compute") }).unwrap();
    let hurried = bearer(GRAPH_SCOPE).with_timeout(Some(Duration::from_millis(50)));
    assert_eq!(app.acquire_token(&hurried).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(origin(&app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap()).1, Some("eastus"));
    assert_eq!(world.cloud.counter("compute"), 3);
}

/// Is the region of nobody asked where it would change nothing: for a request that is refused, and for
/// authorities that have no regions (sections 1.6 and 1.7)?
#[test]
fn not_asked_in_vain() {
    let world = World::new();
    let with_authority = |text: &str| options(&world).with_azure_region(DETECT).with_authority(text);
    for host in ["sts.windows.net", "login-us.microsoftonline.com"] {
        let app = with_authority(&authority(host)).with_credential(world.sni_credential());
        let error = App::new(app).unwrap().acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
        assert_eq!(error.code(), "mtls_pop_not_supported_for_environment");
    }
    assert_eq!(world.cloud.requests().len(), 0);
    let dsts = format!("https://a.dsts.core.azure-test.net/dstsv2/{}", directory::TENANT_ID);
    let (options, lines) = log_of(with_authority(&dsts));
    assert_eq!(origin(&token(options)), ("a.dsts.core.azure-test.net".to_owned(), None));
    assert_eq!(world.cloud.counter("compute"), 0);
    assert_eq!(outcomes(&lines), [""; 0]);
}
