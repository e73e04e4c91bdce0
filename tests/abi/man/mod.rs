//! Makes the manual pages, docs/man/man3, from the header: one for each function, handle, callback and type, one on top.

mod declared;
mod example;
mod mdoc;
mod threads;

use std::collections::{BTreeMap, BTreeSet};

use crate::versions::History;
use declared::Declared;
use example::Programs;
use mdoc::Page;

/// The pages by their file names, for this header.
pub(crate) fn pages(header: &str, history: &History) -> BTreeMap<String, String> {
    let (contract, declarations) = header.split_once("*/").expect("the header begins with its contract");
    let manual = Manual::new(declared::read(declarations), history);
    let mut pages = BTreeMap::from([("mtlspop.3".to_owned(), manual.overview(contract))]);
    for declared in manual.declared.iter().filter(|declared| !declared.is_define()) {
        pages.insert(format!("{}.3", declared.name), manual.page(declared));
    }
    // Numbers are found by their names, too. Where only the case differs, man finds the page by itself.
    for (number, home) in &manual.homes {
        if !pages.contains_key(&format!("{}.3", number.to_lowercase())) {
            pages.insert(format!("{number}.3"), format!(".so man3/{home}.3\n"));
        }
    }
    pages
}

/// Every name that the header declares, and whether it is deprecated.
pub(crate) fn names(header: &str) -> BTreeMap<String, bool> {
    let (_, declarations) = header.split_once("*/").expect("the header begins with its contract");
    let mut names = BTreeMap::new();
    for declared in declared::read(declarations) {
        let deprecated = declared.deprecated.is_some();
        names.extend(declared.names().into_iter().map(|name| (name, deprecated)));
    }
    names
}

/// Functions that no program calls that is compiled and run.
pub(crate) fn unused(header: &str) -> Vec<String> {
    let (_, declarations) = header.split_once("*/").expect("the header begins with its contract");
    let programs = Programs::read();
    let functions = declared::read(declarations).into_iter().filter(Declared::is_function);
    functions.map(|function| function.name).filter(|name| programs.of(name).is_none()).collect()
}

struct Manual<'a> {
    declared: Vec<Declared>,
    /// Everything that has a page.
    known: BTreeSet<String>,
    /// The page on which each number is explained.
    homes: BTreeMap<String, String>,
    history: &'a History,
    programs: Programs,
}

impl<'a> Manual<'a> {
    fn new(declared: Vec<Declared>, history: &'a History) -> Self {
        let pages = declared.iter().filter(|declared| !declared.is_define());
        let known = pages.map(|declared| declared.name.clone()).chain(["mtlspop".to_owned()]).collect();
        let mut manual =
            Self { declared, known, homes: BTreeMap::new(), history, programs: Programs::read() };
        for number in manual.declared.iter().filter(|declared| declared.is_define()) {
            let explains =
                |declared: &&Declared| manual.numbers(declared).iter().any(|n| n.name == number.name);
            let home = manual.declared.iter().find(explains);
            let home =
                home.unwrap_or_else(|| panic!("no function says that it takes or returns {}", number.name));
            let home = home.name.clone();
            manual.homes.extend(number.names().into_iter().map(|name| (name, home.clone())));
        }
        manual
    }

    /// The numbers that a page explains: of a type its values, otherwise those that are taken or returned.
    fn numbers(&self, declared: &Declared) -> Vec<&Declared> {
        let defines = || self.declared.iter().filter(|other| other.is_define());
        if declared.is_define() || declared.is_handle() {
            return Vec::new();
        }
        if declared.is_number() {
            return defines().filter(|number| is_status(&number.name)).collect();
        }
        let said = declared.said();
        let named = |number: &&Declared| {
            let mention = |text: &str, name: &str| text.split(of_no_name).any(|word| word == name);
            // `MTLSPOP_LOG_...` stands for all of them.
            let group = |text: &str| {
                let starts = text.match_indices("_...").map(|(at, _)| {
                    let start = text[..at].rfind(of_no_name).map_or(0, |before| before + 1);
                    &text[start..=at]
                });
                starts.into_iter().any(|start| !start.is_empty() && number.name.starts_with(start))
            };
            let taken = declared.parameters.iter().map(|(_, text)| text).chain(&declared.returns);
            group(&said)
                || taken.into_iter().any(|text| mention(text, &number.name))
                || mention(&number.paragraphs.join(" "), &declared.name)
        };
        defines().filter(|number| !is_status(&number.name)).filter(named).collect()
    }

    /// The page of one thing.
    fn page(&self, declared: &Declared) -> String {
        let numbers = self.numbers(declared).into_iter().flat_map(Declared::names);
        let at_home: Vec<String> = numbers.filter(|number| self.homes[number] == declared.name).collect();
        let names: Vec<&str> = at_home.iter().map(String::as_str).collect();
        let mut page = Page::new(&declared.name, &names, declared.summary(), &self.known);
        page.section("SYNOPSIS");
        page.line(".In mtlspop.h");
        match declared.is_function() {
            true => synopsis(&mut page, declared),
            false => page.code(&declared.declaration),
        }
        let (about, failure) = declared.failure();
        page.section("DESCRIPTION");
        paragraphs(&mut page, &about);
        if declared.is_handle() {
            self.functions(&mut page, declared);
        }
        if !declared.parameters.is_empty() {
            page.section("PARAMETERS");
            page.terms(longest(declared.parameters.iter().map(|(name, _)| name)));
            for (name, text) in &declared.parameters {
                page.line(&format!(".It Fa {name}"));
                page.prose(text);
            }
            page.line(".El");
        }
        self.constants(&mut page, declared);
        if declared.is_function() {
            page.section("RETURN VALUES");
            page.prose(declared.returns.as_deref().unwrap_or("None."));
        }
        self.example(&mut page, declared);
        if !failure.is_empty() || declared.is_function() {
            page.section("ERRORS");
            self.errors(&mut page, declared, &failure);
        }
        self.threads(&mut page, declared);
        self.version(&mut page, declared);
        self.see_also(&mut page, declared);
        page.text
    }

    /// Of a handle, all that can be done with it.
    fn functions(&self, page: &mut Page, handle: &Declared) {
        let own = |function: &&Declared| function.is_function() && self.noun(&function.name) == handle.name;
        page.section("FUNCTIONS");
        self.list(page, self.declared.iter().filter(own));
    }

    fn list<'b>(&self, page: &mut Page, all: impl Iterator<Item = &'b Declared>) {
        page.terms("Ds");
        for declared in all {
            page.line(&format!(".It Xr {} 3", declared.name));
            page.prose(declared.summary());
        }
        page.line(".El");
    }

    fn constants(&self, page: &mut Page, declared: &Declared) {
        let numbers = self.numbers(declared);
        if numbers.is_empty() {
            return;
        }
        page.section("CONSTANTS");
        page.terms("Ds");
        for number in numbers {
            for line in &number.declaration {
                let (name, value) = line.trim_start_matches("#define ").split_once(' ').unwrap();
                page.line(&format!(".It Dv {name} No = {}", value.replace('"', "\\(dq")));
            }
            paragraphs(page, &number.paragraphs);
            page.prose(&self.since(&number.name));
        }
        page.line(".El");
    }

    /// What the comment says of failure, with what each number means, and what holds of all functions of the kind.
    fn errors(&self, page: &mut Page, declared: &Declared, failure: &[&str]) {
        paragraphs(page, failure);
        let fails = declared.is_function() && declared.prototype().returns == "mtlspop_status";
        let handle =
            declared.parameters.first().and_then(|_| declared.prototype().parameters.into_iter().next());
        let handle = handle.filter(|parameter| parameter.handle().is_some());
        if fails && declared.parameters.iter().any(|(name, _)| name == "out_error") {
            let said = failure.join(" ");
            let named = |number: &&Declared| {
                let mentioned = said.split(of_no_name).any(|word| word == number.name);
                let always = number.name == "MTLSPOP_E_INTERNAL"
                    || number.name == "MTLSPOP_E_INVALID_HANDLE" && handle.is_some();
                is_status(&number.name) && (mentioned || always)
            };
            if !failure.is_empty() {
                page.line(".Pp");
            }
            page.prose("The numbers:");
            page.terms("Ds");
            for number in self.declared.iter().filter(named) {
                page.line(&format!(".It Dv {}", number.name));
                paragraphs(page, &number.paragraphs);
            }
            page.line(".El");
        } else if let Some(handle) = handle.filter(|_| declared.is_function() && failure.is_empty()) {
            let noun = handle.handle().unwrap_or_default().to_owned();
            let users = self.users(&noun);
            let draft = (declared.name.contains("_set_") || declared.name.contains("_add_"))
                && !noun.ends_with("_op");
            match draft && !users.is_empty() {
                true => {
                    page.prose("It reports none: the first bad value is kept, and fails the call that uses the settings,");
                    let users: Vec<_> = users.iter().map(|user| format!("{user}()")).collect();
                    page.prose(&format!("{}.", users.join(", ")));
                }
                false if declared.returns.is_some() => page.prose(
                    "It cannot fail. For a handle that is NULL or none of ours it returns NULL, 0 or the number that is named above.",
                ),
                false => page.prose("It cannot fail. A handle that is NULL is left alone."),
            }
        } else if failure.is_empty() {
            page.prose("It cannot fail, but for what is said above.");
        }
    }

    /// The calls that use what a draft was told.
    fn users(&self, noun: &str) -> Vec<&str> {
        let mut users = Vec::new();
        for function in self.declared.iter().filter(|declared| declared.is_function()) {
            let prototype = function.prototype();
            let mut given =
                prototype.parameters.iter().filter(|parameter| parameter.kind.starts_with("const "));
            if !given.any(|parameter| parameter.handle() == Some(noun)) {
                continue;
            }
            if prototype.returns == "mtlspop_status" {
                users.push(function.name.as_str());
            } else if let Some(other) = prototype.parameters[0].handle().filter(|other| *other != noun) {
                users.extend(self.users(other));
            }
        }
        users.sort_unstable();
        users.dedup();
        users
    }

    fn threads(&self, page: &mut Page, declared: &Declared) {
        if declared.is_handle() {
            page.section("THREADS");
            page.prose(threads::of_noun(&declared.name));
        } else if declared.is_function() {
            page.section("THREADS");
            let parameters = declared.prototype().parameters;
            let handles: Vec<_> =
                parameters.iter().filter(|parameter| parameter.handle().is_some()).collect();
            if handles.is_empty() {
                return page.prose("Any thread may call it at any time.");
            }
            page.terms(longest(handles.iter().map(|parameter| &parameter.name)));
            for parameter in handles {
                page.line(&format!(".It Fa {}", parameter.name));
                let freed = declared.name.ends_with("_free");
                match freed {
                    true => page.prose("is freed: no thread may use it any more."),
                    false => page.prose(threads::of_parameter(
                        parameter.handle().unwrap_or_default(),
                        !parameter.kind.starts_with("const "),
                    )),
                }
            }
            page.line(".El");
        }
    }

    fn since(&self, name: &str) -> String {
        let (introduced, deprecated) = self.history.of(name);
        match deprecated {
            None => format!("Since ABI {introduced}."),
            Some(version) => format!("Since ABI {introduced}; deprecated since {version}."),
        }
    }

    fn version(&self, page: &mut Page, declared: &Declared) {
        page.section("VERSION");
        page.prose(&self.since(&declared.name));
        if let Some(instead) = &declared.deprecated {
            page.prose(instead);
        }
        let (introduced, _) = self.history.of(&declared.name);
        if declared.is_function() && declared.name != "mtlspop_abi_version" {
            page.prose(&format!(
                "A library has it where mtlspop_abi_version() is at least {}, and of the same major version.",
                introduced.number()
            ));
        }
    }

    fn example(&self, page: &mut Page, declared: &Declared) {
        if !declared.is_function() {
            return;
        }
        if let Some(example) = self.programs.of(&declared.name) {
            page.section("EXAMPLES");
            page.line("From");
            page.line(&format!(".Pa {} ,", example.file));
            page.line("which the tests compile and run:");
            page.code(&example.lines);
        }
    }

    /// The noun, what is named in the text, what frees the result, and the numbers of errors.
    fn see_also(&self, page: &mut Page, declared: &Declared) {
        let mut names: BTreeSet<&str> = BTreeSet::from(["mtlspop", self.noun(&declared.name)]);
        let said = declared.said();
        names.extend(said.split(of_no_name));
        names.extend(declared.declaration.iter().flat_map(|line| line.split(of_no_name)));
        if !declared.is_function() && !declared.is_handle() && !declared.is_number() {
            // Who takes such a callback.
            let takes = |other: &&Declared| {
                other.is_function()
                    && other
                        .declaration
                        .iter()
                        .any(|line| line.split(of_no_name).any(|word| word == declared.name))
            };
            names.extend(self.declared.iter().filter(takes).map(|function| function.name.as_str()));
        }
        let handles = names.iter().map(|name| format!("{name}_free")).collect::<Vec<_>>();
        if declared.is_function() {
            names.extend(handles.iter().map(String::as_str));
        }
        names.retain(|name| self.known.contains(*name) && *name != declared.name);
        page.section("SEE ALSO");
        let last = names.len() - 1;
        for (index, name) in names.iter().enumerate() {
            page.line(&format!(".Xr {name} 3{}", if index < last { " ," } else { "" }));
        }
    }

    /// The handle that a function is about.
    fn noun(&self, function: &str) -> &str {
        let handles = self.declared.iter().filter(|declared| declared.is_handle());
        let own = handles.filter(|handle| function.starts_with(&format!("{}_", handle.name)));
        own.map(|handle| handle.name.as_str()).max_by_key(|name| name.len()).unwrap_or("mtlspop")
    }

    /// The page on top: contract and contents.
    fn overview(&self, contract: &str) -> String {
        const COLUMN: usize = 12;
        let lines: Vec<&str> =
            contract.lines().map(|line| line.trim_start_matches(" *").trim_end()).collect();
        let example = lines.iter().position(|line| *line == " A call:").expect("the contract has an example");
        let rules = lines.iter().position(|line| line.starts_with(" Ownership")).expect("and rules");
        let summary = "Microsoft Entra tokens, Bearer and mTLS proof-of-possession";
        let mut page = Page::new("mtlspop", &[], summary, &self.known);
        page.section("SYNOPSIS");
        page.line(".In mtlspop.h");
        page.code(&["cc ... $(pkg-config --cflags --libs mtlspop)"]);
        page.section("DESCRIPTION");
        page.prose(
            "Each function, handle and callback has a page of its own, and each number is found by its name:",
        );
        page.line(".Ql man mtlspop_app_new .");
        page.prose("What follows holds of all of them.");
        page.terms("Ownership");
        for line in lines[rules..].iter().filter(|line| !line.trim().is_empty()) {
            let (word, rest) = line[1..].split_at(COLUMN);
            if !word.trim().is_empty() {
                page.line(&format!(".It {}", word.trim()));
            }
            page.prose(rest.trim());
        }
        page.line(".El");
        page.section("EXAMPLES");
        // A label stands out to the left.
        let dedent = |line: &str| line.len() - line.trim_start().len().max(line.len().saturating_sub(5));
        let code: Vec<&str> = lines[example + 1..rules].iter().map(|line| &line[dedent(line)..]).collect();
        page.code(trimmed(&code));
        page.section("INDEX");
        let mut sections: Vec<&str> = Vec::new();
        for declared in self.declared.iter().filter(|declared| !declared.is_define()) {
            if !sections.contains(&declared.section.as_str()) {
                sections.push(&declared.section);
            }
        }
        for section in sections {
            page.subsection(section);
            let here = |declared: &&Declared| !declared.is_define() && declared.section == section;
            self.list(&mut page, self.declared.iter().filter(here));
        }
        page.section("SEE ALSO");
        page.line(".Xr pkg-config 1");
        page.text
    }
}

fn synopsis(page: &mut Page, declared: &Declared) {
    let prototype = declared.prototype();
    page.line(&format!(".Ft {}", prototype.returns));
    page.line(&format!(".Fo {}", prototype.name));
    if prototype.parameters.is_empty() {
        page.line(".Fa void");
    }
    for (index, parameter) in prototype.parameters.iter().enumerate() {
        // A long name may stand on a line of its own.
        let start = if index == 0 { "\\:" } else { "" };
        let space = if parameter.kind.ends_with('*') { "" } else { " " };
        page.line(&format!(".Fa \"{start}{}{space}{}\"", parameter.kind, parameter.name));
    }
    page.line(".Fc");
}

fn paragraphs<S: AsRef<str>>(page: &mut Page, paragraphs: &[S]) {
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            page.line(".Pp");
        }
        page.prose(paragraph.as_ref());
    }
}

/// How wide a column of names is.
fn longest<'a>(names: impl Iterator<Item = &'a String>) -> &'a str {
    names.max_by_key(|name| name.len()).map_or("Ds", String::as_str)
}

fn is_status(number: &str) -> bool {
    number == "MTLSPOP_OK" || number.starts_with("MTLSPOP_E_")
}

fn of_no_name(c: char) -> bool {
    !c.is_ascii_alphanumeric() && c != '_'
}

/// Without empty lines around.
fn trimmed<'a, 'b>(lines: &'a [&'b str]) -> &'a [&'b str] {
    let full = |line: &&str| !line.trim().is_empty();
    let start = lines.iter().position(full).unwrap_or(0);
    let end = lines.iter().rposition(full).map_or(0, |last| last + 1);
    &lines[start..end]
}
