//! The faults of devcloud that a program has to live with: 5 % of everything, and now and then nothing at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use devcloud::{Close, Cloud, Fault};
use serde_json::json;

/// What may strike a request for a token, of the services that are not Entra's too.
fn of_tokens(operation: &str) -> Vec<(&'static str, f64, Fault)> {
    let on = || Fault::on(operation);
    let headers = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    vec![
        ("500", 0.005, Fault::status(operation, 500)),
        ("503", 0.005, Fault::status(operation, 503)),
        ("429", 0.005, Fault { headers: headers("retry-after", "2"), ..Fault::status(operation, 429) }),
        ("reset", 0.005, Fault { close: Some(Close::Reset), ..on() }),
        ("closed early", 0.005, Fault { close: Some(Close::MidResponse), ..on() }),
        ("slow body", 0.005, Fault { body_ms: 2000, ..on() }),
        ("huge body", 0.005, Fault { blanks: 64 << 20, ..on() }),
        ("not JSON", 0.005, Fault { body: Some("\u{1}\u{fffd} what?".to_owned()), ..on() }),
        ("broken JSON", 0.005, Fault { body: Some(r#"{"access_token":"eyJ"#.to_owned()), ..on() }),
        (
            "a page",
            0.005,
            Fault {
                body: Some("<html>Sign in".to_owned()),
                headers: headers("content-type", "text/html"),
                ..on()
            },
        ),
    ]
}

/// What may strike the call of an API.
fn of_apis(operation: &str) -> Vec<(&'static str, f64, Fault)> {
    vec![
        ("503", 0.02, Fault::status(operation, 503)),
        ("reset", 0.01, Fault { close: Some(Close::Reset), ..Fault::on(operation) }),
        ("closed early", 0.01, Fault { close: Some(Close::MidResponse), ..Fault::on(operation) }),
        ("slow body", 0.01, Fault { body_ms: 2000, ..Fault::on(operation) }),
    ]
}

fn all() -> Vec<(&'static str, f64, Fault)> {
    let tokens = ["token", "imds_token", "metadata", "issuecredential", "app_service", "machine_learning"];
    let downgrade =
        Fault { claims: json!({ "cnf": null }).as_object().unwrap().clone(), ..Fault::on("token") };
    let downgrade =
        Fault { set: json!({ "token_type": "Bearer" }).as_object().unwrap().clone(), ..downgrade };
    tokens
        .into_iter()
        .flat_map(of_tokens)
        .chain(["graph", "vault"].into_iter().flat_map(of_apis))
        .chain([
            ("downgrade", 0.005, downgrade),
            ("another key's certificate", 0.1, Fault { other_key: true, ..Fault::on("issuecredential") }),
            (
                "short certificate",
                0.5,
                Fault { certificate_seconds: Some(360), ..Fault::on("issuecredential") },
            ),
            ("client certificate revoked", 0.02, Fault::on("tls_client_certificate")),
            ("server's certificate", 0.02, Fault::on("tls_server_certificate")),
            ("proxy", 0.02, Fault::on("connect")),
        ])
        .collect()
}

/// What is gone altogether for a while, and for how long.
fn outages() -> [(&'static str, Duration, Vec<Fault>); 2] {
    let imds = ["imds_token", "metadata", "issuecredential"];
    let imds = imds.map(|operation| Fault { close: Some(Close::Reset), ..Fault::on(operation) });
    [
        ("no IMDS", Duration::from_secs(5), imds.to_vec()),
        ("no token service", Duration::from_secs(3), vec![Fault::status("token", 503)]),
    ]
}

/// The faults, while a program runs.
pub(crate) struct Weather {
    cloud: Arc<Cloud>,
    outages: (Sender<()>, JoinHandle<()>),
}

impl Weather {
    /// The faults that `seed` gives, and an outage every third of `seconds`, or every minute.
    pub(crate) fn over(cloud: &Arc<Cloud>, seed: u64, seconds: u64) -> Self {
        for (name, share, fault) in all() {
            let name = Some(format!("{}: {name}", fault.operation));
            cloud.fault(Fault { name, probability: Some(share), seed, ..fault }).unwrap();
        }
        let (end, ended) = mpsc::channel();
        let every = Duration::from_secs((seconds / 3).clamp(1, 60));
        let of = cloud.clone();
        let outages = thread::spawn(move || {
            for (name, length, faults) in outages().iter().cycle() {
                if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                for fault in faults {
                    let name = Some(format!("{}: {name}", fault.operation));
                    let for_ms = Some(length.as_millis() as u64);
                    of.fault(Fault { name, for_ms, ..fault.clone() }).unwrap();
                }
            }
        });
        Weather { cloud: cloud.clone(), outages: (end, outages) }
    }

    /// Ends it, and tells what there was.
    pub(crate) fn end(self) -> BTreeMap<String, u64> {
        let (end, outages) = self.outages;
        drop(end);
        outages.join().unwrap();
        self.cloud.clear_faults();
        let counters = self.cloud.counters().into_iter();
        counters.filter_map(|(name, count)| Some((name.strip_prefix("fault:")?.to_owned(), count))).collect()
    }
}

/// An error of the program (what was done, status, code), and the faults that it is for.
const EXPLAINED: [(&str, &[&str]); 23] = [
    // Of calls in a hurry, and those that another thread stops.
    ("token 202 request_timeout", &[""]),
    ("token 203 operation_cancelled", &[""]),
    ("send 503", &["503"]),
    ("send 201 network_error", &["reset", "closed early"]),
    ("send 201 proxy_error", &["proxy"]),
    ("send 201 tls_error", &["server's certificate"]),
    ("send 201 client_certificate_rejected", &["client certificate revoked"]),
    ("token 201 network_error", &["reset", "closed early", "no IMDS"]),
    ("token 201 managed_identity_unreachable_network", &["reset", "closed early", "no IMDS"]),
    ("token 201 proxy_error", &["proxy"]),
    ("token 201 tls_error", &["server's certificate"]),
    ("token 201 client_certificate_rejected", &["client certificate revoked"]),
    ("token 301 service_not_available", &["500", "503", "no token service"]),
    // Those of managed identities are not asked again for a minute, or as long as they say.
    ("token 302 service_not_available", &["500", "503", "no token service"]),
    ("token 302 http_status_not_200", &["429"]),
    ("token 304 non_parsable_oauth_error", &["not JSON", "broken JSON", "a page"]),
    ("token 304 managed_identity_response_parse_failure", &["not JSON", "broken JSON", "a page"]),
    ("token 304 managed_identity_request_failed", &["not JSON", "broken JSON", "a page"]),
    ("token 301 managed_identity_request_failed", &["500", "503"]),
    ("token 302 managed_identity_request_failed", &["429"]),
    ("token 304 invalid_certificate", &["another key's certificate"]),
    ("token 304 response_too_large", &["huge body"]),
    ("token 304 token_type_mismatch", &["downgrade"]),
];

/// Whether an error of the program is what one of the faults that struck is for.
pub(crate) fn explains(code: &str, struck: &BTreeMap<String, u64>) -> bool {
    let Some((_, faults)) = EXPLAINED.iter().find(|(explained, _)| *explained == code) else { return false };
    faults.iter().any(|fault| struck.keys().any(|name| name.ends_with(fault)))
}
