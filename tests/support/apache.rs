//! Debian's Apache. Below `/private` it asks for a client certificate, once it has read a request: in TLS 1.2 by
//! renegotiation, in TLS 1.3 by post-handshake authentication.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// It ends when it is dropped.
pub(crate) struct Apache {
    child: Child,
    port: u16,
    place: tempfile::TempDir,
}

/// What is answered below `/private`, and elsewhere.
pub(crate) const SECRET: &str = "the secret";
pub(crate) const OPEN: &str = "for all";
/// What a request body may have there at most: it is kept while the certificate is asked for.
pub(crate) const MOST: usize = 256 * 1024;

/// One request, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The client's port tells connections apart.
    pub(crate) connection: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    /// The common name in the client's certificate.
    pub(crate) name: Option<String>,
    pub(crate) protocol: String,
}

impl Apache {
    /// `own` is certificate and key, `clients` those who issue certificates of clients, both as PEM; `protocols` as
    /// `SSLProtocol` has them.
    pub(crate) fn start(own: &str, clients: &str, protocols: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (own_file, clients_file, pages) =
            (place.path().join("own.pem"), place.path().join("clients.pem"), place.path().join("pages"));
        fs::write(&own_file, own).unwrap();
        fs::write(&clients_file, clients).unwrap();
        fs::create_dir_all(pages.join("private")).unwrap();
        fs::write(pages.join("private/secret"), SECRET).unwrap();
        fs::write(pages.join("private/long"), SECRET.repeat(100_000)).unwrap();
        fs::write(pages.join("open"), OPEN).unwrap();
        // It does not stay root.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // It cannot choose a free port: it is tried with others when it finds them taken.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            fs::write(place.path().join("conf"), configuration(&place, port, protocols)).unwrap();
            let mut child = Command::new("/usr/sbin/apache2")
                .arg("-X")
                .arg("-f")
                .arg(place.path().join("conf"))
                .stdout(Stdio::null())
                .stderr(fs::File::create(place.path().join("said")).unwrap())
                .spawn()
                .expect("apache2 is missing: make prerequisites installs it");
            if is_up(&mut child, port) {
                return Self { child, port, place };
            }
        }
        let read = |name| fs::read_to_string(place.path().join(name)).unwrap_or_default();
        panic!("apache2 does not start: {}{}", read("said"), read("errors"));
    }

    #[allow(dead_code)]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The first `count` requests, which are written when they have been answered.
    pub(crate) fn log(&self, count: usize) -> Vec<Line> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(self.place.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
            if lines.len() >= count {
                return lines.into_iter().map(line).collect();
            }
            assert!(Instant::now() < end, "there are no {count} lines in the log: {text}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it had to say of failures.
    #[allow(dead_code)]
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.place.path().join("errors")).unwrap_or_default()
    }
}

fn is_up(child: &mut Child, port: u16) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end && child.try_wait().unwrap().is_none() {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn line(text: &str) -> Line {
    let mut fields = text.trim_end().splitn(5, '|').map(str::to_owned);
    let mut next = || fields.next().unwrap();
    Line {
        connection: next(),
        path: next(),
        status: next().parse().unwrap(),
        name: Some(next()).filter(|name| name != "-"),
        protocol: next(),
    }
}

fn configuration(place: &tempfile::TempDir, port: u16, protocols: &str) -> String {
    let modules: String = ["mpm_event", "authz_core", "ssl", "reflector", "mime"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let place: PathBuf = place.path().to_owned();
    let place = place.display();
    format!(
        r##"{modules}
ServerRoot {place}
PidFile {place}/pid
DefaultRuntimeDir {place}
Mutex pthread
ServerName localhost
Listen 127.0.0.1:{port}
User "#65534"
Group "#65534"
TypesConfig /dev/null
ErrorLog {place}/errors
LogFormat "%{{remote}}p|%U|%>s|%{{SSL_CLIENT_S_DN_CN}}x|%{{SSL_PROTOCOL}}x" ours
CustomLog {place}/log ours
KeepAliveTimeout 30
MaxKeepAliveRequests 0
DocumentRoot {place}/pages
SSLEngine on
SSLProtocol {protocols}
SSLCertificateFile {place}/own.pem
SSLCACertificateFile {place}/clients.pem
SSLSessionCache none
SSLVerifyClient none
<Directory {place}/pages>
  Require all granted
</Directory>
<Location /private>
  SSLVerifyClient require
  SSLVerifyDepth 2
  SSLRenegBufferSize {MOST}
</Location>
<Location /private/echo>
  SetHandler reflector
</Location>
"##
    )
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
