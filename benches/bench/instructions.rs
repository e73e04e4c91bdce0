//! How many instructions a cached token takes in the library as it is installed.

use devcloud::Cloud;

use crate::callgrind::instructions_of_a_hit;
use crate::installed::compile;
use crate::report::Report;
use crate::tool;

const MOST: f64 = 450.0;

pub(crate) fn of_a_hit(report: &mut Report, cloud: &Cloud) {
    report.section(
        "Instructions of a cached token",
        "benches/c/token.c with the installed library under callgrind: acquired and freed, request reused. The same in each run.",
    );
    if !tool("valgrind") {
        return report.skip("instructions of a hit", "there is no valgrind");
    }
    let place = tempfile::tempdir().expect("a directory");
    let counted =
        compile("token", place.path(), &[]).and_then(|program| instructions_of_a_hit(&program, &cloud.env()));
    match counted {
        Ok(instructions) => {
            let measured = format!("{instructions:.0}");
            report.value("C ABI, request reused, token freed", measured.clone());
            report.at_most("instructions of a hit", "at most 450", MOST, instructions, measured);
        }
        Err(why) => report.skip("instructions of a hit", why.lines().last().unwrap_or_default()),
    }
}
