//! At the edges of what a process is given: stacks, signals, threads, descriptors, disks; and a library that is unloaded.

use std::fs;
use std::path::Path;
use std::process::Command;

use devcloud::{Cloud, Fault};

use super::{Program, cloud};
use crate::support::{Build, builds, checked, compile, hermetic, library_directory, root, run, succeed};

/// How much of a stack a call may need, in KiB, as the header says for an installed library. What is not optimised needs
/// more.
const STACK_KIB: u32 = if cfg!(debug_assertions) { 192 } else { 80 };

/// A program without sanitizers, to be run without valgrind.
pub(super) fn plain(name: &'static str) -> Program {
    let program = Program { directory: tempfile::tempdir().unwrap(), name };
    compile(&source(name), Build::Plain, &program.path(Build::Plain), &["-D_DEFAULT_SOURCE"]);
    program
}

fn source(name: &str) -> std::path::PathBuf {
    root().join("tests/c").join(format!("{name}.c"))
}

/// Does no call need more of its stack than the header says, cold and with everything that may be asked of it?
#[test]
fn small_stacks() {
    let (program, cloud, place) = (plain("small_stack"), cloud(), tempfile::tempdir().unwrap());
    let mut command = hermetic(program.path(Build::Plain), 60);
    command.envs(cloud.env()).arg(place.path().join("store")).arg(STACK_KIB.to_string());
    println!("{}", succeed(&mut command));
}

/// Do thousands of signals, which interrupt every system call that waits, change nothing?
#[test]
fn signals() {
    let program = Program::new("signals");
    let cloud = cloud();
    for &build in builds() {
        // Valgrind delivers them between its own steps: slow, and no other than without.
        if build == Build::Plain {
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        cloud.reset();
        let mut command = program.command(build, &cloud);
        println!("{}", succeed(command.arg(place.path().join("store"))));
        assert_eq!(cloud.counter("token"), 3, "nothing is asked twice");
    }
}

/// Does `dlclose` do no harm: to threads that have used the library and end later, to forks, and to who loads it again?
#[test]
fn unloaded() {
    let place = tempfile::tempdir().unwrap();
    let library = library_directory().join("libmtlspop.so");
    for &build in builds() {
        let program = place.path().join(format!("unload-{build:?}"));
        // It must not be linked with what it loads.
        compile(&source("unload"), build, &program, &["-std=gnu99", "-Wno-pedantic", "-Wl,--as-needed"]);
        let cloud = cloud();
        println!("{}", succeed(checked(&program, build).envs(cloud.env()).arg(&library)));
    }
    let dynamic = succeed(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

/// May a thread end whenever it likes, and use the library until then: in destructors of its own, too?
#[test]
fn threads_end() {
    let program = Program::new("thread_end");
    let cloud = cloud();
    for &build in builds() {
        cloud.reset();
        cloud.fault(Fault { delay_ms: 1500, ..Fault::on("token") }).unwrap();
        // One after the other, under valgrind.
        let threads = if build == Build::Plain { 2 } else { 6 };
        println!("{}", succeed(program.command(build, &cloud).arg(threads.to_string())));
        assert_eq!(cloud.counter("token"), 1 + 2 * threads, "one, and two for each thread");
    }
}

/// A thousand apps in one process: are they cheap, without threads, and gone when they are freed? Measured without what
/// keeps freed memory.
#[test]
fn a_thousand_apps() {
    let program = plain("many_apps");
    let cloud = cloud();
    println!("{}", succeed(hermetic(program.path(Build::Plain), 120).envs(cloud.env())));
}

/// Twenty descriptors, and all of them taken: is that said at once, and is it over when there are some?
#[test]
fn no_descriptors() {
    let program = plain("descriptors");
    let (cloud, place) = (cloud(), tempfile::tempdir().unwrap());
    let mut command = hermetic(program.path(Build::Plain), 60);
    println!("{}", succeed(command.envs(cloud.env()).arg(place.path().join("store"))));
}

/// A disk that is full, one that is read-only, and files that may not be as long: is the certificate not kept, said in
/// the log, and the token given all the same?
#[test]
fn disks_that_take_nothing() {
    let program = Program::new("store_disk");
    let cloud = cloud();
    let place = tempfile::tempdir().unwrap();
    for &build in builds() {
        let store = place.path().join(format!("{build:?}"));
        let mut command = program.command(build, &cloud);
        println!("{}", succeed(command.arg(&store).args(["File too large", "100"])));
        // Next time it may be longer, and nothing that was begun is in the way.
        println!("{}", succeed(program.command(build, &cloud).arg(&store).arg("")));
    }
    let path = program.path(builds()[0]);
    for (prepare, said) in [
        (
            "mount -t tmpfs -o size=8k,mode=700 none \"$PWD\" && dd if=/dev/zero of=\"$PWD/full\" bs=4k count=2 status=none",
            "No space",
        ),
        ("mount -t tmpfs -o ro,mode=700 none \"$PWD\"", "Read-only file system"),
    ] {
        let Some(mut command) = in_namespace(place.path(), prepare, &path, &cloud) else { return };
        println!("{}", succeed(command.arg(place.path()).arg(said)));
    }
}

/// A disk that was cloned, which is a store under another `/etc/machine-id`: is its certificate not used there, and still
/// used where it was made?
#[test]
fn another_machine() {
    let program = Program::new("store_disk");
    let (cloud, place) = (cloud(), tempfile::tempdir().unwrap());
    let path = program.path(builds()[0]);
    let mut issued = Vec::new();
    for id in ['1', '2', '1', '2'] {
        let file = place.path().join(id.to_string());
        fs::write(&file, id.to_string().repeat(32) + "\n").unwrap();
        let prepare = format!("mount --bind {} /etc/machine-id", file.display());
        let Some(mut command) = in_namespace(place.path(), &prepare, &path, &cloud) else { return };
        println!("{}", succeed(command.arg(place.path().join("store")).arg("")));
        issued.push(cloud.counter("issuecredential"));
    }
    assert_eq!(issued, [1, 2, 2, 2]);
}

/// `program` where `prepare` has changed what is mounted, in `directory`. `None` where this user cannot do that: the test
/// says so.
fn in_namespace(directory: &Path, prepare: &str, program: &Path, cloud: &Cloud) -> Option<Command> {
    let namespace = |script: &str| {
        let mut command = hermetic("unshare", 120);
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
        command.current_dir(directory);
        command
    };
    let tried = run(&mut namespace(prepare));
    if !tried.status.success() {
        println!("left out, as it cannot be had: {prepare}: {}", String::from_utf8_lossy(&tried.stderr));
        return None;
    }
    let mut command = namespace(&format!("{prepare}; exec \"$0\" \"$@\""));
    command.arg(program).envs(cloud.env()).env("ASAN_OPTIONS", "detect_leaks=1");
    Some(command)
}
