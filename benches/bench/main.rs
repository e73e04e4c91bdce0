//! What calls cost, beside what they would cost at least: prints it, and writes docs/performance.md. Run by `make bench`.

#![allow(unsafe_code, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod bodies;
#[path = "../../tests/support/callgrind.rs"]
mod callgrind;
mod cold;
mod document;
mod growth;
mod hits;
mod installed;
mod instructions;
mod keys;
mod languages;
mod measure;
mod overshoot;
mod peers;
mod plot;
mod process;
mod raw;
mod renegotiation;
mod report;
#[path = "../../devcloud/tests/common/swtpm.rs"]
mod swtpm;
mod warm;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use devcloud::{Cloud, Options, directory};
use mtlspop::{AppOptions, Certificate, Credential, TokenRequest};

use installed::Functions;
use report::Report;

const SCOPE: &str = "https://graph.microsoft.com/.default";
const GRAPH: &str = "https://graph.microsoft.com";

fn main() {
    if raw::child() {
        return;
    }
    installed::install();
    // cargo tells its children where this machine's roots are: they would come on top of devcloud's, in one row and not in
    // what it is compared with.
    // SAFETY: there are no other threads yet.
    unsafe { std::env::remove_var("SSL_CERT_DIR") };
    let (cloud, functions) = (Cloud::start(Options::default()).expect("devcloud starts"), Functions::load());
    let (started, mut report) = (Instant::now(), Report::default());
    let hit = hits::of_one_token(&mut report, functions, &cloud);
    instructions::of_a_hit(&mut report, &cloud);
    hits::of_threads(&mut report, functions, &cloud);
    growth::look_ups(&mut report, &cloud);
    languages::of_bindings(&mut report, &cloud);
    cold::acquisitions(&mut report, functions, &cloud);
    process::first_token(&mut report, &cloud);
    warm::calls(&mut report, functions, &cloud);
    peers::beside(&mut report, &cloud, &hit);
    keys::homes(&mut report, &cloud);
    renegotiation::of_a_vault(&mut report, &cloud);
    bodies::of_any_size(&mut report, &cloud);
    overshoot::of_limits(&mut report, &cloud);
    document::write(&report, started.elapsed().as_secs_f64() / 60.0);
}

fn sni_options(cloud: &Cloud) -> AppOptions {
    let certificate = Certificate::from_file(&cloud.files().sni(), None, None).expect("a certificate");
    AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
        .with_authority(&format!("https://login.microsoftonline.com/{}", directory::TENANT_ID))
        .with_azure_region("eastus")
        .with_credential(Credential::Certificate { certificate, send_x5c: true })
        .with_env(Arc::new(environment(cloud)))
}

fn environment(cloud: &Cloud) -> HashMap<String, String> {
    cloud.env().into_iter().collect()
}

fn pop(scope: &str) -> TokenRequest {
    TokenRequest::new(scope).with_mtls_proof_of_possession(true)
}

/// Whether a program is on the PATH.
fn tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}
