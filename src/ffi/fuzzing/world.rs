//! What there is besides the library: texts and bytes that get far, a directory, and services that answer.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use once_cell::sync::Lazy;

use super::super::body::mtlspop_http_request_set_body_fd;
use super::super::http::mtlspop_http_request;
use super::arguments::Argument;
use super::machine::Machine;
use crate::binding::Certificate;
use crate::http::answer_next;

/// One that goes in, and must not come out in words.
pub(super) const SECRET: &str = "s3cret/of+the=fuzzer";

const RSA: &[u8] = include_bytes!("../../../fuzz/given/rsa.pem");
const P256: &[u8] = include_bytes!("../../../fuzz/given/p256.pem");

/// The key that signs for callbacks, and what IMDS issues for it here.
pub(super) static CERTIFICATE: Lazy<Certificate> =
    Lazy::new(|| Certificate::from_pem(RSA, None, None).unwrap());

/// Append only: seeds count.
const TEXTS: [&str; 40] = [
    "",
    "client",
    "https://login.microsoftonline.com/tenant",
    "https://login.example/tenant",
    "https://fs.example/adfs",
    "https://idp.example/t",
    "https://graph.microsoft.com/.default",
    "https://graph.microsoft.com",
    "https://api.test/x",
    "https://v.vault.azure.net/secrets/x",
    "GET",
    "POST",
    "westus2",
    "TryAutoDetect",
    "none",
    "http://user:s3cret%2Fof+the=fuzzer@127.0.0.1:9",
    r#"{"access_token":{"nbf":{"essential":true}}}"#,
    "cp1,cp2",
    "name",
    "value",
    SECRET,
    "password",
    "PS256",
    "RS256",
    "ES256",
    "device:/dev/nowhere",
    "00112233-4455-6677-8899-aabbccddeeff",
    "tenant",
    "aaa.bbb.ccc",
    "https://login.microsoftonline.com/common",
    "api.test",
    "/subscriptions/s/resourceGroups/r/providers/p",
    "http://127.0.0.1:9",
    "WWW-Authenticate",
    "\u{e4}\u{202e}\n",
    "text/plain",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "/dev/null",
    "<directory>",
    "<file>",
];

pub(super) fn text(index: u8) -> Vec<u8> {
    match TEXTS[usize::from(index) % TEXTS.len()] {
        "<directory>" => directory().to_string_lossy().into_owned().into_bytes(),
        "<file>" => {
            let path = directory().join("file.pem");
            let _ = fs::write(&path, RSA);
            path.to_string_lossy().into_owned().into_bytes()
        }
        text => text.as_bytes().to_vec(),
    }
}

/// Any text, but no absolute path to somewhere else.
pub(super) fn tamed(text: &[u8]) -> Vec<u8> {
    match text.first() {
        Some(b'/') => [directory().to_string_lossy().as_bytes(), text].concat(),
        _ => text.to_vec(),
    }
}

pub(super) fn bytes(index: u8) -> Vec<u8> {
    match index {
        0 => RSA.to_vec(),
        1 => P256.to_vec(),
        2 => CERTIFICATE.der().to_vec(),
        3 => CERTIFICATE.key().public_key_der().to_vec(),
        4 => CERTIFICATE.chain_pem().into_bytes(),
        5 => SECRET.as_bytes().to_vec(),
        6 => vec![0; 23],
        _ => Vec::new(),
    }
}

thread_local! {
    static DIRECTORY: Cell<Option<PathBuf>> = const { Cell::new(None) };
}

fn directory() -> PathBuf {
    let directory = DIRECTORY.take().unwrap_or_else(|| {
        let name = format!("mtlspop-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::create_dir(&path);
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        let _ = fs::set_permissions(&path, closed);
        path
    });
    DIRECTORY.set(Some(directory.clone()));
    directory
}

pub(super) fn clean_up() {
    if let Some(directory) = DIRECTORY.take() {
        let _ = fs::remove_dir_all(directory);
    }
}

/// Sets a body that is read from a pipe, a file that is none, or nothing; no descriptor of anybody else's.
pub(super) fn set_body_fd(machine: &mut Machine<'_>) {
    let request = <*mut mtlspop_http_request>::take(machine);
    let content_type = <*const std::ffi::c_char>::take(machine);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let fd = match machine.byte() % 4 {
        0 => -1,
        1 => i32::MAX,
        2 => null.as_raw_fd(),
        _ => ours.as_raw_fd(),
    };
    let length = usize::from(machine.byte());
    let _ = theirs.write(machine.bytes(length));
    drop(theirs);
    let length = i64::take(machine);
    // SAFETY: the request is live or NULL, the text is lent, and descriptors are only duplicated.
    unsafe { mtlspop_http_request_set_body_fd(request, content_type, fd, length) };
}

/// Has the next connection answered: as a service would, or with any bytes.
pub(super) fn answer(machine: &mut Machine<'_>) {
    let issued = || {
        let certificate = STANDARD.encode(CERTIFICATE.der());
        format!(
            r#"{{"client_id":"c","tenant_id":"t","identity_type":"system","certificate":"{certificate}","mtls_authentication_endpoint":"https://eastus.mtlsauth.microsoft.com"}}"#
        )
    };
    let (status, header, body) = match machine.byte() {
        0 => (200, "", token("Bearer", 3600)),
        1 => (200, "", token("mtls_pop", 3600)),
        2 => (200, "", token("Bearer", 1)),
        3 => (
            200,
            "",
            r#"{"cuId":{"vmId":"a"},"clientId":"c","tenantId":"t","attestationEndpoint":"attest.test"}"#
                .to_owned(),
        ),
        4 => (200, "", issued()),
        5 => (
            200,
            "",
            r#"{"access_token":"aaa.bbb.ccc","expires_in":"3600","token_type":"Bearer"}"#.to_owned(),
        ),
        6 => (400, "", "{}".to_owned()),
        7 => (
            401,
            "WWW-Authenticate: Bearer error=\"insufficient_claims\", claims=\"e30=\"\r\n",
            String::new(),
        ),
        8 => (401, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", String::new()),
        9 => (400, "", r#"{"error":"invalid_client","error_description":"AADSTS392200: no"}"#.to_owned()),
        10 => (503, "Retry-After: 1\r\n", String::new()),
        11 => (
            200,
            "",
            r#"{"issuer":"https://idp.example/t","token_endpoint":"https://idp.example/token"}"#.to_owned(),
        ),
        12 => (200, "Content-Type: text/plain\r\n", "hello".repeat(100)),
        13 => (200, "", r#"{"location":"westus2"}"#.to_owned()),
        other @ 14..128 => {
            let body = String::from_utf8_lossy(machine.bytes(usize::from(other))).into_owned();
            (200, "", body)
        }
        other => return answer_next(machine.bytes(usize::from(other)).to_vec()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nServer: IMDS\r\n{header}Content-Length: {length}\r\n\r\n{body}");
    answer_next(head.into_bytes());
}

fn token(token_type: &str, life: u32) -> String {
    format!(r#"{{"token_type":"{token_type}","access_token":"aaa.bbb.ccc","expires_in":{life}}}"#)
}
