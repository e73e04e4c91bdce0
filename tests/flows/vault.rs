//! Key Vault with bound tokens: the header that announces them, and a 401 that passes.

use std::time::Duration;

use devcloud::{Close, Fault, Service, TokenBinding, TokenBindingMode, TokenBindingStrength};
use mtlspop::{App, BodyReader, Error, ErrorKind, HttpRequest, Result, TlsVersion, Token, TokenRequest};
use serde_json::json;

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, bearer, pop};

const SECRET: &str = "https://demo.vault.azure.net/secrets/demo?api-version=7.4";
const VAULT_SCOPE: &str = "https://vault.azure.net/.default";
const HEADER: &str = "x-ms-tokenboundauth";
const NOT_VALIDATED: &str = "[MtlsCnfClaimRequestDataValidationFailed] Could not validate token.";

/// A body that is gone once it was read.
struct Once(&'static [u8]);

impl BodyReader for Once {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.0.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }

    fn can_rewind(&self) -> bool {
        false
    }

    fn rewind(&mut self) -> Result<()> {
        Err(Error::new(ErrorKind::Callback, "gone", "the body was read"))
    }
}

fn announced(method: &str) -> HttpRequest {
    HttpRequest::new(method, SECRET).with_header(HEADER, "true")
}

/// The vault cannot validate a token so often.
fn disturb(world: &World, times: u32) {
    let body = json!({ "error": { "code": "Unauthorized", "message": NOT_VALIDATED } }).to_string();
    world.cloud.fault(Fault { times, body: Some(body), ..Fault::status("vault", 401) }).unwrap();
}

/// Does a vault get the certificate in a renegotiation, with bound tokens only and once it has read one, once for
/// each connection?
#[test]
fn the_certificate_comes_in_a_renegotiation() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let (bound, plain) =
        (app.acquire_token(&pop(VAULT)).unwrap(), app.acquire_token(&bearer(VAULT)).unwrap());
    let bound_to = assert_bound(&bound);
    let get = || HttpRequest::new("GET", SECRET);
    for token in [&plain, &bound, &plain, &bound] {
        assert_eq!(app.send(token, &get()).unwrap().status(), 200);
    }
    let requests = world.cloud.requests_to(Service::Vault);
    let seen = requests.iter().map(|r| (r.handshake.as_deref().unwrap(), r.client_certificate.as_deref()));
    let (without, with) = (("Full", None), ("Renegotiated", Some(bound_to.as_str())));
    assert_eq!(seen.collect::<Vec<_>>(), [without, with, without, with]);
    let connections: Vec<_> = requests.iter().map(|r| r.connection).collect();
    assert!(connections[0] == connections[2] && connections[1] == connections[3], "{connections:?}");
    assert_ne!(connections[0], connections[1]);
    assert_eq!(world.cloud.counter("renegotiations"), 1);
    let response = app.send(&bound, &get()).unwrap();
    assert_eq!(
        (response.tls_version(), response.certificate_requested()),
        (Some(TlsVersion::Tls12), Some(true))
    );
}

/// Does a large body reach a vault whole over a connection that has not shown the certificate yet, also where it is
/// streamed, and the vault asked first whether it wants it?
#[test]
fn large_bodies_reach_a_vault() {
    let world = World::new();
    let body = "x".repeat(3_000_000).leak().as_bytes();
    let shorter = &body[..1_000_000];
    let post = || HttpRequest::new("POST", "https://demo.vault.azure.net/echo");
    let all = [
        (post().with_body("text/plain", shorter), shorter.len(), false),
        (post().with_body("text/plain", body), body.len(), true),
        (post().with_body_reader("text/plain", Once(body), None), body.len(), true),
    ];
    for (count, (request, length, expects)) in (1..).zip(all) {
        let app = App::new(world.app_a_options(world.sni_credential())).unwrap();
        let token = app.acquire_token(&pop(VAULT_SCOPE)).unwrap();
        assert_eq!(app.send(&token, &request).unwrap().status(), 200);
        let received = world.cloud.requests_to(Service::Vault).pop().unwrap();
        assert_eq!((received.body.len(), received.header("expect").is_some()), (length, expects));
        assert_eq!(world.cloud.counter("renegotiations"), count);
    }
}

/// What comes of a vault that misbehaves: asks again and again, never, hangs up in the middle, takes no certificate, or
/// refuses what it asked for? And of a caller who does not let it ask?
#[test]
fn vaults_that_misbehave() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&pop(VAULT)).unwrap();
    let send = |fault: Fault| {
        world.cloud.fault(fault).unwrap();
        let sent = app.send(&token, &HttpRequest::new("GET", SECRET).with_timeout(Duration::from_secs(20)));
        // What is in the fault's way is not in the way of the next request.
        world.cloud.clear_faults();
        sent
    };
    let asking = |times: u32| Fault { renegotiations: Some(times), ..Fault::on("vault") };
    let never = send(asking(0)).unwrap();
    assert_eq!((never.status(), never.certificate_requested()), (401, Some(false)));
    let for_ever = send(asking(100)).unwrap_err();
    assert_eq!(for_ever.kind(), ErrorKind::Network, "{for_ever}");
    assert!(for_ever.message().contains("renegotiat"), "{for_ever}");
    let gone = send(Fault { close: Some(Close::InRenegotiation), ..Fault::on("vault") }).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Network, "{gone}");
    let revoked = send(Fault::on("tls_client_certificate")).unwrap_err();
    assert_eq!(revoked.kind(), ErrorKind::Network, "{revoked}");
    assert!(
        revoked.message().contains("did not accept our certificate (TLS alert certificate_revoked"),
        "{revoked}"
    );
    let declined = HttpRequest::new("GET", SECRET).with_allow_renegotiation(false);
    let declined = app.send(&token, &declined).unwrap_err();
    assert!(declined.message().contains("allow it for this request"), "{declined}");
    let refused = send(Fault::status("vault", 401)).unwrap();
    assert_eq!((refused.status(), refused.certificate_requested()), (401, Some(true)));
    assert_eq!(app.send(&token, &HttpRequest::new("GET", SECRET)).unwrap().status(), 200);
    assert_eq!(world.cloud.counter("token"), 1);
}

/// Is a token refused as the vault's policy has it, and does the answer say why?
#[test]
fn the_policy_of_a_vault() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let (bound, plain) =
        (app.acquire_token(&pop(VAULT)).unwrap(), app.acquire_token(&bearer(VAULT)).unwrap());
    let call = |policy: TokenBinding, token: &Token| {
        world.cloud.set_token_binding(policy);
        let response = app.send(token, &HttpRequest::new("GET", SECRET)).unwrap();
        (response.status(), String::from_utf8_lossy(response.body()).into_owned())
    };
    let mode = |mode: TokenBindingMode| TokenBinding { mode, ..TokenBinding::default() };
    let (status, says) = call(mode(TokenBindingMode::Disabled), &bound);
    assert!(status == 401 && says.contains("Token binding is not enabled for this vault"), "{says}");
    assert_eq!(call(mode(TokenBindingMode::Disabled), &plain).0, 200);
    let (status, says) = call(mode(TokenBindingMode::Enforced), &plain);
    assert!(status == 401 && says.contains("Token binding is enforced for this vault"), "{says}");
    assert_eq!(call(mode(TokenBindingMode::Enforced), &bound).0, 200);
    let attested = TokenBinding {
        minimum_token_binding_strength: TokenBindingStrength::AttestedTrustedLaunch,
        ..TokenBinding::default()
    };
    let (status, says) = call(attested, &bound);
    assert!(status == 401 && says.contains("this vault wants AttestedTrustedLaunch"), "{says}");
}

/// Is a request repeated as it was, with its token and certificate, where the vault could not validate the token, up
/// to three times and with growing pauses (facts of September 2026, section 10)?
#[test]
fn what_a_vault_could_not_validate_is_repeated() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&pop(VAULT)).unwrap();
    let bound_to = assert_bound(&token);
    disturb(&world, 3);
    let secret = r#"{"value":"new"}"#;
    let put = announced("PUT").with_body("application/json", secret);
    let response = app.send_answering_claims(&token, &pop(VAULT), &put).unwrap();
    assert_eq!((response.status(), world.clock.slept()), (200, Duration::from_secs(1 + 2 + 4)));
    let requests = world.cloud.requests_to(Service::Vault);
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert_eq!((request.method.as_str(), request.body.as_str()), ("PUT", secret));
        assert_eq!(request.header("authorization"), Some(token.authorization()));
        assert_eq!(request.client_certificate.as_ref(), Some(&bound_to));
    }
    assert_eq!(world.cloud.counter("token"), 1);
}

/// Where the vault goes on so: is the 401 the response, whole, and no reason for another token or certificate?
#[test]
fn a_vault_that_never_can_is_no_reason_for_another_token() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&pop(VAULT)).unwrap();
    disturb(&world, u32::MAX);
    let response = app.send_answering_claims(&token, &pop(VAULT), &announced("GET")).unwrap();
    assert!(response.status() == 401 && response.body().ends_with(b"Could not validate token.\"}}"));
    assert_eq!(["vault", "token", "issuecredential"].map(|name| world.cloud.counter(name)), [4, 1, 1]);
    let mut stream = app.send_streaming(&token, &announced("GET")).unwrap();
    let mut body = Vec::<u8>::new();
    let mut part = [0; 7];
    while let count @ 1.. = stream.read(&mut part).unwrap() {
        body.extend(&part[..count]);
    }
    assert_eq!(body, response.body(), "read in parts");
    // The next one finds all as it was.
    world.cloud.clear_faults();
    assert_eq!(app.send(&token, &announced("GET")).unwrap().status(), 200);
}

/// Is nothing repeated that another try would not mend, that nobody has the time for, or that cannot be sent again?
#[test]
fn nothing_else_is_repeated() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let (bound, plain) =
        (app.acquire_token(&pop(VAULT)).unwrap(), app.acquire_token(&bearer(VAULT)).unwrap());
    let once = |token: &Token, request: HttpRequest, message: &str, says: &str| {
        let before = world.cloud.counter("vault");
        let body =
            json!({ "error": { "code": "Unauthorized", "message": message, "details": NOT_VALIDATED } });
        let fault = Fault { body: Some(body.to_string()), ..Fault::status("vault", 401) };
        world.cloud.fault(fault).unwrap();
        assert_eq!(app.send(token, &request).unwrap().status(), 401, "{says}");
        assert_eq!(world.cloud.counter("vault") - before, 1, "{says}");
    };
    once(&bound, announced("GET"), "Access denied.", "another 401");
    let not_announced = HttpRequest::new("GET", SECRET).with_header(HEADER, "false");
    once(&bound, not_announced, NOT_VALIDATED, "a token that was not announced");
    once(&plain, announced("GET"), NOT_VALIDATED, "a Bearer token");
    once(&bound, announced("GET").with_timeout(Duration::from_millis(900)), NOT_VALIDATED, "no time");
    let pipe = announced("PUT").with_body_reader("text/plain", Once(b"once"), Some(4));
    once(&bound, pipe, NOT_VALIDATED, "a body that cannot be sent again");
    assert_eq!(world.clock.slept(), Duration::ZERO);
}

/// Is a bound token for a vault announced without anybody's doing, as a caller says where one does, and no other?
#[test]
fn vaults_are_told_of_bound_tokens() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let sent = |request: &TokenRequest, call: HttpRequest, service: Service| {
        app.send(&app.acquire_token(request).unwrap(), &call).unwrap();
        world.cloud.requests_to(service).pop().unwrap().header(HEADER).map(str::to_owned)
    };
    let get = |url: &str| HttpRequest::new("GET", url);
    let hsm = "https://demo.managedhsm.azure.net/keys/k";
    assert_eq!(sent(&pop(VAULT), get(SECRET), Service::Vault).as_deref(), Some("true"));
    assert_eq!(sent(&pop("https://managedhsm.azure.net"), get(hsm), Service::Vault).as_deref(), Some("true"));
    assert_eq!(sent(&bearer(VAULT), get(SECRET), Service::Vault), None);
    assert_eq!(sent(&pop(GRAPH), get("https://graph.microsoft.com/v1.0/me"), Service::Graph), None);
    let told = get(SECRET).with_header(HEADER, "false");
    assert_eq!(sent(&pop(VAULT), told, Service::Vault).as_deref(), Some("false"));
}

/// Does a token that is not bound go out without the header that announces one, whoever set it, and a bound one with it?
#[test]
fn only_bound_tokens_are_announced() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    for (resource, url, service) in
        [(VAULT, SECRET, Service::Vault), (GRAPH, "https://graph.microsoft.com/v1.0/me", Service::Graph)]
    {
        for (request, expected) in [(pop(resource), Some("true")), (bearer(resource), None)] {
            let token = app.acquire_token(&request).unwrap();
            let call = HttpRequest::new("GET", url).with_header("X-MS-TokenBoundAuth", "true");
            assert_eq!(app.send(&token, &call).unwrap().status(), 200);
            let sent = world.cloud.requests_to(service).pop().unwrap();
            assert_eq!(sent.header(HEADER), expected, "{url}");
        }
    }
}
