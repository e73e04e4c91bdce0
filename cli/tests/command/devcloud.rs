//! `mtlspop devcloud`: the local cloud, beside the program or in PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::{PROGRAM, fail, succeed};

fn script(path: &Path, says: &str) {
    fs::write(path, format!("#!/bin/sh\necho {says} \"$@\"\nexit 9\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Is the program beside this one run before that of PATH, with its arguments and as the same process; and is it told how to come
/// by one where there is none?
#[test]
fn it_is_found() {
    let place = tempfile::tempdir().unwrap();
    let (bin, path) = (place.path().join("bin"), place.path().join("path"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&path).unwrap();
    let program = bin.join("mtlspop");
    fs::hard_link(PROGRAM, &program).or_else(|_| fs::copy(PROGRAM, &program).map(drop)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("devcloud").args(arguments).env_clear().env("PATH", &path);
        command
    };
    assert!(fail(&mut run(&["stop"]), 127).contains("make install DEVCLOUD=1"));
    for (directory, says) in [(&path, "of-path"), (&bin, "beside")] {
        script(&directory.join("devcloud"), says);
        let output = run(&["run", "--state-dir", "x y", "--", "a", "--verbose", "--help"]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            (said.as_str(), output.status.code()),
            (&*format!("{says} run --state-dir x y -- a --verbose --help\n"), Some(9))
        );
    }
    fs::set_permissions(bin.join("devcloud"), fs::Permissions::from_mode(0o644)).unwrap();
    // Root may run nothing either that nobody may.
    assert!(fail(&mut run(&["stop"]), 126).contains("cannot be run"));
    assert!(succeed(&mut run(&["--help"])).contains("mtlspop devcloud run --help"));
}
