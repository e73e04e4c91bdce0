//! The interface of the last release beside today's: which bump of the ABI is due?
//!
//! abi/released.txt has it, a line each: `name: what callers rely on`. The names of a function's parameters are not among that.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::header::Item;
use crate::prototype::Prototype;
use crate::versions::Version;

/// What callers rely on, by name.
pub(crate) type Interface = BTreeMap<String, String>;

/// The part of the version that has to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bump {
    Nothing,
    Minor,
    Major,
}

/// An interface and the version of the ABI that it had.
#[derive(Debug, PartialEq)]
pub(crate) struct Release {
    pub(crate) major: i32,
    pub(crate) minor: i32,
    pub(crate) interface: Interface,
}

impl Release {
    /// `version` is `MTLSPOP_ABI_VERSION`: major * 65536 + minor.
    pub(crate) fn new(version: i32, items: &[Item]) -> Self {
        // The macros that tell versions change with each.
        let lasting = items.iter().filter(|item| !item.name.contains("_VERSION"));
        let interface = lasting.map(|item| (item.name.clone(), relied_on(item))).collect();
        Self { major: version >> 16, minor: version & 0xffff, interface }
    }

    /// What `text()` wrote.
    pub(crate) fn read(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let version = lines.next().and_then(|line| line.strip_prefix("abi ")).unwrap();
        let (major, minor) = version.split_once('.').unwrap();
        let interface = lines.map(|line| line.split_once(": ").unwrap());
        Self {
            major: major.parse().unwrap(),
            minor: minor.parse().unwrap(),
            interface: interface.map(|(name, what)| (name.to_owned(), what.to_owned())).collect(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = "# The interface as it was released last; `make abi-release` writes it.\n".to_owned();
        writeln!(text, "abi {}.{}", self.major, self.minor).unwrap();
        for (name, what) in &self.interface {
            writeln!(text, "{name}: {what}").unwrap();
        }
        text
    }

    /// What `today` needs before it can be released, and each change that this is for.
    pub(crate) fn due(&self, today: &Interface) -> (Bump, Vec<String>) {
        let mut due = Bump::Nothing;
        let mut changes = Vec::new();
        for (name, what) in &self.interface {
            match today.get(name) {
                Some(now) if now == what => continue,
                Some(now) => changes.push(format!("changed {name}: {what} -> {now}")),
                None => changes.push(format!("removed {name}: {what}")),
            }
            due = Bump::Major;
        }
        for (name, what) in today.iter().filter(|(name, _)| !self.interface.contains_key(*name)) {
            changes.push(format!("added {name}: {what}"));
            due = due.max(Bump::Minor);
        }
        (due, changes)
    }

    pub(crate) fn version(&self) -> Version {
        Version::of_number(self.major << 16 | self.minor)
    }

    /// What the version has grown by since.
    pub(crate) fn grown(&self, version: i32) -> Bump {
        match ((version >> 16) - self.major, (version & 0xffff) - self.minor) {
            (0, 0) => Bump::Nothing,
            (0, 1..) => Bump::Minor,
            (1.., _) => Bump::Major,
            _ => panic!("the ABI was {}.{} at the last release", self.major, self.minor),
        }
    }
}

fn relied_on(item: &Item) -> String {
    if item.is_function() {
        let function = Prototype::parse(item);
        let kinds: Vec<_> = function.parameters.into_iter().map(|parameter| parameter.kind).collect();
        let kinds = if kinds.is_empty() { "void".to_owned() } else { kinds.join(", ") };
        return format!("{} ({kinds})", function.returns);
    }
    let declaration = item.declaration.split_whitespace().collect::<Vec<_>>().join(" ");
    declaration.trim_start_matches("#define ").trim_start_matches(&item.name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release::read(
            "# how it was made\nabi 2.7\nmtlspop_a: void (mtlspop_x *)\nmtlspop_b: int32_t (void)\n",
        )
    }

    /// Does each kind of change get the bump that docs/ABI.md says, and is it told?
    #[test]
    fn changes_have_their_bump() {
        let released = release();
        let changed = |change: &dyn Fn(&mut Interface)| {
            let mut today = released.interface.clone();
            change(&mut today);
            let (due, changes) = released.due(&today);
            (due, changes.join("\n"))
        };
        let put = |name: &str, what: &str| {
            let (name, what) = (name.to_owned(), what.to_owned());
            changed(&move |today| drop(today.insert(name.clone(), what.clone())))
        };
        assert_eq!(changed(&|_| ()), (Bump::Nothing, String::new()));
        assert_eq!(put("mtlspop_c", "void (void)"), (Bump::Minor, "added mtlspop_c: void (void)".to_owned()));
        let (due, changes) = put("mtlspop_b", "int64_t (void)");
        assert_eq!(
            (due, changes.as_str()),
            (Bump::Major, "changed mtlspop_b: int32_t (void) -> int64_t (void)")
        );
        let (due, changes) = changed(&|today| {
            today.remove("mtlspop_a");
            today.insert("mtlspop_c".to_owned(), "void (void)".to_owned());
        });
        assert_eq!(due, Bump::Major);
        assert_eq!(changes, "removed mtlspop_a: void (mtlspop_x *)\nadded mtlspop_c: void (void)");
    }

    /// Is a version compared with the released one by its parts, and what was written read again?
    #[test]
    fn versions_grow() {
        let released = release();
        let of = |major: i32, minor: i32| released.grown(major * 65536 + minor);
        assert_eq!((of(2, 7), of(2, 8), of(3, 0)), (Bump::Nothing, Bump::Minor, Bump::Major));
        assert_eq!(Release::read(&released.text()), released);
    }
}
