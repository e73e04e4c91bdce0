//! A call of the API over a kept connection: by this library, by hand, and by libcurl.

use std::fs;
use std::process::Command;

use devcloud::Cloud;
use mtlspop::App;

use crate::installed::{COptions, Functions, compile};
use crate::measure::{Spread, nanoseconds};
use crate::raw::{Raw, Step};
use crate::report::Report;
use crate::{SCOPE, pop, sni_options};

const URL: &str = "https://mtlstb.graph.microsoft.com/v1.0/applications";
const ROUNDS: usize = 8;
const CALLS: usize = 250;

pub(crate) fn calls(report: &mut Report, f: Functions, cloud: &Cloud) {
    report.section(
        "A call over a kept connection",
        "GET with a bound token and its certificate (SN/I), answered by devcloud, whose work (TLS, the signature of the token) is in each \
         row. C ABI, the installed library. The limit is a raw rustls client that sends the same bytes and reads the same answer. \
         libcurl: benches/c/curl_calls.c, one handle.",
    );
    let token = App::new(sni_options(cloud)).and_then(|app| app.acquire_token(&pop(SCOPE))).expect("a token");
    let certificate = token.binding_certificate().expect("a bound token");
    let key = certificate.private_key_pem().expect("a key in memory");
    let pem = certificate.chain_pem() + key.expose();
    let place = tempfile::tempdir().expect("a directory");
    let file = |name: &str| place.path().join(name);
    fs::write(file("header"), format!("Authorization: {}", token.authorization())).expect("a file");
    fs::write(file("pem"), &pem).expect("a file");

    let app = COptions::new(f, cloud);
    let app = app.app();
    let mut ours = app.caller(URL);
    ours();
    cloud.reset();
    ours();
    let step = Step::received(cloud).pop().expect("a request");
    let raw = Raw::new(cloud, &pem);
    let (mut stream, mut answer) = (raw.connect(step.host()).expect("a connection"), Vec::new());
    let mut by_hand = || assert_eq!(stream.exchange(step.bytes(), &mut answer), 200);
    let curl = compile("curl_calls", place.path(), &["-lcurl"]);
    let by_curl = |program: &std::path::Path| -> Vec<f64> {
        let mut command = Command::new(program);
        command.arg(URL).arg(file("header")).arg(file("pem")).arg((CALLS + 1).to_string());
        let output = command.envs(cloud.env()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        // The first one opens the connection.
        text.lines().skip(1).map(|line| line.parse().expect("a number")).collect()
    };

    by_hand();
    let mut all = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        // In turns, call by call: the server's work is the larger part, and varies.
        for _ in 0..CALLS {
            all[0].push(nanoseconds(&mut by_hand));
            all[1].push(nanoseconds(&mut ours));
        }
        if let Ok(program) = &curl {
            all[2].extend(by_curl(program));
        }
    }
    let [limit, ours, curl_calls] = all;
    let (limit, ours) = (Spread::of(limit), Spread::of(ours));
    report.row("limit: raw rustls client, the same bytes", &limit);
    report.row("C ABI: mtlspop_app_send", &ours);
    let ratio = ours.median / limit.median;
    let measured = format!("{:.0} us, {ratio:.2} times the limit", ours.median / 1e3);
    report.at_most(
        "call over a kept connection",
        "at most 1.1 times a raw rustls client",
        1.1,
        ratio,
        measured,
    );
    match curl {
        Ok(_) => {
            let curl = Spread::of(curl_calls);
            report.row("libcurl, the same certificate", &curl);
            let measured = format!("{:.2} times its time", ours.median / curl.median);
            let met = ours.median <= curl.median;
            report.wanted("call over a kept connection, beside libcurl", "no slower", measured, met);
        }
        Err(why) => report.skip("calls by libcurl", &why),
    }
}
