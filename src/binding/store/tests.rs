//! The store by itself: what is found again, what is refused, what a crash leaves behind, who waits for whom.

#![allow(clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::binding::Certificate;
use crate::clock::SystemClock;
use crate::error::ErrorKind;
use crate::key::{KeyHome, SoftwareKey};
use crate::log::{LogLevel, Logger};
use crate::runtime::{Cancel, Wait};

const IDENTITY: &str = "http://169.254.169.254/ 11111111-2222-3333-4444-555555555555";

/// A binding of a certificate that was made for `key` and ends in `days`.
fn binding_of(key: &rcgen::KeyPair, days: i64, client_id: &str) -> Binding {
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::UNIX_EPOCH.elapsed().unwrap();
    params.not_before = now - Duration::from_secs(60);
    params.not_after = match days {
        0.. => now + Duration::from_secs(days as u64 * 86_400),
        _ => now - Duration::from_secs(1),
    };
    let der = params.self_signed(key).unwrap().der().to_vec();
    let key = SoftwareKey::from_pkcs8_der(&key.serialize_der()).unwrap();
    let certificate = Certificate::new(vec![der], Arc::new(key)).unwrap();
    Binding {
        renew_on: SystemTime::now(),
        certificate,
        endpoint: "https://eastus.mtlsauth.microsoft.com/tenant".parse().unwrap(),
        client_id: client_id.to_owned(),
        tenant_id: "tenant".to_owned(),
        minted: SystemTime::now(),
        minted_here: None,
    }
}

fn binding() -> Binding {
    binding_of(&rcgen::KeyPair::generate().unwrap(), 7, "client")
}

struct Place {
    directory: tempfile::TempDir,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), lines: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("deep/store")
    }

    fn plain(&self) -> BindingStore {
        on_a_host(BindingStore::unencrypted(self.path()))
    }

    fn encrypted(&self, secret: &str) -> BindingStore {
        on_a_host(BindingStore::encrypted(self.path(), SecretBytes::new(secret)))
    }

    fn log(&self) -> Logger {
        let lines = self.lines.clone();
        let sink = move |_: LogLevel, _: &str, line: &str| lines.lock().unwrap().push(line.to_owned());
        Logger::new(LogLevel::Warning, Arc::new(sink))
    }

    fn call(&self, timeout: Option<Duration>, cancel: &Cancel) -> Call {
        Call::new(Arc::new(SystemClock), cancel.clone(), self.log(), "id".into(), timeout)
    }

    fn load(&self, store: &BindingStore) -> Option<Binding> {
        store.load(IDENTITY, &KeyHome::Software, &self.call(None, &Cancel::new())).unwrap()
    }

    /// The only file of this kind.
    fn file(&self, kind: &str) -> PathBuf {
        let files = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(kind)).collect();
        assert_eq!(files.len(), 1, "{kind}: {files:?}");
        files.remove(0)
    }

    /// The last line of the log since this was asked for.
    fn said(&self) -> String {
        std::mem::take(&mut *self.lines.lock().unwrap()).pop().unwrap_or_default()
    }
}

/// The store as a host has it that is known: the one that runs the tests may have no machine-id.
fn on_a_host(store: BindingStore) -> BindingStore {
    BindingStore { host: known(b"0123456789abcdef0123456789abcdef\n"), ..store }
}

fn known(machine_id: &[u8]) -> OnceCell<Arc<[u8]>> {
    OnceCell::with_value(host(machine_id).into())
}

const SECRET: &str = "a secret of more than 16 bytes";

/// Is what was saved found again, in all its parts, by the name it was asked for by, in files that nobody
/// else may read, and with the key in clear only where that was asked for?
#[test]
fn what_was_saved_is_found() {
    for encrypted in [false, true] {
        let place = Place::new();
        let store = || if encrypted { place.encrypted(SECRET) } else { place.plain() };
        let saved = binding();
        store().check(&place.log()).unwrap();
        assert!(place.load(&store()).is_none());
        store().save(IDENTITY, &saved, &place.call(None, &Cancel::new()));
        store().name("object:x", IDENTITY, &place.log());
        let found = place.load(&store()).expect("it was saved");
        assert!(found.is(&saved));
        assert_eq!(
            (found.client_id, found.tenant_id, found.endpoint),
            (saved.client_id, saved.tenant_id, saved.endpoint)
        );
        let key = |certificate: &Certificate| certificate.key().export_pkcs8_der().unwrap().expose().to_vec();
        assert_eq!(key(&found.certificate), key(&saved.certificate));
        assert_eq!(store().identity("object:x", &place.log()).as_deref(), Some(IDENTITY));
        assert_eq!(store().identity("object:y", &place.log()), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&place.path()), 0o700);
        for entry in fs::read_dir(place.path()).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        let text = fs::read_to_string(place.file(ENTRY)).unwrap();
        assert_eq!(text.contains("AES-256-GCM"), encrypted, "{text}");
        assert_eq!(place.said(), "", "nothing to complain about");
    }
}

/// Is an entry of no use, and no error, with another secret, without one, on another host, in the place of
/// another identity's, after its end, with another's key, in a later format, cut short, or changed anywhere?
#[test]
fn what_is_not_whole_is_not_used() {
    let place = Place::new();
    let (saved, store) = (binding(), place.encrypted(SECRET));
    store.save(IDENTITY, &saved, &place.call(None, &Cancel::new()));
    assert!(place.load(&store).is_some());
    assert!(place.load(&place.encrypted("another secret of 16 bytes")).is_none());
    assert!(place.said().contains("the secret is another one"));
    assert!(place.load(&place.plain()).is_none());
    let elsewhere =
        BindingStore { host: known(b"fedcba9876543210fedcba9876543210\n"), ..place.encrypted(SECRET) };
    assert!(place.load(&elsewhere).is_none());
    // Another identity's, under this one's name: the name of the file is not what is believed.
    let file = place.file(ENTRY);
    let whole = fs::read(&file).unwrap();
    let other = place.path().join(store.file("another", ENTRY));
    fs::copy(&file, &other).unwrap();
    assert!(store.load("another", &KeyHome::Software, &place.call(None, &Cancel::new())).unwrap().is_none());
    fs::remove_file(&other).unwrap();

    let store = place.plain();
    store.save(IDENTITY, &saved, &place.call(None, &Cancel::new()));
    let plain = fs::read(&file).unwrap();
    let replaced = |from: &str, to: &str| String::from_utf8_lossy(&plain).replace(from, to).into_bytes();
    let mut bad = vec![
        whole,
        vec![],
        b"null".to_vec(),
        replaced("\"version\":1", "\"version\":2"),
        replaced("\"none\"", "\"later\""),
        vec![b' '; entry::LARGEST + 1],
    ];
    bad.extend((1..plain.len()).step_by(97).map(|length| plain[..length].to_vec()));
    for content in bad {
        fs::write(&file, &content).unwrap();
        assert!(place.load(&store).is_none(), "{}", String::from_utf8_lossy(&content));
        assert_ne!(place.said(), "");
    }
    // Saving anew makes it whole again.
    store.save(IDENTITY, &saved, &place.call(None, &Cancel::new()));
    assert!(place.load(&store).is_some());
    store.save(
        IDENTITY,
        &binding_of(&rcgen::KeyPair::generate().unwrap(), -1, "client"),
        &place.call(None, &Cancel::new()),
    );
    assert!(place.load(&store).is_none());
    assert!(place.said().contains("expired"));
}

/// Two versions of the library with one store: is what a later one has added passed over, what the first one left out (the
/// end of the certificate) a new certificate and no failure, and what this one writes still what the first one read?
#[test]
fn versions_share_a_store() {
    let place = Place::new();
    let (saved, store) = (binding(), place.plain());
    store.save(IDENTITY, &saved, &place.call(None, &Cancel::new()));
    let file = place.file(ENTRY);
    let mut entry: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let decode = |entry: &serde_json::Value| STANDARD.decode(entry["content"].as_str().unwrap()).unwrap();
    let mut content: serde_json::Value = serde_json::from_slice(&decode(&entry)).unwrap();
    let members = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for member in ["format", "version", "identity", "protection", "content"] {
        assert!(members(&entry).contains(&member.to_owned()), "{member}");
    }
    for member in ["client_id", "tenant_id", "endpoint", "certificate", "private_key", "issued_on"] {
        assert!(members(&content).contains(&member.to_owned()), "{member}");
    }

    content["attested_at"] = 1.into();
    entry["written_by"] = "mtlspop 9.9".into();
    entry["content"] = STANDARD.encode(content.to_string()).into();
    fs::write(&file, entry.to_string()).unwrap();
    assert!(place.load(&store).unwrap().is(&saved));
    assert_eq!(place.said(), "");

    entry.as_object_mut().unwrap().remove("expires_on");
    fs::write(&file, entry.to_string()).unwrap();
    assert!(place.load(&store).is_none());
    store.save(IDENTITY, &saved, &place.call(None, &Cancel::new()));
    assert!(place.load(&store).unwrap().is(&saved));
}

/// Do entries that have expired go when another is saved, and only those?
#[test]
fn what_has_expired_goes() {
    let place = Place::new();
    let store = place.plain();
    let key = rcgen::KeyPair::generate().unwrap();
    let call = place.call(None, &Cancel::new());
    store.save("gone", &binding_of(&key, -1, "client"), &call);
    assert!(place.path().join(store.file("gone", ENTRY)).exists());
    store.save("other", &binding(), &call);
    store.save(IDENTITY, &binding(), &call);
    let left = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|file| file.to_string_lossy().ends_with(ENTRY)).collect();
    let expected = [store.file("other", ENTRY), store.file(IDENTITY, ENTRY)];
    assert!(left.len() == 2 && expected.iter().all(|file| left.contains(&file.into())), "{left:?}");
}

/// Is a callback that makes an app with the same store in order to answer an error, and is the secret asked
/// for once, however often it is needed?
#[test]
fn the_secret_is_asked_for_once() {
    let place = Place::new();
    let asked = Arc::new(AtomicU32::new(0));
    let (inner, count): (Arc<OnceCell<BindingStore>>, _) = (Arc::default(), asked.clone());
    let (again, log) = (inner.clone(), place.log());
    let provide = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let error = again.get().unwrap().check(&log).unwrap_err();
        assert_eq!(error.code(), "reentrant_call");
        Ok(SecretBytes::new(SECRET))
    };
    inner.set(BindingStore::encrypted_with(place.path(), Box::new(provide))).unwrap();
    let store = inner.get().unwrap();
    store.check(&place.log()).unwrap();
    store.clone().check(&place.log()).unwrap();
    store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    assert!(place.load(store).is_some());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// A certificate whose key is another one's (an orphan): is it not used?
#[test]
fn orphans_are_not_used() {
    let place = Place::new();
    let store = place.plain();
    let key_of = |text: &str| {
        let entry: serde_json::Value = serde_json::from_str(text).unwrap();
        use base64::Engine;
        let content = base64::engine::general_purpose::STANDARD.decode(entry["content"].as_str().unwrap());
        let content: serde_json::Value = serde_json::from_slice(&content.unwrap()).unwrap();
        (entry, content)
    };
    store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    let (_, first) = key_of(&fs::read_to_string(place.file(ENTRY)).unwrap());
    store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    let (mut entry, mut second) = key_of(&fs::read_to_string(place.file(ENTRY)).unwrap());
    second["private_key"] = first["private_key"].clone();
    use base64::Engine;
    entry["content"] = base64::engine::general_purpose::STANDARD.encode(second.to_string()).into();
    fs::write(place.file(ENTRY), entry.to_string()).unwrap();
    assert!(place.load(&store).is_none());
    assert!(place.said().contains("does not belong to the certificate"));
}

/// Is every change of an encrypted entry noticed, byte by byte?
#[test]
fn encryption_vouches_for_every_byte() {
    let saved = binding();
    // What costs time is the derivation of the key, so a few bytes must do.
    let sealed = entry::seal(&saved, "i", Some(&Keys::new(SecretBytes::new(SECRET)))).unwrap();
    let text = String::from_utf8(sealed.expose().to_vec()).unwrap();
    let content = text.find("\"content\":\"").unwrap() + 11;
    let open = |entry: Vec<u8>| {
        let keys = Keys::new(SecretBytes::new(SECRET));
        entry::open(&SecretBytes::new(entry), "i", Some(&keys), &KeyHome::Software, 0, &Wait::default())
    };
    for at in [content, content + 1000, text.len() - 4] {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let opened = open(changed);
        assert!(opened.is_err(), "{at}");
    }
    let rich = text.replace("\"iterations\":600000", "\"iterations\":4000000000");
    assert!(open(rich.into_bytes()).is_err());
}

/// Are a symbolic link to a directory, one that others may enter, a relative path and a short secret refused
/// when the app is made; and links and open files inside of it not read?
#[test]
fn what_is_not_safe_is_refused() {
    let place = Place::new();
    let (top, log) = (place.directory.path(), place.log());
    let refused = |store: BindingStore| {
        let error = store.check(&log).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.message().to_owned()
    };
    fs::create_dir(top.join("open")).unwrap();
    fs::set_permissions(top.join("open"), fs::Permissions::from_mode(0o750)).unwrap();
    assert!(refused(BindingStore::unencrypted(top.join("open"))).contains("chmod go-rwx"));
    fs::set_permissions(top.join("open"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink(top.join("open"), top.join("link")).unwrap();
    assert!(refused(BindingStore::unencrypted(top.join("link"))).contains("symbolic link"));
    assert!(refused(BindingStore::unencrypted(top.join("link/"))).contains("symbolic link"));
    assert!(refused(BindingStore::unencrypted("relative")).contains("absolute"));
    assert!(refused(BindingStore::encrypted(top.join("x"), SecretBytes::new("short"))).contains("16 bytes"));

    let store = place.plain();
    store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    let file = place.file(ENTRY);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.load(&store).is_none());
    assert!(place.said().contains("not safe"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&file, top.join("moved")).unwrap();
    symlink(top.join("moved"), &file).unwrap();
    assert!(place.load(&store).is_none());
    assert!(place.said().contains("symbolic link"));
    // What is written replaces the link, not what it points to.
    let before = fs::read(top.join("moved")).unwrap();
    store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    assert_eq!(fs::read(top.join("moved")).unwrap(), before);
}

/// Where the host has no machine-id, or that of an image that was not started yet: is it said when the app is
/// made, and is what is stored found all the same?
#[test]
fn a_host_without_a_machine_id_is_a_warning() {
    for machine_id in ["", "\n", "uninitialized\n", "0123456789abcdef"] {
        let place = Place::new();
        let store = BindingStore { host: known(machine_id.as_bytes()), ..place.plain() };
        store.check(&place.log()).unwrap();
        assert!(place.said().contains("no /etc/machine-id"), "{machine_id:?}");
        store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
        assert!(place.load(&store).is_some() && place.load(&place.plain()).is_none(), "{machine_id:?}");
    }
}

/// A directory that cannot be made: is that a line in the log for each step, and never an error or a panic?
#[test]
fn a_store_that_cannot_be_used_is_a_warning() {
    let place = Place::new();
    let store = on_a_host(BindingStore::unencrypted("/proc/no-directory/store"));
    let log = place.log();
    store.check(&log).unwrap();
    store.save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    store.name("n", IDENTITY, &log);
    assert!(place.load(&store).is_none());
    assert!(store.lock(IDENTITY, &place.call(None, &Cancel::new())).unwrap().is_none());
    assert_eq!(place.lines.lock().unwrap().len(), 4, "{:?}", place.lines);
}

/// A full disk: is what is there kept, what could not be written not left behind, and the rest a warning?
#[test]
fn a_full_disk_costs_nothing() {
    let place = Place::new();
    place.plain().save(IDENTITY, &binding(), &place.call(None, &Cancel::new()));
    let child = Command::new("sh")
        // No file may have a byte: writing fails as on a full disk, opening and renaming do not.
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["binding::store::tests::on_a_full_disk", "--exact", "--ignored", "--nocapture"])
        .env("MTLSPOP_TEST_STORE", place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("could not write"), "{said}");
    assert_eq!(place.load(&place.plain()).expect("the old one is there").client_id, "client");
    assert!(!place.path().join(format!("{}.new", place.plain().file(IDENTITY, ENTRY))).exists());
}

/// Not a test: the process that [`a_full_disk_costs_nothing`] starts.
#[test]
#[ignore = "run by another test"]
fn on_a_full_disk() {
    let directory = std::env::var_os("MTLSPOP_TEST_STORE").expect("run by another test");
    let store = on_a_host(BindingStore::unencrypted(directory));
    let sink = |_: LogLevel, _: &str, line: &str| {
        assert!(line.contains("cannot write"), "{line}");
        println!("could not write");
    };
    let log = Logger::new(LogLevel::Warning, Arc::new(sink));
    let call = Call::new(Arc::new(SystemClock), Cancel::new(), log, "id".into(), None);
    store.save(IDENTITY, &binding_of(&rcgen::KeyPair::generate().unwrap(), 7, "new"), &call);
}

/// A lock that another has: does its wait end with the deadline, with the cancellation, and with the lock?
#[test]
fn lock_waits_as_long_as_the_call() {
    let place = Place::new();
    let (store, cancel) = (place.plain(), Cancel::new());
    let held = store.lock(IDENTITY, &place.call(None, &cancel)).unwrap().expect("nobody has it");
    let short = place.call(Some(Duration::from_millis(50)), &cancel);
    assert_eq!(store.lock(IDENTITY, &short).err().unwrap().kind(), ErrorKind::Timeout);
    assert!(store.lock("another", &short.limited(Duration::ZERO)).unwrap().is_some(), "not that one's");
    std::thread::scope(|scope| {
        let waits = || store.lock(IDENTITY, &place.call(None, &cancel));
        let cancelled = scope.spawn(waits);
        cancel.cancel();
        assert_eq!(cancelled.join().unwrap().err().unwrap().kind(), ErrorKind::Cancelled);
        let waiting = scope.spawn(|| store.lock(IDENTITY, &place.call(None, &Cancel::new())));
        drop(held);
        assert!(waiting.join().unwrap().unwrap().is_some());
    });
}

/// Two hundred processes that are killed while they write: is every entry whole afterwards, and closed to
/// others, and nothing left over that grows?
#[test]
fn killed_writers_leave_whole_entries() {
    let place = Place::new();
    let mut found = std::collections::HashMap::<String, u32>::new();
    for round in 0..200_u64 {
        let (secret, store) = match round % 20 {
            // The derivation of a key is most of such a round.
            0 => (SECRET, place.encrypted(SECRET)),
            _ => ("", place.plain()),
        };
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["binding::store::tests::writer", "--exact", "--ignored", "--nocapture"])
            .env("MTLSPOP_TEST_STORE", place.path())
            .env("MTLSPOP_TEST_SECRET", secret)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        assert!(lines.map(Result::unwrap).any(|line| line.contains("writing")), "{round}: no writer");
        // Somewhere in its loop: a write takes some hundred microseconds.
        std::thread::sleep(Duration::from_micros(round * 37 % 2000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let binding = place.load(&store).unwrap_or_else(|| panic!("{round}: {}", place.said()));
        *found.entry(binding.client_id).or_default() += 1;
        for entry in fs::read_dir(place.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{round}: {:?}", entry.path());
        }
        assert!(fs::read_dir(place.path()).unwrap().count() <= 3, "{round}: files are left over");
    }
    assert_eq!(found.len(), 2, "both are found at times: {found:?}");
    // What the last one left is no obstacle.
    place.plain().save(
        IDENTITY,
        &binding_of(&rcgen::KeyPair::generate().unwrap(), 7, "last"),
        &place.call(None, &Cancel::new()),
    );
    assert_eq!(place.load(&place.plain()).unwrap().client_id, "last");
}

/// Not a test: the process that [`killed_writers_leave_whole_entries`] starts and kills.
#[test]
#[ignore = "run by another test"]
fn writer() {
    let directory = std::env::var_os("MTLSPOP_TEST_STORE").expect("run by another test");
    let store = on_a_host(match std::env::var("MTLSPOP_TEST_SECRET").unwrap_or_default() {
        secret if secret.is_empty() => BindingStore::unencrypted(directory),
        secret => BindingStore::encrypted(directory, SecretBytes::new(secret)),
    });
    let key = rcgen::KeyPair::generate().unwrap();
    let (first, second) = (binding_of(&key, 7, "first"), binding_of(&key, 7, "second"));
    let call = Call::new(Arc::new(SystemClock), Cancel::new(), Logger::default(), "id".into(), None);
    let write = |binding: &Binding| {
        let _lock = store.lock(IDENTITY, &call).unwrap().unwrap();
        store.save(IDENTITY, binding, &call);
    };
    write(&first);
    println!("writing");
    loop {
        write(&second);
        write(&first);
    }
}
