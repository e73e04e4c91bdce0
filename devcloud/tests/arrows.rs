//! Do imports run one way through devcloud, so that a service can be read without the others?

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Is there an order in which each room of devcloud/src imports from those before it alone, and do the services that
/// judge requests know nothing of each other?
#[test]
fn no_room_imports_from_one_that_imports_from_it() {
    let mut rooms = rooms();
    for service in SERVICES {
        let others: Vec<_> = SERVICES.iter().filter(|other| rooms[service].contains(**other)).collect();
        assert!(others.is_empty(), "{service} imports from {others:?}");
    }
    loop {
        let free: Vec<String> =
            rooms.iter().filter(|(_, imports)| imports.is_empty()).map(|(room, _)| room.clone()).collect();
        if free.is_empty() {
            break;
        }
        rooms.retain(|room, _| !free.contains(room));
        rooms.values_mut().for_each(|imports| imports.retain(|room| !free.contains(room)));
    }
    assert!(rooms.is_empty(), "these import from each other: {rooms:#?}");
}

const SERVICES: [&str; 7] = ["attest", "cluster", "imds", "oidc", "resource", "source", "sts"];

/// The rooms, each a file or a directory, and those that each imports from.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = BTreeMap::<String, String>::new();
    let mut directories = vec![src.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let file = path.strip_prefix(&src).unwrap();
            let room = file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
            sources.entry(room.to_owned()).or_default().push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    for root in ["lib", "main"] {
        sources.remove(root).unwrap();
    }
    let imports = |room: &str, source: &str| -> BTreeSet<String> {
        let named = source.split("crate::").skip(1).flat_map(|text| match text.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![text],
        });
        let names = named.map(|text| {
            let text = text.trim_start();
            text[..text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len())].to_owned()
        });
        names.filter(|name| name != room && sources.contains_key(name)).collect()
    };
    sources.iter().map(|(room, source)| (room.clone(), imports(room, source))).collect()
}
