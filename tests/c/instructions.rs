//! Does a cached token take no more instructions than it did, in the library that `make install` builds?

use std::path::Path;

use crate::callgrind::instructions_of_a_hit;
use crate::cloud;
use crate::support::{compiler, hermetic, root, succeed};

/// What the last change of the hit path left. Instructions do not depend on how busy the machine is; on another
/// processor the C library may take others for the same work, and that is what the tolerance is for.
const EXPECTED: f64 = 440.0;
const TOLERANCE: f64 = 0.05;

/// Does a hit through the C ABI, with the request reused and the token freed, cost no more than it did? Of the library below
/// `prefix`; no test of its own, as that would keep a thread from other tests while the library is built.
pub(super) fn a_hit_costs_no_more_than_it_did(prefix: &Path) {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("token");
    let mut gcc = hermetic(compiler("c"), 120);
    gcc.args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]);
    gcc.arg(&program).arg(root().join("benches/c/token.c")).arg("-I").arg(prefix.join("include"));
    gcc.arg("-L").arg(prefix.join("lib")).arg("-lmtlspop");
    succeed(gcc.arg(format!("-Wl,-rpath,{}", prefix.join("lib").display())));
    let cloud = cloud();
    let counted = instructions_of_a_hit(&program, &cloud.env()).unwrap();
    println!("{counted:.0} instructions");
    assert_eq!(cloud.counter("token"), 2, "only the first token of each run was asked for");
    assert!(
        counted <= EXPECTED * (1.0 + TOLERANCE),
        "a hit takes {counted:.0} instructions, not {EXPECTED:.0}: where that is meant, write it into EXPECTED in {}",
        file!()
    );
    if counted < EXPECTED * (1.0 - TOLERANCE) {
        println!("fewer than {EXPECTED:.0}: write that into EXPECTED in {}", file!());
    }
}
