//! APIs that ask for the certificate of a token once they have read the request: Debian's Apache, with Entra's
//! certificates of devcloud.

use std::fs;
use std::sync::{Arc, Mutex};

use mtlspop::{
    App, AppOptions, ErrorKind, HttpRequest, LogLevel, Logger, ManagedIdentityId, TlsVersion, Token,
};

use crate::apache::{Apache, SECRET};
use crate::support::{GRAPH, GRAPH_SCOPE, World, bearer, pop};

fn apache(world: &World) -> Apache {
    let files = world.cloud.files();
    let read = |path| fs::read_to_string(path).unwrap();
    Apache::start(&read(files.localhost()), &read(files.client_cas()), "-all +TLSv1.2 +TLSv1.3")
}

fn private(apache: &Apache) -> HttpRequest {
    HttpRequest::new("GET", &apache.url("/private/secret"))
}

/// Does an API that was named get the certificate of a bound token in a renegotiation: that of a managed identity, and of
/// an app registration?
#[test]
fn an_api_that_was_named() {
    let world = World::new();
    let apache = apache(&world);
    let named = |options: AppOptions| App::new(options.with_renegotiating_host("localhost")).unwrap();
    let identity = named(world.managed_identity_options(ManagedIdentityId::SystemAssigned));
    let sni = named(world.app_a_options(world.sni_credential()));
    for (number, (app, request)) in [(identity, pop(GRAPH)), (sni, pop(GRAPH_SCOPE))].iter().enumerate() {
        let token = app.acquire_token(request).unwrap();
        let response = app.send(&token, &private(&apache)).unwrap();
        assert_eq!((response.status(), response.body()), (200, SECRET.as_bytes()));
        assert_eq!(response.tls_version(), Some(TlsVersion::Tls12));
        assert_eq!(response.certificate_requested(), Some(true));
        assert!(!response.renegotiation_declined());
        assert!(apache.log(number + 1)[number].name.is_some());
    }
}

/// Can a request allow it that nobody named, and forbid it where it was named; and does a Bearer token show nothing
/// whoever allows what?
#[test]
fn a_request_decides_for_itself() {
    let world = World::new();
    let apache = apache(&world);
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let log = Logger::new(
        LogLevel::Warning,
        Arc::new(move |_, _: &str, line: &str| sink.lock().unwrap().push(line.to_owned())),
    );
    let plain = App::new(world.app_a_options(world.sni_credential()).with_logger(log)).unwrap();
    let named = world.app_a_options(world.sni_credential()).with_renegotiating_host("*.contoso.test");
    let named = App::new(named.with_renegotiating_host("localhost")).unwrap();
    let bound = plain.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let status = |app: &App, token: &Token, allow: Option<bool>| {
        let request = private(&apache);
        let request = match allow {
            Some(allow) => request.with_allow_renegotiation(allow),
            None => request,
        };
        app.send(token, &request).map(|response| response.status())
    };
    assert_eq!(status(&plain, &bound, Some(true)).unwrap(), 200);
    assert_eq!(status(&named, &bound, None).unwrap(), 200);
    for (app, allow) in [(&plain, None), (&plain, Some(false)), (&named, Some(false))] {
        let error = status(app, &bound, allow).unwrap_err();
        assert!(error.message().contains("which is declined unless you allow it"), "{error}");
    }
    assert!(lines.lock().unwrap().iter().any(|line| line.contains("which is declined")));
    let other = plain.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    assert_eq!(status(&named, &other, Some(true)).unwrap(), 403);
    let lines = apache.log(3).into_iter();
    let (answered, refused): (Vec<_>, Vec<_>) = lines.partition(|line| line.status == 200);
    assert!(answered.len() == 2 && answered.iter().all(|line| line.name.is_some()));
    assert!(refused.iter().all(|line| line.name.is_none()));
}

/// Is it told how to name a host, and is what is no name of one an error of the app?
#[test]
fn a_host_that_nobody_named() {
    let world = World::new();
    let files = world.cloud.files();
    let read = |path| fs::read_to_string(path).unwrap();
    let apache = Apache::start(&read(files.localhost()), &read(files.client_cas()), "TLSv1.2");
    let app = world.sni();
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    let error = app.send(&token, &private(&apache)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "client_certificate_rejected"));
    for words in ["TLS 1.2 renegotiation", "mtlspop_app_options_add_renegotiating_host"] {
        assert!(error.message().contains(words), "{error}");
    }
    assert_eq!(app.send(&token, &private(&apache).with_allow_renegotiation(true)).unwrap().status(), 200);
    let options = world.app_a_options(world.sni_credential()).with_renegotiating_host("https://localhost");
    let error = App::new(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("not the name of a host"), "{error}");
}
