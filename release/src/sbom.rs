//! What is linked, in the words of CycloneDX 1.6 and of cargo-auditable.

use serde_json::{Value, json};

use crate::linked::{Package, aws_lc};
use crate::{Result, output};

/// A CycloneDX document (ECMA-424). Made from the same sources it is the same to the byte, so it has neither a serial number nor,
/// unless SOURCE_DATE_EPOCH's date is in TIMESTAMP, a time.
pub(crate) fn document(packages: &[Package]) -> Result<Value> {
    let [root, linked @ ..] = packages else { return Err("there is no package".into()) };
    let mut components = linked.iter().map(component).collect::<Result<Vec<_>>>()?;
    components.push(standard_library()?);
    let dependencies = packages.iter().map(|package| {
        let mut on: Vec<_> = package.dependencies.iter().map(|place| reference(&packages[*place])).collect();
        on.sort();
        json!({ "ref": reference(package), "dependsOn": on })
    });
    let dependencies: Vec<_> = dependencies.collect();
    let mut metadata = json!({
        "component": component(root)?,
        "tools": { "components": [
            { "type": "application", "name": "mtlspop-release", "version": env!("CARGO_PKG_VERSION") }
        ] },
    });
    if let Ok(time) = std::env::var("TIMESTAMP") {
        metadata["timestamp"] = json!(time);
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": dependencies,
    }))
}

/// The format of https://github.com/rust-secure-code/cargo-auditable, number 8 of which is for exact lists.
pub(crate) fn auditable(packages: &[Package]) -> Value {
    let list = packages.iter().enumerate().map(|(place, package)| {
        let mut entry =
            json!({ "name": package.name, "version": package.version, "source": source(package) });
        if !package.dependencies.is_empty() {
            let mut on = package.dependencies.clone();
            on.sort_unstable();
            entry["dependencies"] = json!(on);
        }
        if place == 0 {
            entry["root"] = json!(true);
        }
        entry
    });
    json!({ "packages": list.collect::<Vec<_>>(), "format": 8 })
}

fn component(package: &Package) -> Result<Value> {
    let Package { name, version, licence, .. } = package;
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": name,
        "version": version,
        "licenses": [{ "expression": licence.replace('/', " OR ") }],
    });
    if let Some(sha256) = &package.sha256 {
        component["purl"] = json!(reference(package));
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    if matches!(name.as_str(), "aws-lc-sys" | "aws-lc-fips-sys") {
        let version = aws_lc(package)?;
        component["components"] = json!([{
            "type": "library",
            "bom-ref": format!("{}#aws-lc", reference(package)),
            "name": "aws-lc",
            "version": version,
            "purl": format!("pkg:github/aws/aws-lc@v{version}"),
            "licenses": [{ "expression": licence }],
        }]);
    }
    Ok(component)
}

/// What comes with the compiler, and is in no list of cargo's.
fn standard_library() -> Result<Value> {
    let said = output("rustc", &["--version", "--verbose"])?;
    let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown");
    let version = value("release: ");
    Ok(json!({
        "type": "library",
        "bom-ref": format!("pkg:generic/rust-std@{version}"),
        "name": "rust-std",
        "version": version,
        "description": format!("the standard library of rustc, commit {}", value("commit-hash: ")),
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    }))
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn source(package: &Package) -> &'static str {
    if package.sha256.is_some() { "crates.io" } else { "local" }
}
