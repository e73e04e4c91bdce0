//! What calls cost: a cached token through the C ABI, cold acquisitions against devcloud with their parts, and large
//! bodies.
//!
//! Run by `make bench`. Every number is min / median / max of repetitions in one run; what limits it
//! physically is measured in the same run, so that the ratio means something on a noisy machine.

#![allow(unsafe_code, clippy::expect_used, clippy::print_stdout)]

mod bodies;
mod growth;
mod keys;
mod overshoot;
mod renegotiation;
#[path = "../../devcloud/tests/common/swtpm.rs"]
mod swtpm;

use std::collections::HashMap;
use std::ffi::{CString, c_char, c_void};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PSS_SHA256;
use devcloud::{Cloud, Options, directory};
use mtlspop::{App, AppOptions, Certificate, Credential, ManagedIdentityId, TokenRequest};

const SCOPE: &str = "https://graph.microsoft.com/.default";

fn main() {
    let cloud = Cloud::start(Options::default()).expect("devcloud starts");
    println!("{:<58} {:>11} {:>11} {:>11}", "", "min", "median", "max");
    cache_hits(&cloud);
    cold_sni(&cloud);
    cold_managed_identity(&cloud);
    keys::homes(&cloud);
    growth::look_ups(&cloud);
    overshoot::of_limits(&cloud);
    bodies::of_any_size(&cloud);
    renegotiation::of_a_vault(&cloud);
}

fn cache_hits(cloud: &Cloud) {
    let app = App::new(sni_options(cloud)).expect("options are right");
    let request = pop(SCOPE);
    app.acquire_token(&request).expect("the first token");
    let map: HashMap<String, Arc<str>, foldhash::fast::FixedState> =
        [(SCOPE.to_owned(), Arc::from("token"))].into_iter().collect();

    println!("cached token (SN/I, mtls_pop)");
    let limit = nanoseconds(|| drop(black_box(map.get(black_box(SCOPE)).cloned())));
    row("  limit: HashMap look-up and Arc clone", &limit);
    let c = CApp::new(cloud);
    let hit = nanoseconds(|| c.acquire(&c.request));
    row("  C ABI, request reused, token freed", &hit);
    row("  C ABI, and the access token read", &nanoseconds(|| c.acquire_and_read()));
    row("  C ABI, request made and freed each time", &nanoseconds(|| c.acquire_with_new_request()));
    row("  Rust API, request reused", &nanoseconds(|| drop(app.acquire_token(&request))));
    println!("  C ABI over limit: {:.1}x", hit[1] / limit[1]);
}

fn cold_sni(cloud: &Cloud) {
    println!("SN/I, mtls_pop, from nothing to a token");
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let mut signature = vec![0; key.public_modulus_len()];
    let random = SystemRandom::new();
    let sign = || {
        key.sign(&RSA_PSS_SHA256, &random, b"message", &mut signature).expect("a signature");
    };
    row("  limit: one RSA-2048 signature", &microseconds(40, sign));
    let options = sni_options(cloud);
    let cold = || {
        let app = App::new(options.clone()).expect("options are right");
        app.acquire_token(&pop(SCOPE)).expect("a token");
    };
    row("  new app: proxy, full mutual TLS handshake, token", &microseconds(20, cold));
    let app = App::new(options.clone()).expect("options are right");
    let force = pop(SCOPE).with_force_refresh(true);
    let kept = || {
        app.acquire_token(&force).expect("a token");
    };
    kept();
    row("  same app: token on the kept connection", &microseconds(40, kept));
    let file = cloud.files().sni();
    let load = || drop(Certificate::from_file(&file, None, None).expect("a certificate"));
    row("  reading certificate and key from PEM", &microseconds(40, load));
}

fn cold_managed_identity(cloud: &Cloud) {
    println!("managed identity, mtls_pop, from nothing to a token");
    let generate = || drop(KeyPair::generate(KeySize::Rsa2048).expect("a key"));
    row("  limit: making an RSA-2048 key", &microseconds(20, generate));
    let mut n = 0;
    let cold = || {
        // Another spelling of the address is another host to the caches of the process.
        n += 1;
        let mut env: HashMap<String, String> = cloud.env().into_iter().collect();
        env.insert("AZURE_POD_IDENTITY_AUTHORITY_HOST".into(), format!("{}/?{n}", cloud.imds_url()));
        let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned).with_env(Arc::new(env));
        let app = App::new(options).expect("options are right");
        app.acquire_token(&pop("https://graph.microsoft.com")).expect("a token");
    };
    row("  metadata, key, certificate, mutual TLS, token", &microseconds(20, cold));
    let env: HashMap<String, String> = cloud.env().into_iter().collect();
    let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned).with_env(Arc::new(env));
    let app = App::new(options).expect("options are right");
    let force = pop("https://graph.microsoft.com").with_force_refresh(true);
    let kept = || {
        app.acquire_token(&force).expect("a token");
    };
    kept();
    row("  certificate kept: token on the kept connection", &microseconds(40, kept));
}

fn sni_options(cloud: &Cloud) -> AppOptions {
    let certificate = Certificate::from_file(&cloud.files().sni(), None, None).expect("a certificate");
    let env: HashMap<String, String> = cloud.env().into_iter().collect();
    AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
        .with_authority(&format!("https://login.microsoftonline.com/{}", directory::TENANT_ID))
        .with_azure_region("eastus")
        .with_credential(Credential::Certificate { certificate, send_x5c: true })
        .with_env(Arc::new(env))
}

fn pop(scope: &str) -> TokenRequest {
    TokenRequest::new(scope).with_mtls_proof_of_possession(true)
}

/// Min, median, max of the cost of one call, over 9 repetitions of a tenth of a second.
fn nanoseconds(mut call: impl FnMut()) -> [f64; 3] {
    spread(
        (0..9)
            .map(|_| {
                let (start, mut calls) = (Instant::now(), 0_u32);
                while start.elapsed() < Duration::from_millis(100) {
                    (0..1000).for_each(|_| call());
                    calls += 1000;
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
            })
            .collect(),
    )
}

/// Min, median, max over `times` calls.
fn microseconds(times: usize, mut call: impl FnMut()) -> [f64; 3] {
    let one = |_| {
        let start = Instant::now();
        call();
        start.elapsed().as_secs_f64() * 1e9
    };
    spread((0..times).map(one).collect())
}

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn row(name: &str, values: &[f64; 3]) {
    let shown = values.map(|ns| match ns {
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.0} us", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    });
    println!("{name:<58} {:>11} {:>11} {:>11}", shown[0], shown[1], shown[2]);
}

/// The same app as a C program has it.
struct CApp {
    app: *mut c_void,
    request: *mut c_void,
    scope: CString,
}

unsafe extern "C" {
    fn mtlspop_app_options_new_confidential_client(client_id: *const c_char) -> *mut c_void;
    fn mtlspop_app_options_set_authority(options: *mut c_void, authority: *const c_char);
    fn mtlspop_app_options_set_certificate(options: *mut c_void, certificate: *const c_void, send_x5c: i32);
    fn mtlspop_app_options_set_proxy(options: *mut c_void, proxy: *const c_char);
    fn mtlspop_app_options_set_trusted_roots_file(options: *mut c_void, path: *const c_char);
    fn mtlspop_app_options_free(options: *mut c_void);
    fn mtlspop_certificate_new_from_file(
        path: *const c_char,
        key_path: *const c_char,
        password: *const c_char,
        out: *mut *mut c_void,
        error: *mut *mut c_void,
    ) -> i32;
    fn mtlspop_certificate_free(certificate: *mut c_void);
    fn mtlspop_app_new(options: *const c_void, out: *mut *mut c_void, error: *mut *mut c_void) -> i32;
    fn mtlspop_app_free(app: *mut c_void);
    fn mtlspop_token_request_new(scopes: *const c_char) -> *mut c_void;
    fn mtlspop_token_request_set_mtls_proof_of_possession(request: *mut c_void, on: i32);
    fn mtlspop_token_request_free(request: *mut c_void);
    fn mtlspop_app_acquire_token(
        app: *const c_void,
        request: *const c_void,
        out: *mut *mut c_void,
        error: *mut *mut c_void,
    ) -> i32;
    fn mtlspop_token_access_token(token: *const c_void) -> *const c_char;
    fn mtlspop_token_free(token: *mut c_void);
}

impl CApp {
    #[allow(unsafe_code)]
    fn new(cloud: &Cloud) -> Self {
        let text = |text: &str| CString::new(text).expect("no NUL");
        let path = |path: std::path::PathBuf| text(path.to_str().expect("UTF-8"));
        let null = std::ptr::null_mut::<c_void>();
        let scope = text(SCOPE);
        // SAFETY: the functions are called as their header says.
        unsafe {
            let mut certificate = null;
            let (file, none) = (path(cloud.files().sni()), std::ptr::null());
            let rc = mtlspop_certificate_new_from_file(
                file.as_ptr(),
                none,
                none,
                &mut certificate,
                std::ptr::null_mut(),
            );
            assert_eq!(rc, 0);
            let client_id = text(directory::APP_A_CLIENT_ID);
            let options = mtlspop_app_options_new_confidential_client(client_id.as_ptr());
            let authority = text(&format!("https://login.microsoftonline.com/{}", directory::TENANT_ID));
            mtlspop_app_options_set_authority(options, authority.as_ptr());
            mtlspop_app_options_set_certificate(options, certificate, 1);
            mtlspop_app_options_set_proxy(options, text(&cloud.proxy_url()).as_ptr());
            mtlspop_app_options_set_trusted_roots_file(options, path(cloud.ca_pem_path()).as_ptr());
            let mut app = null;
            assert_eq!(mtlspop_app_new(options, &mut app, std::ptr::null_mut()), 0);
            mtlspop_app_options_free(options);
            mtlspop_certificate_free(certificate);
            let request = new_request(&scope);
            let c = Self { app, request, scope };
            c.acquire(&c.request);
            c
        }
    }

    #[allow(unsafe_code)]
    fn acquire(&self, request: &*mut c_void) {
        // SAFETY: the handles live as long as `self`, and the token is freed once.
        unsafe {
            let mut token = std::ptr::null_mut();
            let rc = mtlspop_app_acquire_token(self.app, *request, &mut token, std::ptr::null_mut());
            assert_eq!(rc, 0);
            mtlspop_token_free(token);
        }
    }

    #[allow(unsafe_code)]
    fn acquire_and_read(&self) {
        // SAFETY: as in `acquire`.
        unsafe {
            let mut token = std::ptr::null_mut();
            let rc = mtlspop_app_acquire_token(self.app, self.request, &mut token, std::ptr::null_mut());
            assert_eq!(rc, 0);
            black_box(mtlspop_token_access_token(token));
            mtlspop_token_free(token);
        }
    }

    fn acquire_with_new_request(&self) {
        let request = new_request(&self.scope);
        self.acquire(&request);
        free_request(request);
    }
}

#[allow(unsafe_code)]
fn new_request(scope: &CString) -> *mut c_void {
    // SAFETY: the functions are called as their header says.
    unsafe {
        let request = mtlspop_token_request_new(scope.as_ptr());
        mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
        request
    }
}

#[allow(unsafe_code)]
fn free_request(request: *mut c_void) {
    // SAFETY: made by `new_request`, freed once.
    unsafe { mtlspop_token_request_free(request) };
}

impl Drop for CApp {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        free_request(self.request);
        // SAFETY: freed once, and nobody uses it any more.
        unsafe { mtlspop_app_free(self.app) };
    }
}
