//! Key Vault with bound tokens: the header that announces them, and a 401 that passes.

use std::time::Duration;

use devcloud::{Fault, Service};
use mtlspop::{BodyReader, Error, ErrorKind, HttpRequest, Result, Token};
use serde_json::json;

use crate::support::{GRAPH, SYSTEM, VAULT, World, assert_bound, bearer, pop};

const SECRET: &str = "https://demo.vault.azure.net/secrets/x?api-version=7.4";
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

/// Is a request repeated as it was, with its token and certificate, where the vault could not validate the token, up
/// to three times and with growing pauses (facts of September 2026, section 10)?
#[test]
fn what_a_vault_could_not_validate_is_repeated() {
    let world = World::new();
    let app = world.managed_identity(SYSTEM);
    let token = app.acquire_token(&pop(VAULT)).unwrap();
    let bound_to = assert_bound(&token);
    disturb(&world, 3);
    let put = announced("PUT").with_body("application/json", "{}");
    let response = app.send_answering_claims(&token, &pop(VAULT), &put).unwrap();
    assert_eq!((response.status(), world.clock.slept()), (200, Duration::from_secs(1 + 2 + 4)));
    let requests = world.cloud.requests_to(Service::Vault);
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert_eq!((request.method.as_str(), request.body.as_str()), ("PUT", "{}"));
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
    once(&bound, HttpRequest::new("GET", SECRET), NOT_VALIDATED, "a token that was not announced");
    once(&plain, announced("GET"), NOT_VALIDATED, "a Bearer token");
    once(&bound, announced("GET").with_timeout(Duration::from_millis(900)), NOT_VALIDATED, "no time");
    let pipe = announced("PUT").with_body_reader("text/plain", Once(b"once"), Some(4));
    once(&bound, pipe, NOT_VALIDATED, "a body that cannot be sent again");
    assert_eq!(world.clock.slept(), Duration::ZERO);
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
