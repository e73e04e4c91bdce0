//! The store of binding certificates as programs see it: restarts, processes that start together, other apps.
//!
//! Memory is one per process, so each program here is a process: this test binary, started again.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use devcloud::{Fault, directory};
use mtlspop::{App, AppOptions, BindingStore, ErrorKind, LogLevel, Logger, ManagedIdentityId, SecretBytes};

use crate::support::{GRAPH, World, assert_bound, bearer, pop};

/// What a program is told, and what it answered: the `x5t#S256` of each thread, then the lines of its log.
struct Program<'a> {
    world: &'a World,
    directory: std::path::PathBuf,
    secret: &'a str,
    identity: &'a str,
    threads: usize,
}

impl<'a> Program<'a> {
    fn new(world: &'a World, directory: &'a std::path::Path) -> Self {
        Self { world, directory: directory.join("store"), secret: "", identity: "", threads: 1 }
    }

    fn start(&self) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["binding_store::program", "--exact", "--ignored", "--nocapture"])
            .envs(self.world.cloud.env())
            .env("MTLSPOP_TEST_STORE", &self.directory)
            .env("MTLSPOP_TEST_SECRET", self.secret)
            .env("MTLSPOP_TEST_IDENTITY", self.identity)
            .env("MTLSPOP_TEST_THREADS", self.threads.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self) -> (Vec<String>, String) {
        finish(self.start())
    }
}

fn finish(program: Child) -> (Vec<String>, String) {
    let output = program.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let certificates = text.lines().filter_map(|line| line.strip_prefix("x5t ")).map(str::to_owned).collect();
    (certificates, text)
}

/// Not a test: the program.
#[test]
#[ignore = "run by other tests"]
fn program() {
    let told = |name: &str| std::env::var(format!("MTLSPOP_TEST_{name}")).expect("run by other tests");
    let store = match told("SECRET") {
        secret if secret.is_empty() => BindingStore::unencrypted(told("STORE")),
        secret => BindingStore::encrypted(told("STORE"), SecretBytes::new(secret)),
    };
    let id = match told("IDENTITY") {
        id if id.is_empty() => ManagedIdentityId::SystemAssigned,
        id if id.starts_with('/') => ManagedIdentityId::ResourceId(id),
        id => ManagedIdentityId::ClientId(id),
    };
    let log = Logger::new(LogLevel::Warning, Arc::new(|_, _: &str, line: &str| println!("log {line}")));
    let options = AppOptions::managed_identity(id).with_binding_store(store).with_logger(log);
    let app = App::new(options).unwrap();
    let threads: usize = told("THREADS").parse().unwrap();
    let start = Barrier::new(threads);
    let (app, start) = (&app, &start);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                start.wait();
                println!("x5t {}", assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap()));
            });
        }
    });
}

/// Eight processes of eight threads, cold, with one store: is one certificate issued between them, and no
/// process asks for more than one token?
#[test]
fn processes_that_start_together_mint_once() {
    for secret in ["", "a secret of more than 16 bytes"] {
        let world = World::new();
        let directory = tempfile::tempdir().unwrap();
        let program = Program { secret, threads: 8, ..Program::new(&world, directory.path()) };
        let programs: Vec<_> = (0..8).map(|_| program.start()).collect();
        let mut certificates: Vec<String> = programs.into_iter().flat_map(|child| finish(child).0).collect();
        assert_eq!(certificates.len(), 64);
        certificates.dedup();
        assert_eq!(certificates.len(), 1, "{certificates:?}");
        assert_eq!(world.cloud.counter("issuecredential"), 1);
        assert!(world.cloud.counter("token") <= 8, "{:?}", world.cloud.counters());
    }
}

/// After a restart: the same certificate, and IMDS is not asked for anything (the design's table, row
/// "getplatformmetadata"), whatever name the identity was and is asked for by, once it is known?
#[test]
fn a_restart_needs_no_certificate() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let program = |identity| Program { identity, ..Program::new(&world, directory.path()) };
    let first = program(directory::USER_ASSIGNED_CLIENT_ID).run().0;
    world.cloud.reset();
    assert_eq!(program(directory::USER_ASSIGNED_CLIENT_ID).run().0, first);
    assert_eq!((world.cloud.counter("metadata"), world.cloud.counter("issuecredential")), (0, 0));
    for metadata in [1, 1] {
        assert_eq!(program(directory::USER_ASSIGNED_RESOURCE_ID).run().0, first);
        let asked = (world.cloud.counter("metadata"), world.cloud.counter("issuecredential"));
        assert_eq!(asked, (metadata, 0), "its name is learnt once");
    }
    assert_ne!(program("").run().0, first, "another identity");
}

/// A certificate in the store that the token service rejects: is it replaced, there too?
#[test]
fn a_rejected_certificate_leaves_the_store() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, directory.path());
    let first = program.run().0;
    let body = Some(r#"{"error":"invalid_client"}"#.to_owned());
    world.cloud.fault(Fault { body, ..Fault::status("token", 401) }).unwrap();
    let second = program.run().0;
    assert_ne!(first, second);
    assert_eq!(program.run().0, second);
    assert_eq!(world.cloud.counter("issuecredential"), 2);
}

/// A store that cannot be read any more (another secret): a line in the log, a new certificate, no failure?
#[test]
fn another_secret_begins_anew() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let program = |secret| Program { secret, ..Program::new(&world, directory.path()) };
    let first = program("the first secret of all").run().0;
    let (second, said) = program("the second secret of all").run();
    assert_ne!(first, second);
    assert!(said.contains("the secret is another one"), "{said}");
    assert_eq!(program("the second secret of all").run().0, second);
}

/// Two apps of one process, the second with a store: does the certificate that the first one got go into it?
#[test]
fn what_another_app_minted_is_stored() {
    let world = World::new();
    let first = assert_bound(
        &world.managed_identity(ManagedIdentityId::SystemAssigned).acquire_token(&pop(GRAPH)).unwrap(),
    );
    let directory = tempfile::tempdir().unwrap();
    let store = BindingStore::unencrypted(directory.path().join("store"));
    let options = world.managed_identity_options(ManagedIdentityId::SystemAssigned).with_binding_store(store);
    let app = App::new(options).unwrap();
    assert_eq!(assert_bound(&app.acquire_token(&pop("https://vault.azure.net")).unwrap()), first);
    let files: Vec<_> =
        std::fs::read_dir(directory.path().join("store")).unwrap().map(|e| e.unwrap().file_name()).collect();
    let stored = files.iter().filter(|name| name.to_string_lossy().ends_with(".binding")).count();
    assert_eq!(stored, 1, "{files:?}");
}

/// Another process holds the lock of the identity: does a call end with its own deadline, and use what the
/// other has left when the lock is free?
#[test]
fn the_wait_for_another_process_counts() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new(&world, directory.path());
    let first = program.run().0;
    let file = |kind: &str| {
        let files = std::fs::read_dir(&program.directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == kind));
        files.find(|path| kind != "lock" || path.with_extension("binding").exists()).unwrap()
    };
    let (lock, stored) = (file("lock"), file("binding"));
    let aside = directory.path().join("aside");
    std::fs::rename(&stored, &aside).unwrap();
    let mut holder = Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut held = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut held).unwrap();
    let options = AppOptions::managed_identity(ManagedIdentityId::SystemAssigned)
        .with_env(Arc::new(world.cloud.env().into_iter().collect::<HashMap<_, _>>()))
        .with_binding_store(BindingStore::unencrypted(&program.directory));
    let app = App::new(options).unwrap();
    let error = app.acquire_token(&pop(GRAPH).with_timeout(Some(Duration::from_millis(500)))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    std::fs::rename(&aside, &stored).unwrap();
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert_eq!(first, [assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap())]);
    assert_eq!(world.cloud.counter("issuecredential"), 1);
}

/// An app asks by a name that memory does not know and its store does: does it get the newer certificate that
/// memory has for that identity, rather than put the stored one in its place?
#[test]
fn memory_is_asked_before_the_store() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let program = |identity| Program { identity, ..Program::new(&world, directory.path()) };
    let older = program(directory::USER_ASSIGNED_CLIENT_ID).run().0;
    assert_eq!(program(directory::USER_ASSIGNED_RESOURCE_ID).run().0, older);
    let env: Arc<HashMap<_, _>> = Arc::new(world.cloud.env().into_iter().collect());
    let options = |id| AppOptions::managed_identity(id).with_env(env.clone());
    let by_client = options(ManagedIdentityId::ClientId(directory::USER_ASSIGNED_CLIENT_ID.into()));
    let newer = assert_bound(&App::new(by_client).unwrap().acquire_token(&pop(GRAPH)).unwrap());
    let by_resource = options(ManagedIdentityId::ResourceId(directory::USER_ASSIGNED_RESOURCE_ID.into()));
    let store = BindingStore::unencrypted(directory.path().join("store"));
    let app = App::new(by_resource.with_binding_store(store)).unwrap();
    for resource in [GRAPH, "https://vault.azure.net"] {
        assert_eq!(assert_bound(&app.acquire_token(&pop(resource)).unwrap()), newer);
    }
    assert_ne!(older, [newer]);
    assert_eq!(world.cloud.counter("issuecredential"), 2);
}

/// Is a directory that others may enter an error of `App::new`, a store for a confidential client, too; a
/// directory that cannot be made a warning; and a store no matter to Bearer tokens?
#[test]
fn what_a_store_must_be() {
    let world = World::new();
    let options = || world.managed_identity_options(ManagedIdentityId::SystemAssigned);
    let directory = tempfile::tempdir().unwrap();
    let open = directory.path().join("open");
    std::fs::create_dir(&open).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = App::new(options().with_binding_store(BindingStore::unencrypted(&open))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let client = world.app_a_options(world.sni_credential());
    let client = client.with_binding_store(BindingStore::unencrypted(directory.path()));
    assert_eq!(App::new(client).unwrap_err().kind(), ErrorKind::InvalidArgument);

    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = lines.clone();
    let sink = move |_: LogLevel, _: &str, line: &str| kept.lock().unwrap().push(line.to_owned());
    let store = BindingStore::unencrypted("/proc/no-directory/store");
    let options =
        options().with_binding_store(store).with_logger(Logger::new(LogLevel::Warning, Arc::new(sink)));
    let app = App::new(options).unwrap();
    assert_bound(&app.acquire_token(&pop(GRAPH)).unwrap());
    app.acquire_token(&bearer(GRAPH)).unwrap();
    let mut lines = lines.lock().unwrap().clone();
    // What the host that runs this may be told beside it.
    lines.retain(|line| !line.contains("no /etc/machine-id"));
    assert!(lines.iter().all(|line| line.contains("going on without")), "{lines:?}");
    assert!(!lines.is_empty());
}
