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
