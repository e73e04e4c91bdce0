//! Is the reference in HTML whole: does every link in it lead somewhere, and is every name in it found?

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{hermetic, report, root, run, succeed};

/// Does each link of the pages for C lead to a page, and to a place in it, and has the index every function and number?
#[test]
fn links_lead_somewhere() {
    let place = tempfile::tempdir().unwrap();
    succeed(hermetic(root().join("scripts/docs.sh"), 120).arg("--c").arg(place.path()));
    let mut pages = BTreeMap::new();
    for directory in ["", "c"] {
        for entry in fs::read_dir(place.path().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "html") {
                let name = Path::new(directory).join(path.file_name().unwrap());
                pages.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut astray = Vec::new();
    for (name, page) in &pages {
        for link in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => name.clone(),
                file if file.starts_with("../") => Path::new(&file[3..]).to_owned(),
                file => {
                    name.with_file_name(file).parent().unwrap().join(Path::new(file).file_name().unwrap())
                }
            };
            let found = match pages.get(&target) {
                Some(page) => fragment.is_empty() || page.contains(&format!("id=\"{fragment}\"")),
                // Of others: the style, what rustdoc makes, and one page of Debian's.
                None => {
                    file.ends_with("manual.css")
                        || file == "mtlspop/index.html"
                        || file == "https://manpages.debian.org/pkg-config.1"
                }
            };
            if !found {
                astray.push(format!("{}: {link}", name.display()));
            }
        }
    }
    assert!(astray.is_empty(), "these lead nowhere:\n{}", astray.join("\n"));
    let index = &pages[Path::new("index.html")];
    assert!(!index.contains('@'), "a mark of the template is left");
    let names = fs::read_to_string(root().join("docs/symbols-in-versions")).unwrap();
    let names = names.lines().filter(|line| !line.starts_with('#') && line.ends_with(" -"));
    for name in names.filter_map(|line| line.split(' ').next()) {
        // Where only the case differs, the page of the function has the number.
        let found = [format!(">{name}("), format!(">{name}<"), format!(">{}(", name.to_lowercase())];
        assert!(found.iter().any(|found| index.contains(found)), "{name} is not in the index");
    }
}

/// Does rustdoc find nothing to say about the reference for Rust?
#[test]
fn rustdoc_is_silent() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(root()).args(["doc", "--no-deps", "--package", "mtlspop", "--lib"]);
    let output = run(&mut cargo);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning:"), "{}", report(&cargo, &output));
}
