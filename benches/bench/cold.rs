//! From nothing to a token: what each way in costs, beside the same requests sent by hand, and in which parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PSS_SHA256;
use devcloud::Cloud;
use mtlspop::{App, AppOptions, Certificate, ManagedIdentityId, TokenRequest};

use crate::installed::{COptions, Functions};
use crate::measure::{Spread, call, in_turns, nanoseconds, times};
use crate::raw::{Parts, Raw, Step};
use crate::report::Report;
use crate::{GRAPH, SCOPE, environment, plot, pop, sni_options};

/// Cold acquisitions of each row; those that make a key vary by a factor of ten.
const TIMES: usize = 60;

/// A stacked bar: its name, and its parts in milliseconds.
type Bar = (&'static str, Vec<(&'static str, f64)>);

pub(crate) fn acquisitions(report: &mut Report, f: Functions, cloud: &Cloud) {
    let bars = [sni(report, f, cloud), managed_identity(report, cloud)];
    let svg = plot::stacked("From nothing to a bound token, by parts (medians)", "ms", &bars);
    report.plot("cold.svg", "Cold acquisitions by parts", svg);
}

fn sni(report: &mut Report, f: Functions, cloud: &Cloud) -> Bar {
    report.section(
        "Cold: SN/I certificate",
        "A new app each time, so a new connection with a full handshake. The limit is a raw rustls client that sends the same bytes \
         through the same proxy, with a full mutual handshake each time.",
    );
    let certificate = Certificate::from_file(&cloud.files().sni(), None, None).expect("a certificate");
    let raw = Raw::new(cloud, &(certificate.chain_pem() + exported(&certificate).as_str()));
    let options = COptions::new(f, cloud);
    cloud.reset();
    options.app().acquire();
    let steps = Step::received(cloud);
    let mut parts = Vec::new();
    let [limit, cold] =
        in_turns(TIMES, [call(|| parts.push(raw.replay(&steps))), call(|| options.app().acquire())]);
    report.row("limit: raw rustls client, the same bytes", &limit);
    report.row("C ABI, new app: bound token", &cold);
    let signature = signature();
    report.row("of which: one RSA-2048 signature", &signature);
    wanted(report, "cold SN/I, bound token", &cold, &limit);

    let bearer = sni_options(cloud);
    let bearer = || {
        let app = App::new(bearer.clone()).expect("options are right");
        app.acquire_token(&TokenRequest::new(SCOPE)).expect("a token");
    };
    report.row("Rust API, new app: Bearer token, a signed assertion", &times(TIMES, bearer));
    let rust = App::new(sni_options(cloud)).expect("options are right");
    let force = pop(SCOPE).with_force_refresh(true);
    let kept = || drop(rust.acquire_token(&force).expect("a token"));
    kept();
    report.row("same app: another token on the kept connection", &times(TIMES, kept));
    let file = cloud.files().sni();
    let load = || drop(Certificate::from_file(&file, None, None).expect("a certificate"));
    report.row("reading certificate and key from PEM", &times(40, load));
    let mut stages = stages(&parts, signature.median, 0.0, 0.0);
    own(&mut stages, cold.median);
    ("SN/I certificate", stages)
}

fn managed_identity(report: &mut Report, cloud: &Cloud) -> Bar {
    report.section(
        "Cold: managed identity with IMDSv2",
        "Rust API. A host that the process has not met each time: metadata, a new RSA-2048 key, certificate request and certificate, \
         full mutual handshake, token. The limit is a raw rustls client that sends the same bytes, makes a key, and signs once for \
         the certificate request. Making a key takes five times as long as the rest, and varies by a factor of ten: the medians of \
         60 differ by a tenth from run to run, so the rest without the key is shown, too.",
    );
    let mut number = 0;
    let mut fresh = || {
        // Another spelling of the address is another host to the caches of the process.
        number += 1;
        let mut env = environment(cloud);
        env.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), format!("{}/?{number}", cloud.imds_url()));
        let app = App::new(identity().with_env(Arc::new(env))).expect("options are right");
        app.acquire_token(&pop(GRAPH)).expect("a token")
    };
    cloud.reset();
    let token = fresh();
    let steps = Step::received(cloud);
    // The key of that certificate request; the certificate is the same but for its dates.
    let certificate = token.binding_certificate().expect("a bound token");
    let raw = Raw::new(cloud, &(certificate.chain_pem() + exported(certificate).as_str()));
    let generate = || drop(KeyPair::generate(KeySize::Rsa2048).expect("a key"));
    let mut sign = signer();
    let mut parts = Vec::new();
    let mut keys = Vec::new();
    let [limit, cold] = in_turns(
        TIMES,
        [
            call(|| {
                keys.push(nanoseconds(generate));
                sign();
                parts.push(raw.replay(&steps));
            }),
            call(|| drop(fresh())),
        ],
    );
    report.row("limit: raw rustls client, the same bytes, a key, a signature", &limit);
    report.row("Rust API: bound token", &cold);
    let keys = Spread::of(keys);
    report.row("of which: making an RSA-2048 key", &keys);
    wanted(report, "cold managed identity, bound token", &cold, &limit);

    let app = App::new(identity().with_env(Arc::new(environment(cloud)))).expect("options are right");
    let force = pop(GRAPH).with_force_refresh(true);
    let kept = || drop(app.acquire_token(&force).expect("a token"));
    kept();
    report.row("certificate kept: another token on the kept connection", &times(TIMES, kept));
    let mut stages = stages(&parts, signature().median, keys.median, signature().median);
    own(&mut stages, cold.median);
    ("managed identity", stages)
}

fn identity() -> AppOptions {
    AppOptions::managed_identity(ManagedIdentityId::SystemAssigned)
}

fn exported(certificate: &Certificate) -> String {
    certificate.private_key_pem().expect("a key in memory").expose().to_owned()
}

fn wanted(report: &mut Report, what: &str, cold: &Spread, limit: &Spread) {
    let ratio = cold.median / limit.median;
    let measured = format!("{:.2} ms, {ratio:.2} times the limit", cold.median / 1e6);
    report.at_most(what, "at most 1.3 times the limit", 1.3, ratio, measured);
}

/// Something that signs as a handshake does.
fn signer() -> impl FnMut() {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    move || key.sign(&RSA_PSS_SHA256, &random, b"message", &mut signature).expect("a signature")
}

fn signature() -> Spread {
    times(40, signer())
}

/// The parts of the limit, in milliseconds; the first signature is in the handshake.
fn stages(parts: &[Parts], signature: f64, key: f64, request: f64) -> Vec<(&'static str, f64)> {
    let median = |values: Vec<f64>| Spread::of(values).median / 1e6;
    let of = |take: fn(&Parts) -> std::time::Duration| {
        median(parts.iter().map(|parts| take(parts).as_secs_f64() * 1e9).collect())
    };
    let mut exchanges: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (operation, took) in parts.iter().flat_map(|parts| &parts.exchanges) {
        exchanges.entry(operation).or_default().push(took.as_secs_f64() * 1e9);
    }
    let mut exchange = |operation: &str| exchanges.remove(operation).map_or(0.0, median);
    vec![
        ("metadata", exchange("metadata")),
        ("making the key", key / 1e6),
        ("signing the certificate request", request / 1e6),
        ("certificate issued", exchange("issuecredential")),
        ("connection and proxy", of(|parts| parts.connecting)),
        ("TLS handshake without the signature", (of(|parts| parts.handshakes) - signature / 1e6).max(0.0)),
        ("signature in the handshake", signature / 1e6),
        ("token request", exchange("token")),
    ]
    .into_iter()
    .filter(|(_, value)| *value > 0.0)
    .collect()
}

/// What is left of the whole.
fn own(stages: &mut Vec<(&'static str, f64)>, whole: f64) {
    let parts = stages.iter().map(|(_, value)| value).sum::<f64>();
    stages.push(("this library", (whole / 1e6 - parts).max(0.0)));
}
