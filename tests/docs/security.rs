//! Do the tests exist that SECURITY.md calls as witnesses?

use std::fs;
use std::path::Path;

use crate::markdown::documents;
use crate::support::root;

/// Does each claim name a test, and is each that it names a test of that file?
#[test]
fn each_claim_has_its_test() {
    let document =
        documents().into_iter().find(|document| document.path == Path::new("SECURITY.md")).unwrap();
    let rows: Vec<&str> =
        document.text().lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    let mut missing = Vec::new();
    for row in rows {
        let shown_by = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        let mut source = String::new();
        for span in shown_by.split('`').skip(1).step_by(2) {
            if span.ends_with(".rs") {
                source = fs::read_to_string(root().join(span)).unwrap();
            } else if !is_test(&source, span) {
                missing.push(format!("{span}: {row}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
    let claims = document.text().split("\n| claim | shown by |\n").skip(1);
    let unproven: Vec<&str> = claims
        .flat_map(|table| table.lines().skip(1).take_while(|line| line.starts_with("| ")))
        .filter(|row| !row.contains(".rs`: `"))
        .collect();
    assert!(unproven.is_empty(), "{unproven:#?}");
}

fn is_test(source: &str, name: &str) -> bool {
    source.split("#[test]").skip(1).any(|after| {
        let declaration = after.lines().find(|line| line.trim_start().starts_with("fn "));
        declaration.is_some_and(|line| line.trim_start().starts_with(&format!("fn {name}(")))
    })
}
