//! What an observer is told of requests: names, and never a value that proves somebody.

use super::server::{Server, answer};
use super::*;

/// Is each request told of with the names in query, headers and form, and the answer with its ids; is no value among them, not even
/// one that the server repeats; and is it told why there is no answer?
#[test]
fn names_alone() {
    let ca = Ca::new("ca");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let tell = move |request: &ObservedRequest<'_>| sink.lock().unwrap().push(format!("{request:?}"));
    let pool = pool_with(&ca, |options| options.observer = Observer(Some(Arc::new(tell))), &[]);
    let headers = "x-ms-request-id: 42\r\nServer: says hunter2\r\nSet-Cookie: hunter3\r\n";
    let server = Server::tls(&ca, move |_| answer(200, headers, "hunter4"));
    let url = server.url("/token?dc=hunter5");
    let request = Request::post(&url, b"client_id=hunter6&client_secret=hunter7")
        .header("Authorization", "Bearer hunter2")
        .header("Content-Type", "application/x-www-form-urlencoded;charset=utf-8");
    pool.plain().unwrap().send(&request, &call()).unwrap();
    let closed = Url::parse(&format!("https://{}/", Nobody::new().address)).unwrap();
    get(&pool.plain().unwrap(), &closed).unwrap_err();
    let lines = lines.lock().unwrap();
    let [told, failed] = &lines[..] else { panic!("{lines:?}") };
    for part in
        ["POST", "/token", "[\"dc\"]", "\"authorization\"", "[\"client_id\", \"client_secret\"]", "the-id"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    for part in ["status: 200", "\"set-cookie\"", "(\"x-ms-request-id\", \"42\")", "Tls13, false"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("hunter"), "{told}");
    assert!(failed.contains("network_error"), "{failed}");
}
