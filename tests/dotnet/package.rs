//! The files of the NuGet package, where a program finds them that knows nothing of the source tree.

use std::fs;
use std::path::Path;

use devcloud::{Cloud, Options};
use serde_json::json;

use super::runtimes::Runtime;
use super::{compile_sample, programs, succeed};
use crate::support::library_directory;

/// Does a program that is built against the assembly of the package find the native library in it: Mono by
/// LD_LIBRARY_PATH, .NET by itself?
#[test]
fn package_is_found() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let version = env!("CARGO_PKG_VERSION");
    let package = at("packages/mtlspop").join(version);
    let (managed, native) = (package.join("lib/netstandard2.0"), package.join("runtimes/linux-x64/native"));
    lay_out(&managed, &native);

    // To compile, it is put beside the program; to run, it is in the package alone.
    fs::copy(managed.join("mtlspop.dll"), at("mtlspop.dll")).unwrap();
    let program = compile_sample(place.path());
    fs::remove_file(at("mtlspop.dll")).unwrap();

    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        let mut command = match runtime {
            Runtime::Mono => {
                let mut command = runtime.command(&cloud, &program);
                command.env("MONO_PATH", &managed).env("LD_LIBRARY_PATH", &native);
                command
            }
            Runtime::DotNet => {
                fs::write(at("sample.run.deps.json"), dependencies(version)).unwrap();
                let probing = json!({"runtimeOptions": {"additionalProbingPaths": [at("packages")]}});
                fs::write(at("sample.run.runtimeconfig.dev.json"), probing.to_string()).unwrap();
                let mut command = runtime.command(&cloud, &program);
                command.env_remove("LD_LIBRARY_PATH");
                command
            }
        };
        assert_eq!(succeed(&mut command), "200\n", "{runtime:?}");
    }
}

/// What `dotnet pack` puts into the package.
fn lay_out(managed: &Path, native: &Path) {
    for directory in [managed, native] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::copy(programs().join("mtlspop.dll"), managed.join("mtlspop.dll")).unwrap();
    for file in ["libmtlspop.so", "libmtlspop_tpm.so"] {
        fs::copy(library_directory().join(file), native.join(file)).unwrap();
    }
}

/// What the SDK writes beside a program that has a reference to the package.
fn dependencies(version: &str) -> String {
    let library = format!("mtlspop/{version}");
    let files = json!({
        "runtime": {"lib/netstandard2.0/mtlspop.dll": {}},
        "runtimeTargets": {"runtimes/linux-x64/native/libmtlspop.so": {"rid": "linux-x64", "assetType": "native"}},
    });
    let framework = ".NETCoreApp,Version=v8.0";
    json!({
        "runtimeTarget": {"name": framework},
        "targets": {framework: {
            "program/1.0.0": {"dependencies": {"mtlspop": version}, "runtime": {"sample.run.dll": {}}},
            &library: files,
        }},
        "libraries": {
            "program/1.0.0": {"type": "project", "serviceable": false, "sha512": ""},
            &library: {"type": "package", "serviceable": true, "sha512": "", "path": library},
        },
    })
    .to_string()
}
