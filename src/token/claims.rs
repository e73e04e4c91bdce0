//! The `claims` parameter: a challenge, the client's own claims and its capabilities in one (confidential_client spec, 3.7).

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};

/// What is sent as `claims`; `None` where there is nothing to send. One claims string alone is sent as
/// it was given. In a merge objects are merged, arrays joined, and of two other values the later counts,
/// unless it is null: first the capabilities, then the challenge, then the client's claims (managed_identity
/// spec, section 9.3).
pub(crate) fn merge_claims(
    challenge: Option<&str>,
    client_claims: Option<&str>,
    capabilities: &[String],
) -> Result<Option<String>> {
    match (challenge, client_claims) {
        (None, None) if capabilities.is_empty() => return Ok(None),
        (Some(one), None) | (None, Some(one)) if capabilities.is_empty() => return Ok(Some(one.to_owned())),
        _ => {}
    }
    let mut merged = Map::new();
    if !capabilities.is_empty() {
        merged.insert("access_token".to_owned(), json!({ "xms_cc": { "values": capabilities } }));
    }
    for claims in [challenge, client_claims].into_iter().flatten() {
        merge(&mut merged, parse_claims(claims)?);
    }
    Ok(Some(Value::Object(merged).to_string()))
}

/// Claims must be a JSON object.
pub(crate) fn parse_claims(json: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(json) {
        Ok(Value::Object(claims)) => Ok(claims),
        _ => Err(Error::new(
            ErrorKind::InvalidArgument,
            "invalid_json_claims_format",
            "the claims are not a JSON object",
        )),
    }
}

/// As deep as `serde_json` parses: 128 levels.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(Value::Array(into)), Value::Array(from)) => into.extend(from),
            (Some(_), Value::Null) => {}
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(challenge: Option<&str>, client: Option<&str>, capabilities: &[&str]) -> Option<Value> {
        let capabilities: Vec<_> = capabilities.iter().map(|text| (*text).to_owned()).collect();
        merge_claims(challenge, client, &capabilities)
            .unwrap()
            .map(|json| serde_json::from_str(&json).unwrap())
    }

    /// Section 3.7, the order and the rules of the merge.
    #[test]
    fn merging() {
        assert_eq!(merged(None, None, &[]), None);
        let capabilities = json!({"access_token": {"xms_cc": {"values": ["cp1", "x"]}}});
        assert_eq!(merged(None, None, &["cp1", "x"]), Some(capabilities));
        let challenge = r#"{"access_token": {"nbf": {"value": "1"}, "xms_cc": {"values": ["a"]}}, "n": 1}"#;
        let client = r#"{"access_token": {"acrs": {"value": "c1"}}, "n": 2}"#;
        let all = json!({
            "access_token": {
                "nbf": {"value": "1"}, "acrs": {"value": "c1"}, "xms_cc": {"values": ["cp1", "a"]},
            },
            "n": 2,
        });
        assert_eq!(merged(Some(challenge), Some(client), &["cp1"]), Some(all));
        // Null keeps what is there, and stays where nothing is: so is a claim asked for. Else the later counts.
        let nulls = r#"{"access_token": {"xms_cc": {"values": null}, "nbf": null}}"#;
        let kept = json!({"access_token": {"xms_cc": {"values": ["cp1"]}, "nbf": null}});
        assert_eq!(merged(Some(nulls), None, &["cp1"]), Some(kept));
        let other = json!({"access_token": {"xms_cc": {"values": "x"}}});
        assert_eq!(merged(Some(&other.to_string()), None, &["cp1"]), Some(other));
    }

    /// Is a single claims string sent byte for byte, and is what is no object refused once it must be read?
    #[test]
    fn verbatim_or_an_object() {
        let odd = r#"{ "b":1,  "a":2 }"#;
        assert_eq!(merge_claims(Some(odd), None, &[]).unwrap().as_deref(), Some(odd));
        assert_eq!(merge_claims(None, Some(odd), &[]).unwrap().as_deref(), Some(odd));
        for bad in ["[1]", "1", "{", ""] {
            let error = merge_claims(Some("{}"), Some(bad), &[]).unwrap_err();
            assert_eq!(error.code(), "invalid_json_claims_format", "{bad}");
        }
    }
}
