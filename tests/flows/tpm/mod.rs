//! Keys in a TPM: a software one, but real, which OpenSSL and the TPM's own tools use beside the library.

mod faults;
mod handshakes;
mod memory;
mod plugin;
mod proxy;
mod strength;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use mtlspop::{App, Certificate, Credential, Error, TokenRequest, TpmOptions};
use tempfile::TempDir;

use crate::support::{GRAPH_SCOPE, World, bearer};
use crate::swtpm::Swtpm;

/// Where OpenSSL finds keys in a TPM. Without the rest it would have the TPM do all that it can, and hashes
/// take the places of keys.
const PROVIDERS: &str = "openssl_conf = init\n[init]\nproviders = providers\nalg_section = properties\n\
    [providers]\ntpm2 = active\ndefault = active\n[active]\nactivate = 1\n\
    [properties]\ndefault_properties = tpm2.digest!=yes,tpm2.cipher!=yes\n";

/// A directory in which OpenSSL and the TPM's own tools work, with one TPM.
struct Workshop {
    directory: TempDir,
    tcti: String,
}

impl Workshop {
    fn new(swtpm: &Swtpm) -> Self {
        let workshop = Self { directory: TempDir::new().unwrap(), tcti: swtpm.tcti() };
        workshop.write("tpm.cnf", PROVIDERS);
        workshop
    }

    /// The same with `key.pem`, a key that OpenSSL made in the TPM, and `chain.pem`, the certificate that
    /// application A has for it.
    fn with_sni_key(swtpm: &Swtpm, world: &World) -> Self {
        let workshop = Self::new(swtpm);
        workshop.run(
            "openssl genpkey -provider tpm2 -provider default -propquery ?provider=tpm2 -algorithm RSA \
             -pkeyopt bits:2048 -out key.pem",
        );
        workshop.run_in_tpm("openssl pkey -in key.pem -pubout -out public.pem");
        workshop.certify(world);
        workshop
    }

    /// `chain.pem`, the certificate of application A for the key whose public half is in `public.pem`.
    fn certify(&self, world: &World) {
        let public_key = self.run("openssl rsa -pubin -in public.pem -RSAPublicKey_out -outform DER");
        self.write("chain.pem", world.cloud.certify_sni_key(&public_key).unwrap());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn command(&self, command_line: &str) -> Command {
        let mut words = command_line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .current_dir(self.directory.path())
            .env("TPM2TOOLS_TCTI", &self.tcti)
            .env("TPM2OPENSSL_TCTI", &self.tcti)
            .env("TSS2_LOG", "all+none")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program; what it printed.
    fn run(&self, command_line: &str) -> Vec<u8> {
        succeed(&mut self.command(command_line))
    }

    /// Runs OpenSSL where it also knows keys in the TPM.
    fn run_in_tpm(&self, command_line: &str) -> Vec<u8> {
        succeed(self.command(command_line).env("OPENSSL_CONF", self.path("tpm.cnf")))
    }

    /// The certificate in `chain.pem` with the key in `key.pem`, in the TPM that the library reaches that way.
    fn certificate(&self, tpm: TpmOptions) -> Result<Certificate, Error> {
        Certificate::with_tpm_key(&self.read("chain.pem"), &self.read("key.pem"), tpm)
    }
}

fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn reach(swtpm: &Swtpm) -> TpmOptions {
    TpmOptions::new().with_tcti(&swtpm.tcti())
}

fn credential(certificate: &Certificate) -> Credential {
    Credential::Certificate { certificate: certificate.clone(), send_x5c: true }
}

/// Application A with this certificate.
fn app(world: &World, certificate: &Certificate) -> App {
    App::new(world.app_a_options(credential(certificate))).unwrap()
}

/// For a token that costs one signature, whatever was signed before: a client assertion like no other.
fn signature() -> TokenRequest {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    bearer(GRAPH_SCOPE).with_extra_client_assertion_claims(&format!("{{\"number\":{number}}}"))
}

/// How many threads of this process talk to TPMs.
fn workers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "mtlspop-tpm").count()
}
