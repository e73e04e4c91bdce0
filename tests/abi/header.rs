//! Makes include/mtlspop.h: cbindgen's items, put into the frame and order of include/mtlspop.h.in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::support::root;

/// One thing that the header declares.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Its C name.
    pub(crate) name: String,
    /// Its documentation: the comment above it, as it stands in the header.
    pub(crate) comment: String,
    /// Its declaration, to the semicolon or the end of the `#define`.
    pub(crate) declaration: String,
    /// The file in src/ffi that it comes from.
    pub(crate) file: String,
}

impl Item {
    pub(crate) fn is_handle(&self) -> bool {
        self.declaration.starts_with("typedef struct ")
    }

    pub(crate) fn is_define(&self) -> bool {
        self.declaration.starts_with("#define ")
    }

    pub(crate) fn is_function(&self) -> bool {
        !self.declaration.starts_with("typedef ") && !self.is_define()
    }

    fn text(&self) -> String {
        match self.comment.is_empty() {
            true => self.declaration.clone(),
            false => format!("{}\n{}", self.comment, self.declaration),
        }
    }
}

/// The header as it should be.
pub(crate) fn generate() -> String {
    let items = items();
    let mut header = String::new();
    let mut placed = 0;
    for line in read("include/mtlspop.h.in").lines() {
        let marker = line.strip_prefix('@').and_then(|line| line.strip_suffix('@'));
        let chosen: Vec<&Item> = match marker {
            None => {
                header += &format!("{}\n", versions(line));
                continue;
            }
            Some("handles") => items.iter().filter(|item| item.is_handle()).collect(),
            Some(file) => items.iter().filter(|item| item.file == file && !item.is_handle()).collect(),
        };
        assert!(!chosen.is_empty(), "include/mtlspop.h.in asks for {line}, and src/ffi has nothing of it");
        placed += chosen.len();
        header += &join(&chosen);
    }
    assert_eq!(
        placed,
        items.len(),
        "something in src/ffi has no place: give each of its files one line @file.rs@ in include/mtlspop.h.in"
    );
    header
}

/// Everything that src/ffi exports, as cbindgen writes it. Read once for all tests.
pub(crate) fn items() -> Vec<Item> {
    static ITEMS: LazyLock<Vec<Item>> = LazyLock::new(read_items);
    ITEMS.clone()
}

fn read_items() -> Vec<Item> {
    let homes = homes();
    split(&cbindgen())
        .into_iter()
        .map(|(comment, declaration)| {
            let name = name(&declaration);
            let file = homes.get(&name).unwrap_or_else(|| panic!("where does {name} come from?")).clone();
            Item { name, comment, declaration, file }
        })
        .collect()
}

fn cbindgen() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for (_, path) in ffi_files() {
        builder = builder.with_src(path);
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// Cuts cbindgen's output into comments and declarations.
fn split(text: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let (mut comment, mut declaration) = (Vec::new(), Vec::new());
    let mut in_comment = false;
    for line in text.lines() {
        if line.starts_with("/**") {
            in_comment = true;
        }
        if in_comment {
            comment.push(line);
            in_comment = !line.ends_with("*/");
        } else if !line.is_empty() {
            declaration.push(line);
            if line.ends_with(';') || line.starts_with("#define ") {
                parts.push((one_line(&comment), declaration.join("\n")));
                (comment, declaration) = (Vec::new(), Vec::new());
            }
        }
    }
    assert!(comment.is_empty() && declaration.is_empty(), "cbindgen's output has changed its shape:\n{text}");
    parts
}

/// A comment that fits is written on one line.
fn one_line(comment: &[&str]) -> String {
    match comment {
        ["/**", text, " */"] => format!("/** {} */", text.trim_start_matches(" *").trim()),
        lines => lines.join("\n"),
    }
}

fn join(items: &[&Item]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        let follows_define = index > 0 && items[index - 1].is_define() && item.is_define();
        if index > 0 && !follows_define {
            text.push('\n');
        }
        text += &format!("{}\n", item.text());
    }
    text
}

fn name(declaration: &str) -> String {
    let word = |text: &str| {
        let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        text[start..].to_owned()
    };
    if let Some(define) = declaration.strip_prefix("#define ") {
        return define.split_whitespace().next().unwrap().to_owned();
    }
    if declaration.starts_with("typedef ") {
        return match declaration.split_once("(*") {
            Some((_, rest)) => rest.split(')').next().unwrap().to_owned(),
            None => word(declaration.trim_end_matches(';')),
        };
    }
    word(declaration.split('(').next().unwrap())
}

/// In which file of src/ffi each public name is defined.
fn homes() -> BTreeMap<String, String> {
    let mut homes = BTreeMap::new();
    for (file, path) in ffi_files() {
        for line in fs::read_to_string(path).unwrap().lines() {
            let Some(line) = line.strip_prefix("pub ") else { continue };
            let line = line.trim_start_matches("unsafe ").trim_start_matches("extern \"C\" ");
            for keyword in ["fn ", "const ", "type ", "struct "] {
                if let Some(rest) = line.strip_prefix(keyword) {
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
                    homes.insert(rest[..end].to_owned(), file.clone());
                }
            }
        }
    }
    homes
}

/// The files of src/ffi by name, but for the one that only lists the others.
fn ffi_files() -> BTreeMap<String, std::path::PathBuf> {
    let directory = fs::read_dir(root().join("src/ffi")).unwrap();
    let paths = directory
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("mod.rs"));
    paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

fn versions(line: &str) -> String {
    line.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@MAJOR@", env!("CARGO_PKG_VERSION_MAJOR"))
        .replace("@MINOR@", env!("CARGO_PKG_VERSION_MINOR"))
        .replace("@PATCH@", env!("CARGO_PKG_VERSION_PATCH"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}
