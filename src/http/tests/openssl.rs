//! Servers by the openssl command, with certificates and settings that ours cannot have.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;

/// A folder with certificates and keys, `NAME.pem` and `NAME.key`.
pub(super) struct Workshop(tempfile::TempDir);

/// `openssl s_server`, which answers each request with a page about itself.
pub(super) struct OpensslServer {
    child: Child,
    port: u16,
    /// Those in whose versions of TLS it serves.
    pub(super) over: &'static [Over],
}

pub(super) const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
/// What makes a certificate fit for `localhost`.
pub(super) const LOCALHOST: &str = "-subj /CN=localhost -addext subjectAltName=DNS:localhost";
pub(super) const NO_CA: &str = "-addext basicConstraints=critical,CA:FALSE";
pub(super) const IS_CA: &str = "-addext basicConstraints=critical,CA:TRUE";

impl Workshop {
    pub(super) fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        // What the machine's own file would add is not asked for.
        std::fs::write(workshop.path("openssl.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
        workshop
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn pem(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("{name}.pem"))).unwrap()
    }

    /// Makes `name`, for a new key of type `key`, by itself or with `-CA`.
    pub(super) fn certificate(&self, name: &str, key: &str, options: &str) {
        self.run(&format!(
            "req -x509 -nodes -newkey {key} -keyout {name}.key -out {name}.pem -days 30 {options}"
        ));
    }

    /// Whether this OpenSSL knows how.
    pub(super) fn tries(&self, arguments: &str) -> bool {
        self.openssl(arguments).output().unwrap().status.success()
    }

    pub(super) fn run(&self, arguments: &str) {
        let output = self.openssl(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Serves with the certificate `name`.
    pub(super) fn serve(&self, name: &str, options: &str) -> OpensslServer {
        let arguments =
            format!("s_server -accept 127.0.0.1:0 -www -cert {name}.pem -key {name}.key {options}");
        let child = self
            .openssl(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let over = if options.contains("-tls1_3") { &BOTH[..1] } else { &BOTH };
        let mut server = OpensslServer { child, port: 0, over };
        let lines = BufReader::new(server.child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        for line in lines.map_while(|line| line.ok()) {
            if let Some((_, port)) = line.strip_prefix("ACCEPT ").and_then(|place| place.rsplit_once(':')) {
                server.port = port.parse().unwrap();
                return server;
            }
            said.push(line);
        }
        panic!("openssl {arguments} does not serve: {said:?}");
    }

    fn openssl(&self, arguments: &str) -> Command {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ').filter(|argument| !argument.is_empty()));
        command.current_dir(self.0.path()).env("OPENSSL_CONF", self.path("openssl.cnf"));
        command
    }
}

impl OpensslServer {
    pub(super) fn url(&self) -> Url {
        Url::parse(&format!("https://localhost:{}/", self.port)).unwrap()
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
