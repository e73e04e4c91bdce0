//! Does docs/RELEASING.md say where each version stands, and is the change log what it says?

use std::fs;
use std::path::Path;

use crate::markdown::documents;
use crate::support::root;

/// Does each file have the version that the table says it has; and is that today's, of the library, the ABI and the
/// compiler?
#[test]
fn versions_stand_where_it_says() {
    let document = documents().into_iter().find(|document| document.path == Path::new("docs/RELEASING.md"));
    let document = document.unwrap();
    let rows: Vec<&str> = document.text().lines().filter(|line| line.starts_with("| of the ")).collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    for row in rows {
        let columns: Vec<&str> = row.split(" | ").collect();
        let version = columns[0].rsplit(' ').next().unwrap();
        let own = match columns[0] {
            name if name.contains("library") => env!("CARGO_PKG_VERSION").to_owned(),
            name if name.contains("compiler") => env!("CARGO_PKG_RUST_VERSION").to_owned(),
            _ => format!("{}.{}", abi() >> 16, abi() & 0xffff),
        };
        assert_eq!(version, own, "{row}");
        let files = columns[1].split('`').filter(|span| span.contains('/') || span.ends_with(".toml"));
        for file in files {
            let text = fs::read_to_string(root().join(file)).unwrap();
            let number = format!("MTLSPOP_ABI_VERSION: i32 = {};", abi());
            assert!(text.contains(version) || text.contains(&number), "{file} has no {version}");
        }
    }
}

/// Does the change log begin with what is not released, and does each heading below have the form that is said there?
#[test]
fn the_change_log_is_made_of_releases() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let mut headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(headings.next(), Some("Unreleased"));
    for heading in headings {
        let (version, rest) = heading.split_once(" (ABI ").unwrap_or_else(|| panic!("{heading}: which ABI?"));
        let (abi, date) = rest.split_once("), ").unwrap_or_else(|| panic!("{heading}: of which day?"));
        let numbers = |text: &str| text.split(['.', '-']).filter(|part| part.parse::<u32>().is_ok()).count();
        assert_eq!((numbers(version), numbers(abi), numbers(date)), (3, 2, 3), "{heading}");
    }
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let known = ["Added", "Changed", "Fixed", "Security"];
    assert!(kinds.iter().all(|kind| known.contains(kind)), "{kinds:?}");
}

/// Is nothing released that was not tested in each way that CI leaves out; and does who reports something find which versions
/// are supported?
#[test]
fn nothing_is_left_out() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let (steps, makefile) = (read("docs/RELEASING.md"), read("Makefile"));
    let green =
        steps.split("## Steps").nth(1).and_then(|steps| steps.split("\n2. ").next()).unwrap().to_owned();
    let own = |target: &str| {
        makefile.contains(&format!("\n{target}: ")) && green.contains(&format!("`make {target}`"))
    };
    for target in ["test", "audit", "fips"] {
        assert!(own(target), "make {target}: {green}");
    }
    let reporting = read("SECURITY.md").split("\n## ").nth(1).unwrap().to_owned();
    assert!(
        reporting.contains("(docs/RELEASING.md)") && steps.contains("## What is supported"),
        "{reporting}"
    );
}

/// The version of the ABI, major * 65536 + minor.
fn abi() -> i32 {
    let source = fs::read_to_string(root().join("src/ffi/version.rs")).unwrap();
    let number = source.split("MTLSPOP_ABI_VERSION: i32 = ").nth(1).unwrap();
    number.split(';').next().unwrap().parse().unwrap()
}
