//! Is what `make install` puts into place found by pkg-config, linked both ways, and no more than the header?

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cloud;
use crate::support::{hermetic, library_directory, root, run, succeed};

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

/// Installs the archive that the tests were built with, so that nothing is built again.
fn install(environment: &[(&str, &Path)]) -> Command {
    let mut command = hermetic(root().join("scripts/install.sh"), 120);
    command.env("ARCHIVE", library_directory().join("libmtlspop.a")).envs(environment.iter().copied());
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
    assert!(dynamic.contains("[libmtlspop.so.0]") && dynamic.contains("NOW"), "{dynamic}");
    assert!(!dynamic.contains("TEXTREL") && !dynamic.contains("RUNPATH"), "{dynamic}");
    let exports =
        succeed(Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library));
    assert_eq!(exports, fs::read_to_string(root().join("abi/symbols.txt")).unwrap());
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
    assert!(stage.join("opt/x/include/mtlspop.h").exists());
    // The plugin, where it is wanted, goes beside the library, where that looks for it.
    let plugin = stage.join("opt/x/lib64/libmtlspop_tpm.so");
    assert!(!plugin.exists());
    let built = library_directory().join("libmtlspop_tpm.so");
    let environment =
        [("DESTDIR", &*stage), ("PREFIX", Path::new("/opt/x")), ("LIBDIR", Path::new("/opt/x/lib64"))];
    succeed(install(&environment).env("PLUGIN", &built));
    assert_eq!(fs::read(&plugin).unwrap(), fs::read(&built).unwrap());
    let relative = run(&mut install(&[("PREFIX", Path::new("usr"))]));
    assert!(!relative.status.success());
    assert!(String::from_utf8_lossy(&relative.stderr).contains("must be absolute"));
}
