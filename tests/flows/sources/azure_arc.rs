//! What only Azure Arc has: a challenge that names a file (managed_identity spec, section 6.3).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use devcloud::{Fault, Source};
use mtlspop::{App, ErrorKind};

use super::{Host, SYSTEM, app, host, received};
use crate::support::{GRAPH, World, bearer};

/// Makes the agent's next challenge name this.
fn challenge(world: &World, header: &str) {
    let headers = [("www-authenticate".to_owned(), header.to_owned())].into();
    world.cloud.fault(Fault { headers, ..Fault::status("arc", 401) }).unwrap();
}

/// What a challenge for the file of this name says.
fn named(name: &str) -> String {
    format!("Basic realm=/var/opt/azcmagent/tokens/{name}")
}

/// Where the files really are.
fn keys(world: &World) -> PathBuf {
    let keys = world.cloud.files().arc_tokens();
    fs::create_dir_all(&keys).unwrap();
    keys
}

/// Two requests, the second with the whole content of the file, and nothing else changed?
#[test]
fn challenge_and_answer() {
    let world = World::new();
    app(&world, Source::AzureArc).acquire_token(&bearer(GRAPH)).unwrap();
    let [first, second] = received(&world, Source::AzureArc).try_into().unwrap();
    assert_eq!((first.status, second.status), (Some(401), Some(200)));
    assert_eq!(first.query, second.query);
    assert!(second.header("authorization").unwrap().starts_with("Basic "));
    let mut headers = second.headers.clone();
    headers.remove("authorization");
    assert_eq!(headers, first.headers);
}

/// Is a newline at the end of the file left out (the design's table)?
#[test]
fn newline_is_trimmed() {
    let world = World::new();
    let file = keys(&world).join("k.key");
    for content in ["hunter 2", "hunter 2\n", "hunter 2\r\n"] {
        world.cloud.reset();
        fs::write(&file, content).unwrap();
        challenge(&world, &named("k.key"));
        // devcloud has not made this key, so it says no, and is not asked a third time.
        let error = app(&world, Source::AzureArc).acquire_token(&bearer(GRAPH)).unwrap_err();
        assert_eq!((error.code(), error.http_status()), ("managed_identity_request_failed", Some(401)));
        assert!(!format!("{error:?}").contains("hunter 2"));
        let requests = received(&world, Source::AzureArc);
        assert_eq!(requests.len(), 2, "{content:?}");
        assert_eq!(requests[1].header("authorization"), Some("Basic hunter 2"), "{content:?}");
    }
}

/// Is each file that must not be read refused in a sentence of its own, and nothing of it sent? And each
/// challenge that names none?
#[test]
fn refused_challenges() {
    let world = World::new();
    let keys = keys(&world);
    let outside = world.cloud.state_dir().join("outside.key");
    fs::write(&outside, "secret").unwrap();
    fs::write(keys.join("a.txt"), "secret").unwrap();
    fs::write(keys.join("long.key"), "x".repeat(4097)).unwrap();
    fs::write(keys.join("empty.key"), "\n").unwrap();
    fs::write(keys.join("lines.key"), "two\nlines").unwrap();
    fs::write(keys.join("bytes.key"), [0xFF, 0xFE]).unwrap();
    fs::write(keys.join("letters.key"), "\u{e4}").unwrap();
    fs::create_dir(keys.join("directory.key")).unwrap();
    fs::create_dir(keys.join("below")).unwrap();
    fs::write(keys.join("below/a.key"), "secret").unwrap();
    symlink(&outside, keys.join("link.key")).unwrap();
    let realm = |path: &Path| format!("Basic realm={}", path.display());
    let rows = [
        ("".to_owned(), "not \"Basic realm=<key file>\""),
        ("Basic".to_owned(), "not \"Basic realm=<key file>\""),
        ("Basic realm=".to_owned(), "not \"Basic realm=<key file>\""),
        (format!("{}=more", named("a.key")), "not \"Basic realm=<key file>\""),
        (realm(&outside), "is not in"),
        (named("../outside.key"), "is not in"),
        (named("../tokens/long.key"), "is not in"),
        (realm(&keys.join("long.key")), "is not in"),
        (named("below/a.key"), "is not in"),
        (named("/long.key"), "is not in"),
        (named(""), "is not in"),
        ("Basic realm=k.key".to_owned(), "is not in"),
        (named("a.txt"), "does not end in .key"),
        (named("a.key.txt"), "does not end in .key"),
        (named("link.key"), "symbolic link"),
        (named("directory.key"), "not a regular file"),
        (named("missing.key"), "cannot be read"),
        (named("long.key"), "longer than 4096 bytes"),
        (named("empty.key"), "one line of ASCII text"),
        (named("lines.key"), "one line of ASCII text"),
        (named("bytes.key"), "one line of ASCII text"),
        (named("letters.key"), "one line of ASCII text"),
    ];
    for (header, words) in rows {
        world.cloud.reset();
        challenge(&world, &header);
        let error = app(&world, Source::AzureArc).acquire_token(&bearer(GRAPH)).unwrap_err();
        // What the agent said cannot be followed; what it named cannot be used.
        let of_file = ["regular", "read", "longer", "one line"].iter().any(|part| words.contains(part));
        let kind = if of_file { ErrorKind::KeyUnavailable } else { ErrorKind::InvalidResponse };
        assert_eq!((error.kind(), error.code()), (kind, "managed_identity_request_failed"), "{header}");
        assert_eq!((error.http_status(), error.is_retryable()), (None, false), "{header}");
        assert!(error.message().contains(words), "{header:?}: {error}");
        assert_eq!(received(&world, Source::AzureArc).len(), 1, "{header}");
    }
    world.cloud.reset();
    world.cloud.fault(Fault::status("arc", 401)).unwrap();
    let error = app(&world, Source::AzureArc).acquire_token(&bearer(GRAPH)).unwrap_err();
    assert!(error.message().contains("without WWW-Authenticate"), "{error}");
}

/// Is a file of just 4096 bytes still read?
#[test]
fn longest_key() {
    let world = World::new();
    let file = keys(&world).join("k.key");
    fs::write(&file, "x".repeat(4096)).unwrap();
    challenge(&world, &named("k.key"));
    app(&world, Source::AzureArc).acquire_token(&bearer(GRAPH)).unwrap_err();
    assert_eq!(received(&world, Source::AzureArc)[1].header("authorization").unwrap().len(), 6 + 4096);
}

/// Is a token taken that comes without a challenge? Has the second request retries of its own, and does it
/// report a status of 500 or more as MSAL does?
#[test]
fn second_request() {
    let world = World::new();
    let token = r#"{"access_token":"t","expires_on":3600}"#;
    world.cloud.fault(Fault { body: Some(token.into()), ..Fault::on("arc") }).unwrap();
    assert_eq!(app(&world, Source::AzureArc).acquire_token(&bearer(GRAPH)).unwrap().access_token(), "t");
    for status in [500, 501] {
        world.cloud.reset();
        let file = keys(&world).join("k.key");
        fs::write(&file, "the key").unwrap();
        challenge(&world, &named("k.key"));
        world.cloud.fault(Fault { times: 9, ..Fault::status("arc", status) }).unwrap();
        let request = bearer(GRAPH).with_force_refresh(true);
        let error = app(&world, Source::AzureArc).acquire_token(&request).unwrap_err();
        assert_eq!((error.code(), error.http_status()), ("service_not_available", Some(status)));
        assert_eq!(world.cloud.counter("arc"), if status == 500 { 5 } else { 2 });
    }
}

/// Without the test's directory: is nothing but the agent's own read, whatever the environment says?
#[test]
fn the_directory_is_fixed() {
    let world = World::new();
    let Host { variables, .. } = host(&world, Source::AzureArc);
    let options = world.managed_identity_options(SYSTEM).with_env(Arc::new(variables));
    let error = App::new(options).unwrap().acquire_token(&bearer(GRAPH)).unwrap_err();
    let words = [r#""/var/opt/azcmagent/tokens/"#, "cannot be read"];
    assert!(words.iter().all(|words| error.message().contains(words)), "{error}");
}
