//! A TPM that is busy, locked, reset, ended, silent or unlike others, and many threads that want it.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mtlspop::{App, Cancel, Certificate, Error, ErrorKind, HttpRequest, TpmOptions};

use super::proxy::{
    CONTEXT_LOAD, CONTEXT_SAVE, CREATE, CREATE_PRIMARY, Fault, LOAD, LOCKOUT, Proxy, RETRY, RSA_DECRYPT, SIGN,
};
use super::{Workshop, app, reach, signature, workers};
use crate::support::{GRAPH, GRAPH_SCOPE, SYSTEM, World, assert_bound, pop, wait_for};
use crate::swtpm::Swtpm;

/// What a call may take that a time limit or a cancellation ends at once.
const SOON: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_millis(500);

/// A world with application A, whose key OpenSSL made in a TPM that is reached through a proxy.
struct Scene {
    proxy: Proxy,
    workshop: Workshop,
    world: World,
    swtpm: Swtpm,
}

impl Scene {
    fn new() -> Self {
        let (swtpm, world) = (Swtpm::start(), World::new());
        let workshop = Workshop::with_sni_key(&swtpm, &world);
        Self { proxy: Proxy::start(swtpm.port()), workshop, world, swtpm }
    }

    fn reach(&self) -> TpmOptions {
        TpmOptions::new().with_tcti(&self.proxy.tcti())
    }

    fn certificate(&self) -> Certificate {
        self.workshop.certificate(self.reach()).unwrap()
    }
}

#[track_caller]
fn assert_error<T>(result: Result<T, Error>, kind: ErrorKind, code: &str, retryable: bool) {
    let Err(error) = result else { panic!("no error") };
    assert_eq!((error.kind(), error.code(), error.is_retryable()), (kind, code, retryable), "{error}");
}

#[track_caller]
fn assert_signs(app: &App) {
    app.acquire_token(&signature()).unwrap();
}

fn get() -> HttpRequest {
    HttpRequest::new("GET", "https://graph.microsoft.com/v1.0/me")
}

/// A TPM that is busy, whatever it is asked: an error that says so and that a retry may help; and does the next call
/// work when it no longer is?
#[test]
fn busy() {
    let scene = Scene::new();
    for command in [CREATE_PRIMARY, LOAD, SIGN] {
        scene.proxy.fault(command, Fault::Answer(RETRY));
        assert_error(scene.workshop.certificate(scene.reach()), ErrorKind::KeyUnavailable, "tpm_busy", true);
        scene.proxy.heal();
    }
    let app = app(&scene.world, &scene.certificate());
    scene.proxy.fault(SIGN, Fault::Answer(RETRY));
    assert_error(app.acquire_token(&signature()), ErrorKind::KeyUnavailable, "tpm_busy", true);
    scene.proxy.heal();
    assert_signs(&app);
    scene.proxy.fault(SIGN, Fault::Answer(LOCKOUT));
    assert_error(app.acquire_token(&signature()), ErrorKind::KeyUnavailable, "tpm_locked_out", false);
}

/// Wrong authorisation values: refused, until the TPM is locked; then even the right one is, until the lock is taken
/// away?
#[test]
fn locked_out() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let workshop = Workshop::new(&swtpm);
    let with = |value: &str| reach(&swtpm).with_auth(mtlspop::SecretBytes::new(value.as_bytes()));
    let options = world.managed_identity_options(SYSTEM).with_tpm(with("right"));
    let token = App::new(options).unwrap().acquire_token(&pop(GRAPH)).unwrap();
    let certificate = token.binding_certificate().unwrap();
    workshop.write("key.pem", certificate.tpm_key_pem().unwrap());
    workshop.write("chain.pem", certificate.chain_pem());
    workshop.run("tpm2_dictionarylockout --setup-parameters --max-tries=2 --recovery-time=1000");
    for _ in 0..2 {
        let refused = workshop.certificate(with("wrong"));
        assert_error(refused, ErrorKind::KeyUnavailable, "tpm_auth_failed", false);
    }
    for value in ["wrong", "right"] {
        assert_error(workshop.certificate(with(value)), ErrorKind::KeyUnavailable, "tpm_locked_out", false);
    }
    workshop.run("tpm2_dictionarylockout --clear-lockout");
    workshop.certificate(with("right")).unwrap();
    assert_error(workshop.certificate(reach(&swtpm)), ErrorKind::InvalidArgument, "invalid_argument", false);
}

/// Answers that are none: an error, and is the TPM asked anew by the next call?
#[test]
fn nonsense() {
    let scene = Scene::new();
    for command in [CREATE_PRIMARY, SIGN] {
        // "Success", and no result.
        scene.proxy.fault(command, Fault::Answer(0));
        let result = scene.workshop.certificate(scene.reach());
        assert_error(result, ErrorKind::NotSupported, "tpm_unavailable", true);
        scene.proxy.heal();
    }
    scene.certificate();
}

/// Two keys take turns: is what was saved of each loaded; and the key itself where the TPM cannot save it, or cannot
/// take it back?
#[test]
fn saved_keys() {
    let scene = Scene::new();
    let other = Workshop::with_sni_key(&scene.swtpm, &scene.world);
    scene.proxy.fault(CONTEXT_SAVE, Fault::Answer(RETRY));
    let first = app(&scene.world, &scene.certificate());
    let second = app(&scene.world, &other.certificate(scene.reach()).unwrap());
    // How often a key was loaded.
    let turns = || {
        let before = scene.proxy.count(LOAD);
        [&first, &second].into_iter().for_each(assert_signs);
        scene.proxy.count(LOAD) - before
    };
    assert_eq!([turns(), turns()], [2, 2], "nothing is saved");
    scene.proxy.heal();
    assert_eq!([turns(), turns()], [2, 0], "saved now");
    scene.proxy.fault(CONTEXT_LOAD, Fault::Answer(RETRY));
    assert_eq!([turns(), turns()], [2, 2], "not taken back");
}

/// An owner hierarchy with an authorisation value: is it needed, and its absence told from that of a key's?
#[test]
fn owner() {
    let scene = Scene::new();
    scene.workshop.run("tpm2_changeauth -c owner secret");
    let with = |options: TpmOptions| scene.workshop.certificate(options);
    let refused = with(scene.reach()).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::KeyUnavailable, "tpm_auth_failed"), "{refused}");
    assert!(refused.message().contains("owner hierarchy"), "{refused}");
    with(scene.reach().with_owner_auth(mtlspop::SecretBytes::new("secret"))).unwrap();
}

/// The connection breaks off in the middle of a signature: is the TPM said to be gone, and found again by the
/// next call?
#[test]
fn connection_gone() {
    let scene = Scene::new();
    let app = app(&scene.world, &scene.certificate());
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    for _ in 0..2 {
        scene.proxy.fault(SIGN, Fault::Cut);
        assert_error(app.acquire_token(&signature()), ErrorKind::NotSupported, "tpm_unavailable", true);
        scene.proxy.heal();
        assert_signs(&app);
    }
    // In the handshake with an API.
    scene.proxy.fault(SIGN, Fault::Cut);
    assert_error(app.send(&token, &get()), ErrorKind::NotSupported, "tpm_unavailable", true);
    scene.proxy.heal();
    scene.workshop.run("tpm2_flushcontext --transient-object");
    assert_eq!(app.send(&token, &get()).unwrap().status(), 200);
}

/// A TPM that does not answer: does each call end when its own time is over or when it is cancelled, in an assertion
/// and in a handshake; and does all work again when the TPM does?
#[test]
fn silent() {
    let scene = Scene::new();
    let app = app(&scene.world, &scene.certificate());
    let token = app.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    scene.proxy.fault(SIGN, Fault::Stall);
    let begin = Instant::now();
    for _ in 0..2 {
        let late = app.acquire_token(&signature().with_timeout(Some(LIMIT)));
        assert_error(late, ErrorKind::Timeout, "request_timeout", true);
    }
    let late = app.send(&token, &get().with_timeout(LIMIT));
    assert_error(late, ErrorKind::Timeout, "request_timeout", true);

    let cancel = Cancel::new();
    thread::scope(|scope| {
        let asked = scope.spawn(|| app.acquire_token(&signature().with_cancel(cancel.clone())));
        let sent = scope.spawn(|| app.send(&token, &get().with_cancel(cancel.clone())));
        cancel.cancel();
        for error in [asked.join().unwrap().map(drop), sent.join().unwrap().map(drop)] {
            assert_error(error, ErrorKind::Cancelled, "operation_cancelled", false);
        }
    });
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());

    scene.proxy.heal();
    assert_signs(&app);
    assert_eq!(app.send(&token, &get()).unwrap().status(), 200);
    assert_eq!(scene.proxy.most_at_a_time(), 1);
}

/// Everybody who used a TPM has left it while it is silent: does who opens it anew wait for his turn?
#[test]
fn silent_and_left() {
    let scene = Scene::new();
    let app = app(&scene.world, &scene.certificate());
    scene.proxy.fault(SIGN, Fault::Stall);
    let late = app.acquire_token(&signature().with_timeout(Some(LIMIT)));
    assert_error(late, ErrorKind::Timeout, "request_timeout", true);
    drop(app);
    let options = scene.world.managed_identity_options(SYSTEM).with_tpm(scene.reach());
    let next = App::new(options).unwrap();
    let late = next.acquire_token(&pop(GRAPH).with_timeout(Some(LIMIT)));
    assert_error(late, ErrorKind::Timeout, "request_timeout", true);
    assert_eq!((scene.proxy.count(CREATE), scene.proxy.most_at_a_time()), (0, 1));
    scene.proxy.heal();
    next.acquire_token(&pop(GRAPH)).unwrap();
}

/// The TPM ends, as a resource manager may, and starts again: is it missed, and its key used again?
#[test]
fn ended() {
    let mut scene = Scene::new();
    let app = app(&scene.world, &scene.certificate());
    assert_signs(&app);
    scene.swtpm.stop();
    assert_error(app.acquire_token(&signature()), ErrorKind::NotSupported, "tpm_unavailable", true);
    assert_error(scene.workshop.certificate(scene.reach()), ErrorKind::NotSupported, "tpm_unavailable", true);
    scene.swtpm.start_again();
    assert_signs(&app);
    scene.certificate();
}

/// The TPM is reset while it holds the key: is the key loaded once more, unseen by the caller?
#[test]
fn reset() {
    let scene = Scene::new();
    let app = app(&scene.world, &scene.certificate());
    assert_signs(&app);
    let loaded = scene.proxy.count(LOAD);
    scene.proxy.fault(SIGN, Fault::Reset);
    assert_signs(&app);
    assert_eq!(scene.proxy.count(LOAD), loaded + 1);
    assert_signs(&app);
    assert_eq!(scene.proxy.count(LOAD), loaded + 1, "what was saved of it is loaded");
}

/// A TPM whose PSS signatures are not what TLS wants: is a key made that also does the bare RSA operation, and do
/// certificate request and handshakes verify; is it an error where that is no help either; and are keys that
/// exist used so far as they can be?
#[test]
fn another_salt() {
    let scene = Scene::new();
    let made = |world: &World| {
        let options = world.managed_identity_options(SYSTEM).with_tpm(scene.reach());
        let app = App::new(options).unwrap();
        app.acquire_token(&pop(GRAPH)).map(|token| (app, token))
    };
    let usual = made(&World::new()).unwrap().1.binding_certificate().unwrap().tpm_key_pem().unwrap();
    assert_eq!((scene.proxy.count(CREATE), scene.proxy.count(RSA_DECRYPT)), (1, 0));

    scene.proxy.fault(SIGN, Fault::Spoil);
    let world = World::new();
    let (app, token) = made(&world).unwrap();
    assert_bound(&token);
    assert_eq!(app.send(&token, &get()).unwrap().status(), 200);
    assert_eq!(scene.proxy.count(CREATE), 3, "one that signs, and one that also decrypts");
    assert!(scene.proxy.count(RSA_DECRYPT) >= 4, "test, certificate request and two handshakes");

    // OpenSSL's keys may decrypt, too.
    let sni = super::app(&scene.world, &scene.certificate());
    sni.acquire_token(&signature()).unwrap();
    sni.acquire_token(&pop(GRAPH_SCOPE)).unwrap();
    // One of ours that was made where there was no need may not.
    scene.workshop.write("key.pem", usual);
    let refused = scene.workshop.certificate(scene.reach()).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::KeyUnavailable, "tpm_error"), "{refused}");
    assert!(refused.message().contains("another salt"), "{refused}");

    scene.proxy.fault(RSA_DECRYPT, Fault::Spoil);
    let world = World::new();
    let error = made(&world).map(drop).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::KeyUnavailable, "tpm_error"), "{error}");
    assert!(error.message().contains("another salt"), "{error}");
    assert_eq!(world.cloud.counter("issuecredential"), 0);
}

/// Sixteen threads and two keys in one TPM: does each thread get all its signatures, and the TPM one command at a time?
#[test]
fn many_threads() {
    const THREADS: usize = 16;
    const SIGNATURES: usize = 10;
    let scene = Scene::new();
    let other = Workshop::with_sni_key(&scene.swtpm, &scene.world);
    let first = app(&scene.world, &scene.certificate());
    let second = app(&scene.world, &other.certificate(scene.reach()).unwrap());
    for apps in [[&first, &first], [&first, &second]] {
        let signed = scene.proxy.count(SIGN);
        thread::scope(|scope| {
            for number in 0..THREADS {
                let app = apps[number % 2];
                scope.spawn(move || (0..SIGNATURES).for_each(|_| assert_signs(app)));
            }
        });
        assert_eq!(scene.proxy.count(SIGN) - signed, THREADS * SIGNATURES);
    }
    assert_eq!(scene.proxy.most_at_a_time(), 1);
}

/// Not a test: the process that is looked into.
#[test]
#[ignore = "run by another test"]
fn program() {
    let variable = |name: &str| std::env::var(name).expect("run by another test");
    let [chain, key] = ["MTLSPOP_TEST_CHAIN", "MTLSPOP_TEST_KEY"].map(variable);
    let tpm = variable("MTLSPOP_TEST_TPM").parse().unwrap();
    let proxy = Proxy::start(tpm);
    let load = || {
        let options = TpmOptions::new().with_tcti(&proxy.tcti());
        Certificate::with_tpm_key(chain.as_bytes(), key.as_bytes(), options).map(drop)
    };
    let mut before = None;
    for _ in 0..4 {
        load().unwrap();
        for fault in [Fault::Answer(RETRY), Fault::Cut, Fault::Reset] {
            proxy.fault(SIGN, fault);
            let loaded = load();
            assert_eq!(loaded.is_ok(), fault == Fault::Reset, "{loaded:?}");
            proxy.heal();
        }
        proxy.fault(SIGN, Fault::Stall);
        thread::scope(|scope| {
            let loading = scope.spawn(load);
            wait_for(|| workers() == 1);
            proxy.heal();
            loading.join().unwrap().unwrap();
        });
        wait_for(|| workers() == 0);
        // Those of the proxy end by themselves, soon after.
        let before = *before.get_or_insert_with(files);
        wait_for(|| files() <= before);
    }
    println!("nothing is left");
}

fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// After faults of each kind, again and again: has a process as many threads and open files as before?
#[test]
fn nothing_leaks() {
    let (swtpm, world) = (Swtpm::start(), World::new());
    let workshop = Workshop::with_sni_key(&swtpm, &world);
    let text = |name| String::from_utf8(workshop.read(name)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["tpm::faults::program", "--exact", "--ignored", "--nocapture"])
        .env("MTLSPOP_TEST_CHAIN", text("chain.pem"))
        .env("MTLSPOP_TEST_KEY", text("key.pem"))
        .env("MTLSPOP_TEST_TPM", swtpm.port().to_string())
        .env("TSS2_LOG", "all+none")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("nothing is left"), "{printed}");
}
