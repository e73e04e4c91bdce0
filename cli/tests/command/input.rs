//! What is wrong is said in one line, with a status that a script can tell apart, and never with a secret.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use devcloud::Fault;
use devcloud::directory::{APP_A_CLIENT_ID, TENANT_ID};

use crate::support::{GRAPH, as_app, bare, cloud, fail, fail_with, in_cloud, tool};

/// Does each mistake in what is given say what it is, before anything is sent?
#[test]
fn mistakes() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let token = format!("token --resource {GRAPH}");
    let app = format!("{token} --tenant {TENANT_ID} --client-id {APP_A_CLIENT_ID}");
    let (empty, line_break) = (file("empty", b""), file("break", b"\n"));
    let (key, binary) = (file("key", b"-----BEGIN\nkey\n"), file("binary", b"\xff\xfe"));
    let huge = file("huge", &vec![b'x'; 2_000_000]);
    let sni = cloud.files().sni().display().to_string();
    let chain = cloud.files().sni_certificate().display().to_string();
    let encrypted = place.path().join("encrypted").display().to_string();
    let openssl = format!("openssl pkey -in {sni} -aes256 -passout pass:geheim -out {encrypted}");
    tool(place.path(), &openssl);
    for (arguments, status, says) in [
        ("token".to_owned(), 2, "--resource"),
        (format!("{app} --secret-file x --certificate {sni}"), 2, "one of a secret and a certificate"),
        (format!("{token} --managed-identity --secret-file {key}"), 2, "one of a managed identity"),
        (format!("{token} --object-id a --resource-id b"), 2, "by one id"),
        (format!("{token} --secret-file {key} --tenant x"), 2, "--client-id"),
        (format!("{token} --certificate {sni} --client-id x"), 2, "--tenant"),
        (format!("{token} --tenant x"), 2, "names a tenant, but nothing proves an app"),
        (format!("{app} --certificate {sni} --authority-host ftp://x"), 2, "https"),
        (format!("{app} --secret-file /nowhere"), 6, "/nowhere cannot be read: No such file"),
        (format!("{app} --secret-file {}", place.path().display()), 6, "cannot be read: Is a directory"),
        (format!("{app} --secret-file {empty}"), 6, "is empty"),
        (format!("{app} --secret-file {line_break}"), 6, "is empty"),
        (format!("{app} --secret-file {key}"), 6, "more than one line"),
        (format!("{app} --secret-file {binary}"), 6, "is not UTF-8"),
        (format!("{app} --secret-file {huge}"), 6, "longer than 1 MiB"),
        (format!("{app} --secret-file /dev/zero"), 6, "longer than 1 MiB"),
        (format!("{app} --secret-file - --pop"), 6, "stdin is empty"),
        (format!("{app} --certificate {huge}"), 6, "longer than 1 MiB"),
        (format!("{app} --certificate {binary}"), 6, "binary"),
        (format!("{app} --certificate {sni} --key /nowhere"), 6, "/nowhere"),
        (format!("{app} --certificate {chain}"), 6, "--key names the file of the private key"),
        (
            format!("{app} --certificate {chain} --key {encrypted}"),
            6,
            "--certificate-password-file or AZURE_",
        ),
        (format!("{app} --federated-token-file {empty}"), 6, "is empty"),
    ] {
        let said = fail(&mut in_cloud(&cloud, &arguments), status);
        assert!(said.contains(says), "{arguments}: {said}");
    }
    let pop = format!("{app} --secret-file {} --pop", file("secret", b"hunter2"));
    let said = fail(&mut in_cloud(&cloud, &pop), 2);
    assert!(said.contains("a client secret cannot prove possession") && !said.contains("hunter2"), "{said}");
    let said = fail_with(&mut in_cloud(&cloud, &format!("{app} --secret-file -")), b"\xff", 6);
    assert!(said.contains("stdin is not UTF-8"), "{said}");
    // What cannot be read was not left out.
    let mut command = as_app(&cloud, &token);
    let said = fail(command.env("AZURE_CLIENT_CERTIFICATE_PATH", OsStr::from_bytes(b"\xff")), 2);
    assert!(said.contains("AZURE_CLIENT_CERTIFICATE_PATH is not UTF-8"), "{said}");
    assert_eq!(cloud.requests().len(), 0, "nothing was sent");

    // What is no option, or no text, is clap's to say; of what others have as options we say what to do, and never a value.
    for (arguments, says) in [
        ("token --client-secret hunter2", "--secret-file names a file"),
        ("token --client-secret=hunter2", "--secret-file names a file"),
        ("token --password hunter2", "--secret-file names a file"),
        ("token --resource https://graph.microsoft.com/.default", "leave /.default out"),
        ("token --resource=", "the API is missing"),
        ("token --client-id=", "a value is required for '--client-id <ID>'"),
        ("call -sk https://x", "SSL_CERT_FILE"),
    ] {
        let output = bare(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says) && !said.contains("hunter2"), "{arguments}: {said}");
    }
    for word in [OsStr::new("--client-secret"), OsStr::from_bytes(b"\xff")] {
        let output = bare("token --resource").arg(word).arg("x").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

/// Does the status tell who refused, who did not answer, and what to wait for?
#[test]
fn statuses() {
    let cloud = cloud();
    let token = format!("token --resource {GRAPH}");
    let said =
        fail_with(&mut as_app(&cloud, &format!("{token} --secret-file -")), b"wrong~but.looks-like-one", 4);
    assert!(said.contains("AADSTS7000215") && said.contains("(invalid_client, correlation id "), "{said}");
    assert!(!said.contains("wrong~"), "{said}");
    cloud
        .fault(Fault { headers: [("retry-after".into(), "60".into())].into(), ..Fault::status("token", 429) })
        .unwrap();
    fail(&mut as_app(&cloud, &token), 7);
    let mut dead = as_app(&cloud, &token);
    fail(dead.env("HTTPS_PROXY", "http://127.0.0.1:1"), 5);
    let mut untrusted = as_app(&cloud, &token);
    fail(untrusted.env("SSL_CERT_FILE", cloud.files().client_cas()), 5);
    // Bound tokens come from IMDS only.
    let mut shell = in_cloud(&cloud, &format!("{token} --pop"));
    fail(shell.env("MSI_ENDPOINT", "http://127.0.0.1:1/"), 3);
    let mut nobody = in_cloud(&cloud, &token);
    let said = fail(nobody.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1"), 5);
    assert!(said.contains("no option and no variable brings a credential"), "{said}");
}

/// Does a reader who goes end it without a word, and a full disk with one, in place of a panic?
#[test]
fn outputs_that_end() {
    let cloud = cloud();
    let token = format!("token --resource {GRAPH}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = as_app(&cloud, &token).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(23), 0), "{output:?}");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let output = as_app(&cloud, &token).stdout(full()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(23), "{said}");
    assert!(said.contains("stdout cannot be written: No space left on device"), "{said}");
    let status = bare("token").stderr(full()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
    let (_, writer) = std::io::pipe().unwrap();
    let output = bare("--help").stdout(writer).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
}
