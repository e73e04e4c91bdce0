//! docs/symbols-in-versions: since which version of the ABI each name is there, is deprecated, or is gone.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

/// A version of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: i32,
    minor: i32,
}

impl Version {
    /// major * 65536 + minor, as `mtlspop_abi_version()` tells it.
    pub(crate) fn number(self) -> i32 {
        self.major << 16 | self.minor
    }

    pub(crate) fn of_number(number: i32) -> Self {
        Self { major: number >> 16, minor: number & 0xffff }
    }

    fn read(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// When a name came, became old and went.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Life {
    introduced: Version,
    deprecated: Option<Version>,
    removed: Option<Version>,
}

/// The life of each name there ever was.
#[derive(Debug, PartialEq)]
pub(crate) struct History(BTreeMap<String, Life>);

impl History {
    /// What `text()` wrote.
    pub(crate) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let life = |line: &str| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [name, introduced, deprecated, removed] = columns[..] else {
                panic!("docs/symbols-in-versions has a line without four columns: {line}")
            };
            let introduced = Version::read(introduced).unwrap_or_else(|| panic!("since when is {name}?"));
            let (deprecated, removed) = (Version::read(deprecated), Version::read(removed));
            (name.to_owned(), Life { introduced, deprecated, removed })
        };
        Self(lines.map(life).collect())
    }

    pub(crate) fn text(&self) -> String {
        let mut text = "# Since which version of the ABI each name is there, is deprecated, or is gone: `make header` writes it.\n\
             # mtlspop_abi_version() is major * 65536 + minor of it.\n"
            .to_owned();
        let column = |version: Option<Version>| version.map_or("-".to_owned(), |version| version.to_string());
        writeln!(text, "# {:<64} {:<11} {:<11} removed", "name", "introduced", "deprecated").unwrap();
        for (name, life) in &self.0 {
            let (deprecated, removed) = (column(life.deprecated), column(life.removed));
            writeln!(text, "{name:<66} {:<11} {deprecated:<11} {removed}", life.introduced.to_string())
                .unwrap();
        }
        text
    }

    /// With the names that the header of this version has, and whether they are deprecated. One that goes before
    /// any release had it leaves no trace.
    pub(crate) fn with(mut self, names: &BTreeMap<String, bool>, now: Version, released: Version) -> Self {
        for (name, deprecated) in names {
            let new = Life { introduced: now, deprecated: None, removed: None };
            let life = self.0.entry(name.clone()).or_insert(new);
            life.removed = None;
            life.deprecated = deprecated.then(|| life.deprecated.unwrap_or(now));
        }
        self.0.retain(|name, life| names.contains_key(name) || life.introduced <= released);
        for (_, life) in self.0.iter_mut().filter(|(name, _)| !names.contains_key(*name)) {
            life.removed = life.removed.or(Some(now));
        }
        self
    }

    /// Since when a name is there, and since when deprecated.
    pub(crate) fn of(&self, name: &str) -> (Version, Option<Version>) {
        let life = self.0.get(name).unwrap_or_else(|| panic!("{name} is not in docs/symbols-in-versions"));
        (life.introduced, life.deprecated)
    }

    /// The names that a library of this version had.
    pub(crate) fn at(&self, version: Version) -> impl Iterator<Item = &str> {
        let there =
            move |life: &Life| life.introduced <= version && life.removed.is_none_or(|gone| gone > version);
        self.0.iter().filter(move |(_, life)| there(life)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        "# how it was made\nmtlspop_a 0.1 - -\nmtlspop_b 0.2 - -\nmtlspop_c 0.5 - -\nmtlspop_d 0.1 0.2 0.3\n";

    /// Does a name get the version in which it came, was deprecated and went, and keep them; and does one that no
    /// release had leave no trace?
    #[test]
    fn names_have_their_versions() {
        let version = |text| Version::read(text).unwrap();
        let names = [("mtlspop_a", true), ("mtlspop_e", false)].map(|(name, old)| (name.to_owned(), old));
        let after = |text: &str, now| {
            let history = History::read(text).with(&names.clone().into(), version(now), version("0.4"));
            history
                .text()
                .lines()
                .filter(|line| !line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let first = after(BEFORE, "0.5");
        let lines: Vec<_> = first.iter().map(|text| line(text)).collect();
        assert_eq!(
            lines,
            ["mtlspop_a 0.1 0.5 -", "mtlspop_b 0.2 - 0.5", "mtlspop_d 0.1 0.2 0.3", "mtlspop_e 0.5 - -"]
        );
        assert_eq!(after(&first.join("\n"), "0.6"), first, "what is known stays as it was");
    }

    /// Is a version the number that the library tells, and compared by its parts?
    #[test]
    fn versions_are_numbers() {
        let version = |text| Version::read(text).unwrap();
        assert_eq!(version("1.2").number(), 65538);
        assert_eq!(Version::of_number(65538), version("1.2"));
        assert!(version("0.10") > version("0.9") && version("1.0") > version("0.10"));
    }
}
