//! The chain is the one that verifies, whatever else is in the file and in whatever order.

use std::sync::{Arc, Mutex};

use mtlspop::{App, AppOptions, Certificate, Credential, LogLevel, Logger};
use rcgen::string::{BmpString, PrintableString};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair};

use crate::workshop::{P256, RSA, Workshop, subjects};

/// A name with a key; several of them may share either.
struct Party {
    name: DnValue,
    key: KeyPair,
}

impl Party {
    fn new(name: &str) -> Self {
        Self { name: DnValue::Utf8String(name.to_owned()), key: KeyPair::generate().unwrap() }
    }

    /// The same key under another spelling.
    fn spelled(&self, name: DnValue) -> Self {
        Self { name, key: KeyPair::from_pem(&self.key.serialize_pem()).unwrap() }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.clone());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// The certificate that `issuer` issues for it, PEM.
    fn issued_by(&self, issuer: &Self) -> String {
        self.issued_with(issuer, |_| {})
    }

    fn issued_with(&self, issuer: &Self, edit: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = self.params();
        edit(&mut params);
        params.signed_by(&self.key, &Issuer::new(issuer.params(), &issuer.key)).unwrap().pem()
    }

    fn expired(&self, issuer: &Self) -> String {
        self.issued_with(issuer, |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1))
    }
}

/// Loads `certificates` and the key of `leaf` in every rotation of the file, forwards and backwards; the chain must be
/// `wanted`, and OpenSSL find it good.
#[track_caller]
fn assert_chain(leaf: &Party, certificates: &[&String], wanted: &[&String]) {
    let mut order = certificates.to_vec();
    for reversed in [false, true] {
        for _ in 0..order.len() {
            order.rotate_left(1);
            let mut order = order.clone();
            if reversed {
                order.reverse();
            }
            let text = order.into_iter().cloned().collect::<String>() + &leaf.key.serialize_pem();
            let certificate = Certificate::from_pem(text.as_bytes(), None, None).unwrap();
            let wanted: String = wanted.iter().map(|pem| pem.replace("\r\n", "\n")).collect();
            assert_eq!(certificate.chain_pem(), wanted, "{:?}", subjects(&certificate));
        }
    }
    let workshop = Workshop::new();
    workshop.write("leaf.pem", wanted[0]);
    workshop.write("root.pem", wanted[wanted.len() - 1]);
    workshop.write("between.pem", wanted.iter().map(|pem| pem.as_str()).collect::<String>());
    workshop.openssl("verify -partial_chain -trusted root.pem -untrusted between.pem leaf.pem");
}

/// Are names the same that differ in string type, case and white space (RFC 5280, section 7.1)?
#[test]
fn spelling_of_names_does_not_matter() {
    let (leaf, root) = (Party::new("leaf"), Party::new("Contoso Root  CA"));
    let middle = Party::new(" contoso ISSUING ca");
    let printable = |text: &str| DnValue::PrintableString(PrintableString::try_from(text).unwrap());
    let wide = |text: &str| DnValue::BmpString(BmpString::try_from(text).unwrap());
    let root_again = root.spelled(printable("CONTOSO root CA"));
    let middle_again = middle.spelled(wide("Contoso Issuing CA"));
    let certificates = [leaf.issued_by(&middle_again), middle.issued_by(&root_again), root.issued_by(&root)];
    assert_chain(&leaf, &certificates.each_ref(), &certificates.each_ref());
    let other = Party::new("Contoso Root CA 2").issued_by(&root);
    let [leaf_pem, middle_pem, root_pem] = &certificates;
    assert_chain(&leaf, &[leaf_pem, &other, middle_pem, root_pem], &certificates.each_ref());
}

/// Is it, of two issuers of one name, the one whose key made the signature?
#[test]
fn the_issuer_that_signed_is_chosen() {
    let (leaf, root, one, other) =
        (Party::new("leaf"), Party::new("root"), Party::new("issuer"), Party::new("issuer"));
    let (root_pem, one_pem, other_pem) =
        (root.issued_by(&root), one.issued_by(&root), other.issued_by(&root));
    for (issuer, issuer_pem) in [(&one, &one_pem), (&other, &other_pem)] {
        let leaf_pem = leaf.issued_by(issuer);
        assert_chain(
            &leaf,
            &[&leaf_pem, &one_pem, &other_pem, &root_pem],
            &[&leaf_pem, issuer_pem, &root_pem],
        );
    }
    // One that only has the name is no issuer at all.
    let leaf_pem = leaf.issued_by(&one);
    assert_chain(&leaf, &[&leaf_pem, &other_pem, &root_pem], &[&leaf_pem]);
}

/// Is it, of two certificates for one issuer, the one that is valid? And one that has expired where there is no other?
#[test]
fn the_issuer_that_is_valid_is_chosen() {
    let (leaf, middle, root) = (Party::new("leaf"), Party::new("middle"), Party::new("root"));
    let leaf_pem = leaf.issued_by(&middle);
    let (valid, expired) = (middle.issued_by(&root), middle.expired(&root));
    let (root_pem, old_root) = (root.issued_by(&root), root.expired(&root));
    assert_chain(
        &leaf,
        &[&expired, &leaf_pem, &old_root, &valid, &root_pem],
        &[&leaf_pem, &valid, &root_pem],
    );
    let text = [leaf_pem.clone(), expired.clone(), root_pem, leaf.key.serialize_pem()].concat();
    let certificate = Certificate::from_pem(text.as_bytes(), None, None).unwrap();
    assert_eq!(subjects(&certificate), ["leaf", "middle", "root"]);
}

/// Does the chain go the way that leads to a root, where an issuer was signed by several?
#[test]
fn cross_signed_issuers_lead_to_a_root() {
    let [leaf, middle, new, old, missing] = ["leaf", "middle", "new", "old", "missing"].map(Party::new);
    let (leaf_pem, middle_pem) = (leaf.issued_by(&middle), middle.issued_by(&new));
    let (new_root, cross, old_root) = (new.issued_by(&new), new.issued_by(&old), old.issued_by(&old));
    // The root is nearer than the one that signed it, too.
    assert_chain(
        &leaf,
        &[&leaf_pem, &middle_pem, &cross, &new_root, &old_root],
        &[&leaf_pem, &middle_pem, &new_root],
    );
    // Without it the other way is the one.
    let (to_nowhere, all) = (new.issued_by(&missing), [&leaf_pem, &middle_pem, &cross, &old_root]);
    assert_chain(&leaf, &all, &all);
    assert_chain(&leaf, &[&leaf_pem, &to_nowhere, &middle_pem, &cross, &old_root], &all);
    // A root of that name that is over is no end.
    let expired = new.expired(&new);
    assert_chain(&leaf, &[&expired, &leaf_pem, &middle_pem, &cross, &old_root], &all);
}

/// Does a chain end where two authorities have certified each other?
#[test]
fn a_circle_of_certificates_ends() {
    let [leaf, one, two] = ["leaf", "one", "two"].map(Party::new);
    let certificates = [leaf.issued_by(&one), one.issued_by(&two), two.issued_by(&one)];
    assert_chain(&leaf, &certificates.each_ref(), &certificates.each_ref());
}

/// Is a certificate that was renewed with its old key taken, and not the one that has expired or is not valid yet?
#[test]
fn the_leaf_that_is_valid_is_chosen() {
    let (leaf, root) = (Party::new("leaf"), Party::new("root"));
    let (valid, root_pem) =
        (leaf.issued_with(&root, |p| p.not_after = rcgen::date_time_ymd(2100, 1, 1)), root.issued_by(&root));
    let future = leaf.issued_with(&root, |params| params.not_before = rcgen::date_time_ymd(2120, 1, 1));
    assert_chain(&leaf, &[&valid, &leaf.expired(&root), &future, &root_pem], &[&valid, &root_pem]);
}

/// Does the signature decide for every algorithm that issuers use, old ones too; and the name, where it cannot be
/// judged?
#[test]
fn every_algorithm_of_an_issuer_is_judged() {
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen";
    let rsa = |bits| format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits}");
    let ec = |curve| format!("-algorithm EC -pkeyopt ec_paramgen_curve:{curve}");
    // Keys that make no other signatures (RFC 4055, section 1.2).
    let pss_only = "-pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha384 -pkeyopt \
                    rsa_pss_keygen_mgf1_md:sha384 -pkeyopt rsa_pss_keygen_saltlen:48";
    let hashes = ["sha256", "sha384", "sha512"].map(|hash| format!("-{hash}"));
    let with_pss = hashes.clone().map(|hash| format!("{hash} {pss}:digest"));
    let (sha256, nothing) = (hashes[0].clone(), String::new());
    let kinds = [
        (rsa(2048), [&["-sha1".to_owned()][..], &hashes, &with_pss].concat(), true),
        (rsa(1024), vec![sha256.clone()], true),
        (rsa(1024), vec!["-sha384".to_owned()], false),
        (format!("-algorithm RSA-PSS {pss_only}"), vec![nothing.clone()], true),
        (ec("P-256"), hashes.to_vec(), true),
        (ec("P-384"), hashes.to_vec(), true),
        (ec("P-521"), hashes.to_vec(), true),
        ("-algorithm ED25519".to_owned(), vec![nothing.clone()], true),
        (rsa(2048), vec![format!("{sha256} {pss}:20")], false),
        (ec("secp256k1"), vec![sha256], false),
        ("-algorithm ED448".to_owned(), vec![nothing], false),
    ];
    let workshop = Workshop::new();
    workshop.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out leaf.key");
    workshop.openssl("req -new -key leaf.key -subj /CN=leaf -out leaf.csr");
    let plain =
        "[req]\ndistinguished_name=n\nx509_extensions=e\n[n]\n[e]\nbasicConstraints=critical,CA:true\n";
    workshop.write("plain.cnf", plain);
    for (kind, options, judged) in kinds {
        for name in ["one", "other"] {
            workshop.openssl(&format!("genpkey {kind} -out {name}.key"));
            let subject = "-config plain.cnf -subj /CN=issuer -days 30";
            workshop.openssl(&format!("req -x509 -new {subject} -key {name}.key -out {name}.pem"));
        }
        for options in options {
            workshop.openssl(&format!(
            "x509 -req -in leaf.csr -CA one.pem -CAkey one.key -CAcreateserial -days 30 {options} -out leaf.pem"
        ));
            let read =
                |names: &[&str]| names.iter().map(|name| workshop.read(name)).collect::<Vec<_>>().concat();
            let [leaf, one] =
                ["leaf.pem", "one.pem"].map(|name| workshop.openssl(&format!("x509 -in {name}")));
            let chain_of =
                |names: &[&str]| Certificate::from_pem(&read(names), None, None).unwrap().chain_pem();
            let what = format!("{kind} {options}");
            assert_eq!(chain_of(&["leaf.pem", "one.pem", "leaf.key"]), format!("{leaf}{one}"), "{what}");
            if judged {
                for names in [["other.pem", "one.pem"], ["one.pem", "other.pem"]] {
                    let names = [names[0], names[1], "leaf.pem", "leaf.key"];
                    assert_eq!(chain_of(&names), format!("{leaf}{one}"), "{what}");
                }
                assert_eq!(chain_of(&["leaf.pem", "other.pem", "leaf.key"]), leaf, "{what}");
            }
        }
    }
}

/// Is an authority no issuer whose key is of another kind than the signature, where only its name is that of one?
#[test]
fn another_kind_of_key_made_no_signature() {
    let workshop = Workshop::new();
    workshop.openssl(&format!("genpkey {P256} -out key.pem"));
    workshop.openssl("req -new -key key.pem -subj /CN=leaf -out csr");
    for (name, kind) in [("rsa", RSA), ("ec", P256), ("ed", "-algorithm ED25519")] {
        workshop.openssl(&format!("genpkey {kind} -out {name}.key"));
        workshop
            .openssl(&format!("req -x509 -new -key {name}.key -subj /CN=issuer -days 30 -out {name}.pem"));
        workshop.openssl(&format!(
            "x509 -req -in csr -CA {name}.pem -CAkey {name}.key -CAcreateserial -days 30 -out leaf-{name}.pem"
        ));
    }
    for signer in ["rsa", "ec", "ed"] {
        for other in ["rsa", "ec", "ed"] {
            let names = [format!("leaf-{signer}.pem"), format!("{other}.pem"), "key.pem".to_owned()];
            let text = names.map(|name| workshop.read(&name)).concat();
            let certificate = Certificate::from_pem(&text, None, None).unwrap();
            let length = if signer == other { 2 } else { 1 };
            assert_eq!(certificate.chain_der().len(), length, "{signer} {other}");
        }
    }
}

/// Are more certificates of one name than any chain has an error, and not minutes of work?
#[test]
fn a_thousand_issuers_of_one_name_are_refused() {
    let (leaf, root) = (Party::new("leaf"), Party::new("issuer"));
    let mut text = leaf.issued_by(&root) + &leaf.key.serialize_pem();
    for _ in 0..1000 {
        text += &Party::new("issuer").issued_by(&root);
    }
    let error = Certificate::from_pem(text.as_bytes(), None, None).unwrap_err();
    assert!(error.message().contains("too many certificates"), "{error}");
}

/// Does the log of an app say which certificates were left out of the chain, and why, without their names?
#[test]
fn what_is_left_out_is_logged() {
    let [leaf, middle, root, stranger] = ["leaf", "middle", "root", "stranger"].map(Party::new);
    let expired = middle.expired(&root);
    let text = [
        leaf.issued_by(&middle),
        middle.issued_by(&root),
        root.issued_by(&root),
        expired,
        stranger.issued_by(&stranger),
    ]
    .concat();
    let text = text + &leaf.key.serialize_pem();
    let certificate = Certificate::from_pem(text.as_bytes(), None, None).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let log = Logger::new(
        LogLevel::Info,
        Arc::new(move |level, target: &str, line: &str| {
            sink.lock().unwrap().push((level, target.to_owned(), line.to_owned()));
        }),
    );
    let options = AppOptions::confidential_client("11111111-2222-3333-4444-555555555555")
        .with_authority("https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555")
        .with_credential(Credential::Certificate { certificate, send_x5c: true })
        .with_logger(log);
    App::new(options).unwrap();
    let lines = lines.lock().unwrap();
    let lines: Vec<_> = lines.iter().filter(|(_, target, _)| target == "binding").collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for ((level, _, line), why) in lines.into_iter().zip(["has expired", "has issued none of the chain"]) {
        assert_eq!(*level, LogLevel::Info);
        assert!(line.contains("left out of the chain") && line.contains(why), "{line}");
        assert!(!line.contains("middle") && !line.contains("stranger"), "{line}");
    }
}
