//! The packages that are linked into one of ours, for this machine: cargo's own word, with the features of that build.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{Result, output};

/// A package of Rust.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) licence: String,
    /// Of what cargo downloaded; what is in this repository has none.
    pub(crate) sha256: Option<String>,
    /// By their places in the list.
    pub(crate) dependencies: Vec<usize>,
}

/// `package` first, and what is linked into it. What only builds it is not among them: build scripts, macros, tests.
pub(crate) fn linked(package: &str, features: &[&str]) -> Result<Vec<Package>> {
    let mut arguments = vec!["tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro"];
    arguments.extend(["--prefix", "depth", "--format", "\t{p}\t{l}"]);
    arguments.extend(features);
    let sums = sums(&fs::read_to_string("Cargo.lock")?);
    let mut packages: Vec<Package> = Vec::new();
    let mut places = HashMap::new();
    // From the root to the package of the line.
    let mut path: Vec<usize> = Vec::new();
    for line in output("cargo", &arguments)?.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [depth, package, licence] = parts[..] else { return Err(unreadable(line)) };
        let depth: usize = depth.parse().map_err(|_| unreadable(line))?;
        let mut words = package.split(' ');
        let (Some(name), Some(version)) =
            (words.next(), words.next().and_then(|word| word.strip_prefix('v')))
        else {
            return Err(unreadable(line));
        };
        let key = (name.to_owned(), version.to_owned());
        let place = *places.entry(key.clone()).or_insert(packages.len());
        if place == packages.len() {
            packages.push(Package {
                name: name.to_owned(),
                version: version.to_owned(),
                // Seen before: cargo says so with a star behind it.
                licence: licence.trim_end_matches(" (*)").to_owned(),
                sha256: sums.get(&key).cloned(),
                dependencies: Vec::new(),
            });
        }
        path.truncate(depth);
        if let Some(parent) = path.last().and_then(|parent| packages.get_mut(*parent))
            && !parent.dependencies.contains(&place)
        {
            parent.dependencies.push(place);
        }
        path.push(place);
    }
    Ok(packages)
}

/// The version of the AWS-LC that a package brings along, as its headers say.
pub(crate) fn aws_lc(package: &Package) -> Result<String> {
    let metadata: Value =
        serde_json::from_str(&output("cargo", &["metadata", "--locked", "--format-version", "1"])?)?;
    let found = metadata["packages"].as_array().into_iter().flatten().find(|candidate| {
        candidate["name"] == package.name.as_str() && candidate["version"] == package.version.as_str()
    });
    let manifest = found.and_then(|found| found["manifest_path"].as_str()).unwrap_or_default();
    let header = Path::new(manifest).with_file_name("aws-lc/include/openssl/base.h");
    let text = fs::read_to_string(&header).map_err(|error| format!("{}: {error}", header.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("#define AWSLC_VERSION_NUMBER_STRING \""));
    let version = version.and_then(|rest| rest.strip_suffix('"'));
    Ok(version.ok_or("AWS-LC does not say its version")?.to_owned())
}

/// The SHA-256 sums in a Cargo.lock, by name and version.
fn sums(lock: &str) -> HashMap<(String, String), String> {
    let packages = lock.split("[[package]]").skip(1);
    let sums = packages.filter_map(|package| {
        let value = |name: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| {
                Some(line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
            })
        };
        Some(((value("name")?, value("version")?), value("checksum")?))
    });
    sums.collect()
}

fn unreadable(line: &str) -> Box<dyn std::error::Error> {
    format!("cargo tree says what is not understood here: {line}").into()
}
