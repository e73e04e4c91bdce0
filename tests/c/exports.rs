//! Can other programs use what is exported: curl and libcurl, nginx, openssl, Mono; and do they keep an OpenSSL of their own?

use std::fs;
use std::process::Command;

use super::{Program, cloud};
use crate::support::{beside_nginx, builds, hermetic, library_directory, root, succeed};

/// Does a real nginx see the certificate that a token came with, from libcurl with chain and key in memory and
/// from the library itself, over TLS 1.2 and 1.3?
#[test]
fn nginx_sees_the_certificate_of_libcurl() {
    let program = Program::linked_with("libcurl", &["-Wl,--no-as-needed", "-lcurl"]);
    let cloud = cloud();
    for &build in builds() {
        println!("{}", succeed(&mut beside_nginx(&program.command(build, &cloud))));
    }
}

/// Does Graph take a bound token from curl with the exported certificate and key, and do OpenSSL and
/// Mono open the PFX files?
#[test]
fn other_programs_use_what_is_exported() {
    let program = Program::new("export");
    let cloud = cloud();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    for &build in builds() {
        println!("{}", succeed(program.command(build, &cloud).arg(place)));
    }
    let file = |name: &str| place.join(name).display().to_string();

    let mut curl = hermetic("curl", 60);
    curl.envs(cloud.env())
        .args(["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}"])
        .args(["--cacert", &cloud.ca_pem_path().display().to_string()])
        .args(["--cert", &file("chain.pem"), "--key", &file("key.pem")])
        .args(["--header", &format!("@{}", file("header")), "https://graph.microsoft.com/v1.0/applications"]);
    assert_eq!(succeed(&mut curl), "200");

    for (pfx, options) in [("modern.pfx", &[][..]), ("legacy.pfx", &["-legacy"][..])] {
        let mut openssl = hermetic("openssl", 60);
        openssl.args(["pkcs12", "-in", &file(pfx), "-passin", "pass:password", "-noenc"]).args(options);
        let opened = succeed(&mut openssl);
        assert!(opened.contains("PRIVATE KEY") && opened.contains("BEGIN CERTIFICATE"), "{pfx}: {opened}");
    }

    let thumbprint = fs::read_to_string(place.join("thumbprint")).unwrap();
    let reader = file("open_pfx.exe");
    succeed(Command::new("mcs").arg(format!("-out:{reader}")).arg(root().join("tests/c/open_pfx.cs")));
    let opened = succeed(Command::new("mono").args([&reader, &file("legacy.pfx"), "password"]));
    assert_eq!(opened.trim(), thumbprint);
}

/// Does a program that has an OpenSSL of its own link with the static library, in either order, and do both speak TLS
/// there, ours with a renegotiation?
#[test]
fn openssl_beside_the_static_library() {
    let place = tempfile::tempdir().unwrap();
    let cloud = cloud();
    let archive = library_directory().join("libmtlspop.a").display().to_string();
    for (name, libraries) in
        [("ours-first", [&*archive, "-lssl", "-lcrypto"]), ("ours-last", ["-lssl", "-lcrypto", &*archive])]
    {
        let program = place.path().join(name);
        let mut gcc = hermetic("gcc", 120);
        gcc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-I"]).arg(root().join("include"));
        gcc.arg("-o").arg(&program).arg(root().join("tests/c/openssl.c")).args(libraries);
        succeed(gcc.args(["-Wl,--no-as-needed", "-pthread", "-ldl", "-lm"]));
        println!("{name}: {}", succeed(hermetic(&program, 60).envs(cloud.env())));
    }
}
