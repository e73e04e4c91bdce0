//! What a process can know of a key in a TPM, and what is left of its authorisation value.
//!
//! Nobody knows the private numbers of a key that a TPM made. So the key is made outside and imported: a test then
//! knows what to look for. Looked for in a process of its own, as in `crate::memory`.

use std::process::Command;

use der::pem::{LineEnding, encode_string};
use mtlspop::{App, AppOptions, Certificate, HttpRequest, SecretBytes, TpmOptions};

use super::{Workshop, credential, workers};
use crate::memory::{Needle, pages_with};
use crate::support::{GRAPH_SCOPE, World, authority, bearer, pop, wait_for};
use crate::swtpm::Swtpm;

pub(super) const AUTH: [u8; 32] = *b"an authorisation value like none";

/// TCG's template for a storage key on P-256.
const PARENT: &str = "tpm2_createprimary -C o -G ecc256:null:aes128cfb -c parent.ctx -a \
    fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";

impl Workshop {
    /// `soft.pem`, a key that OpenSSL made in software; `key.pem`, the same in the TPM, with an authorisation value;
    /// and `chain.pem`.
    pub(super) fn with_imported_key(swtpm: &Swtpm, world: &World) -> Self {
        let workshop = Self::new(swtpm);
        workshop.run("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out soft.pem");
        workshop.run("openssl pkey -in soft.pem -pubout -out public.pem");
        workshop.certify(world);
        workshop.run(PARENT);
        workshop.run("tpm2_evictcontrol -C o -c parent.ctx 0x81000001");
        workshop.run("tpm2_flushcontext --transient-object");
        workshop.write("auth", AUTH);
        workshop.run("tpm2_import -C 0x81000001 -G rsa -i soft.pem -u key.pub -r key.priv -p file:auth");
        let hex = |name| workshop.read(name).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (public, private) = (hex("key.pub"), hex("key.priv"));
        workshop.write(
            "key.cnf",
            format!(
                "asn1 = SEQUENCE:key\n[key]\nkind = OID:2.23.133.10.1.3\nparent = INTEGER:0x81000001\n\
                 public = FORMAT:HEX,OCTETSTRING:{public}\nprivate = FORMAT:HEX,OCTETSTRING:{private}\n"
            ),
        );
        workshop.run("openssl asn1parse -genconf key.cnf -noout -out key.der");
        let pem = encode_string("TSS2 PRIVATE KEY", LineEnding::LF, &workshop.read("key.der")).unwrap();
        workshop.write("key.pem", pem);
        workshop
    }

    /// The middle of a number of the key in software, as OpenSSL names it.
    fn number(&self, name: &str) -> Needle {
        let text = String::from_utf8(self.run("openssl rsa -in soft.pem -noout -text")).unwrap();
        let (_, number) = text.split_once(&format!("{name}:\n")).unwrap();
        let lines = number.lines().take_while(|line| line.starts_with(' '));
        let bytes: Vec<u8> = lines
            .flat_map(|line| line.trim().split(':'))
            .filter(|byte| !byte.is_empty())
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        Needle::new(&bytes[bytes.len() / 2..][..32])
    }
}

/// What is looked for, by its variable in the environment of the program.
const NUMBERS: [(&str, &str); 4] = [
    ("MTLSPOP_TEST_MODULUS", "modulus"),
    ("MTLSPOP_TEST_D", "privateExponent"),
    ("MTLSPOP_TEST_P", "prime1"),
    ("MTLSPOP_TEST_Q", "prime2"),
];
/// The authorisation value, half of it, that half behind the length of the whole as tpm2-tss has it (TPM2B), and how
/// some of it is written for the plugin.
const AUTHS: [&str; 4] =
    ["MTLSPOP_TEST_AUTH", "MTLSPOP_TEST_HALF", "MTLSPOP_TEST_SIZED", "MTLSPOP_TEST_JSON"];

/// Not a test: the process that is looked into.
#[test]
#[ignore = "run by another test"]
fn program() {
    let variable = |name: &str| std::env::var(name).expect("run by another test");
    let numbers = NUMBERS.map(|(name, _)| Needle::from_text(&variable(name)));
    let auths = AUTHS.map(|name| Needle::from_text(&variable(name)));
    let look = |when: &str| {
        // Its stack would be unmapped while it is looked into.
        wait_for(|| workers() == 0);
        let in_some_order = |needle: &Needle| pages_with(needle) + pages_with(&needle.reversed()) > 0;
        let [modulus, d, p, q] = numbers.each_ref().map(in_some_order);
        println!("{when}: modulus {modulus}, d {d}, p {p}, q {q}");
        let [auth, half, sized, json] = auths.each_ref().map(pages_with);
        println!("{when}: auth {auth}, ours {}, json {json}", half.abs_diff(sized));
    };
    let tpm = || TpmOptions::new().with_tcti(&variable("MTLSPOP_TEST_TCTI"));
    let read = |name: &str| std::fs::read(variable(name)).unwrap();
    let get = HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me");
    let work_with = |certificate: Certificate| {
        let options = AppOptions::confidential_client(&variable("AZURE_CLIENT_ID"))
            .with_authority(&authority("login.microsoftonline.com"))
            .with_azure_region("eastus")
            .with_credential(credential(&certificate));
        let app = App::new(options).unwrap();
        for request in [bearer(GRAPH_SCOPE), pop(GRAPH_SCOPE)] {
            let token = app.acquire_token(&request).unwrap();
            assert_eq!(app.send(&token, &get).unwrap().status(), 200);
        }
        certificate
    };

    let [chain, key] = ["MTLSPOP_TEST_CHAIN", "MTLSPOP_TEST_KEY"].map(read);
    let auth = SecretBytes::new(auths[0].bytes());
    let certificate = work_with(Certificate::with_tpm_key(&chain, &key, tpm().with_auth(auth)).unwrap());
    certificate.tpm_key_pem().unwrap();
    look("in the TPM");
    drop(certificate);
    look("gone");

    let [chain, key] = ["MTLSPOP_TEST_CHAIN", "MTLSPOP_TEST_SOFTWARE"].map(variable);
    let certificate = Certificate::from_file(chain.as_ref(), Some(key.as_ref()), None).unwrap();
    let _certificate = work_with(certificate);
    look("in software");
}

/// While a key in a TPM signs assertions and handshakes and is exported as a file: are its private numbers nowhere in
/// the memory of the process? A key in software is found, or the search would prove nothing. And when all is freed,
/// is the authorisation value nowhere but where tpm2-tss frees it without wiping it, in its sessions?
#[test]
fn private_numbers_are_nowhere() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let workshop = Workshop::with_imported_key(&swtpm, &world);
    let json: String = AUTH[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let sized = [&[AUTH.len() as u8, 0], &AUTH[..16]].concat();
    let auths = [&AUTH, &AUTH[..16], &sized, json.as_bytes()].map(|bytes| Needle::new(bytes).to_text());
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args(["tpm::memory::program", "--exact", "--ignored", "--nocapture"])
        .envs(world.cloud.env())
        .envs(AUTHS.into_iter().zip(auths))
        .envs(NUMBERS.map(|(variable, number)| (variable, workshop.number(number).to_text())))
        .env("MTLSPOP_TEST_CHAIN", workshop.path("chain.pem"))
        .env("MTLSPOP_TEST_KEY", workshop.path("key.pem"))
        .env("MTLSPOP_TEST_SOFTWARE", workshop.path("soft.pem"))
        .env("MTLSPOP_TEST_TCTI", swtpm.tcti());
    let text = String::from_utf8(super::succeed(&mut program)).unwrap();
    for line in [
        "in the TPM: modulus true, d false, p false, q false",
        "gone: modulus true, d false, p false, q false",
        "in software: modulus true, d true, p true, q true",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert!(text.contains("in the TPM: auth ") && !text.contains("in the TPM: auth 0"), "{text}");
    // How many of its sessions were overwritten meanwhile, or in part, is chance.
    let (_, left) = text.split_once("gone: auth ").unwrap();
    let left = left.lines().next().unwrap();
    assert!(left.ends_with(", ours 0, json 0"), "{text}");
}
