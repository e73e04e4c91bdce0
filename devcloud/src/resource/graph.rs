//! Collections of Microsoft Graph that an application may read: applications, service principals and users.

use serde_json::{Value, json};

use crate::clock;
use crate::directory::{AGENT_IDENTITIES, APPS, MANAGED_IDENTITIES, TENANT_DOMAIN};
use crate::exchange::{Answer, Request, new_id};

/// Entries of a page, where the request does not say.
const PAGE: usize = 100;
/// Paths below a version that are no collections of this Graph, and tell about the token as others outside do.
const OTHERS: [&str; 2] = ["me", "drive"];
/// Display name, name before the `@`, and object id.
const USERS: [(&str, &str, &str); 3] = [
    ("Ada Lovelace", "ada", "0b9ec5a1-7c43-4d0e-a2f5-0000000ada01"),
    ("Grace Hopper", "grace", "0b9ec5a1-7c43-4d0e-a2f5-0000000face2"),
    ("Radia Perlman", "radia", "0b9ec5a1-7c43-4d0e-a2f5-00000000ad1a"),
];

/// The answer to a request for what a collection has; nothing for a request that is for something else. `token` is put beside
/// the entries of a collection.
pub(super) fn answer(request: &Request<'_>, token: &Value, now: i64) -> Option<Answer> {
    let segments = request.segments();
    let (version, path) = segments.split_first()?;
    if !matches!(*version, "v1.0" | "beta") || request.method != "GET" {
        return None;
    }
    let (first, rest) = path.split_first()?;
    if OTHERS.contains(first) || first.is_empty() {
        return None;
    }
    let (name, key) = match first.split_once('(') {
        Some((name, key)) => (name, key.strip_suffix(')')),
        None => (*first, None),
    };
    let Some(all) = collection(name) else {
        let message = format!("Resource not found for the segment '{name}'.");
        return Some(refusal(404, "BadRequest", &message, now));
    };
    Some(match (key, rest) {
        (None, []) => list(request, name, all, token, now),
        (None, ["$count"]) => Answer::text(200, all.len().to_string()).header("content-type", "text/plain"),
        (None, [id]) => {
            let mut all = all.into_iter();
            let found = all.find(|entry| entry["id"] == *id || entry["userPrincipalName"] == *id);
            entity(request, name, found, id, now)
        }
        // `applications(appId='...')`
        (Some(key), []) => match equals(key, '=') {
            Some((member, value)) => {
                let found = all.into_iter().find(|entry| entry[member] == value);
                entity(request, name, found, value, now)
            }
            None => refusal(400, "BadRequest", "The key is not member='value'.", now),
        },
        _ => refusal(404, "BadRequest", "Resource not found for the segments of this path.", now),
    })
}

fn collection(name: &str) -> Option<Vec<Value>> {
    let application =
        |id: &str, app_id: &str, name: &str| json!({ "id": id, "appId": app_id, "displayName": name });
    let applications = || APPS.iter().map(|app| application(app.object_id, app.client_id, app.name));
    Some(match name {
        "applications" => applications().collect(),
        "servicePrincipals" => {
            let managed = MANAGED_IDENTITIES.iter().map(|identity| {
                let mut entry = application(identity.object_id, identity.client_id, identity.kind);
                entry["servicePrincipalType"] = json!("ManagedIdentity");
                entry
            });
            let agents = AGENT_IDENTITIES
                .iter()
                .map(|agent| application(agent.object_id, agent.client_id, "devcloud agent identity"));
            applications().chain(managed).chain(agents).collect()
        }
        "users" => USERS
            .iter()
            .map(|(name, account, id)| {
                let principal = format!("{account}@{TENANT_DOMAIN}");
                json!({ "id": id, "displayName": name, "userPrincipalName": principal, "mail": principal })
            })
            .collect(),
        _ => return None,
    })
}

/// `$top`, `$skiptoken`, `$count` and a `$filter` for one member that equals a value count; with any other filter an answer
/// would be a lie.
fn list(request: &Request<'_>, name: &str, all: Vec<Value>, token: &Value, now: i64) -> Answer {
    let query = request.query();
    let wanted = match query.get("$filter") {
        None => None,
        Some(filter) => match equals(&filter.replacen(" eq ", "=", 1), '=') {
            Some((member, value)) => Some((member.to_owned(), value.to_owned())),
            None => {
                let message = "Unsupported or invalid query filter clause: devcloud takes member eq 'value'.";
                return refusal(400, "Request_UnsupportedQuery", message, now);
            }
        },
    };
    let matches = |entry: &Value| {
        wanted.as_ref().is_none_or(|(member, value)| entry[member.as_str()] == value.as_str())
    };
    let all: Vec<_> = all.into_iter().filter(matches).collect();
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let (from, top) = (number("$skiptoken").unwrap_or(0), number("$top").unwrap_or(PAGE).clamp(1, 999));
    let mut body = token.clone();
    body["@odata.context"] = json!(format!("https://{}/v1.0/$metadata#{name}", request.host));
    if query.get("$count") == Some("true") {
        body["@odata.count"] = json!(all.len());
    }
    if from + top < all.len() {
        let next = format!("https://{}{}?$top={top}&$skiptoken={}", request.host, request.path, from + top);
        body["@odata.nextLink"] = json!(next);
    }
    body["value"] = all.into_iter().skip(from).take(top).collect();
    Answer::json(200, &body)
}

fn entity(request: &Request<'_>, name: &str, found: Option<Value>, id: &str, now: i64) -> Answer {
    let Some(mut entry) = found else {
        let message = format!(
            "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
        );
        return refusal(404, "Request_ResourceNotFound", &message, now);
    };
    entry["@odata.context"] = json!(format!("https://{}/v1.0/$metadata#{name}/$entity", request.host));
    Answer::json(200, &entry)
}

/// `member='value'`
fn equals(text: &str, sign: char) -> Option<(&str, &str)> {
    let (member, value) = text.split_once(sign)?;
    let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    Some((member.trim(), value))
}

fn refusal(status: u16, code: &str, message: &str, now: i64) -> Answer {
    let inner = json!({ "date": clock::text(now), "request-id": new_id(), "client-request-id": new_id() });
    Answer::json(status, &json!({ "error": { "code": code, "message": message, "innerError": inner } }))
}
