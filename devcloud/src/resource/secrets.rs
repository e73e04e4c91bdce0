//! The secrets of the vaults, as Key Vault's REST API of version 7 has them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::exchange::{Answer, Request, new_id};

/// Every vault has this one from the start.
const DEMO: &str = "demo";
/// Entries of a page, where the request does not say.
const PAGE: usize = 25;
/// How long a vault keeps what was deleted.
const RETENTION_DAYS: i64 = 90;

/// The secrets of each vault, by its host.
pub(crate) struct Secrets {
    clock: Clock,
    vaults: Mutex<BTreeMap<String, Vault>>,
}

#[derive(Default)]
struct Vault {
    secrets: BTreeMap<String, Vec<Version>>,
    deleted: BTreeMap<String, Deleted>,
}

/// One version of a secret, oldest first.
#[derive(Clone)]
struct Version {
    id: String,
    created: i64,
    /// What the client set: `value`, `contentType`, `tags`, and `enabled`, `nbf` and `exp` in `attributes`.
    set: Map<String, Value>,
}

struct Deleted {
    versions: Vec<Version>,
    at: i64,
}

impl Secrets {
    pub(crate) fn new(clock: Clock) -> Self {
        Secrets { clock, vaults: Mutex::default() }
    }

    /// The answer to a request for secrets; nothing for a request that is for something else. Both ways out of it are
    /// answers: `Err` is the one that says no.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Option<Answer> {
        let segments = request.segments();
        let (what, path) = segments.split_first()?;
        if !matches!(*what, "secrets" | "deletedsecrets") {
            // What this vault has none of, as an SDK that asks for it has to learn.
            let unknown = matches!(*what, "keys" | "certificates" | "deletedkeys" | "deletedcertificates");
            return unknown.then(|| not_found(what.trim_end_matches('s'), &path.join("/")));
        }
        let now = self.clock.now();
        let mut vaults = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        let vault = vaults.entry(request.host.to_owned()).or_insert_with(|| Vault::new(now));
        let answer = match (request.method, *what, path) {
            ("GET", "secrets", []) => Ok(vault.list(request)),
            ("GET", "secrets", [name, "versions"]) => vault.versions(request, name),
            ("GET", "secrets", [name]) => vault.get(request, name, ""),
            ("GET", "secrets", [name, version]) => vault.get(request, name, version),
            ("PUT", "secrets", [name]) => vault.set(request, name, now),
            ("PATCH", "secrets", [name, version]) => vault.update(request, name, version),
            ("DELETE", "secrets", [name]) => vault.delete(request, name, now),
            ("GET", "deletedsecrets", [name]) => vault.get_deleted(request, name),
            ("DELETE", "deletedsecrets", [name]) => vault.purge(name),
            ("POST", "deletedsecrets", [name, "recover"]) => vault.recover(request, name),
            _ => Err(refusal(405, "MethodNotAllowed", "Nothing at this path takes such a request.")),
        };
        Some(answer.unwrap_or_else(|refusal| refusal))
    }
}

impl Vault {
    fn new(now: i64) -> Self {
        let set = Map::from_iter([("value".to_owned(), json!("a secret of devcloud"))]);
        let first = Version { id: version_id(), created: now, set };
        Vault { secrets: BTreeMap::from([(DEMO.to_owned(), vec![first])]), ..Vault::default() }
    }

    fn list(&self, request: &Request<'_>) -> Answer {
        let last = self.secrets.iter().filter_map(|(name, versions)| Some((name, versions.last()?)));
        page(request, last.map(|(name, version)| version.properties(request, name, false)).collect())
    }

    fn versions(&self, request: &Request<'_>, name: &str) -> Result<Answer, Answer> {
        let versions = self.find(name)?;
        Ok(page(request, versions.iter().map(|version| version.properties(request, name, true)).collect()))
    }

    fn get(&self, request: &Request<'_>, name: &str, version: &str) -> Result<Answer, Answer> {
        let versions = self.find(name)?;
        let found = versions.iter().rev().find(|known| version.is_empty() || known.id == version);
        let found = found.ok_or_else(|| not_found("secret", &format!("{name}/{version}")))?;
        if found.set.get("attributes").is_some_and(|attributes| attributes["enabled"] == json!(false)) {
            return Err(refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret."));
        }
        Ok(Answer::json(200, &found.bundle(request, name)))
    }

    fn set(&mut self, request: &Request<'_>, name: &str, now: i64) -> Result<Answer, Answer> {
        let body = object(request)?;
        if !body.get("value").is_some_and(Value::is_string) {
            return Err(refusal(400, "BadParameter", "The property \"value\" is missing or no string."));
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            let message = "The request URI contains an invalid name: letters, digits and hyphens it is.";
            return Err(refusal(400, "BadParameter", message));
        }
        if self.deleted.contains_key(name) {
            let message = format!(
                "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged."
            );
            return Err(refusal(409, "Conflict", &message));
        }
        let version = Version { id: version_id(), created: now, set: body };
        let answer = Answer::json(200, &version.bundle(request, name));
        self.secrets.entry(name.to_owned()).or_default().push(version);
        Ok(answer)
    }

    fn update(&mut self, request: &Request<'_>, name: &str, version: &str) -> Result<Answer, Answer> {
        let body = object(request)?;
        let versions = self.secrets.get_mut(name).ok_or_else(|| not_found("secret", name))?;
        let found = versions.iter_mut().find(|known| known.id == version);
        let found = found.ok_or_else(|| not_found("secret", &format!("{name}/{version}")))?;
        // Everything but the value.
        found.set.extend(body.into_iter().filter(|(member, _)| member != "value"));
        Ok(Answer::json(200, &found.properties(request, name, true)))
    }

    fn delete(&mut self, request: &Request<'_>, name: &str, now: i64) -> Result<Answer, Answer> {
        let versions = self.secrets.remove(name).ok_or_else(|| not_found("secret", name))?;
        self.deleted.insert(name.to_owned(), Deleted { versions, at: now });
        self.get_deleted(request, name)
    }

    fn get_deleted(&self, request: &Request<'_>, name: &str) -> Result<Answer, Answer> {
        let deleted = self.deleted.get(name).ok_or_else(|| not_found("secret", name))?;
        let last = deleted.versions.last().ok_or_else(|| not_found("secret", name))?;
        let mut body = last.bundle(request, name);
        body["recoveryId"] = json!(format!("https://{}/deletedsecrets/{name}", request.host));
        body["deletedDate"] = json!(deleted.at);
        body["scheduledPurgeDate"] = json!(deleted.at + RETENTION_DAYS * 24 * 3600);
        Ok(Answer::json(200, &body))
    }

    fn purge(&mut self, name: &str) -> Result<Answer, Answer> {
        self.deleted.remove(name).map(|_| Answer::text(204, "")).ok_or_else(|| not_found("secret", name))
    }

    fn recover(&mut self, request: &Request<'_>, name: &str) -> Result<Answer, Answer> {
        let deleted = self.deleted.remove(name).ok_or_else(|| not_found("secret", name))?;
        self.secrets.insert(name.to_owned(), deleted.versions);
        self.get(request, name, "")
    }

    fn find(&self, name: &str) -> Result<&[Version], Answer> {
        self.secrets.get(name).map(Vec::as_slice).ok_or_else(|| not_found("secret", name))
    }
}

impl Version {
    /// The secret with its value.
    fn bundle(&self, request: &Request<'_>, name: &str) -> Value {
        let mut bundle = self.properties(request, name, true);
        bundle["value"] = self.set.get("value").cloned().unwrap_or_default();
        bundle
    }

    /// All of it but the value, which lists do not give.
    fn properties(&self, request: &Request<'_>, name: &str, with_version: bool) -> Value {
        let version = if with_version { format!("/{}", self.id) } else { String::new() };
        let mut attributes = json!({
            "enabled": true,
            "created": self.created,
            "updated": self.created,
            "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": RETENTION_DAYS,
        });
        if let (Some(Value::Object(set)), Some(all)) =
            (self.set.get("attributes"), attributes.as_object_mut())
        {
            all.extend(set.clone());
        }
        let mut properties = json!({
            "id": format!("https://{}/secrets/{name}{version}", request.host),
            "attributes": attributes,
        });
        for member in ["contentType", "tags"] {
            if let Some(value) = self.set.get(member) {
                properties[member] = value.clone();
            }
        }
        properties
    }
}

/// A page of a list, and where the next one is.
fn page(request: &Request<'_>, all: Vec<Value>) -> Answer {
    let query = request.query();
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let (from, most) =
        (number("$skiptoken").unwrap_or(0), number("maxresults").unwrap_or(PAGE).clamp(1, PAGE));
    let next = (from + most < all.len()).then(|| {
        let version = query.get("api-version").unwrap_or("7.6");
        let path = request.path;
        format!(
            "https://{}{path}?api-version={version}&$skiptoken={}&maxresults={most}",
            request.host,
            from + most
        )
    });
    let value: Vec<_> = all.into_iter().skip(from).take(most).collect();
    Answer::json(200, &json!({ "value": value, "nextLink": next }))
}

fn object(request: &Request<'_>) -> Result<Map<String, Value>, Answer> {
    match request.json() {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(refusal(400, "BadParameter", "The body is no JSON object.")),
    }
}

/// Key Vault's have 32 digits.
fn version_id() -> String {
    new_id().replace('-', "")
}

fn not_found(kind: &str, name: &str) -> Answer {
    let (code, noun) = match kind {
        "secret" => ("SecretNotFound", "secret"),
        "key" | "deletedkey" => ("KeyNotFound", "key"),
        _ => ("CertificateNotFound", "certificate"),
    };
    let message = format!(
        "A {noun} with (name/id) {name} was not found in this key vault. If you recently deleted this {noun} you may be able to recover it using the correct recovery command."
    );
    refusal(404, code, &message)
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": { "code": code, "message": message } }))
}
