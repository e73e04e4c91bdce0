//! Does everything that the documents name exist?

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::markdown::documents;
use crate::support::root;

/// Does every file and folder exist that a document names or links to?
#[test]
fn paths_exist() {
    let made_by_samples: BTreeSet<String> = documents()
        .iter()
        .flat_map(|document| document.blocks())
        .filter_map(|block| block.file_name)
        .collect();
    let mut missing = Vec::new();
    for document in documents() {
        let beside = root().join(&document.path).parent().unwrap().to_owned();
        let named = document.spans().into_iter().filter(|(_, span)| looks_like_a_path(span));
        let linked = document.links().into_iter().filter(|(_, link)| !link.contains("://"));
        for (line, path) in named.chain(linked) {
            let exists = root().join(&path).exists() || beside.join(&path).exists();
            if !exists && !made_by_samples.contains(&path) {
                missing.push(format!("{}: {path}", document.at(line)));
            }
        }
    }
    assert!(missing.is_empty(), "these paths do not exist:\n{}", missing.join("\n"));
}

/// Does every make target exist that a document tells to run?
#[test]
fn make_targets_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(names, _)| names.split(' '))
        .collect();
    let mut missing = Vec::new();
    for document in documents() {
        let commands = document.blocks().into_iter().map(|block| (block.line, block.text));
        for (line, text) in commands.chain(document.spans()) {
            let lines = text.lines().filter_map(|command| command.strip_prefix("make "));
            for target in lines.filter_map(|rest| rest.split_whitespace().next()) {
                if !target.starts_with('-') && !targets.contains(target) {
                    missing.push(format!("{}: make {target}", document.at(line)));
                }
            }
        }
    }
    assert!(missing.is_empty(), "the Makefile lacks these targets:\n{}", missing.join("\n"));
}

/// Is every C function, type and constant in the header that a document names, but for the command's variables and metrics?
#[test]
fn c_names_are_in_the_header() {
    let header = words(&fs::read_to_string(root().join("include/mtlspop.h")).unwrap());
    let command = words(&text_under("cli/src"));
    // They are written with one beginning for all.
    let is_metric =
        |word: &str| word.strip_prefix("mtlspop_proxy_").is_some_and(|name| command.contains(name));
    let mut missing = Vec::new();
    for document in documents() {
        for word in words(document.text()) {
            let ours = word.starts_with("mtlspop_") || word.starts_with("MTLSPOP_");
            // mtlspop_x stands for any noun.
            let known = header.contains(&word) || command.contains(&word) || is_metric(&word);
            if ours && !word.starts_with("mtlspop_x") && !known {
                missing.push(format!("{}: {word}", document.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "include/mtlspop.h has none of these:\n{}", missing.join("\n"));
}

/// Is every Rust function in the source that a document names as `Type::function` or `function()`?
#[test]
fn rust_functions_exist() {
    let source = text_under("src");
    let mut missing = Vec::new();
    for document in documents() {
        for (line, span) in document.spans() {
            let name = match (span.split_once("::"), span.strip_suffix("()")) {
                (Some((kind, name)), _) if kind.starts_with(char::is_uppercase) => name,
                (None, Some(name))
                    if name.starts_with(char::is_lowercase) && !name.starts_with("mtlspop_") =>
                {
                    name
                }
                _ => continue,
            };
            let declared = [format!("fn {name}("), format!("fn {name}<")];
            if !declared.iter().any(|declaration| source.contains(declaration)) {
                missing.push(format!("{}: {span}", document.at(line)));
            }
        }
    }
    assert!(missing.is_empty(), "src has none of these functions:\n{}", missing.join("\n"));
}

/// Is every environment variable read by somebody that a document names?
#[test]
fn environment_variables_are_read() {
    let readers: String =
        ["src", "examples-c", "examples", ".cargo", "devcloud/src", "cli/src"].map(text_under).concat();
    let readers = words(&readers);
    let mut missing = Vec::new();
    for document in documents() {
        for (line, span) in document.spans() {
            let variable = span.contains('_')
                && span
                    .bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if variable && !readers.contains(&span) {
                missing.push(format!("{}: {span}", document.at(line)));
            }
        }
    }
    assert!(missing.is_empty(), "nobody reads these variables:\n{}", missing.join("\n"));
}

fn looks_like_a_path(span: &str) -> bool {
    let plain = span.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_./-".contains(&byte));
    let ending = [".rs", ".c", ".h", ".sh", ".md", ".toml", ".in", ".txt"];
    // 10.0.0.0/8 is none.
    let named = span.bytes().any(|byte| byte.is_ascii_alphabetic());
    plain
        && named
        && !span.starts_with(['/', '-', '.'])
        && !span.starts_with("target/")
        && (span.contains('/') || ending.iter().any(|ending| span.ends_with(ending)))
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect()
}

fn text_under(directory: impl AsRef<Path>) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &text_under(path);
        } else {
            // A reader's program may lie there, too.
            text += &String::from_utf8_lossy(&fs::read(path).unwrap());
        }
    }
    text
}
