//! `mtlspop certificate`: shown, and exported for other programs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::{GRAPH, as_app, cloud, fail, in_cloud, json, succeed, tool};

/// Do thumbprints and dates agree with OpenSSL's, for an app's certificate, which nobody is asked for, and for that of a managed
/// identity?
#[test]
fn shown() {
    let cloud = cloud();
    let sni = cloud.files().sni();
    let of_app = json(&mut as_app(&cloud, "certificate show"));
    assert_eq!(cloud.requests().len(), 0);
    let openssl = tool(
        &cloud.files().directory,
        &format!(
            "openssl x509 -in {} -noout -fingerprint -sha256; date -d \"$(openssl x509 -in {} -noout -enddate | cut -d = -f 2)\" +%s",
            sni.display(),
            sni.display()
        ),
    );
    let mut lines = openssl.lines();
    let fingerprint = lines.next().unwrap().split('=').next_back().unwrap().replace(':', "");
    assert_eq!(of_app["sha256"], fingerprint);
    assert_eq!(of_app["not_after"].to_string(), lines.next().unwrap());
    assert_eq!((&of_app["strength"], &of_app["exportable"]), (&"Software".into(), &true.into()));
    let table = succeed(&mut as_app(&cloud, "certificate show --output table"));
    assert!(table.contains("CN=app-a.devcloud.test") && table.contains(", in 36"), "{table}");
    let managed = json(&mut in_cloud(&cloud, &format!("certificate show --resource {GRAPH}")));
    assert!(managed["subject"].as_str().unwrap().starts_with("DC="), "{managed}");
    let said = fail(&mut in_cloud(&cloud, "certificate show --client-id a --tenant b --secret-file -"), 2);
    assert!(said.contains("has no certificate"), "{said}");
}

/// Can OpenSSL read each format, is the file its owner's alone and whole or not there, and is what is no file left alone?
#[test]
fn exported() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::write(path("password"), "geheim\n").unwrap();
    let export = |name: &str, options: &str| {
        succeed(&mut as_app(&cloud, &format!("certificate export --out {} {options}", path(name).display())));
        assert_eq!(fs::metadata(path(name)).unwrap().permissions().mode() & 0o777, 0o600);
    };
    export("cert.pem", "");
    export("chain.pem", "--format chain");
    export("cert.pfx", &format!("--format pfx --pfx-password-file {}", path("password").display()));
    tool(
        place.path(),
        "openssl pkcs12 -in cert.pfx -passin pass:geheim -nodes -out from-pfx.pem
         for file in cert.pem from-pfx.pem; do openssl pkey -in $file -pubout; done | sort -u >keys
         [ $(grep -c BEGIN keys) = 1 ] && [ $(grep -c BEGIN chain.pem) = 2 ] && ! grep PRIVATE chain.pem
         openssl x509 -in cert.pem -noout",
    );
    for (options, says) in
        [("--format pfx", "--pfx-password-file"), ("--pfx-password-file -", "for --format pfx")]
    {
        let said = fail(&mut as_app(&cloud, &format!("certificate export --out /nowhere/x {options}")), 2);
        assert!(said.contains(says), "{said}");
    }
    symlink(path("cert.pem"), path("link")).unwrap();
    for name in ["link", "."] {
        let said =
            fail(&mut as_app(&cloud, &format!("certificate export --out {}", path(name).display())), 2);
        assert!(said.contains("is no file"), "{said}");
    }
    fail(&mut as_app(&cloud, "certificate export --out /nowhere/x"), 23);
    let names = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        !names.into_iter().any(|name| name.to_string_lossy().contains(".pem.")),
        "nothing is left behind"
    );
}

/// Can OpenSSL verify the request for each kind of key, is it for the certificate's own subject or another one, and is it told who issues
/// certificates where there is nothing to ask for?
#[test]
fn requested() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let (rsa, ec) = (cloud.files().sni(), cloud.files().sni_ec());
    for (certificate, options, subject) in [
        (&rsa, "", "CN = app-a.devcloud.test"),
        (&ec, "", "CN = app-a.devcloud.test"),
        (&ec, "--subject CN=next,O=Contoso", "O = Contoso, CN = next"),
    ] {
        let csr = format!("certificate csr --certificate {} {options}", certificate.display());
        let written = format!("{csr} --out {}", place.path().join("request.pem").display());
        succeed(&mut as_app(&cloud, &written));
        let said = tool(
            place.path(),
            &format!(
                "openssl req -in request.pem -verify -noout 2>&1
                 openssl req -in request.pem -noout -subject -nameopt oneline
                 [ \"$(openssl req -in request.pem -noout -pubkey)\" = \"$(openssl x509 -in {} -noout -pubkey)\" ]",
                certificate.display()
            ),
        );
        assert!(said.contains("verify OK") && said.contains(subject), "{said}");
        let printed = succeed(&mut as_app(&cloud, &csr));
        assert!(printed.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"), "{printed}");
    }
    for (options, says) in [("--managed-identity", "IMDS issues"), ("--subject x", "RFC 4514")] {
        assert!(fail(&mut as_app(&cloud, &format!("certificate csr {options}")), 2).contains(says));
    }
    assert_eq!(cloud.requests().len(), 0);
}

/// Does the next certificate of a managed identity take the place of the kept one, for tokens from then on; and is it told who renews
/// those that IMDS does not issue?
#[test]
fn renewed() {
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    let key = format!("--cache-key file:{}", place.path().join("key").display());
    let run = |arguments: &str| {
        let mut command = in_cloud(&cloud, &format!("{arguments} {key}"));
        json(command.env("XDG_CACHE_HOME", place.path()))["x5t#S256"].as_str().unwrap().to_owned()
    };
    let token = format!("token --pop --cache --resource {GRAPH}");
    let first = run("certificate renew");
    assert_eq!(run(&token), first);
    let second = run("certificate renew");
    assert!(first != second && run(&token) == second && run(&token) == second);
    assert_eq!(cloud.counter("issuecredential"), 2);
    let said = fail(&mut as_app(&cloud, "certificate renew"), 2);
    assert!(said.contains("whoever issued"), "{said}");
    let said = fail(&mut in_cloud(&cloud, "certificate renew --client-id a --tenant b --secret-file -"), 2);
    assert!(said.contains("has no certificate"), "{said}");
    let mut elsewhere = in_cloud(&cloud, &format!("certificate renew {key}"));
    elsewhere.env("XDG_CACHE_HOME", place.path()).envs(cloud.source_env(devcloud::Source::AppService));
    assert!(fail(&mut elsewhere, 3).contains("App Service, which issues no certificates"));
}
