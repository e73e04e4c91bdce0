//! How the files of a release came about: an in-toto statement (v1) with SLSA's provenance (v1). It is not signed here.

use std::fs;

use serde_json::{Value, json};

use crate::{Result, output};

/// About the files that are listed in `sums`, as sha256sum writes them. BUILDER is who built; SOURCE is where the commit can be had;
/// LOCK is the SHA-256 of Cargo.lock.
pub(crate) fn statement(sums: &str) -> Result<Value> {
    let setting = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let subjects = fs::read_to_string(sums)?;
    let subjects = subjects.lines().map(|line| {
        let (sum, name) = line.split_once("  ").ok_or_else(|| format!("{sums}: {line}"))?;
        Ok(json!({ "name": name, "digest": { "sha256": sum } }))
    });
    let subjects = subjects.collect::<Result<Vec<_>>>()?;
    let commit = output("git", &["rev-parse", "HEAD"])?;
    let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
    // What was handed in: nobody knows here whether it is of this commit.
    let mut prebuilt = vec!["ARCHIVE", "PLUGIN", "PROGRAM"];
    prebuilt.retain(|name| std::env::var(name).is_ok_and(|path| !path.is_empty()));
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    Ok(json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:mtlspop:make-dist:v1",
                "externalParameters": { "command": "make dist", "prebuilt": prebuilt },
                "internalParameters": {
                    "rustc": first(output("rustc", &["--version"])?),
                    "cc": first(output(&cc, &["--version"])?),
                },
                "resolvedDependencies": [
                    { "uri": format!("git+{}", setting("SOURCE")?), "digest": { "gitCommit": commit.trim() } },
                    { "name": "Cargo.lock", "digest": { "sha256": setting("LOCK")? } },
                ],
            },
            "runDetails": { "builder": { "id": setting("BUILDER")? } },
        },
    }))
}
