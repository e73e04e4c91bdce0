//! Do the Debian packages hold what programs need to be built and run, and say what they themselves need?

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cloud;
use crate::support::{hermetic, library_directory, root, rust_program, succeed};
use crate::swtpm::Swtpm;

/// Makes the packages of what the tests were built with, compressed in haste.
fn packages(directory: &Path) {
    let libraries = library_directory();
    let mut command = hermetic(root().join("scripts/deb.sh"), 240);
    command.env("OUTPUT", directory).env("ARCHIVE", libraries.join("libmtlspop.a"));
    command.env("PLUGIN", libraries.join("libmtlspop_tpm.so")).env("PROGRAM", rust_program("mtlspop"));
    command.env("DPKG_DEB_COMPRESSOR_TYPE", "gzip").env("DPKG_DEB_COMPRESSOR_LEVEL", "1");
    succeed(&mut command);
}

/// The newest version of glibc that the file asks for.
fn glibc(file: &Path) -> (u32, u32) {
    let symbols = succeed(Command::new("objdump").arg("-T").arg(file));
    let versions = symbols.match_indices("GLIBC_").filter_map(|(at, prefix)| {
        let version = symbols[at + prefix.len()..].split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut numbers = version.split('.').map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    });
    versions.max().expect("it uses glibc")
}

/// Does a program in C++ build with the files of the packages alone and run with a key in a TPM; does each
/// package depend on the libraries and the glibc that its own files ask for; and does it say for which release it is,
/// who answers for it and what is new?
#[test]
fn packages_are_whole() {
    let place = tempfile::tempdir().unwrap();
    packages(place.path());
    let scratch = place.path().join("root");
    let architecture = succeed(Command::new("dpkg").arg("--print-architecture"));
    let os = succeed(
        Command::new("sh").args(["-c", ". /etc/os-release && echo \"$ID ${VERSION_ID:-$VERSION_CODENAME}\""]),
    );
    let release = os.trim().replace("debian", "deb").replace(' ', "");
    let version = format!("{}-1~{release}", env!("CARGO_PKG_VERSION"));
    let depends = ["libmtlspop0", "libmtlspop-dev", "mtlspop-tpm-plugin", "mtlspop-cli"].map(|name| {
        let package = place.path().join(format!("{name}_{version}_{}.deb", architecture.trim()));
        succeed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&scratch));
        let field = |name: &str| succeed(Command::new("dpkg-deb").arg("-f").arg(&package).arg(name));
        assert!(field("Description").contains("Built for "), "{name}");
        // A host of more than one word, for which no mail can arrive anywhere by mistake.
        assert!(field("Maintainer").ends_with("@mtlspop.invalid>\n"), "{name}");
        let changelog = scratch.join("usr/share/doc").join(name).join("changelog.Debian.gz");
        let first = succeed(Command::new("gzip").arg("-dc").arg(changelog));
        assert!(first.starts_with(&format!("mtlspop ({version}) ")), "{first}");
        field("Depends")
    });

    let multiarch = succeed(Command::new("dpkg-architecture").args(["--query", "DEB_HOST_MULTIARCH"]));
    let libdir = scratch.join("usr/lib").join(multiarch.trim());
    let program = scratch.join("usr/bin/mtlspop");
    // A plugin is none of the libraries that the loader knows.
    for (file, depends) in [
        (libdir.join("libmtlspop.so.0"), &depends[0]),
        (libdir.join("mtlspop/libmtlspop_tpm.so"), &depends[2]),
        (program.clone(), &depends[3]),
    ] {
        let (major, minor) = glibc(&file);
        assert!(depends.contains(&format!("libc6 (>= {major}.{minor})")), "{}: {depends}", file.display());
    }
    assert!(depends[1].contains(&format!("libmtlspop0 (= {version})")), "{depends:?}");
    assert!(depends[2].contains(&format!("libmtlspop0 (= {version})")), "{depends:?}");
    assert!(depends[2].contains("libtss2-esys"), "{depends:?}");
    assert!(!depends[0].contains("tss2"), "the library itself needs no TPM: {depends:?}");
    assert!(!depends[3].contains("libmtlspop"), "the library is in the program: {depends:?}");
    let arguments =
        ["token", "--managed-identity", "--resource", "https://graph.microsoft.com", "--output", "table"];
    let said = succeed(hermetic(&program, 60).args(arguments).envs(cloud().env()));
    assert!(said.starts_with("token      Bearer"), "{said}");
    let completions = [
        "bash-completion/completions/mtlspop",
        "zsh/vendor-completions/_mtlspop",
        "man/man1/mtlspop-token.1.gz",
    ];
    assert!(completions.iter().all(|file| scratch.join("usr/share").join(file).exists()));

    let manual = scratch.join("usr/share/man/man3");
    let page = succeed(Command::new("gzip").arg("-dc").arg(manual.join("mtlspop_app_new.3.gz")));
    assert!(page.contains(".Nm mtlspop_app_new"), "{page}");
    let leads = succeed(Command::new("gzip").arg("-dc").arg(manual.join("MTLSPOP_E_TIMEOUT.3.gz")));
    assert_eq!(leads, ".so man3/mtlspop_status.3\n");

    let program = build(&scratch, &libdir);
    let (cloud, swtpm) = (cloud(), Swtpm::start());
    let mut command = hermetic(&program, 60);
    command.envs(cloud.env()).env("LD_LIBRARY_PATH", &libdir);
    command.env("TPM2TOOLS_TCTI", swtpm.tcti()).env("TSS2_LOG", "all+none");
    println!("{}", succeed(&mut command));
}

/// Builds a program of the C++ binding's tests with what pkg-config says about the scratch root.
fn build(scratch: &Path, libdir: &Path) -> PathBuf {
    let mut pkg_config = hermetic("pkg-config", 60);
    pkg_config.env("PKG_CONFIG_SYSROOT_DIR", scratch).env("PKG_CONFIG_LIBDIR", libdir.join("pkgconfig"));
    // In a scratch root these are not the system's own.
    pkg_config.env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
    let flags = succeed(pkg_config.args(["--cflags", "--libs", "mtlspop"]));
    let program = scratch.join("program");
    let mut cpp = hermetic("g++", 120);
    cpp.args(["-std=c++17", "-o"]).arg(&program).arg(root().join("bindings/cpp/tests/tpm.cpp"));
    succeed(cpp.args(flags.split_whitespace()));
    program
}
