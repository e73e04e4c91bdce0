//! Tokens in files of one directory, encrypted: for programs that live shorter than their tokens.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::TokenStore;
use crate::binding::{Directory, FileLock, Problem, cipher, hex};
use crate::clock::unix_seconds;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretBytes;

/// A [`TokenStore`] of files that this user alone may read, each encrypted (AES-256-GCM) under a key of a secret.
///
/// A file that was changed, cut off, left by another secret or put in the place of another one is as good as none, and
/// is replaced. Files are replaced as a whole, by one writer at a time; what has expired is removed. The directory may
/// be that of a [`BindingStore`](crate::BindingStore), too.
pub struct TokenFiles {
    directory: PathBuf,
    key: Option<Key>,
}

/// What a secret comes to.
struct Key {
    key: Zeroizing<[u8; 32]>,
    /// Tells it from others, and tells nothing else.
    id: String,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    version: u32,
    /// The partition, hashed.
    partition: String,
    key: String,
    /// Unix seconds.
    expires_on: i64,
    /// Base64.
    nonce: String,
    /// Base64 of what was saved, encrypted.
    content: Zeroizing<String>,
}

const FORMAT: &str = "mtlspop tokens";
const VERSION: u32 = 1;
const TOKENS: &str = "v1.tokens";
const LOCK: &str = "v1.lock";
/// What a secret has that nobody guesses: it is not stretched, as passwords have to be.
const SHORTEST_SECRET: usize = 32;
/// Some hundred tokens of one client in one tenant.
const LARGEST: usize = 1024 * 1024;
/// How long a write waits for another, and how often it looks. A write takes milliseconds.
const WRITE: Duration = Duration::from_secs(2);
const SLICE: Duration = Duration::from_millis(10);

impl TokenFiles {
    /// Opens a directory, and makes it (mode 0700) where it is not there. One that belongs to another user, that others may
    /// enter, or that is a symbolic link is refused; what only does not work now (a read-only disk) is told by those who read and write.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        if !directory.is_absolute() {
            return Err(Error::argument("the directory for tokens is not an absolute path"));
        }
        match Directory::open(&directory) {
            Err(problem) if problem.is_refusal() => {
                Err(Error::argument(format!("{}: {problem}", directory.display())))
            }
            _ => Ok(Self { directory, key: None }),
        }
    }

    /// With the secret that tokens are encrypted under, at least 32 random bytes. Without one nothing is found or kept.
    pub fn with_secret(self, secret: &SecretBytes) -> Result<Self> {
        if secret.expose().len() < SHORTEST_SECRET {
            return Err(Error::argument(format!(
                "the secret has fewer than {SHORTEST_SECRET} bytes: it has to be random, not a password"
            )));
        }
        Ok(Self { key: Some(Key::new(secret.expose())?), ..self })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps other processes from what is called `name`, until dropped: for example from asking for the same token at the same
    /// time. `None` where another has it for longer than `limit`, or where there is nothing to lock.
    pub fn lock(&self, name: &str, limit: Duration) -> Option<FileLock> {
        let directory = Directory::open(&self.directory).ok()?;
        locked(&directory, &file(&label(&["lock", name]), LOCK), limit).ok().flatten()
    }

    /// Removes whatever is kept there, also by a binding store, and gives the number of files.
    pub fn clear(&self) -> Result<usize> {
        let cleared = Directory::open_existing(&self.directory).and_then(|directory| {
            let mut removed = 0;
            for name in directory.files()?.iter().filter(|name| is_of_a_store(name)) {
                directory.remove(name)?;
                removed += usize::from(!name.ends_with(LOCK));
            }
            Ok(removed)
        });
        match cleared {
            Err(problem) if problem.is_absence() => Ok(0),
            cleared => cleared.map_err(|problem| self.unusable(&problem)),
        }
    }

    fn write(&self, partition: &str, data: &[u8], expires_on: i64) -> std::result::Result<(), Problem> {
        let key = self.key.as_ref().ok_or(Problem::Refused("there is no secret"))?;
        let label = label(&["tokens", partition]);
        let sealed = key.seal(&label, data, expires_on).filter(|sealed| sealed.len() <= LARGEST);
        let sealed = sealed.ok_or(Problem::Refused("there are more tokens than fit into a file of it"))?;
        let directory = Directory::open(&self.directory)?;
        remove_expired(&directory);
        match locked(&directory, &file(&label, LOCK), WRITE)? {
            Some(_lock) => directory.replace(&file(&label, TOKENS), &sealed),
            None => Err(Problem::Refused("another process writes there and does not end")),
        }
    }

    fn unusable(&self, problem: &Problem) -> Error {
        let message = format!("{}: {problem}", self.directory.display());
        Error::new(ErrorKind::KeyUnavailable, "cryptographic_error", message)
    }
}

impl TokenStore for TokenFiles {
    fn load(&self, partition_key: &str) -> Result<Option<Vec<u8>>> {
        let label = label(&["tokens", partition_key]);
        let read = Directory::open_existing(&self.directory)
            .and_then(|directory| directory.read(&file(&label, TOKENS), LARGEST));
        let bytes = match read {
            Err(problem) if problem.is_absence() => return Ok(None),
            read => read.map_err(|problem| self.unusable(&problem))?,
        };
        let (Some(bytes), Some(key)) = (bytes, &self.key) else { return Ok(None) };
        Ok(key.open(&label, bytes.expose(), now()).map(|mut data| std::mem::take(&mut *data)))
    }

    fn save(&self, partition_key: &str, data: &[u8], suggested_expiry: SystemTime) -> Result<()> {
        let written = self.write(partition_key, data, unix_seconds(suggested_expiry));
        written.map_err(|problem| self.unusable(&problem))
    }
}

impl Key {
    fn new(secret: &[u8]) -> Result<Self> {
        let (mut key, mut id) = (Zeroizing::new([0; 32]), [0; 32]);
        for (info, out) in [("key", &mut *key), ("id", &mut id)] {
            // An extract for each: it is cheap.
            let derived = Salt::new(HKDF_SHA256, FORMAT.as_bytes()).extract(secret);
            let filled = derived.expand(&[info.as_bytes()], Length).and_then(|derived| derived.fill(out));
            filled.map_err(|_| Error::internal("no key could be derived"))?;
        }
        Ok(Self { key, id: hex(&id[..8]) })
    }

    fn seal(&self, label: &str, data: &[u8], expires_on: i64) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, content) = cipher::seal(&self.key, &self.vouched(label, expires_on), data)?;
        let file = File {
            format: FORMAT.to_owned(),
            version: VERSION,
            partition: label.to_owned(),
            key: self.id.clone(),
            expires_on,
            nonce: STANDARD.encode(nonce),
            content: Zeroizing::new(STANDARD.encode(&*content)),
        };
        serde_json::to_vec(&file).ok().map(Zeroizing::new)
    }

    fn open(&self, label: &str, bytes: &[u8], now: i64) -> Option<Zeroizing<Vec<u8>>> {
        let file = read(bytes)?;
        if file.partition != label || file.key != self.id || file.expires_on <= now {
            return None;
        }
        let nonce = STANDARD.decode(&file.nonce).ok()?;
        let content = Zeroizing::new(STANDARD.decode(&*file.content).ok()?);
        cipher::open(&self.key, &self.vouched(label, file.expires_on), &nonce, content)
    }

    /// What the encryption also vouches for: all that stands beside it.
    fn vouched(&self, label: &str, expires_on: i64) -> String {
        format!("{FORMAT} {VERSION} {label} {} {expires_on}", self.id)
    }
}

/// Of what is derived.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

fn read(bytes: &[u8]) -> Option<File> {
    let file: File = serde_json::from_slice(bytes).ok()?;
    (file.format == FORMAT && file.version == VERSION).then_some(file)
}

/// What nobody asks for any more must not lie there for ever. What cannot be removed now is another time.
fn remove_expired(directory: &Directory) {
    for name in directory.files().unwrap_or_default() {
        let Some(stem) = name.strip_suffix(TOKENS) else { continue };
        let expired = || {
            let read = directory.read(&name, LARGEST).ok().flatten();
            read.and_then(|bytes| Some(self::read(bytes.expose())?.expires_on <= now())) == Some(true)
        };
        if expired()
            && let Ok(Some(_lock)) = directory.try_lock(&format!("{stem}{LOCK}"))
            && expired()
        {
            let _ = directory.remove(&name);
        }
    }
}

fn locked(
    directory: &Directory,
    file: &str,
    limit: Duration,
) -> std::result::Result<Option<FileLock>, Problem> {
    let started = Instant::now();
    loop {
        match directory.try_lock(file)? {
            None if started.elapsed() < limit => thread::sleep(SLICE),
            locked => return Ok(locked),
        }
    }
}

fn now() -> i64 {
    unix_seconds(SystemTime::now())
}

/// Stands for texts, each with its length in front.
fn label(texts: &[&str]) -> String {
    let text: String = texts.iter().map(|text| format!("{}:{text}", text.len())).collect();
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn file(label: &str, kind: &str) -> String {
    format!("{}.{kind}", &label[..32])
}

/// Whether a file has the name of one that a store has written.
fn is_of_a_store(name: &str) -> bool {
    name.split_once('.').is_some_and(|(stem, kind)| {
        stem.len() == 32 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()) && kind.starts_with("v1.")
    })
}

/// For a fuzzer: is whatever is opened what its key has sealed, of use now, and the same when it is written and read again; and of no
/// use to another key or partition?
#[cfg(all(any(test, fuzzing), feature = "renegotiation"))]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) fn fuzz_file(data: &[u8], now: i64) {
    let (key, other) = (Key::new(&[7; 32]).unwrap(), Key::new(&[8; 32]).unwrap());
    let (label, elsewhere) = (label(&["tokens", "the-partition"]), label(&["tokens", "another"]));
    if let Some(tokens) = key.open(&label, data, now) {
        let file = read(data).unwrap();
        assert!(file.expires_on > now && file.partition == label && file.key == key.id);
        let sealed = key.seal(&label, &tokens, file.expires_on).unwrap();
        assert_eq!(key.open(&label, &sealed, now).as_deref(), Some(&*tokens));
        for (key, label) in [(&other, &label), (&key, &elsewhere)] {
            assert!(key.open(label, &sealed, now).is_none() && key.open(label, data, now).is_none());
        }
    }
    assert!(other.open(&label, data, now).is_none(), "nobody has sealed anything with this one");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const PARTITION: &str = "client_tenant_hash_AppTokenCache";

    fn secret(byte: u8) -> SecretBytes {
        SecretBytes::new(vec![byte; 32])
    }

    fn files(place: &tempfile::TempDir, byte: u8) -> TokenFiles {
        TokenFiles::open(place.path().join("cache")).unwrap().with_secret(&secret(byte)).unwrap()
    }

    fn in_an_hour() -> SystemTime {
        SystemTime::now() + Duration::from_secs(3600)
    }

    fn the_file(files: &TokenFiles) -> PathBuf {
        let mut names = fs::read_dir(files.directory()).unwrap().map(|entry| entry.unwrap().path());
        names.find(|path| path.extension().is_some_and(|kind| kind == "tokens")).unwrap()
    }

    /// Does what was saved come back, from files that are closed to others and do not say it; and not with another secret, for another
    /// partition, or after its time?
    #[test]
    fn kept() {
        let place = tempfile::tempdir().unwrap();
        let mine = files(&place, 1);
        assert_eq!(mine.load(PARTITION).unwrap(), None);
        mine.save(PARTITION, b"the token", in_an_hour()).unwrap();
        assert_eq!(mine.load(PARTITION).unwrap().unwrap(), b"the token");
        assert_eq!(files(&place, 2).load(PARTITION).unwrap(), None);
        assert_eq!(mine.load("another").unwrap(), None);
        let of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((of(mine.directory()), of(&the_file(&mine))), (0o700, 0o600));
        let text = fs::read_to_string(the_file(&mine)).unwrap();
        assert!(!text.contains("client") && !text.contains(&STANDARD.encode("the token")), "{text}");
        // Twice the same is never the same file.
        mine.save(PARTITION, b"the token", in_an_hour()).unwrap();
        assert_ne!(fs::read_to_string(the_file(&mine)).unwrap(), text);
        mine.save(PARTITION, b"the token", SystemTime::now()).unwrap();
        assert_eq!(mine.load(PARTITION).unwrap(), None);
    }

    /// Is a file that was changed in any byte, cut off or moved as good as none, and replaced; and are what has expired and, on
    /// demand, all that is a store's removed, and nothing else?
    #[test]
    fn changed() {
        let place = tempfile::tempdir().unwrap();
        let mine = files(&place, 1);
        mine.save(PARTITION, b"the token", in_an_hour()).unwrap();
        let (path, whole) = (the_file(&mine), fs::read(the_file(&mine)).unwrap());
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(mine.load(PARTITION).unwrap(), None, "byte {index}");
            fs::write(&path, &whole[..index]).unwrap();
            assert_eq!(mine.load(PARTITION).unwrap(), None, "{index} bytes");
        }
        fs::write(&path, &whole).unwrap();
        let other = mine.directory().join(file(&label(&["tokens", "another"]), TOKENS));
        fs::rename(&path, &other).unwrap();
        assert_eq!(mine.load("another").unwrap(), None, "it is for another partition");
        mine.save("another", b"new", in_an_hour()).unwrap();
        assert_eq!(mine.load("another").unwrap().unwrap(), b"new");

        mine.save("over", b"old", SystemTime::now()).unwrap();
        let over = mine.directory().join(file(&label(&["tokens", "over"]), TOKENS));
        assert!(over.exists());
        mine.save(PARTITION, b"the token", in_an_hour()).unwrap();
        assert!(!over.exists() && other.exists());
        fs::write(mine.directory().join("mine.txt"), "not of a store").unwrap();
        assert_eq!(mine.clear().unwrap(), 2);
        let left: Vec<_> =
            fs::read_dir(mine.directory()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mine.txt"]);
    }

    /// Is a directory or a file that others may use refused, a link not followed, and a secret that can be guessed not taken?
    #[test]
    fn not_safe() {
        let place = tempfile::tempdir().unwrap();
        let mine = files(&place, 1);
        mine.save(PARTITION, b"the token", in_an_hour()).unwrap();
        let path = the_file(&mine);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(mine.load(PARTITION).unwrap_err().message().contains("others may use it"));
        fs::remove_file(&path).unwrap();
        fs::write(place.path().join("elsewhere"), "x").unwrap();
        symlink(place.path().join("elsewhere"), &path).unwrap();
        assert!(mine.load(PARTITION).unwrap_err().message().contains("symbolic link"));
        mine.save(PARTITION, b"the token", in_an_hour()).unwrap();
        assert_eq!(fs::read(place.path().join("elsewhere")).unwrap(), b"x");
        assert_eq!(mine.load(PARTITION).unwrap().unwrap(), b"the token");

        let open = |path: &Path| TokenFiles::open(path).err().map(|error| error.message().to_owned());
        symlink(mine.directory(), place.path().join("link")).unwrap();
        assert!(open(&place.path().join("link")).unwrap().contains("symbolic link"));
        fs::set_permissions(mine.directory(), fs::Permissions::from_mode(0o750)).unwrap();
        assert!(open(mine.directory()).unwrap().contains("chmod go-rwx"));
        assert!(open(Path::new("relative")).unwrap().contains("absolute"));
        let short = TokenFiles::open(place.path().join("other")).unwrap();
        assert!(
            short.with_secret(&SecretBytes::new("a password")).err().unwrap().message().contains("32 bytes")
        );
    }

    /// Does a lock keep others out, until it is dropped, and no longer than they want to wait?
    #[test]
    fn locks() {
        let place = tempfile::tempdir().unwrap();
        let (one, other) = (files(&place, 1), files(&place, 1));
        let held = one.lock("a", Duration::ZERO).unwrap();
        assert!(other.lock("a", Duration::from_millis(30)).is_none());
        assert!(other.lock("b", Duration::ZERO).is_some());
        other.save("a", b"x", in_an_hour()).unwrap();
        drop(held);
        assert!(other.lock("a", Duration::ZERO).is_some());
    }

    /// Is a file opened that was written when the format was made, and so by any version that has it?
    #[test]
    fn what_an_earlier_version_wrote() {
        let file = include_bytes!("../../fuzz/seeds/token_files/sealed");
        let opened =
            Key::new(&[7; 32]).unwrap().open(&label(&["tokens", "the-partition"]), file, 1_767_225_600);
        assert_eq!(opened.unwrap().as_slice(), b"{\"version\":1,\"tokens\":[]}");
    }
}
