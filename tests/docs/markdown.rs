//! The documents as these tests need them: code blocks, code spans and links. Not a Markdown parser.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

/// A document of the repository.
pub(crate) struct Document {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    text: String,
}

/// What stands between two fences. ```` ```c first.c ```` says that the block is the file first.c.
pub(crate) struct Block {
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) file_name: Option<String>,
    pub(crate) text: String,
}

/// README.md and its neighbours, and everything in docs/.
pub(crate) fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(PathBuf::from).into();
    collect(Path::new("docs"), &mut paths);
    paths
        .into_iter()
        .map(|path| Document { text: fs::read_to_string(root().join(&path)).unwrap(), path })
        .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = directory.join(entry.file_name());
        if entry.path().is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
}

impl Document {
    /// The code blocks, in their order.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for (index, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), inside) {
                (Some(info), false) => {
                    let mut words = info.split_whitespace().map(str::to_owned);
                    blocks.push(Block {
                        line: index + 1,
                        language: words.next().unwrap_or_default(),
                        file_name: words.next(),
                        text: String::new(),
                    });
                    inside = true;
                }
                (Some(_), true) => inside = false,
                (None, true) => {
                    let block = blocks.last_mut().unwrap();
                    block.text += line;
                    block.text.push('\n');
                }
                (None, false) => {}
            }
        }
        assert!(!inside, "{}: a code block does not end", self.path.display());
        blocks
    }

    /// What stands between backticks outside code blocks, with its line number.
    pub(crate) fn spans(&self) -> Vec<(usize, String)> {
        let odd = |line: &str| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        self.prose(odd)
    }

    /// Where links lead, with the line number. Anchors of this document are left out.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let targets = |line: &str| {
            let ends = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            ends.filter(|target| !target.starts_with('#')).map(str::to_owned).collect()
        };
        self.prose(targets)
    }

    /// The whole text, for what may stand anywhere.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A place in the document, as compilers write it.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn prose(&self, find: impl Fn(&str) -> Vec<String>) -> Vec<(usize, String)> {
        let mut inside = false;
        let mut found = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                inside = !inside;
            } else if !inside {
                found.extend(find(line).into_iter().map(|text| (index + 1, text)));
            }
        }
        found
    }
}
