//! Is what `make install` puts into place found by pkg-config and CMake, linked both ways, and no more than the header?

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cloud;
use crate::instructions::a_hit_costs_no_more_than_it_did;
use crate::support::{hermetic, library_directory, report, root, run, rust_program, succeed};
use crate::swtpm::Swtpm;

const PROGRAM: &str = r#"
#include <mtlspop.h>
#include <stdio.h>
int main(void)
{
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_abi_version() != MTLSPOP_ABI_VERSION || mtlspop_app_new(options, &app, NULL)) return 1;
    if (mtlspop_app_acquire_token(app, request, &token, NULL)) return 2;
    puts(mtlspop_token_type(token));
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    return 0;
}
"#;

/// What the library may have, in bytes (docs/adr/028).
const SIZE: u64 = 6_600_000;
/// The same for the command, which has the library in it.
const COMMAND_SIZE: u64 = 8_600_000;

/// Installs the archive that the tests were built with, so that nothing is built again; without the command, unless there is PROGRAM.
fn install(environment: &[(&str, &Path)]) -> Command {
    let mut command = hermetic(root().join("scripts/install.sh"), 120);
    command
        .env("ARCHIVE", library_directory().join("libmtlspop.a"))
        .env("CLI", "0")
        .envs(environment.iter().copied());
    command
}

/// Does a program build by pkg-config against each library, with nothing of the source tree, and get a bound
/// token; and does the shared one have its SONAME and show what the header declares, and nothing else?
#[test]
fn installed() {
    let place = tempfile::tempdir().unwrap();
    let prefix = place.path().join("usr");
    println!("{}", succeed(&mut install(&[("PREFIX", &prefix)])));
    let source = place.path().join("program.c");
    fs::write(&source, PROGRAM).unwrap();
    let cloud = cloud();
    let pkg_config = |arguments: &[&str]| {
        let mut command = hermetic("pkg-config", 60);
        command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("mtlspop");
        succeed(&mut command).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for linkage in ["shared", "static"] {
        let program = place.path().join(linkage);
        let mut gcc = hermetic("gcc", 120);
        gcc.args(["-std=c99", "-Wall", "-Werror", "-o"]).arg(&program).arg(&source);
        gcc.args(pkg_config(&["--cflags"]));
        match linkage {
            "shared" => gcc.args(pkg_config(&["--libs"])),
            _ => {
                let mut flags = pkg_config(&["--static", "--libs"]);
                flags.retain(|flag| flag != "-lmtlspop");
                gcc.arg(prefix.join("lib/libmtlspop.a")).args(flags)
            }
        };
        succeed(&mut gcc);
        let mut command = hermetic(&program, 60);
        command.envs(cloud.env());
        let alone = run(&mut command);
        assert_eq!(alone.status.success(), linkage == "static", "the shared one is not in a usual place");
        command.env("LD_LIBRARY_PATH", prefix.join("lib"));
        assert_eq!(succeed(&mut command).trim(), "mtls_pop");
    }

    let library = prefix.join("lib/libmtlspop.so");
    let dynamic = succeed(Command::new("readelf").arg("-d").arg(&library));
    for wanted in ["[libmtlspop.so.0]", "NOW", "NODELETE"] {
        assert!(dynamic.contains(wanted), "no {wanted}: {dynamic}");
    }
    assert!(!dynamic.contains("TEXTREL") && !dynamic.contains("RUNPATH"), "{dynamic}");
    let exports =
        succeed(Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library));
    assert_eq!(exports, fs::read_to_string(root().join("abi/symbols.txt")).unwrap());
}

/// Where `make install` has put what it built.
fn from_scratch() -> PathBuf {
    // The same place each time: the library knows it, and is built anew for another.
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
    if prefix.exists() {
        fs::remove_dir_all(&prefix).unwrap();
    }
    let mut make = Command::new("make");
    make.current_dir(root())
        .args(["install", "STRIP=1", "TPM=1"])
        .arg(format!("PREFIX={}", prefix.display()));
    println!("{}", succeed(&mut make));
    prefix
}

/// What distributions ask: is the library that `make install` builds small (6.5 MB, of which half a MB is the
/// second TLS of docs/adr/018, and 0.6 MB what docs/adr/028 buys speed with), with a list of what is linked and without a path of the machine that built it, as it stands there and in a wheel;
/// and does a program that is linked statically find the plugin in the directory that was named at the build? Does a cached token
/// cost no more than it did?
#[test]
fn installed_from_scratch() {
    let prefix = from_scratch();
    let library = prefix.join("lib/libmtlspop.so");
    let size = fs::metadata(&library).unwrap().len();
    println!("stripped: {size} bytes");
    assert!(size <= SIZE, "{size} bytes: the budget is {SIZE}");
    for (file, linked) in [("libmtlspop.so", "rustls"), ("libmtlspop_tpm.so", "tss-esapi")] {
        let list = auditable_info::audit_info_from_file(&prefix.join("lib").join(file), Default::default());
        let list = list.expect("it lists what is linked into it").packages;
        assert!(list.iter().any(|package| package.name == linked), "{file}: {list:?}");
    }
    let place = tempfile::tempdir().unwrap();
    let inside = wheels(place.path());
    let command = prefix.join("bin/mtlspop");
    let size = fs::metadata(&command).unwrap().len();
    println!("the command, stripped: {size} bytes");
    assert!(size <= COMMAND_SIZE, "{size} bytes: the budget is {COMMAND_SIZE}");
    let list = auditable_info::audit_info_from_file(&command, Default::default())
        .expect("it lists what is linked into it");
    assert!(list.packages.iter().any(|package| package.name == "clap"), "{list:?}");
    assert!(fs::metadata(&inside[0]).unwrap().len() <= SIZE, "the library in the wheel");
    let cargo = std::env::var("CARGO_HOME").unwrap_or(format!("{}/.cargo", std::env::var("HOME").unwrap()));
    let installed = ["libmtlspop.a", "libmtlspop_tpm.so"].map(|file| prefix.join("lib").join(file));
    for file in [library, command.clone()].into_iter().chain(installed).chain(inside) {
        let bytes = fs::read(&file).unwrap();
        for path in [format!("{cargo}/"), format!("{}/src", root().display())] {
            let found = bytes.windows(path.len()).any(|part| part == path.as_bytes());
            assert!(!found, "{} has {path}", file.display());
        }
    }

    let program = place.path().join("program");
    let mut cpp = hermetic("g++", 120);
    cpp.args(["-std=c++17", "-o"]).arg(&program).arg(root().join("bindings/cpp/tests/tpm.cpp"));
    cpp.arg("-I").arg(prefix.join("include")).arg(prefix.join("lib/libmtlspop.a")).args(["-ldl", "-lm"]);
    succeed(&mut cpp);
    let (cloud, swtpm) = (cloud(), Swtpm::start());
    let mut command = hermetic(&program, 60);
    command.envs(cloud.env()).env("TPM2TOOLS_TCTI", swtpm.tcti()).env("TSS2_LOG", "all+none");
    println!("{}", succeed(&mut command));
    // So does the command, which is installed apart from it.
    let mut token = hermetic(prefix.join("bin/mtlspop"), 60);
    token.args([
        "token",
        "--pop",
        "--tpm",
        "--managed-identity",
        "--resource",
        "https://graph.microsoft.com",
    ]);
    let said =
        succeed(token.envs(cloud.env()).env("TPM2TOOLS_TCTI", swtpm.tcti()).env("TSS2_LOG", "all+none"));
    assert!(said.contains("\"bindingStrength\": \"Hardware\""), "{said}");
    a_hit_costs_no_more_than_it_did(&prefix);
}

/// Makes wheels of what `make install` has just built, and takes the library and its plugin out of them.
fn wheels(directory: &Path) -> [PathBuf; 2] {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    let mut command = Command::new(root().join("scripts/wheel.sh"));
    command.env("ARCHIVE", target.join("dist/libmtlspop.a")).env("OUT", directory);
    succeed(command.env("PLUGIN", target.join("dist/libmtlspop_tpm.so")));
    for wheel in files(directory) {
        succeed(hermetic("python3", 60).args(["-m", "zipfile", "-e"]).arg(wheel).arg(directory));
    }
    ["mtlspop/libmtlspop.so", "mtlspop_tpm/libmtlspop_tpm.so"].map(|file| directory.join(file))
}

/// What a user of CMake writes, for a program in C and one in C++, with each target.
const PROJECT: &str = r"
cmake_minimum_required(VERSION 3.16)
project(sample LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(mtlspop 0.1 CONFIG REQUIRED)
add_executable(c_shared program.c)
target_link_libraries(c_shared PRIVATE mtlspop::mtlspop)
add_executable(c_static program.c)
target_link_libraries(c_static PRIVATE mtlspop::static)
add_executable(cpp_shared sample.cpp)
target_link_libraries(cpp_shared PRIVATE mtlspop::mtlspop)
add_executable(cpp_static sample.cpp)
target_link_libraries(cpp_static PRIVATE mtlspop::static)
";

/// Writes the programs, the C++ one as the binding's page has it, and the project.
fn write_project(directory: &Path) {
    let page = fs::read_to_string(root().join("bindings/cpp/README.md")).unwrap();
    let sample = page.split("```cpp\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for (name, text) in [("program.c", PROGRAM), ("sample.cpp", sample), ("CMakeLists.txt", PROJECT)] {
        fs::write(directory.join(name), text).unwrap();
    }
}

/// Do programs in C and C++ build against the targets of CMake's package, wherever that was moved to, and does the
/// C++ one by pkg-config; and is a version that is not there refused?
#[test]
fn found_by_cmake() {
    let place = tempfile::tempdir().unwrap();
    let environment = [("DESTDIR", &*place.path().join("stage")), ("PREFIX", Path::new("/opt/x"))];
    // Where Debian has libraries: one level deeper.
    let libdir = Path::new("lib/x86_64-linux-gnu");
    succeed(install(&environment).env("LIBDIR", Path::new("/opt/x").join(libdir)));
    let prefix = place.path().join("moved");
    fs::rename(place.path().join("stage/opt/x"), &prefix).unwrap();
    let (source, build) = (place.path().join("source"), place.path().join("build"));
    fs::create_dir(&source).unwrap();
    write_project(&source);

    let package = prefix.join(libdir).join("cmake/mtlspop");
    let configure = |directory: &Path| {
        let mut cmake = hermetic("cmake", 120);
        cmake.arg("-S").arg(&source).arg("-B").arg(directory);
        cmake.arg(format!("-Dmtlspop_DIR={}", package.display()));
        cmake
    };
    succeed(&mut configure(&build));
    succeed(hermetic("cmake", 240).arg("--build").arg(&build));
    let cloud = cloud();
    for (program, says) in [("c", "mtls_pop\n"), ("cpp", "\n200\n")] {
        for linkage in ["shared", "static"] {
            // CMake gives programs the path of the library; the static one needs none.
            let mut command = hermetic(build.join(format!("{program}_{linkage}")), 60);
            let said = succeed(command.envs(cloud.env()));
            assert!(said.starts_with("mtls_pop") && said.ends_with(says), "{said}");
            let needed =
                succeed(Command::new("readelf").arg("-d").arg(build.join(format!("{program}_{linkage}"))));
            assert_eq!(needed.contains("[libmtlspop.so.0]"), linkage == "shared", "{needed}");
        }
    }

    for (version, found) in
        [("0.1.0", true), ("0.0.1...0.9", true), ("0.2", false), ("1", false), ("0.0...<0.1", false)]
    {
        let project = PROJECT.replace("mtlspop 0.1 ", &format!("mtlspop {version} "));
        fs::write(source.join("CMakeLists.txt"), project.replace("3.16", "3.19")).unwrap();
        let output = run(&mut configure(&place.path().join(version)));
        assert_eq!(output.status.success(), found, "{version}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Does the sample in C++ build by pkg-config?
#[test]
fn cpp_by_pkg_config() {
    let place = tempfile::tempdir().unwrap();
    let prefix = place.path().join("usr");
    succeed(&mut install(&[("PREFIX", &prefix)]));
    write_project(place.path());
    let mut pkg_config = hermetic("pkg-config", 60);
    pkg_config.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(["--cflags", "--libs", "mtlspop"]);
    let flags = succeed(&mut pkg_config);
    let program = place.path().join("sample");
    let mut cpp = hermetic("g++", 120);
    cpp.args(["-std=c++17", "-o"]).arg(&program).arg(place.path().join("sample.cpp"));
    succeed(cpp.args(flags.split_whitespace()));
    let said = succeed(hermetic(&program, 60).envs(cloud().env()).env("LD_LIBRARY_PATH", prefix.join("lib")));
    assert!(said.ends_with("\n200\n"), "{said}");
}

/// Does a package's staging directory come before every path, and into none of the files; does STRIP make the
/// library smaller; is the plugin installed on demand only; and is a relative prefix refused?
#[test]
fn staged() {
    let place = tempfile::tempdir().unwrap();
    let stage = place.path().join("stage");
    let sizes = ["0", "1"].map(|strip| {
        let environment =
            [("DESTDIR", &*stage), ("PREFIX", Path::new("/opt/x")), ("LIBDIR", Path::new("/opt/x/lib64"))];
        succeed(install(&environment).env("STRIP", strip));
        fs::metadata(stage.join("opt/x/lib64/libmtlspop.so")).unwrap().len()
    });
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    let pc = fs::read_to_string(stage.join("opt/x/lib64/pkgconfig/mtlspop.pc")).unwrap();
    assert!(pc.contains("prefix=/opt/x\n") && pc.contains("libdir=/opt/x/lib64\n"), "{pc}");
    assert!(!pc.contains("stage"), "{pc}");
    for file in [
        "include/mtlspop.h",
        "include/mtlspop.hpp",
        "share/man/man3/mtlspop.3",
        "share/man/man3/mtlspop_app_new.3",
    ] {
        assert!(stage.join("opt/x").join(file).exists(), "{file}");
    }
    // The plugin, where it is wanted, goes beside the library, where that looks for it.
    let plugin = stage.join("opt/x/lib64/libmtlspop_tpm.so");
    assert!(!plugin.exists());
    let built = library_directory().join("libmtlspop_tpm.so");
    let environment =
        [("DESTDIR", &*stage), ("PREFIX", Path::new("/opt/x")), ("LIBDIR", Path::new("/opt/x/lib64"))];
    succeed(install(&environment).env("PLUGIN", &built));
    assert_eq!(fs::read(&plugin).unwrap(), fs::read(&built).unwrap());
    // So is the command left out where it is not wanted.
    assert!(!stage.join("opt/x/bin").exists());
    succeed(install(&environment).env("PROGRAM", rust_program("mtlspop")));
    let version = succeed(hermetic(stage.join("opt/x/bin/mtlspop"), 10).arg("--version"));
    assert_eq!(version, concat!("mtlspop ", env!("CARGO_PKG_VERSION"), "\n"));
    // Devcloud is for developers alone, and found by the command beside it.
    assert!(!stage.join("opt/x/bin/devcloud").exists());
    succeed(install(&environment).env("CLOUD", rust_program("devcloud")));
    let version =
        hermetic(stage.join("opt/x/bin/mtlspop"), 10).args(["devcloud", "help", "run"]).output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains("devcloud run"), "{version:?}");
    let relative = run(&mut install(&[("PREFIX", Path::new("usr"))]));
    assert!(!relative.status.success());
    assert!(String::from_utf8_lossy(&relative.stderr).contains("must be absolute"));
}

/// Does `man` show the page of a function, and that of a number where its name leads?
#[test]
fn found_by_man() {
    if Command::new("man").arg("--version").output().is_err() {
        return println!("left out: man is not installed");
    }
    let place = tempfile::tempdir().unwrap();
    succeed(install(&[("PREFIX", place.path())]).env("STRIP", "1"));
    let manual = place.path().join("share/man");
    for (name, says) in [
        ("mtlspop", "acquire"),
        ("mtlspop_app_new", "mtlspop_app_new"),
        ("mtlspop_app", "FUNCTIONS"),
        ("mtlspop_log_callback", "Receives one log line"),
        ("MTLSPOP_E_TIMEOUT", "mtlspop_status"),
        ("MTLSPOP_LOG_INFO", "mtlspop_log_callback"),
    ] {
        let mut man = hermetic("man", 60);
        let output = run(man.env("MANWIDTH", "100").args(["--warnings", "-M"]).arg(&manual).arg(name));
        let page = String::from_utf8_lossy(&output.stdout);
        assert!(page.contains(says) && page.contains(name), "{}", report(&man, &output));
        assert!(output.stderr.is_empty(), "{}", report(&man, &output));
    }
}

/// Does `make uninstall` remove all that `make install` put there, and nothing else?
#[test]
fn removed_again() {
    let place = tempfile::tempdir().unwrap();
    let prefix = place.path().join("usr");
    // What others have there, under names that are like ours.
    for theirs in [
        "lib/libmtlspop-other.so",
        "lib/libmtlspop.so.10",
        "lib/pkgconfig/other.pc",
        "include/mtlspop/x.h",
        "share/man/man3/mtlspop-other.3",
        "bin/mtlspop2",
        "share/zsh/site-functions/_other",
    ] {
        fs::create_dir_all(prefix.join(theirs).parent().unwrap()).unwrap();
        fs::write(prefix.join(theirs), "theirs").unwrap();
    }
    let before = files(&prefix);
    let plugin = library_directory().join("libmtlspop_tpm.so");
    let (program, cloud) = (rust_program("mtlspop"), rust_program("devcloud"));
    succeed(&mut install(&[
        ("PREFIX", &prefix),
        ("PLUGIN", &plugin),
        ("PROGRAM", &program),
        ("CLOUD", &cloud),
    ]));
    // The file of an older version, which had the same SONAME.
    fs::write(prefix.join("lib/libmtlspop.so.0.1"), "older").unwrap();
    fs::write(prefix.join("share/man/man3/mtlspop_gone.3"), "older").unwrap();
    assert!(files(&prefix).len() > before.len() + 10);
    for said in ["libmtlspop.so.0.1", "nothing"] {
        let mut make = hermetic("make", 60);
        make.arg("-C").arg(root()).arg("uninstall").arg(format!("PREFIX={}", prefix.display()));
        let printed = succeed(&mut make);
        assert!(printed.contains("removed ") && printed.contains(said), "{printed}");
        assert_eq!(files(&prefix), before);
    }
    assert!(!prefix.join("lib/cmake/mtlspop").exists());
}

/// Every file below a directory, links among them.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path)),
        }
    }
    found
}

/// Where the loader looks into the directory, is it told of the library, or is it said who must do that; where it
/// does not, is that said; and does a package leave both to its own scripts?
#[test]
fn the_loader_is_told() {
    let place = tempfile::tempdir().unwrap();
    let (prefix, conf, log) = (place.path().join("usr"), place.path().join("conf"), place.path().join("log"));
    // The real one, with another configuration; its cache is the host's, and is left alone.
    let ldconfig = format!(
        "#!/bin/sh\nPATH=/usr/sbin:/sbin:$PATH\n[ $# -gt 0 ] || exec touch {}\nexec ldconfig -f {} \"$@\"\n",
        log.display(),
        conf.display()
    );
    let bin = place.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("ldconfig"), ldconfig).unwrap();
    fs::set_permissions(bin.join("ldconfig"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = |environment: &[(&str, &Path)]| succeed(install(environment).env("PATH", &path));

    fs::write(&conf, "").unwrap();
    let said = run(&[("PREFIX", &prefix)]);
    assert!(said.contains("the loader does not look into") && !log.exists(), "{said}");
    fs::write(&conf, format!("{}\n", prefix.join("lib").display())).unwrap();
    let said = run(&[("PREFIX", &prefix), ("DESTDIR", &place.path().join("stage"))]);
    assert!(!said.contains("loader") && !log.exists(), "{said}");
    let said = run(&[("PREFIX", &prefix)]);
    let root = succeed(hermetic("id", 10).arg("-u")).trim() == "0";
    assert_eq!((log.exists(), said.contains("run 'ldconfig' as root")), (root, !root), "{said}");
}
