//! What is left of a private key in the memory of a process when the last that used it is gone.
//!
//! Looked for in a process of its own: this test binary, started again, so that nothing else moves memory.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mtlspop::{App, AppOptions, Certificate, Credential, HttpRequest};

use crate::support::{GRAPH_SCOPE, World, authority, bearer, pop};

/// Not itself in memory, only with this over each byte.
const MASK: u8 = 0x5a;

/// The variable with the path of a file that cannot be loaded, though the key in it is whole.
const DAMAGED: &str = "MTLSPOP_TEST_DAMAGED";

/// Bytes to look for, masked.
pub struct Needle(Vec<u8>);

impl Needle {
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| byte ^ MASK).collect())
    }

    pub fn reversed(&self) -> Self {
        Self(self.0.iter().rev().copied().collect())
    }

    /// For a process that must not know what it looks for: see [`Needle::from_text`].
    pub fn to_text(&self) -> String {
        STANDARD.encode(&self.0)
    }

    pub fn from_text(text: &str) -> Self {
        Self(STANDARD.decode(text).unwrap())
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().map(|byte| byte ^ MASK).collect()
    }

    fn is_in(&self, memory: &[u8]) -> bool {
        let first = self.0[0] ^ MASK;
        memory.windows(self.0.len()).any(|window| {
            window[0] == first && window.iter().zip(&self.0).all(|(byte, masked)| byte ^ MASK == *masked)
        })
    }
}

/// How many pages that this process can write hold `needle`.
pub fn pages_with(needle: &Needle) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    // On the stack, so that what is searched does not hold copies of itself; its own place is left out.
    let mut buffer = [0; 4096];
    let own = buffer.as_ptr() as u64;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let (mut at, to) = (address(from), address(to));
        while at < to {
            let part = &mut buffer[..(to - at).min(4096) as usize];
            let end = at + part.len() as u64;
            if end <= own || at >= own + 4096 {
                memory.seek(SeekFrom::Start(at)).unwrap();
                memory.read_exact(part).unwrap();
                found += usize::from(needle.is_in(part));
            }
            // What lies across two steps is seen by one of them, and only one.
            at = if end == to { to } else { end - needle.0.len() as u64 + 1 };
        }
    }
    found
}

/// Not a test: the process that is looked into.
#[test]
#[ignore = "run by another test"]
fn program() {
    let file = std::env::var_os("AZURE_CLIENT_CERTIFICATE_PATH").expect("run by another test");
    let certificate = Certificate::from_file(file.as_ref(), None, None).unwrap();
    let (number, text) = {
        let pem = certificate.private_key_pem().unwrap();
        let lines: Vec<_> = pem.expose().lines().filter(|line| !line.starts_with('-')).collect();
        let mut joined = lines.concat().into_bytes();
        let der = STANDARD.decode(&joined).unwrap();
        joined.fill(0);
        // PKCS#8 of RSA-2048 ends with q, dP, dQ and qInv, 131 bytes each: some of q.
        let q = der.len() - 4 * 131 + 40;
        let needles = (Needle::new(&der[q..q + 32]), Needle::new(&lines[12].as_bytes()[..32]));
        let mut der = der;
        der.fill(0);
        needles
    };
    let backwards = number.reversed();
    let credential = Credential::Certificate { certificate: certificate.clone(), send_x5c: true };
    let options = AppOptions::confidential_client(&std::env::var("AZURE_CLIENT_ID").unwrap())
        .with_authority(&authority("login.microsoftonline.com"))
        .with_azure_region("eastus")
        .with_credential(credential);
    let app = App::new(options).unwrap();
    let token = Arc::new(app.acquire_token(&pop(GRAPH_SCOPE)).unwrap());
    app.acquire_token(&bearer(GRAPH_SCOPE)).unwrap();
    let get = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
    assert_eq!(app.send(&token, &get).unwrap().status(), 200);
    println!("alive {} {}", pages_with(&number), pages_with(&backwards));
    drop((app, token, certificate));
    let damaged = std::env::var_os(DAMAGED).expect("run by another test");
    assert!(Certificate::from_file(damaged.as_ref(), None, None).is_err());
    println!("gone {} {} {}", pages_with(&number), pages_with(&backwards), pages_with(&text));
}

/// After a certificate with a software key was loaded, from PEM or from PKCS#12, used for handshakes and assertions,
/// exported as PEM and freed, and after one could not be loaded: is its key nowhere in the memory of the process, neither as it is written nor as it is
/// calculated with nor as PEM? While it is in use it is, or the search would prove nothing. (Not after it was exported as
/// PKCS#12: the library that writes it leaves copies.)
#[test]
fn a_freed_key_is_nowhere() {
    let world = World::new();
    let env = world.cloud.env();
    let (_, pem) = env.iter().find(|(name, _)| name == "AZURE_CLIENT_CERTIFICATE_PATH").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pfx = |name: &str, flags: &[&str]| {
        let path = folder.path().join(name);
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs12", "-export", "-passout", "pass:", "-in"]).arg(pem).arg("-out").arg(&path);
        assert!(openssl.args(flags).status().unwrap().success());
        path.to_str().unwrap().to_owned()
    };
    let damaged = folder.path().join("damaged.pem");
    std::fs::write(&damaged, format!("-----BEGIN CERTIFICATE-----\n{}", key_first(pem))).unwrap();
    for file in [
        pem.clone(),
        pfx("pbes2.pfx", &[]),
        pfx("triple-des.pfx", &["-keypbe", "PBE-SHA1-3DES"]),
        pfx("clear.pfx", &["-keypbe", "NONE", "-certpbe", "NONE"]),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["memory::program", "--exact", "--ignored", "--nocapture"])
            .envs(env.clone())
            .env("AZURE_CLIENT_CERTIFICATE_PATH", &file)
            .env(DAMAGED, &damaged)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        let alive = line("alive").expect("it was looked for");
        assert!(alive.split(' ').skip(1).all(|pages| pages != "0"), "{alive}");
        assert_eq!(line("gone").as_deref(), Some("gone 0 0 0"), "{file}");
    }
}

/// What is in `pem`, the private key before the certificates.
fn key_first(pem: &str) -> String {
    let text = std::fs::read_to_string(pem).unwrap();
    let (before, key) = text.split_at(text.find("-----BEGIN PRIVATE KEY").unwrap());
    format!("{key}{before}")
}
