//! What an error knows of the call that failed: endpoint, region and durations, as a token does.

use std::time::Duration;

use devcloud::Fault;
use mtlspop::{App, AppOptions, AssertionRequest, Error, ErrorKind, RegionOutcome, TokenRequest};

use crate::support::{GRAPH, GRAPH_SCOPE, Provider, SYSTEM, World, authority, bearer, hang, pop};

fn refused(options: AppOptions, request: &TokenRequest) -> Error {
    App::new(options).unwrap().acquire_token(request).unwrap_err()
}

/// The host that was asked, the region, and its outcome.
fn origin(error: &Error) -> (Option<&str>, Option<&str>, Option<RegionOutcome>) {
    let host = error.token_endpoint().map(|url| url.split('/').nth(2).unwrap());
    (host, error.region(), error.region_outcome())
}

/// Does a refusal name the endpoint and the region that it came from, and say what that took?
#[test]
fn a_refusal_says_where_it_came_from() {
    let world = World::new();
    let refuse = || world.cloud.fault(Fault::status("token", 400)).unwrap();
    let sni = || world.app_a_options(world.sni_credential());
    refuse();
    let error = refused(sni(), &pop(GRAPH_SCOPE));
    let regional = (Some("eastus.mtlsauth.microsoft.com"), Some("eastus"), Some(RegionOutcome::UserProvided));
    assert_eq!(origin(&error), regional);
    assert!(error.token_endpoint().unwrap().ends_with("/oauth2/v2.0/token"));
    assert!(error.duration_in_http() > Duration::ZERO && error.duration_total() >= error.duration_in_http());
    assert_eq!((error.duration_in_cache(), error.region_error()), (Duration::ZERO, None));

    refuse();
    world.cloud.fault(Fault { times: 9, ..Fault::status("compute", 404) }).unwrap();
    let error = refused(sni().with_azure_region("TryAutoDetect"), &bearer(GRAPH_SCOPE));
    let global = (Some("login.microsoftonline.com"), None, Some(RegionOutcome::FallbackToGlobal));
    assert_eq!(origin(&error), global);
    assert!(error.region_error().unwrap().contains("404"), "{:?}", error.region_error());
}

/// Does an error before the answer, too: with a callback that fails, a time that is over, a pause that the service
/// asked for?
#[test]
fn before_there_is_an_answer() {
    let world = World::new();
    let fails = |_: &AssertionRequest<'_>| Err(Error::new(ErrorKind::Callback, "mine", "no assertion today"));
    let error = refused(world.fic_options(Provider(fails)), &pop(GRAPH_SCOPE));
    assert_eq!(origin(&error).0, Some("eastus.mtlsauth.microsoft.com"));
    assert_eq!((error.code(), error.duration_in_http()), ("mine", Duration::ZERO));

    hang(&world, "token");
    let short = pop(GRAPH_SCOPE).with_timeout(Some(Duration::from_millis(300)));
    let error = refused(world.app_a_options(world.sni_credential()), &short);
    assert_eq!((error.kind(), origin(&error).1), (ErrorKind::Timeout, Some("eastus")));
    assert!(error.duration_total() >= Duration::from_millis(300), "{:?}", error.duration_total());

    let wait = [("Retry-After".to_owned(), "60".to_owned())].into();
    world.cloud.fault(Fault { headers: wait, times: 9, ..Fault::status("token", 429) }).unwrap();
    let app = App::new(world.app_a_options(world.sni_credential())).unwrap();
    let asked = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
    let spared = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap_err();
    assert_eq!((spared.kind(), origin(&spared)), (ErrorKind::Throttled, origin(&asked)));
    assert_eq!(spared.duration_in_http(), Duration::ZERO);
}

/// Is nothing made up where the call did not come that far?
#[test]
fn what_is_not_known_is_not_said() {
    let world = World::new();
    let unknown = authority("login.unknown.test");
    let options = world.app_a_options(world.sni_credential()).with_authority(&unknown);
    let error = refused(options, &bearer(GRAPH_SCOPE));
    assert_eq!((error.code(), origin(&error)), ("invalid_instance", (None, None, None)));
    assert!(error.duration_in_http() > Duration::ZERO, "Entra was asked about the host");

    let error = refused(world.app_a_options(world.sni_credential()), &bearer("two scopes"));
    assert_eq!((error.kind(), origin(&error).0), (ErrorKind::Rejected, Some("eastus.login.microsoft.com")));
    let error = refused(world.managed_identity_options(SYSTEM), &bearer("two resources"));
    assert_eq!((error.kind(), origin(&error)), (ErrorKind::InvalidArgument, (None, None, None)));
    assert_eq!(error.duration_total(), Duration::ZERO);
}

/// Does a managed identity's error name who was asked: the host for Bearer, the token service for `mtls_pop`?
#[test]
fn managed_identities() {
    let world = World::new();
    for (operation, request, host) in [
        ("imds_token", bearer(GRAPH), world.cloud.imds_url().replace("http://", "")),
        ("token", pop(GRAPH), "eastus.mtlsauth.microsoft.com".to_owned()),
    ] {
        world.cloud.fault(Fault::status(operation, 400)).unwrap();
        let error = refused(world.managed_identity_options(SYSTEM), &request);
        assert_eq!(origin(&error), (Some(host.as_str()), None, None));
        assert!(!error.token_endpoint().unwrap().contains('?'), "{:?}", error.token_endpoint());
    }
}

/// A credential that asks for a token itself, and is refused: are endpoint and region those of that call, and the
/// durations those of all of it; and is no region of the outer call beside the inner endpoint?
#[test]
fn a_credential_that_asks_itself() {
    let world = World::new();
    let inner = App::new(world.managed_identity_options(SYSTEM)).unwrap();
    let asks = move |_: &AssertionRequest<'_>| Err(inner.acquire_token(&bearer(GRAPH)).unwrap_err());
    world.cloud.fault(Fault::status("imds_token", 400)).unwrap();
    let error = refused(world.fic_options(Provider(asks)), &pop(GRAPH_SCOPE));
    let imds = world.cloud.imds_url().replace("http://", "");
    assert_eq!(origin(&error), (Some(imds.as_str()), None, None));
    assert!(error.duration_total() >= error.duration_in_http(), "{error:?}");
}
