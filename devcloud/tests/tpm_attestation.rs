//! Does the attestation service believe a TPM, and nothing that only looks like one?
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use common::csr::Csr;
use common::evidence::*;
use common::*;
use devcloud::directory::{SYSTEM_ASSIGNED_CLIENT_ID, TENANT_ID, VM_ID};
use devcloud::{Cloud, Fault, Options};
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A member of the payload, by its JSON pointer.
fn at<'a>(payload: &'a mut Value, path: &str) -> &'a mut Value {
    payload.pointer_mut(path).unwrap_or_else(|| panic!("no {path}"))
}

/// Changes the bytes of a base64url text.
fn bend(text: &mut Value, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = decode(text.as_str().unwrap());
    change(&mut bytes);
    *text = json!(encode(&bytes));
}

fn refused(reply: &Reply, says: &str) {
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (400, &"InvalidParameter".into()),
        "{reply:?}"
    );
    assert!(reply.body.contains(says), "{says:?} is not in {reply:?}");
}

const DATA: &str = "/att_data";
const ATTESTATION: &str = "/att_data/tpm_att_data/current_attestation";
const REQUEST_KEY: &str = "/att_data/request_key";
const CERTIFY: &str = "/att_data/request_key/info/tpm_certify";
const CONTEXT: &str = "/att_data/service_context";

/// Does a key in a TPM get a certificate where only such keys do?
#[test]
fn a_key_in_a_tpm_gets_a_report_and_with_it_a_certificate() {
    let options =
        Options { require_tpm_attestation: true, require_aik_certificate: true, ..Options::default() };
    let cloud = Cloud::start(options).unwrap();
    let tpm = Tpm::new();
    let mut evidence = tpm.evidence(&challenge(&cloud));
    refused(&tpm.send(&cloud, &evidence), "aik_cert is missing");
    at(&mut evidence, ATTESTATION).as_object_mut().unwrap().remove("aik_cert");
    refused(&tpm.send(&cloud, &evidence), "aik_cert is missing");
    let certificate = cloud.certify_attestation_key(&tpm.public_key(ATTESTATION_KEY)).unwrap();
    at(&mut evidence, ATTESTATION)["aik_cert"] = json!(encode(&certificate));
    let report = payload(&tpm.send(&cloud, &evidence))["report"].as_str().unwrap().to_owned();

    let said = claims(&report);
    let mut key = tpm.jwk(KEY);
    // fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth and sign.
    key["info"] = json!({ "tpm_certify": { "name_alg": 11, "obj_attr": 0x0004_0072 } });
    assert_eq!(said["x-ms-runtime"]["keys"], json!([key]));
    assert_eq!(
        (&said["x-ms-attestation-type"], &said["x-ms-devcloud-aik"]),
        (&json!("tpm"), &json!("certified"))
    );
    assert_eq!(said["rp_data"], encode(b"relying party"));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 8 * 3600);

    let csr = Csr::new(SYSTEM_ASSIGNED_CLIENT_ID, TENANT_ID, VM_ID);
    let csr = csr.der_with(&tpm.public_key(KEY), |info| tpm.sign(KEY, info));
    let issue = |attestation| issue_for(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &csr, attestation);
    assert_eq!(issue(Some(&report)).status, 200);
    let stand_in = cloud.mint_attestation(&tpm.public_key(KEY)).unwrap();
    assert!(issue(Some(&stand_in)).body.contains("not about a key in a TPM"));
    assert!(issue(None).body.contains("missing or empty"));
    let other = rsa_key();
    let about_other = common::issue(&cloud, SYSTEM_ASSIGNED_CLIENT_ID, &other, Some(&report));
    assert!(about_other.body.contains("another key"), "{about_other:?}");
}

/// Is every part of the evidence looked at, and named when it is wrong?
#[test]
fn evidence_that_was_tampered_with_is_refused_in_its_own_words() {
    let cloud = start();
    let tpm = Tpm::new();
    let evidence = tpm.evidence(&challenge(&cloud));
    let other_evidence = tpm.evidence(&challenge(&cloud));
    let flip_last = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    let more = |bytes: &mut Vec<u8>| bytes.push(0);
    let less = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let bytes = |part: &'static str, path: &'static str, change: fn(&mut Vec<u8>)| -> Change<'_> {
        Box::new(move |payload| bend(at(payload, &format!("{part}/{path}")), change))
    };
    let set = |part: &'static str, path: &'static str, value: Value| -> Change<'_> {
        Box::new(move |payload| *at(payload, &format!("{part}/{path}")) = value.clone())
    };
    let of_other = |part: &'static str, path: &'static str| {
        set(part, path, at(&mut other_evidence.clone(), &format!("{part}/{path}")).clone())
    };
    let cases: Vec<(Change<'_>, &str)> = vec![
        // The quote: a byte of its digest, of its head, of its clock, another one, not all, too much.
        (bytes(ATTESTATION, "quote", flip_last), "pcrDigest is not that"),
        (bytes(ATTESTATION, "quote", |quote| quote[0] = 0), "magic is not TPM_GENERATED"),
        (bytes(ATTESTATION, "quote", |quote| quote[5] = 0x17), "TPM_ST_ATTEST_QUOTE"),
        (bytes(ATTESTATION, "quote", |quote| quote[80] ^= 1), "current_attestation.signature is not that"),
        (of_other(ATTESTATION, "quote"), "quote: extraData is not the challenge"),
        (bytes(ATTESTATION, "quote", less), "quote is cut short"),
        (bytes(ATTESTATION, "quote", more), "quote has 1 bytes more"),
        (of_other(ATTESTATION, "signature"), "current_attestation.signature is not that of aik_pub"),
        (bytes(ATTESTATION, "signature", more), "signature has 1 bytes more"),
        (bytes(ATTESTATION, "signature", |it| it[1] = 0x18), "must be RSASSA or RSAPSS"),
        (bytes(ATTESTATION, "signature", |it| it[3] = 0x04), "the hash must be SHA-256"),
        // The PCRs: another value, another index, another bank, one less, one twice, none.
        (bytes(ATTESTATION, "pcrs/1/values/0/digest", flip_last), "pcrDigest is not that"),
        (set(ATTESTATION, "pcrs/1/values/0/index", json!(3)), "pcrSelect is not what pcrs lists"),
        (set(ATTESTATION, "pcrs/1/values/0/index", json!(1)), "pcrSelect is not what pcrs lists"),
        (set(ATTESTATION, "pcrs/0/values", json!([])), "pcrSelect is not what pcrs lists"),
        (set(ATTESTATION, "pcrs/0/algorithm", json!(11)), "must have 32 bytes"),
        (set(ATTESTATION, "pcrs/0/algorithm", json!(1)), "no hash of a PCR bank"),
        (set(ATTESTATION, "pcrs", json!([])), "pcrs lists no PCR"),
        (
            Box::new(|payload| at(payload, ATTESTATION)["pcrs"].as_array_mut().unwrap().reverse()),
            "pcrSelect is not",
        ),
        // The key: its public area, and the word for it.
        (bytes(CERTIFY, "public", flip_last), "another key than request_key.jwk"),
        (bytes(CERTIFY, "public", more), "public has 1 bytes more"),
        (bytes(CERTIFY, "public", |public| public[1] = 0x23), "the key must be RSA"),
        (bytes(CERTIFY, "public", |public| public[3] = 0x0c), "nameAlg must be SHA-256"),
        // adminWithPolicy, that nobody asks for.
        (bytes(CERTIFY, "public", |public| public[7] |= 0x80), "name is not"),
        (of_other(CERTIFY, "certification"), "certification: extraData is not the challenge"),
        (of_other(CERTIFY, "signature"), "tpm_certify.signature is not that of aik_pub"),
        (bytes(CERTIFY, "certification", |it| it[0] = 0), "certification: magic is not TPM_GENERATED"),
        (bytes(CERTIFY, "certification", |it| it[5] = 0x18), "TPM_ST_ATTEST_CERTIFY"),
        (bytes(CERTIFY, "certification", more), "certification has 1 bytes more"),
        (set(REQUEST_KEY, "info", json!({})), "tpm_certify is missing"),
        // Who speaks.
        (set(ATTESTATION, "aik_pub", tpm.jwk(KEY)), "tpm_certify.signature is not that of aik_pub"),
        (bytes(REQUEST_KEY, "jwk/n", flip_last), "the signature of the JWS is not that of request_key"),
        (set(REQUEST_KEY, "jwk/kty", json!("EC")), "kty must be RSA"),
        // What is not judged is not taken.
        (set(DATA, "other_keys", json!([{}])), "other_keys must be absent or empty"),
        (set(ATTESTATION, "logs/0/type", json!("X")), "type must be TCG or IMA"),
        (set(ATTESTATION, "logs/0/log", json!("?")), "log is not base64url"),
        (set(DATA, "rp_id", json!(null)), "the payload of the JWS"),
    ];
    for (change, says) in cases {
        let mut changed = evidence.clone();
        change(&mut changed);
        refused(&tpm.send(&cloud, &changed), says);
    }
    // None of them used the challenge up. An AIK certificate is not asked for here.
    let report = payload(&tpm.send(&cloud, &evidence));
    assert_eq!(claims(report["report"].as_str().unwrap())["x-ms-devcloud-aik"], "unknown");
}

/// Must the key be one that the TPM made and keeps, and the one that was certified?
#[test]
fn a_key_that_can_leave_its_tpm_and_a_key_of_another_are_refused() {
    let cloud = start();
    let tpm = Tpm::new();
    let challenge = challenge(&cloud);
    let evidence = tpm.evidence(&challenge);
    let movable = KEY + 1;
    tpm.make_key(movable, "sensitivedataorigin|userwithauth|sign");
    let mut of_movable = evidence.clone();
    at(&mut of_movable, REQUEST_KEY)["jwk"] = tpm.jwk(movable);
    *at(&mut of_movable, CERTIFY) = tpm.certify(movable, &challenge.bytes);
    refused(&request(&cloud, &tpm.jws(movable, HEADER, &of_movable)), "lacks the attribute fixedTPM");

    // The key's own public area, and the word for another.
    let mut foreign = evidence.clone();
    let certified = tpm.certify(movable, &challenge.bytes);
    for part in ["certification", "signature"] {
        at(&mut foreign, CERTIFY)[part] = certified[part].clone();
    }
    refused(&tpm.send(&cloud, &foreign), "certification is of another key");

    // A key in software claims to be the one in the TPM.
    let software = EncodingKey::from_rsa_pem(rsa_key().serialize_pem().as_bytes()).unwrap();
    let signed = format!("{}.{}", encode(HEADER.as_bytes()), encode(evidence.to_string().as_bytes()));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &software, Algorithm::PS256).unwrap();
    let says = "the signature of the JWS is not that of request_key (PS256)";
    refused(&request(&cloud, &format!("{signed}.{signature}")), says);
    refused(&request(&cloud, &tpm.jws(movable, HEADER, &evidence)), says);

    for (header, says) in [
        (r#"{"alg":"RS256","typ":"attReqV2"}"#, "alg must be PS256"),
        (r#"{"alg":"PS256","typ":"attReq"}"#, "typ must be attReqV2"),
        (r#"{"alg":"PS256"}"#, "typ must be attReqV2"),
        (r#"{"alg":"PS256","typ":"attReqV2","kid":"1"}"#, "it has kid"),
    ] {
        refused(&request(&cloud, &tpm.jws(KEY, header, &evidence)), says);
    }
    let mut vbs = evidence.clone();
    vbs["att_type"] = json!("vbs");
    refused(&tpm.send(&cloud, &vbs), "att_type must be basic");
    refused(&request(&cloud, "e30.e30"), "a JWT has three parts");
    assert_eq!(tpm.send(&cloud, &evidence).status, 200);
}

/// Is a challenge good once, for a while, and only with the context that it came with?
#[test]
fn a_challenge_is_good_once_and_not_for_long() {
    let (cloud, other_cloud) = (start(), start());
    let tpm = Tpm::attesting_with("rsapss");
    let first = tpm.evidence(&challenge(&cloud));
    let mut mixed = first.clone();
    *at(&mut mixed, CONTEXT) = json!(challenge(&cloud).context);
    refused(&tpm.send(&cloud, &mixed), "challenge is not that of service_context");
    bend(at(&mut mixed, CONTEXT), |context| context[0] ^= 1);
    refused(&tpm.send(&cloud, &mixed), "service_context was not made by this service");
    *at(&mut mixed, CONTEXT) = json!("");
    refused(&tpm.send(&cloud, &mixed), "service_context was not made by this service");
    refused(&tpm.send(&other_cloud, &first), "service_context was not made by this service");

    cloud.advance_clock(Duration::from_secs(200));
    assert_eq!(tpm.send(&cloud, &first).status, 200);
    refused(&tpm.send(&cloud, &first), "challenge has been used already");
    cloud.advance_clock(Duration::from_secs(100));
    refused(&tpm.send(&cloud, &first), "service_context has expired");
    let second = tpm.evidence(&challenge(&cloud));
    cloud.advance_clock(Duration::from_secs(300));
    refused(&tpm.send(&cloud, &second), "service_context has expired");
}

/// Is an AIK certificate looked at even where none is needed?
#[test]
fn an_aik_certificate_must_be_of_the_tpm_ca_and_of_this_key() {
    let (cloud, other_cloud) = (start(), start());
    let tpm = Tpm::new();
    let attestation_key = tpm.public_key(ATTESTATION_KEY);
    let right = cloud.certify_attestation_key(&attestation_key).unwrap();
    let send = |certificate: &[u8]| {
        let mut evidence = tpm.evidence(&challenge(&cloud));
        at(&mut evidence, ATTESTATION)["aik_cert"] = json!(encode(certificate));
        tpm.send(&cloud, &evidence)
    };
    let foreign = other_cloud.certify_attestation_key(&attestation_key).unwrap();
    let of_another_key = cloud.certify_attestation_key(rsa_key().der_bytes()).unwrap();
    let longer = [&right[..], &[0]].concat();
    refused(&send(&foreign), "aik_cert was not issued by the TPM CA");
    refused(&send(&of_another_key), "aik_cert is for another key than aik_pub");
    refused(&send(&longer), "aik_cert has 1 bytes more");
    refused(&send(b"no certificate"), "aik_cert is no certificate");
    assert_eq!(send(&right).status, 200);
    cloud.advance_clock(YEAR + Duration::from_secs(1));
    refused(&send(&right), "aik_cert is valid from");
}

/// Is an attestation key that no TPM holds caught? Only where certificates are asked for, as the options say.
#[test]
fn an_attestation_key_made_in_software_is_caught_by_its_lack_of_a_certificate() {
    let cloud = start();
    let strict = Cloud::start(Options { require_aik_certificate: true, ..Options::default() }).unwrap();
    let tpm = Tpm::new();
    let software = rsa_key();
    let signer = RsaKeyPair::from_pkcs8(software.serialized_der()).unwrap();
    let forge = |cloud: &Cloud| {
        let mut evidence = tpm.evidence(&challenge(cloud));
        for (part, signed) in [(ATTESTATION, "quote"), (CERTIFY, "certification")] {
            let message = decode(at(&mut evidence, part)[signed].as_str().unwrap());
            let mut signature = vec![0; 256];
            signer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
            let structure = [&[0x00, 0x14, 0x00, 0x0b, 0x01, 0x00][..], &signature].concat();
            at(&mut evidence, part)["signature"] = json!(encode(&structure));
        }
        at(&mut evidence, ATTESTATION)["aik_pub"] = jwk(software.der_bytes());
        evidence
    };
    let believed = payload(&tpm.send(&cloud, &forge(&cloud)));
    assert_eq!(claims(believed["report"].as_str().unwrap())["x-ms-devcloud-aik"], "unknown");
    let mut forged = forge(&strict);
    refused(&tpm.send(&strict, &forged), "aik_cert is missing");
    let genuine = strict.certify_attestation_key(&tpm.public_key(ATTESTATION_KEY)).unwrap();
    at(&mut forged, ATTESTATION)["aik_cert"] = json!(encode(&genuine));
    refused(&tpm.send(&strict, &forged), "aik_cert is for another key than aik_pub");
}

/// Does the service speak the protocol as it is written, on its path only?
#[test]
fn messages_have_a_version_and_one_of_two_payloads() {
    let cloud = start();
    let init = json!({ "payload": { "type": "aikcert" }, "metadata": { "x": 1 } });
    let padded = URL_SAFE.encode(init.to_string());
    assert!(padded.ends_with('='), "{padded}");
    let post = |path: &str, body: &Value| curl(&cloud, &["-d", &body.to_string(), &attest_url(path)]);
    for data in [padded.as_str(), padded.trim_end_matches('=')] {
        let said = payload(&post("/Attest/tPM?api-version=2022-08-01", &json!({ "data": data })));
        assert_eq!(decode(said["challenge"].as_str().unwrap()).len(), 32);
    }
    for (path, says) in [
        ("/attest/Tpm", "api-version is missing"),
        ("/attest/Tpm?api-version=2020-10-01", "api-version must be 2022-08-01"),
    ] {
        refused(&post(path, &json!({ "data": padded })), says);
    }
    let path = "/attest/Tpm?api-version=2022-08-01";
    refused(&post(path, &json!({})), "data is missing");
    refused(&post(path, &json!({ "data": "!" })), "data is not base64url");
    for (data, says) in [
        (json!({}), "payload is missing"),
        (json!({ "payload": {} }), "payload must be"),
        (json!({ "payload": { "type": "ekcert" } }), "payload must be"),
        (json!({ "payload": { "type": "aikcert", "request": "" } }), "payload must be"),
    ] {
        refused(&message(&cloud, &data), says);
    }

    // Each of the two messages is an operation of its own, and the stand-in for other attestation another.
    cloud.reset();
    cloud.fault(Fault::status("attest_request", 503)).unwrap();
    assert_eq!((message(&cloud, &init).status, request(&cloud, "").status), (200, 503));
    refused(&request(&cloud, ""), "request is no JWS");
    refused(&post("/attest/keyguard", &json!({})), "nonce is missing");
    assert_eq!(
        ["attest_init", "attest_request", "attest"].map(|operation| cloud.counter(operation)),
        [1, 2, 1]
    );
}
