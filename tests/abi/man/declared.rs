//! What the header declares, in its order, and what it says about each: the source of the manual pages.

use crate::header::Item;
use crate::prototype::Prototype;

/// One thing that the header declares, with its comment taken apart.
pub(super) struct Declared {
    /// The banner that it stands below.
    pub(super) section: String,
    pub(super) name: String,
    /// Its lines; of `MTLSPOP_VERSION` those of its parts, too.
    pub(super) declaration: Vec<String>,
    pub(super) paragraphs: Vec<String>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) returns: Option<String>,
    /// What a caller of something old does in its place.
    pub(super) deprecated: Option<String>,
}

impl Declared {
    pub(super) fn is_define(&self) -> bool {
        self.declaration[0].starts_with("#define ")
    }

    pub(super) fn is_handle(&self) -> bool {
        self.declaration[0].starts_with("typedef struct ")
    }

    pub(super) fn is_function(&self) -> bool {
        !self.is_define() && !self.declaration[0].starts_with("typedef ")
    }

    /// A number with a name of its own, `mtlspop_status`: the numbers below it are its values.
    pub(super) fn is_number(&self) -> bool {
        self.declaration[0].starts_with("typedef int32_t ") && !self.declaration[0].contains('(')
    }

    /// Its name, and those of the lines below a number.
    pub(super) fn names(&self) -> Vec<String> {
        let further = self.declaration.iter().skip(1).filter(|line| line.starts_with("#define "));
        [self.name.clone()].into_iter().chain(further.map(|line| name(line).to_owned())).collect()
    }

    pub(super) fn prototype(&self) -> Prototype {
        Prototype::parse(&Item {
            name: self.name.clone(),
            comment: String::new(),
            declaration: self.declaration.join("\n"),
            file: String::new(),
        })
    }

    /// The first sentence, to its first halt: what stands behind the name in a list.
    pub(super) fn summary(&self) -> &str {
        let text = &self.paragraphs[0];
        let halts = [". ", "; ", ": "].iter().flat_map(|halt| text.match_indices(halt));
        // Three dots are none.
        let halts = halts.map(|(at, _)| at).filter(|&at| !text[..at].ends_with('.'));
        let end = halts.min().unwrap_or(text.len());
        text[..end].trim_end_matches('.')
    }

    /// The paragraphs without what they say about failure, and that.
    pub(super) fn failure(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut about, mut failure) = (Vec::new(), Vec::new());
        for paragraph in &self.paragraphs {
            match paragraph.find("Fails ") {
                Some(at) if at == 0 || paragraph[..at].ends_with(". ") => {
                    about.extend(Some(paragraph[..at].trim_end()).filter(|before| !before.is_empty()));
                    failure.push(&paragraph[at..]);
                }
                _ => about.push(paragraph),
            }
        }
        (about, failure)
    }

    /// All that is said about it, without the name of each parameter.
    pub(super) fn said(&self) -> String {
        let parts = self.paragraphs.iter().chain(self.parameters.iter().map(|(_, text)| text));
        parts.chain(&self.returns).map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Everything below the contract.
pub(super) fn read(declarations: &str) -> Vec<Declared> {
    let mut all: Vec<Declared> = Vec::new();
    let mut section = "Version".to_owned();
    let (mut comment, mut declaration): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut in_comment = false;
    for line in declarations.lines() {
        if let Some(title) = line.strip_prefix("/* ==== ") {
            section = title.trim_end_matches("*/").trim_end_matches([' ', '=']).to_owned();
        } else if in_comment || line.starts_with("/**") {
            comment
                .push(line.trim_start_matches("/**").trim_end_matches("*/").trim_start_matches(" *").trim());
            in_comment = !line.ends_with("*/");
        } else if !comment.is_empty() && !line.is_empty() {
            declaration.push(line);
            if line.starts_with("#define ") || line.ends_with(';') {
                all.push(declared(&section, &declaration, &comment));
                (comment, declaration) = (Vec::new(), Vec::new());
            }
        } else if let Some(last) = all.last_mut()
            && line.starts_with(&format!("#define {}_", last.name))
        {
            last.declaration.push(line.to_owned());
        }
    }
    all
}

fn declared(section: &str, declaration: &[&str], comment: &[&str]) -> Declared {
    let mut declared = Declared {
        section: section.to_owned(),
        name: name(declaration[0]).to_owned(),
        declaration: declaration.iter().map(|line| (*line).to_owned()).collect(),
        paragraphs: Vec::new(),
        parameters: Vec::new(),
        returns: None,
        deprecated: None,
    };
    // A tag, or a paragraph, to the next of these.
    let mut parts: Vec<String> = vec![String::new()];
    for line in comment {
        if line.is_empty() || line.starts_with('@') {
            parts.push(String::new());
        }
        let part = parts.last_mut().unwrap();
        *part += if part.is_empty() { "" } else { " " };
        *part += line;
    }
    for part in parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        if let Some((parameter, text)) = part.strip_prefix("@param ").and_then(|rest| rest.split_once(' ')) {
            declared.parameters.push((parameter.to_owned(), text.trim().to_owned()));
        } else if let Some(text) = part.strip_prefix("@return ") {
            declared.returns = Some(text.trim().to_owned());
        } else if let Some(text) = part.strip_prefix("@deprecated ") {
            declared.deprecated = Some(text.trim().to_owned());
        } else {
            assert!(!part.starts_with('@'), "{}: what is {part}?", declared.name);
            declared.paragraphs.push(part.to_owned());
        }
    }
    declared
}

/// What a declaration declares.
fn name(line: &str) -> &str {
    let word = |end: usize| {
        let before = line[..end].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &line[before.map_or(0, |at| at + 1)..end]
    };
    if let Some(define) = line.strip_prefix("#define ") {
        return define.split_whitespace().next().unwrap_or(define);
    }
    match line.split_once("(*") {
        Some((_, rest)) => rest.split(')').next().unwrap_or(rest),
        None => word(line.find(['(', ';']).unwrap_or(line.len())),
    }
}
