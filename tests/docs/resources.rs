//! Do the servers of docs/RESOURCES.md, configured as it says, hand on the certificate that a token is bound to?

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use devcloud::{Cloud, Options};
use mtlspop::{App, AppOptions, HttpRequest, ManagedIdentityId, TokenRequest};
use tempfile::TempDir;

use crate::markdown::documents;

/// What the document says of this file, with the port of the API that is behind.
fn block(name: &str, backend: u16) -> String {
    let document = documents().into_iter().find(|document| document.path == Path::new("docs/RESOURCES.md"));
    let blocks = document.unwrap().blocks().into_iter();
    let block = blocks.into_iter().find(|block| block.file_name.as_deref() == Some(name)).unwrap();
    assert!(block.text.contains(":8080"), "{}", block.text);
    block.text.replace(":8080", &format!(":{backend}"))
}

/// An API behind a proxy: says what certificate it was handed, once for each request.
fn api() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut part = [0; 4096];
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                match stream.read(&mut part) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => head.extend_from_slice(&part[..length]),
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            let named: Vec<_> =
                lines.filter(|(name, _)| name.eq_ignore_ascii_case("x-client-certificate")).collect();
            assert!(named.len() <= 1, "{head}");
            let _ = sender.send(named.first().map_or_else(String::new, |(_, value)| (*value).to_owned()));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, receiver)
}

/// A server that ends when it is dropped.
struct Server {
    child: Child,
    port: u16,
    _place: TempDir,
}

impl Server {
    /// `configuration` is given a port and a directory; a server cannot choose a port, so others are tried.
    fn start(program: &str, arguments: &[&str], configuration: impl Fn(u16, &str) -> String) -> Self {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("conf");
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            fs::write(&file, configuration(port, place.path().to_str().unwrap())).unwrap();
            let mut command = Command::new(program);
            command.args(arguments).arg(&file).stdout(Stdio::null()).stderr(Stdio::inherit());
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
            let end = Instant::now() + Duration::from_secs(30);
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { child, port, _place: place };
                }
                thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!(
            "{program} does not start: {}",
            fs::read_to_string(place.path().join("errors")).unwrap_or_default()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The certificate in percent-encoded PEM, as DER.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        (bytes, rest) = match (first, after) {
            (b'%', [a, b, after @ ..]) => {
                let hex = std::str::from_utf8(&[*a, *b]).unwrap().to_owned();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
                (bytes, after)
            }
            (other, after) => {
                bytes.push(*other);
                (bytes, after)
            }
        };
    }
    let pem = String::from_utf8(bytes).unwrap();
    let body = pem.split("-----").nth(2).unwrap_or_else(|| panic!("no PEM: {text}"));
    STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap()
}

/// Does the API get the certificate of a bound token, and nothing where a Bearer token comes with a header of the
/// caller's in its place?
fn hands_on(cloud: &Cloud, server: &Server, handed: &Receiver<String>) {
    let env: std::collections::HashMap<String, String> = cloud.env().into_iter().collect();
    let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned).with_env(Arc::new(env));
    let app = App::new(options).unwrap();
    let graph = TokenRequest::new("https://graph.microsoft.com/");
    let url = format!("https://localhost:{}/", server.port);
    let bound = app.acquire_token(&graph.clone().with_mtls_proof_of_possession(true)).unwrap();
    let response = app.send(&bound, &HttpRequest::new("GET", &url)).unwrap();
    assert_eq!((response.status(), response.certificate_requested()), (200, Some(true)));
    let certificate = bound.binding_certificate().unwrap();
    assert_eq!(unescaped(&handed.recv().unwrap()), certificate.der());

    let bearer = app.acquire_token(&graph).unwrap();
    let forged = HttpRequest::new("GET", &url).with_header("X-Client-Certificate", "forged");
    assert_eq!(app.send(&bearer, &forged).unwrap().status(), 200);
    assert_eq!(handed.recv().unwrap(), "");
}

/// With nginx?
#[test]
fn nginx_hands_the_certificate_on() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let (backend, handed) = api();
    let own = cloud.files().localhost().display().to_string();
    let server = Server::start("/usr/sbin/nginx", &["-c"], |port, place| {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {place}/{name};\n"))
            .concat();
        format!(
            "daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/errors;\nevents {{}}\nhttp {{\n\
             access_log off;\n{temporary}server {{\nlisten 127.0.0.1:{port} ssl;\n\
             ssl_certificate {own};\nssl_certificate_key {own};\n{}}}\n}}\n",
            block("nginx.conf", backend)
        )
    });
    hands_on(&cloud, &server, &handed);
}

/// With Apache?
#[test]
fn apache_hands_the_certificate_on() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let (backend, handed) = api();
    let own = cloud.files().localhost().display().to_string();
    let server = Server::start("/usr/sbin/apache2", &["-X", "-f"], |port, place| {
        let modules: String = ["mpm_event", "authz_core", "ssl", "headers", "proxy", "proxy_http"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
        format!(
            "{modules}ServerRoot {place}\nPidFile {place}/pid\nDefaultRuntimeDir {place}\nMutex pthread\n\
             ServerName localhost\nListen 127.0.0.1:{port}\nUser \"#65534\"\nGroup \"#65534\"\nErrorLog {place}/errors\n\
             <VirtualHost *:{port}>\nSSLEngine on\nSSLCertificateFile {own}\n{}</VirtualHost>\n",
            block("apache.conf", backend)
        )
    });
    hands_on(&cloud, &server, &handed);
}
