//! Does this library send what MSAL for Python sends, but for the differences that docs/MSAL_PYTHON.md explains? And do clients of
//! others work beside it?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod differences;
mod identities;
mod msal;
mod request;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;

use devcloud::{Cloud, Options, directory};
use mtlspop::{App, AppOptions, Certificate, Credential, Secret, TokenRequest};
use serde_json::json;

use differences::{DIFFERENCES, judge};
use request::{Fields, only_token_request};

const SCOPE: &str = "https://graph.microsoft.com/.default";

/// What both are asked for: a Bearer token for Graph.
struct Case {
    /// With a certificate and its chain; otherwise with a secret.
    certificate: bool,
    region: Option<&'static str>,
}

const CERTIFICATE: Case = Case { certificate: true, region: None };
const REGIONAL: Case = Case { certificate: true, region: Some("eastus") };
const SECRET: Case = Case { certificate: false, region: None };

/// The request of MSAL and that of this library, each sent to a cloud that answers with a token.
fn send(case: &Case) -> (Fields, Fields) {
    let cloud = Cloud::start(Options::default()).unwrap();
    let authority = format!("https://login.microsoftonline.com/{}", directory::TENANT_ID);
    let files = cloud.files();
    let settings = json!({
        "client_id": directory::APP_A_CLIENT_ID,
        "authority": authority,
        "scope": SCOPE,
        "region": case.region,
        "secret": (!case.certificate).then_some(directory::APP_A_SECRET),
        "key": files.sni_key(),
        "certificate": files.sni_certificate(),
    });
    msal::acquire(&cloud, &settings);
    let theirs = only_token_request(&cloud);
    cloud.reset();

    let credential = if case.certificate {
        let certificate = Certificate::from_file(&files.sni(), None, None).unwrap();
        Credential::Certificate { certificate, send_x5c: true }
    } else {
        Credential::Secret(Secret::new(directory::APP_A_SECRET))
    };
    let mut options = AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
        .with_authority(&authority)
        .with_credential(credential)
        .with_env(Arc::new(cloud.env().into_iter().collect::<HashMap<_, _>>()));
    if let Some(region) = case.region {
        options = options.with_azure_region(region);
    }
    App::new(options).unwrap().acquire_token(&TokenRequest::new(SCOPE)).unwrap();
    (theirs, only_token_request(&cloud))
}

/// Compares field by field and shows the comparison; `--nocapture` lets it be seen.
fn compare(case: &Case) {
    let (theirs, ours) = send(case);
    for name in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
        let show = |fields: &Fields| fields.get(name).map_or("-".to_owned(), ToString::to_string);
        let (theirs, ours) = (show(&theirs), show(&ours));
        let mark = if theirs == ours { ' ' } else { '*' };
        println!("{mark} {name:34} {theirs:.50} | {ours:.50}");
    }
    let problems = judge(case, &theirs, &ours);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The same request with a certificate, but for the table (confidential_client spec, 4.1 row B, 4.3, 6.3, 11.1)?
#[test]
fn with_a_certificate() {
    compare(&CERTIFICATE);
}

/// And to a region's endpoint (section 1.5)?
#[test]
fn with_a_certificate_and_a_region() {
    compare(&REGIONAL);
}

/// And with a secret (section 4.1 row A)?
#[test]
fn with_a_secret() {
    compare(&SECRET);
}

/// Does MSAL get a token of the app under `mtlspop exec`, unchanged?
#[test]
fn under_exec() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let token = msal::under_exec(&cloud);
    let request = only_token_request(&cloud);
    assert_eq!(request["form client_id"], directory::APP_A_CLIENT_ID);
    assert!(token.starts_with("eyJ") && token.trim().split('.').count() == 3);
}

/// Would a difference be noticed that is new, one that is gone, and one that has become another?
#[test]
fn changes_are_noticed() {
    let (theirs, ours) = send(&SECRET);
    for (field, value) in [
        ("form scope", "other"),
        ("form new", "1"),
        ("header accept", ""),
        ("form client_info", "1"),
        ("form client_info", "3"),
    ] {
        let mut changed = ours.clone();
        changed.insert(field.to_owned(), value.into());
        let problems = judge(&SECRET, &theirs, &changed);
        assert!(matches!(&problems[..], [problem] if problem.starts_with(field)), "{field}: {problems:?}");
    }
    let mut less = ours;
    less.remove("form grant_type");
    assert_eq!(judge(&SECRET, &theirs, &less).len(), 1);
}

/// Does docs/MSAL_PYTHON.md say what the table says? `make interop` writes it.
#[test]
fn document_is_current() {
    let file = support::root().join("docs/MSAL_PYTHON.md");
    let expected = document();
    if fs::read_to_string(&file).unwrap_or_default() == expected {
        return;
    }
    if std::env::var_os("MTLSPOP_UPDATE").is_some() {
        return fs::write(&file, expected).unwrap();
    }
    panic!("docs/MSAL_PYTHON.md is out of date: run `make interop` and commit what it changes");
}

fn document() -> String {
    let mut text = format!(
        "\
# The request of MSAL for Python

<!-- Written by `make interop` from the table in tests/interop/differences.rs: change that. -->

With the same app, certificate, region and scope, MSAL for Python {} and this library send the same request for a Bearer
token, but for what is below. A test sends both to devcloud, takes them apart into the fields of the form, the headers, and the
header and the claims of the client assertion, and compares each. It fails on a difference that is not below, and on one that
is below and not there. Mostly this library does there as MSAL.NET does, or as the standard says.

## What differs

| field | requests | MSAL for Python | this library | why |
|---|---|---|---|---|
",
        msal::VERSION
    );
    for row in DIFFERENCES {
        let (when, theirs, ours, why) = (row.when, &row.theirs, &row.ours, row.why);
        text += &format!("| {} | {when} | {theirs} | {ours} | {why} |\n", row.field);
    }
    text += "\n## What is the same\n\n| requests | fields |\n|---|---|\n";
    for (name, case) in
        [("with a certificate", &CERTIFICATE), ("and a region", &REGIONAL), ("with a secret", &SECRET)]
    {
        let (theirs, ours) = send(case);
        let same = theirs.iter().filter(|(name, value)| ours.get(*name) == Some(value));
        let names: Vec<_> = same.map(|(name, _)| name.as_str()).collect();
        text += &format!("| {name} | {} |\n", names.join(", "));
    }
    text
}
