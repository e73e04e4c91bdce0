//! Keys in a TPM: a software one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use devcloud::directory::{APP_A_CLIENT_ID, TENANT_ID};

use crate::support::{GRAPH, PROGRAM, cloud, fail, in_cloud, in_cloud_as, json, succeed, tool};
use crate::swtpm::Swtpm;

/// Is the key of a managed identity made in the TPM, and that of an app used where a TSS2 PRIVATE KEY file leads to it; and
/// is neither in software where there is no TPM; and does it sign the request for its next certificate?
#[test]
fn keys_in_a_tpm() {
    let (cloud, swtpm) = (cloud(), Swtpm::start());
    let place = tempfile::tempdir().unwrap();
    tool(
        place.path(),
        &format!(
            "export TPM2OPENSSL_TCTI={tcti}
             openssl genpkey -provider tpm2 -provider default -propquery '?provider=tpm2' -algorithm RSA \
                 -pkeyopt bits:2048 -out key.pem
             openssl rsa -provider tpm2 -provider default -in key.pem -pubout -out public.pem
             openssl rsa -pubin -in public.pem -RSAPublicKey_out -outform DER -out public.der",
            tcti = swtpm.tcti()
        ),
    );
    let public_key = fs::read(place.path().join("public.der")).unwrap();
    let chain = place.path().join("chain.pem");
    fs::write(&chain, cloud.certify_sni_key(&public_key).unwrap()).unwrap();

    let identity = format!("token --pop --resource {GRAPH} --tpm");
    let app = format!(
        "token --pop --resource {GRAPH} --tenant {TENANT_ID} --client-id {APP_A_CLIENT_ID} --certificate {} --key {}",
        chain.display(),
        place.path().join("key.pem").display()
    );
    let program = beside_the_plugin(place.path());
    for arguments in [identity, app] {
        let printed = json(in_cloud_as(&program, &cloud, &arguments).env("TPM2TOOLS_TCTI", swtpm.tcti()));
        assert_eq!(printed["bindingStrength"], "Hardware", "{arguments}");
        let mut none = in_cloud_as(&program, &cloud, &arguments);
        let said =
            fail(none.env("TPM2TOOLS_TCTI", "swtpm:host=127.0.0.1,port=1").env("TSS2_LOG", "all+none"), 3);
        assert!(said.contains("TPM"), "{said}");
    }
    let csr = format!(
        "certificate csr --certificate {} --key {}",
        chain.display(),
        place.path().join("key.pem").display()
    );
    let request = succeed(in_cloud_as(&program, &cloud, &csr).env("TPM2TOOLS_TCTI", swtpm.tcti()));
    fs::write(place.path().join("request.pem"), request).unwrap();
    let said = tool(
        place.path(),
        "openssl req -in request.pem -verify -noout 2>&1; openssl req -in request.pem -noout -pubkey | cmp - public.pem",
    );
    assert!(said.contains("verify OK"), "{said}");
    let app = format!("token --resource {GRAPH} --tenant x --client-id y --secret-file - --tpm");
    assert!(fail(&mut in_cloud(&cloud, &app), 2).contains("--key"));
}

/// Is a cache encrypted under what only this TPM makes: open in the next run, and to nobody without the TPM, or with another;
/// and is it made anew when it was cleared?
#[test]
fn a_cache_under_a_key_in_the_tpm() {
    let (cloud, swtpm, other) = (cloud(), Swtpm::start(), Swtpm::start());
    let place = tempfile::tempdir().unwrap();
    let program = beside_the_plugin(place.path());
    let run = |arguments: &str, tcti: &str| {
        let mut command = in_cloud_as(&program, &cloud, arguments);
        command.env("XDG_CACHE_HOME", place.path().join("cache")).env("TPM2TOOLS_TCTI", tcti);
        command.env("TSS2_LOG", "all+none");
        command
    };
    let get = format!(
        "token --resource {GRAPH} --tenant {TENANT_ID} --client-id {APP_A_CLIENT_ID} --certificate {} --cache --cache-key tpm \
         --output token",
        cloud.files().sni().display()
    );
    let first = succeed(&mut run(&get, &swtpm.tcti()));
    assert_eq!((succeed(&mut run(&get, &swtpm.tcti())), cloud.counter("token")), (first.clone(), 1));
    let key = place.path().join("cache/mtlspop/tpm-key.pem");
    assert!(fs::read_to_string(&key).unwrap().starts_with("-----BEGIN TSS2 PRIVATE KEY-----"));
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let last = "inspect --last --cache-key tpm --output table";
    assert!(succeed(&mut run(last, &swtpm.tcti())).contains(APP_A_CLIENT_ID));

    assert!(fail(&mut run(&get, "swtpm:host=127.0.0.1,port=1"), 3).contains("TPM"));
    assert!(fail(&mut run(&get, &other.tcti()), 6).contains("mtlspop cache clear"));
    assert_eq!(cloud.counter("token"), 1, "nothing was asked for in its place");
    succeed(&mut run("cache clear", &other.tcti()));
    assert!(!key.exists());
    assert_ne!(succeed(&mut run(&get, &other.tcti())), first);
}

/// The program as `make install` leaves it, with the plugin that was built for this test run.
fn beside_the_plugin(directory: &Path) -> PathBuf {
    let plugin = std::env::current_exe().unwrap().with_file_name("libmtlspop_tpm.so");
    assert!(plugin.exists(), "no {}: cargo test --package mtlspop-tpm --no-run", plugin.display());
    fs::copy(&plugin, directory.join("libmtlspop_tpm.so")).unwrap();
    let program = directory.join("mtlspop");
    fs::copy(PROGRAM, &program).unwrap();
    program
}
