//! Finds, for each function, the lines of a program that use it: programs that are compiled and run, never a sample.

use std::collections::BTreeSet;
use std::fs;

use crate::support::root;

/// What is shown of a program.
pub(super) struct Example {
    /// Where it is from.
    pub(super) file: String,
    pub(super) lines: Vec<String>,
}

/// Programs and what they include.
pub(super) struct Programs(Vec<Program>);

struct Program {
    file: String,
    /// How far it is from what a user would write: 0 is an example, 1 what examples share, 2 a test, 3 one of mistakes.
    distance: usize,
    lines: Vec<String>,
    /// The same without comments.
    code: Vec<String>,
    /// All words in it.
    names: BTreeSet<String>,
}

/// Programs that do wrong on purpose.
const MISTAKES: [&str; 2] = ["contract.c", "misuse.c"];
/// How much is shown before and after the statement.
const BEFORE: usize = 5;
const AFTER: usize = 3;
/// How much is best shown.
const SHORT: usize = 6;
/// Programs that show how not to do it.
const WRONG: [&str; 2] = ["misuse.c", "planted.c"];

impl Programs {
    pub(super) fn read() -> Self {
        let mut programs = Vec::new();
        for (directory, ending, distance) in [
            ("examples-c", ".c", 0),
            ("examples-c/libcurl", ".c", 0),
            ("examples-c/tpm", ".c", 0),
            ("examples-c", ".h", 1),
            ("tests/c", ".c", 2),
            ("tests/c", ".h", 2),
        ] {
            let entries = fs::read_dir(root().join(directory)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> =
                names.filter(|name| name.ends_with(ending) && !WRONG.contains(&name.as_str())).collect();
            names.sort();
            let mistaken = |name: &str| usize::from(MISTAKES.contains(&name));
            let program = |name: String| program(format!("{directory}/{name}"), distance + mistaken(&name));
            programs.extend(names.into_iter().map(program));
        }
        programs.push(program("tests/abi/versions.c".to_owned(), 2));
        Self(programs)
    }

    /// The stretch that shows best how the function is called.
    pub(super) fn of(&self, function: &str) -> Option<Example> {
        let mut best: Option<((usize, usize), Example)> = None;
        for program in self.0.iter().filter(|program| program.names.contains(function)) {
            let calls = (0..program.code.len()).filter(|&at| calls(&program.code[at], function));
            for lines in calls.filter_map(|at| program.stretch(at)) {
                let rank = (program.distance, lines.len().abs_diff(SHORT));
                if best.as_ref().is_none_or(|(best, _)| rank < *best) {
                    best = Some((rank, Example { file: program.file.clone(), lines }));
                }
            }
        }
        best.map(|(_, example)| example)
    }
}

impl Program {
    /// The statement at a line, and what stands around it in the same block, up to the next empty lines.
    fn stretch(&self, at: usize) -> Option<Vec<String>> {
        let indent = |at: usize| self.lines[at].len() - self.lines[at].trim_start().len();
        let full = |at: usize| !self.lines[at].trim().is_empty();
        // A line that ends a statement, begins a block or is a label or a comment.
        let ends = |at: usize| {
            let code = self.code[at].trim_end();
            code.is_empty() || code.ends_with([';', '{', '}', ':'])
        };
        let mut first = at;
        while first > 0 && full(first - 1) && !ends(first - 1) {
            first -= 1;
        }
        let column = indent(first);
        if column == 0 {
            // A function itself, or a macro.
            return None;
        }
        let mut last = at;
        while last + 1 < self.lines.len() && !ends(last) {
            last += 1;
        }
        // A block that it begins.
        while last + 1 < self.lines.len()
            && full(last + 1)
            && (indent(last + 1) > column || opens(&self.code[first..=last]))
        {
            last += 1;
        }
        for _ in 0..BEFORE {
            if first == 0 || !full(first - 1) || indent(first - 1) < column {
                break;
            }
            first -= 1;
        }
        while indent(first) > column || self.lines[first].trim_start().starts_with('}') {
            first += 1;
        }
        for _ in 0..AFTER {
            if last + 1 >= self.lines.len() || !full(last + 1) || indent(last + 1) < column {
                break;
            }
            last += 1;
        }
        // Not to end in the middle.
        while last > at && (!ends(last) || opens(&self.code[first..=last]) || control(&self.code[last])) {
            match self.lines.get(last + 1) {
                Some(next) if !next.trim().is_empty() && indent(last + 1) >= column => last += 1,
                _ => break,
            }
        }
        // Nor with a comment on what is not shown.
        while last > at && self.code[last].trim().is_empty() {
            last -= 1;
        }
        Some(
            self.lines[first..=last].iter().map(|line| line.get(column..).unwrap_or("").to_owned()).collect(),
        )
    }
}

/// Whether a block is still open.
fn opens(code: &[String]) -> bool {
    let count = |brace| code.iter().map(|line| line.matches(brace).count()).sum::<usize>();
    count('{') > count('}')
}

/// Whether the line has its statement below it.
fn control(code: &str) -> bool {
    let code = code.trim();
    ["if (", "for (", "while (", "else"].iter().any(|word| code.starts_with(word))
        && !code.ends_with([';', '{', '}'])
}

/// Whether the line calls the function.
fn calls(code: &str, function: &str) -> bool {
    code.match_indices(function).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        code[at + function.len()..].starts_with('(') && !before.is_ascii_alphanumeric() && before != '_'
    })
}

/// The text without comments, line by line as it was.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        let end = rest[at..].find("*/").map_or(rest.len(), |end| at + end + 2);
        code += &rest[..at];
        code.extend(rest[at..end].chars().filter(|&c| c == '\n'));
        rest = &rest[end..];
    }
    code + rest
}

fn program(file: String, distance: usize) -> Program {
    let text = fs::read_to_string(root().join(&file)).unwrap();
    let code = code(&text);
    let lines = |text: &str| text.lines().map(str::to_owned).collect();
    let names = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned).collect();
    Program { file, distance, lines: lines(&text), code: lines(&code), names }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is what is shown short and whole: with the call, and each bracket that is opened closed?
    #[test]
    fn stretches_are_whole() {
        let programs = Programs::read();
        let names = fs::read_to_string(root().join("abi/symbols.txt")).unwrap();
        for name in names.lines() {
            let Some(example) = programs.of(name) else { continue };
            let text = example.lines.join("\n");
            let code = code(&text);
            assert!(calls(&code, name), "{name}: {text}");
            assert!(example.lines.len() <= 20, "{name}, {}: {text}", example.file);
            // Brackets in texts are not told apart; those that are used there are in pairs.
            for (open, close) in [('(', ')'), ('{', '}')] {
                let balanced = code.matches(open).count() == code.matches(close).count();
                assert!(balanced, "{name}, {}: {text}", example.file);
            }
        }
    }
}
