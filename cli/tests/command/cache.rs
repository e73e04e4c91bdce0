//! What `--cache` keeps between runs: for whom, how well, and what it costs where it cannot.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use devcloud::{Cloud, Fault};
use tempfile::TempDir;

use crate::support::{GRAPH, PROGRAM, as_app, cloud, fail, in_cloud, json, succeed};

/// A cloud, and a home with a secret in a file, as containers have it.
struct Place {
    cloud: Cloud,
    home: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { cloud: cloud(), home: tempfile::tempdir().unwrap() }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("cache/mtlspop")
    }

    /// A command with `--cache`, as app A.
    fn command(&self, arguments: &str) -> Command {
        self.at_home(as_app(&self.cloud, &self.with_key(arguments)))
    }

    fn with_key(&self, arguments: &str) -> String {
        format!("{arguments} --cache --cache-key file:{}/key", self.home.path().display())
    }

    fn at_home(&self, mut command: Command) -> Command {
        command.env("XDG_CACHE_HOME", self.home.path().join("cache"));
        command
    }

    /// Those of the cache that end so, with what is in them.
    fn files(&self, end: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap().path());
        let named = entries.filter(|path| path.to_str().unwrap().ends_with(end));
        named.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// A run that gets a token; how many times the service had been asked when it ended.
    fn run(&self, arguments: &str) -> u64 {
        succeed(&mut self.command(arguments));
        self.cloud.counter("token")
    }
}

fn token() -> String {
    format!("token --resource {GRAPH} --output token")
}

/// Is the token of an app, Bearer and bound, there for the next run, and in no file as it is, with nothing kept by who did not ask
/// for it; is it shown by inspect; and is all of it gone when it is cleared?
#[test]
fn tokens_are_kept() {
    let place = Place::new();
    succeed(&mut place.at_home(as_app(&place.cloud, &token())));
    assert!(!place.home.path().join("cache").exists(), "nobody asked for it");
    let first = succeed(&mut place.command(&token()));
    assert_eq!((place.run(&token()), succeed(&mut place.command(&token()))), (2, first.clone()));
    let bound = format!("token --pop --resource {GRAPH}");
    let bound = [json(&mut place.command(&bound)), json(&mut place.command(&bound))];
    assert_eq!(bound[0]["accessToken"], bound[1]["accessToken"]);
    assert_eq!((bound[1]["tokenType"].as_str(), place.cloud.counter("token")), (Some("mtls_pop"), 3));
    let call = format!("call --pop --resource {GRAPH} https://mtlstb.graph.microsoft.com/v1.0/applications");
    assert_eq!(json(&mut place.command(&call))["token_type"], "mtls_pop");
    let asked = place.cloud.counter("token");
    assert_eq!(
        (json(&mut place.command(&call))["method"].as_str(), place.cloud.counter("token")),
        (Some("GET"), asked)
    );

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.directory()), mode(&place.home.path().join("key"))), (0o700, 0o600));
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    for token in [first.trim(), bound[0]["accessToken"].as_str().unwrap()] {
        secrets.extend(token.split('.').map(|part| part.as_bytes().to_vec()));
        secrets.extend(token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()));
        // In the middle of a text in Base64 it looks in three ways.
        secrets.extend((0..3).map(|skip| STANDARD.encode(&token[skip..skip + 300]).into_bytes()));
    }
    assert!(place.files(".tokens").len() >= 3);
    for (path, content) in place.files("") {
        assert_eq!(mode(&path), 0o600);
        let found =
            secrets.iter().find(|secret| content.windows(secret.len()).any(|part| part == &secret[..]));
        assert!(found.is_none(), "{}", path.display());
    }

    let last = format!("inspect --last --output json --cache-key file:{}/key", place.home.path().display());
    let shown = json(&mut place.at_home(as_app(&place.cloud, &last)));
    assert_eq!(shown["claims"]["cnf"]["x5t#S256"], bound[0]["x5t#S256"]);
    let said = succeed(&mut place.at_home(as_app(&place.cloud, "cache clear")));
    assert!(said.starts_with("removed 4 files from "), "{said}");
    assert_eq!(place.files("").len(), 0);
    let said = fail(&mut place.at_home(as_app(&place.cloud, &last)), 2);
    assert!(said.contains("no token is kept"), "{said}");
    assert_eq!(place.run(&token()), asked + 1);
}

/// Do runs at the same time ask once, for all of them?
#[test]
fn runs_at_once_ask_once() {
    let place = Place::new();
    place
        .cloud
        .fault(Fault { operation: "token".into(), times: 1, delay_ms: 300, ..Fault::default() })
        .unwrap();
    let start = || place.command(&token()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let outputs: Vec<_> = (0..4)
        .map(|_| start())
        .collect::<Vec<_>>()
        .into_iter()
        .map(|run| run.wait_with_output().unwrap())
        .collect();
    assert!(outputs.iter().all(|output| output.status.success() && output.stderr.is_empty()), "{outputs:?}");
    assert!(outputs.iter().all(|output| output.stdout == outputs[0].stdout && output.stdout.len() > 100));
    assert_eq!(place.cloud.counter("token"), 1);
}

/// Is what was changed, cut off, or left by another secret as good as none, and replaced; and is a directory that others may
/// use, or a secret that can be guessed, refused with what to do?
#[test]
fn nothing_foreign_is_believed() {
    let place = Place::new();
    assert_eq!(place.run(&token()), 1);
    let mut asked = 1;
    let spoil: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[1000] ^= 1, |bytes| bytes.truncate(1000), |bytes| *bytes = b"{}".to_vec()];
    for spoil in spoil {
        for (path, mut content) in place.files(".tokens") {
            spoil(&mut content);
            fs::write(path, content).unwrap();
        }
        asked += 1;
        assert_eq!([place.run(&token()), place.run(&token())], [asked; 2]);
    }
    fs::write(place.home.path().join("key"), [b'x'; 32]).unwrap();
    assert_eq!([place.run(&token()), place.run(&token())], [asked + 1; 2], "another secret");

    // Others may read the file, or it is elsewhere: said, and replaced.
    for (path, content) in place.files(".tokens") {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(place.home.path().join("elsewhere"), content).unwrap();
    }
    let output = place.command(&token()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("mtlspop: warning: ") && said.contains("others may use it"),
        "{said}"
    );
    assert_eq!(place.run(&token()), asked + 2);
    for (path, _) in place.files(".tokens") {
        fs::remove_file(&path).unwrap();
        symlink(place.home.path().join("elsewhere"), &path).unwrap();
    }
    assert!(place.command(&token()).output().unwrap().status.success());
    assert_eq!(place.run(&token()), asked + 3);

    fs::write(place.home.path().join("key"), "hunter2").unwrap();
    let said = fail(&mut place.command(&token()), 6);
    assert!(said.contains("/key: the secret has fewer than 32 bytes") && !said.contains("hunter2"), "{said}");
    fs::remove_file(place.home.path().join("key")).unwrap();
    fs::set_permissions(place.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [token(), "cache clear".to_owned()] {
        let said = match arguments.as_str() {
            "cache clear" => fail(&mut place.at_home(as_app(&place.cloud, &arguments)), 2),
            _ => fail(&mut place.command(&arguments), 2),
        };
        assert!(
            said.contains("cache/mtlspop: the directory is not safe") && said.contains("chmod go-rwx"),
            "{said}"
        );
    }
    let said = fail(place.command(&token()).env_remove("XDG_CACHE_HOME"), 2);
    assert!(said.contains("set XDG_CACHE_HOME"), "{said}");
    for wrong in ["tpm:", "file:", "x"] {
        let output =
            as_app(&place.cloud, &format!("{} --cache --cache-key {wrong}", token())).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("keyring, tpm or file:PATH"), "{output:?}");
    }
}

/// Do a full disk and a read-only directory cost a token request and a word, but not the token?
#[test]
fn disks_that_take_nothing() {
    let place = Place::new();
    let directory = place.directory();
    fs::create_dir_all(&directory).unwrap();
    fs::write(place.home.path().join("key"), [b'x'; 32]).unwrap();
    let read_only = format!("mount -t tmpfs -o ro,mode=700 none {}; ", directory.display());
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    for (through, prepare, says) in [
        (&[][..], "trap '' XFSZ; ulimit -f 0; ".to_owned(), "File too large"),
        (&namespace, read_only, "Read-only file system"),
    ] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let script = |command: &str| {
            let words = through.iter().copied().chain(["sh", "-ec"]);
            let mut words = words.chain([command]).map(str::to_owned).collect::<Vec<_>>();
            words.extend(["sh".to_owned(), PROGRAM.to_owned()]);
            let mut command = place.at_home(Command::new(&words[0]));
            command.args(&words[1..]).envs(place.cloud.env());
            command
        };
        let tried = script(&prepare).output().unwrap();
        if !tried.status.success() {
            println!("left out, as it cannot be had: {prepare}: {}", String::from_utf8_lossy(&tried.stderr));
            continue;
        }
        let before = place.cloud.counter("token");
        let mut command = script(&format!("{prepare} exec \"$@\""));
        // To a pipe: what limits files leaves it alone.
        let output = command.args(place.with_key(&token()).split_whitespace()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && output.stdout.len() > 100, "{says}: {said}");
        assert!(
            said.starts_with("mtlspop: warning: the token store cannot be written") && said.contains(says),
            "{said}"
        );
        assert_eq!((said.lines().count(), place.cloud.counter("token")), (1, before + 1), "{said}");
    }
}

/// Is the certificate of a managed identity kept, and used by the next run, and never a token?
#[test]
fn certificates_of_managed_identities_are_kept() {
    let place = Place::new();
    let run = |options: &str| {
        let arguments = place.with_key(&format!("token --managed-identity --resource {GRAPH} {options}"));
        json(&mut place.at_home(in_cloud(&place.cloud, &arguments)))
    };
    run("");
    assert_eq!(place.files(".tokens").len() + place.files(".binding").len(), 0);
    let bound = [run("--pop"), run("--pop")];
    assert_eq!(bound[0]["x5t#S256"], bound[1]["x5t#S256"]);
    assert_eq!((place.cloud.counter("issuecredential"), place.files(".binding").len()), (1, 1));
    assert_eq!(place.files(".tokens").len(), 0);
    for (path, content) in place.files("") {
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("eyJ") && !text.contains("BEGIN"), "{}", path.display());
    }
}

/// Is the secret in the kernel's keyring unless it is said otherwise, also by a profile; and where there is none to be used, does the
/// error say what to do?
#[test]
fn keyring() {
    let place = Place::new();
    let home = place.home.path();
    fs::create_dir_all(home.join("config/mtlspop")).unwrap();
    fs::write(
        home.join("config/mtlspop/config.toml"),
        "[app]\ncache = true\n[file]\ncache = true\ncache-key = \"file:key\"\n",
    )
    .unwrap();
    let command = |arguments: &str| {
        let mut command = place.at_home(as_app(&place.cloud, arguments));
        command.env("XDG_CONFIG_HOME", home.join("config"));
        command
    };
    for _ in 0..2 {
        succeed(&mut command(&format!("{} --profile file", token())));
        assert!(home.join("config/mtlspop/key").exists() && place.cloud.counter("token") == 1);
    }
    // As in most containers.
    let mut without = Command::new("python3");
    let mut arguments = vec!["-c".to_owned(), WITHOUT_KEYRING.to_owned(), PROGRAM.to_owned()];
    arguments.extend(format!("{} --cache", token()).split_whitespace().map(str::to_owned));
    without.args(arguments).env("XDG_CACHE_HOME", home.join("cache")).envs(place.cloud.env());
    let no_keyring = |said: &str| {
        assert!(said.starts_with("mtlspop: the kernel's keyring cannot be used here ("), "{said}");
        assert!(said.contains("--cache-key file:PATH"), "{said}");
    };
    no_keyring(&fail(&mut without, 6));

    let output = command(&format!("{} --profile app", token())).output().unwrap();
    if !output.status.success() {
        no_keyring(&String::from_utf8_lossy(&output.stderr));
        return println!("left out, as it cannot be had here: the kernel's keyring");
    }
    let keys = || fs::read_to_string("/proc/keys").unwrap_or_default();
    let name = format!("mtlspop:{}", place.directory().display());
    assert_eq!(place.cloud.counter("token"), 2, "another secret than that of the file");
    succeed(&mut command(&format!("{} --cache", token())));
    assert_eq!(place.cloud.counter("token"), 2);
    let shown = json(&mut command("inspect --last"));
    assert_eq!(shown["claims"]["aud"], GRAPH);
    assert!(keys().is_empty() || keys().contains(&name));
    succeed(&mut command("cache clear"));
    succeed(&mut command(&format!("{} --cache", token())));
    assert_eq!(place.cloud.counter("token"), 3);
    succeed(&mut command("cache clear"));
}

/// Runs a program that may not call keyctl(2), by seccomp.
const WITHOUT_KEYRING: &str = "
import ctypes, os, platform, struct, sys
number = {'x86_64': 250, 'aarch64': 219}[platform.machine()]
# Its number is loaded, and compared; EPERM for keyctl, all else is allowed.
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *rule) for rule in rules))
class Filter(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('rules', ctypes.c_void_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Filter(len(rules), ctypes.addressof(program))), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";
