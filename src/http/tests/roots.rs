//! Roots as people have them: used, or an error that names file and line, and never fewer without a word.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use super::server::ok;
use super::*;
use crate::log::LogLevel;

/// A root that vouches for nobody here, to stand before the one that counts.
fn stranger() -> String {
    Ca::new("stranger").pem
}

fn openssl(folder: &Path, command_line: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(command_line.split_whitespace()).current_dir(folder).output().unwrap().status.success()
}

/// An answer of a server of `ca`, where roots are what `edit` and `env` say; and what was logged meanwhile.
fn ask(
    ca: &Ca,
    edit: impl FnOnce(&mut TransportOptions),
    env: &[(&str, &str)],
) -> (Result<Response>, Vec<String>) {
    let server = Server::tls(ca, |_| ok());
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let log = move |_: LogLevel, _: &str, line: &str| sink.lock().unwrap().push(line.to_owned());
    let options = |options: &mut TransportOptions| {
        options.roots_pem = None;
        options.log = Logger::new(LogLevel::Info, Arc::new(log));
        edit(options);
    };
    let pool = pool_with(ca, options, env);
    let answer = pool.plain().and_then(|client| get(&client, &server.url("/")));
    let lines = lines.lock().unwrap().clone();
    (answer, lines)
}

/// Is each root used, whatever has happened to the text, and wherever the text is?
#[test]
fn every_form_of_roots_is_used() {
    let ca = Ca::new("ca");
    let folder = tempfile::tempdir().unwrap();
    let (file, first) = (folder.path().join("roots.pem"), stranger());
    let both = format!("{first}{}", ca.pem);
    let utf16: Vec<_> = format!("\u{feff}{both}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path().join("ca.pem"), &ca.pem).unwrap();
    let trust =
        "-trustout -addtrust serverAuth -addtrust emailProtection -addreject clientAuth -setalias ours";
    assert!(openssl(folder.path(), &format!("x509 -in ca.pem {trust} -out trusted.pem")));
    assert!(openssl(folder.path(), "x509 -in ca.pem -trustout -setalias ours -out alias.pem"));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for (what, text) in [
        ("BOM", format!("\u{feff}{}", ca.pem).into_bytes()),
        ("BOM in the middle", format!("{first}\u{feff}{}", ca.pem).into_bytes()),
        ("glued", format!("{}{}", first.trim_end(), ca.pem).into_bytes()),
        ("indented", both.lines().map(|line| format!("  {line}\n")).collect::<String>().into_bytes()),
        ("CR", both.replace("\r\n", "\n").replace('\n', "\r").into_bytes()),
        ("UTF-16", utf16),
        ("X509", both.replace(" CERTIFICATE", " X509 CERTIFICATE").into_bytes()),
        ("TRUSTED", format!("{first}{}", read("trusted.pem")).into_bytes()),
        ("TRUSTED without usages", format!("{first}{}", read("alias.pem")).into_bytes()),
    ] {
        std::fs::write(&file, &text).unwrap();
        let path = file.to_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("0123abcd.0"), &text).unwrap();
        let (answers, logs): (Vec<_>, Vec<_>) = [
            ask(&ca, |options| options.roots_pem = Some(text.clone()), &[]),
            ask(&ca, |options| options.roots_file = Some(file.clone()), &[]),
            ask(&ca, |_| {}, &[("SSL_CERT_FILE", path)]),
            ask(&ca, |_| {}, &[("SSL_CERT_DIR", dir.path().to_str().unwrap())]),
        ]
        .into_iter()
        .unzip();
        for answer in answers {
            assert!(answer.is_ok(), "{what}: {answer:?}");
        }
        assert_eq!(logs.concat(), [""; 0], "{what}");
    }
}

/// Is a root that its own file distrusts for servers not used, as OpenSSL does not use it, and is that logged?
#[test]
fn distrusted_roots_are_not_used() {
    let ca = Ca::new("ca");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), &ca.pem).unwrap();
    let (leaf, _) = ca.issue(|_| {});
    std::fs::write(folder.path().join("leaf.der"), leaf).unwrap();
    for trust in
        ["-addreject serverAuth", "-addtrust clientAuth", "-addtrust serverAuth -addreject serverAuth"]
    {
        let make = format!("x509 -in ca.pem -trustout {trust} -out trusted.pem");
        assert!(openssl(folder.path(), &make), "{trust}");
        assert!(!openssl(folder.path(), "verify -purpose sslserver -CAfile trusted.pem leaf.der"), "{trust}");
        let text = std::fs::read_to_string(folder.path().join("trusted.pem")).unwrap();
        let (answer, lines) =
            ask(&ca, |options| options.roots_pem = Some((stranger() + &text).into_bytes()), &[]);
        assert_eq!(answer.unwrap_err().transport(), Some(TransportFailure::ServerTls), "{trust}");
        let line = 1 + stranger().lines().count();
        let said = |lines: &[String], origin: &str| {
            let start = format!("{origin}: line {line}: ");
            lines.iter().any(|line| line.starts_with(&start) && line.contains("not for servers"))
        };
        assert!(said(&lines, "the trusted roots option"), "{lines:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, stranger() + &text).unwrap();
        let (answer, lines) = ask(&ca, |_| {}, &[("SSL_CERT_DIR", folder.path().to_str().unwrap())]);
        assert_eq!(answer.unwrap_err().transport(), Some(TransportFailure::ServerTls), "{trust}");
        assert!(said(&lines, file.to_str().unwrap()), "{lines:?}");
        let (answer, _) = ask(&ca, |options| options.roots_pem = Some(text.into_bytes()), &[]);
        let error = answer.unwrap_err();
        assert_eq!(error.code(), "invalid_trusted_roots");
        assert!(error.message().contains("no certificate that is trusted for servers"), "{error}");
    }
}

/// Is a file of which not all can be used an error that names it and the line, however good the rest is?
#[test]
fn unusable_roots_name_file_and_line() {
    let ca = Ca::new("ca");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let path = file.to_str().unwrap();
    let good = stranger();
    let line = 1 + good.lines().count();
    let block =
        |label: &str, base64: &str| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    for (bad, line) in [
        (ca.pem[..ca.pem.len() / 2].to_owned(), line),
        (ca.pem.replace("-----BEGIN", "----BEGIN"), line),
        (block("CERTIFICATE", "!!!!"), line + 1),
        (block("CERTIFICATE", "AAAA"), line),
        (block("CERTIFICATE", "MAMCAQE="), line),
        (block("TRUSTED CERTIFICATE", "MAMCAQEwAwIBAQ=="), line),
        (block("PKCS7", "MAMCAQE="), line),
        (block("CERTIFIKAT", "MAMCAQE="), line),
    ] {
        std::fs::write(&file, format!("{good}{bad}")).unwrap();
        for (answer, origin) in [
            (ask(&ca, |_| {}, &[("SSL_CERT_FILE", path)]), "SSL_CERT_FILE"),
            (ask(&ca, |options| options.roots_file = Some(file.clone()), &[]), "the trusted roots option"),
        ] {
            let error = answer.0.unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidArgument, "invalid_trusted_roots"));
            assert!(error.message().starts_with(&format!("{origin} ({path}): line {line}: ")), "{error}");
        }
        // What lies in a directory does not keep the rest of it from being used.
        std::fs::write(folder.path().join("good.pem"), &ca.pem).unwrap();
        let (answer, lines) = ask(&ca, |_| {}, &[("SSL_CERT_DIR", folder.path().to_str().unwrap())]);
        assert!(answer.is_ok(), "{answer:?}");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("{path}: line {line}: ")), "{lines:?}");
        std::fs::remove_file(folder.path().join("good.pem")).unwrap();
    }
    let (answer, _) = ask(&ca, |_| {}, &[("SSL_CERT_FILE", "/dev/zero")]);
    assert!(answer.unwrap_err().message().contains("larger than 32 MiB"));
}

/// Are links followed once, and those that lead nowhere logged, as are folders that are not there?
#[test]
fn folders_of_links_are_read() {
    let ca = Ca::new("ca");
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real.txt");
    std::fs::write(&real, format!("a text\n{}", ca.pem)).unwrap();
    let links = folder.path().join("links");
    std::fs::create_dir_all(links.join("a folder")).unwrap();
    symlink(&real, links.join("0123abcd.0")).unwrap();
    symlink(&real, links.join("4567abcd.0")).unwrap();
    symlink("nowhere", links.join("89ababcd.0")).unwrap();
    std::fs::write(links.join("README"), "no roots here").unwrap();
    let dirs = std::env::join_paths([&links, &folder.path().join("missing")]).unwrap();
    let (answer, lines) = ask(&ca, |_| {}, &[("SSL_CERT_DIR", dirs.to_str().unwrap())]);
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("89ababcd.0: No such file") && lines[1].contains("missing: No such file"));
}
