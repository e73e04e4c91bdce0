//! Is what `make dist` makes whole, and does it say what is in it?

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{compiler, library_directory, report, root, run, rust_program, succeed};

/// A repository with the files of this one as they are now, all of them committed.
fn repository(place: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        let identity = ["-c", "user.name=test", "-c", "user.email=test@mtlspop.invalid"];
        succeed(command.current_dir(place).args(identity).args(arguments))
    };
    let files = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .unwrap();
    for file in String::from_utf8(files.stdout).unwrap().split_terminator('\0') {
        let (from, to) = (root().join(file), place.join(file));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // One that is deleted and not committed yet is none.
        if from.exists() {
            fs::copy(from, to).unwrap();
        }
    }
    git(&["init", "--quiet"]);
    git(&["add", "--all", "--force"]);
    git(&["commit", "--quiet", "--message", "all"]);
}

/// A library with every function and nothing in it, and a plugin: what is packed here is not run.
fn libraries(place: &Path) {
    let symbols = fs::read_to_string(root().join("abi/symbols.txt")).unwrap();
    let functions: String = symbols.lines().map(|name| format!("void {name}(void) {{}}\n")).collect();
    fs::write(place.join("functions.c"), functions).unwrap();
    let gcc = |arguments: &[&str]| succeed(Command::new(compiler("c")).current_dir(place).args(arguments));
    gcc(&["-c", "-fPIC", "functions.c"]);
    gcc(&["-shared", "-o", "libmtlspop_tpm.so", "functions.o"]);
    succeed(Command::new("ar").current_dir(place).args(["rcs", "libmtlspop.a", "functions.o"]));
}

/// `make dist` there, with the libraries that are beside it.
fn dist(place: &Path, out: &Path) -> Command {
    let beside = place.parent().unwrap();
    let mut make = Command::new("make");
    // What stands in the tree's own target directory need not be built again.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), Into::into);
    make.current_dir(place).args(["--silent", "dist"]).env("CARGO_TARGET_DIR", target).env("OUT", out);
    make.env("ARCHIVE", beside.join("libmtlspop.a")).env("PLUGIN", beside.join("libmtlspop_tpm.so"));
    make.env("PROGRAM", rust_program("mtlspop"));
    make.env_remove("MAKEFLAGS").env("BUILDER", "urn:test:builder");
    make
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Do archives, SBOMs, sums and provenance belong together and to the commit; are they the same when they are made again;
/// and is what is in no commit refused?
#[test]
fn what_a_release_consists_of() {
    if !root().join(".git").exists() {
        return println!("left out: this is no clone of a repository");
    }
    let place = tempfile::tempdir().unwrap();
    let (sources, out) = (place.path().join("sources"), place.path().join("out"));
    repository(&sources);
    libraries(place.path());
    println!("{}", succeed(&mut dist(&sources, &out)));
    let names: BTreeSet<_> =
        fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let (wheels, names): (BTreeSet<String>, BTreeSet<String>) =
        names.into_iter().partition(|name| name.ends_with(".whl"));
    let name = concat!("mtlspop-", env!("CARGO_PKG_VERSION"));
    let host =
        names.iter().find_map(|file| file.strip_prefix(name)?.strip_prefix('-')?.strip_suffix(".tar.gz"));
    let host = host.expect("there is an archive for this machine");
    let expected = [
        "SHA256SUMS".to_owned(),
        format!("{name}-{host}.cdx.json"),
        format!("{name}-{host}.intoto.json"),
        format!("{name}-{host}.tar.gz"),
        format!("{name}.tar.gz"),
        format!("{}-{host}.cdx.json", name.replace("mtlspop", "mtlspop-tpm")),
        format!("{}-{host}.cdx.json", name.replace("mtlspop", "mtlspop-cli")),
    ];
    assert_eq!(names, BTreeSet::from(expected));
    let packages: Vec<&str> = wheels.iter().map(|wheel| wheel.split('-').next().unwrap()).collect();
    assert_eq!(packages, ["mtlspop", "mtlspop_cli", "mtlspop_tpm"]);
    succeed(Command::new("sha256sum").current_dir(&out).args(["--check", "--strict", "SHA256SUMS"]));

    // The sources are those of the commit; the binaries are what `make install` places.
    let listed = |archive: &str| {
        let list = succeed(Command::new("tar").arg("-tzf").arg(out.join(archive)));
        list.lines().filter(|path| !path.ends_with('/')).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let tracked = succeed(Command::new("git").current_dir(&sources).arg("ls-files"));
    let tracked: BTreeSet<_> = tracked.lines().map(|file| format!("{name}/{file}")).collect();
    assert_eq!(listed(&format!("{name}.tar.gz")), tracked);
    let binaries = listed(&format!("{name}-{host}.tar.gz"));
    for file in [
        "lib/libmtlspop.so",
        "lib/libmtlspop.a",
        "lib/libmtlspop_tpm.so",
        "include/mtlspop.h",
        "bin/mtlspop",
        "LICENSE",
    ] {
        assert!(binaries.contains(&format!("{name}-{host}/{file}")), "{file} is not among {binaries:?}");
    }

    // The statement is about the files that lie here, the commit and the lock file.
    let statement = json(&out.join(format!("{name}-{host}.intoto.json")));
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    let subjects = statement["subject"].as_array().unwrap();
    assert_eq!(subjects.len(), wheels.len() + names.len() - 2, "all but the sums and the statement itself");
    for subject in subjects {
        let line = format!(
            "{}  {}\n",
            subject["digest"]["sha256"].as_str().unwrap(),
            subject["name"].as_str().unwrap()
        );
        assert!(sums.contains(&line), "{line}");
    }
    // The libraries above are not of this commit.
    let given = &statement["predicate"]["buildDefinition"]["externalParameters"]["prebuilt"];
    assert_eq!(*given, serde_json::json!(["ARCHIVE", "PLUGIN", "PROGRAM"]));
    let materials = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
    let commit = succeed(Command::new("git").current_dir(&sources).args(["rev-parse", "HEAD"]));
    assert_eq!(materials[0]["digest"]["gitCommit"], commit.trim());
    let lock = succeed(Command::new("sha256sum").arg(sources.join("Cargo.lock")));
    assert_eq!(materials[1]["digest"]["sha256"], lock.split(' ').next().unwrap());
    assert_eq!(statement["predicate"]["runDetails"]["builder"]["id"], "urn:test:builder");

    // In another directory, with other files beside them.
    let (moved, again) = (place.path().join("moved"), place.path().join("again"));
    fs::rename(&sources, &moved).unwrap();
    succeed(&mut dist(&moved, &again));
    succeed(Command::new("diff").arg("-r").arg(&out).arg(&again));

    fs::write(moved.join("README.md"), "changed").unwrap();
    let mut changed = dist(&moved, &again);
    let output = run(&mut changed);
    assert!(!output.status.success(), "{}", report(&changed, &output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("commit first") && said.contains("README.md"), "{said}");
}

/// Does the SBOM list what is linked, with sums and licences, AWS-LC with the version that it says of itself among it, and nothing
/// that is there to build or to test only; and does the list that goes into the library, read by cargo-auditable's own reader,
/// say the same?
#[test]
fn sbom_lists_what_is_linked() {
    let place = tempfile::tempdir().unwrap();
    let describe = |what: &str| {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(root()).args([
            "run",
            "--quiet",
            "--package",
            "mtlspop-release",
            "--",
            what,
            "mtlspop",
        ]);
        let output = run(&mut cargo);
        assert!(output.status.success(), "{}", report(&cargo, &output));
        output.stdout
    };
    let sbom: Value = serde_json::from_slice(&describe("sbom")).unwrap();
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let components = sbom["components"].as_array().unwrap();
    let find = |name: &str| components.iter().find(|component| component["name"] == name);
    for name in ["rustls", "aws-lc-sys", "mtlspop-libssl", "ureq", "rust-std"] {
        assert!(find(name).is_some(), "{name} is linked");
    }
    for name in ["devcloud", "rcgen", "syn", "serde_derive", "cc", "mtlspop-release", "openssl-sys"] {
        assert!(find(name).is_none(), "{name} is not linked");
    }
    for component in components.iter().filter(|component| component["purl"].is_string()) {
        assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64, "{component}");
        assert!(component["licenses"][0]["expression"].as_str().unwrap().len() > 2, "{component}");
    }
    let aws_lc = find("aws-lc-sys").unwrap()["components"][0]["version"].as_str().unwrap().to_owned();
    let library = fs::read(library_directory().join("libmtlspop.a")).unwrap();
    let said = format!("AWS-LC {aws_lc}");
    assert!(library.windows(said.len()).any(|part| part == said.as_bytes()), "the library is not of {said}");

    // As scripts/install.sh puts it into the library.
    let (list, copy) = (place.path().join("list"), place.path().join("libmtlspop.so"));
    fs::write(&list, describe("auditable")).unwrap();
    let mut objcopy = Command::new("objcopy");
    objcopy.arg(format!("--add-section=.dep-v0={}", list.display()));
    succeed(objcopy.arg(library_directory().join("libmtlspop.so")).arg(&copy));
    let read = auditable_info::audit_info_from_file(&copy, Default::default()).unwrap();
    let read: BTreeSet<_> =
        read.packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    let name = |component: &Value| {
        format!("{} {}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap())
    };
    let mut listed: BTreeSet<_> =
        components.iter().filter(|component| component["name"] != "rust-std").map(name).collect();
    listed.insert(name(&sbom["metadata"]["component"]));
    assert_eq!(read, listed);
}
