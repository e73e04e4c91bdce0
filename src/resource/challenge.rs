//! What an API that answers 401 wants of a token: the claims in `WWW-Authenticate` (RFC 9110, section 11).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::parameters::Parameters;
use crate::http::Response;
use crate::log::Logger;
use crate::token::parse_claims;

/// The claims, a JSON object, that a 401 asks for, whatever the scheme of the challenge. A challenge that
/// cannot be read is no error: the caller gets the response as it is.
pub(crate) fn claims(response: &Response, log: &Logger) -> Option<String> {
    if response.status != 401 {
        return None;
    }
    let values = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    let parameters = values.flat_map(|(_, value)| Parameters::new(value));
    let mut claims = parameters.filter(|(name, _)| name.eq_ignore_ascii_case("claims")).peekable();
    let asked = claims.peek().is_some();
    let found = claims.find_map(|(_, encoded)| decode(&encoded));
    if asked && found.is_none() {
        log.warn("resource", || {
            "the claims in a WWW-Authenticate header are not a JSON object in base64".to_owned()
        });
    }
    found
}

fn decode(text: &str) -> Option<String> {
    let base64 = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(base64).ok()?).ok()?;
    parse_claims(&json).is_ok().then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::WipedBytes;

    fn claims_of(status: u16, values: &[&str]) -> Option<String> {
        let header = |value: &&str| ("Www-Authenticate".to_owned(), (*value).to_owned());
        let headers = values.iter().map(header).collect();
        claims(&Response { status, headers, body: WipedBytes::default(), tls: None }, &Logger::default())
    }

    /// Is a challenge found wherever it stands: any scheme, any header, any place in the header?
    #[test]
    fn where_claims_are_found() {
        let rows: &[&[&str]] = &[
            &[r#"Bearer claims="e30""#],
            &["bearer CLAIMS=e30"],
            &[r#"mtls_pop realm="", error="insufficient_claims", claims="e30=""#],
            &[r#"PoP nonce="n", Bearer realm="a, b", error="insufficient_claims", claims="e30=""#],
            &[r#"Bearer claims="e30", PoP nonce="claims=""#],
            &["Negotiate", r#"Basic realm="x""#, r#"Bearer claims="e30""#],
            &["Negotiate oYH==", r#"Bearer claims="e30""#],
            &[r#"Bearer claims="e30", PoP nonce="n", =;"#],
            &[r#"Bearer claims="W10=", PoP claims="e30=""#],
            &[r#"Bearer error="\"claims\"", claims="e3\0=""#],
            // Graph, with continuous access evaluation.
            &[
                r#"Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", claims="e30=""#,
            ],
            // As Dataverse, Storage and AD FS write theirs: no quotes, no commas.
            &["Bearer authorization_uri=https://login.x/t/authorize, resource_id=https://y/, claims=e30="],
            &[
                r#"Bearer claims="e30", authorization_uri=https://login.x/t/authorize, resource_id=https://y/"#,
            ],
            &[r#"Bearer authorization_uri=https://login.x/t/authorize resource_id=https://y claims="e30""#],
            &[
                r#"Bearer authorization_uri=https://login.x?claims=e30; error=insufficient_claims; claims=e30=="#,
            ],
            &["NTLM", "Negotiate TlRMTVNTUAABAAAAB4IIogAAAAA=, Bearer error=insufficient_claims claims=e30="],
            &["Bearer error_description=\"gesch\u{fc}tzt \u{fffd}\", claims=\"e30=\""],
            &[r#"Bearer realm="never closed, error="insufficient_claims", claims="e30=""#],
            &[r#"Bearer realm="never closed, claims="e30=""#],
            &[r#"Bearer error="insufficient_claims, claims=e30="#],
        ];
        for values in rows {
            assert_eq!(claims_of(401, values).as_deref(), Some("{}"), "{values:?}");
        }
    }

    /// Are both alphabets read, padded and not?
    #[test]
    fn base64_of_each_kind() {
        let json = r#"{"a":">>>???"}"#;
        for text in
            ["eyJhIjoiPj4-Pz8_In0", "eyJhIjoiPj4+Pz8/In0=", "eyJhIjoiPj4-Pz8_In0=", "eyJhIjoiPj4+Pz8/In0"]
        {
            assert_eq!(claims_of(401, &[&format!("Bearer claims=\"{text}\"")]).as_deref(), Some(json));
        }
    }

    /// Is everything else no challenge, and no error either?
    #[test]
    fn what_is_no_challenge() {
        let rows: &[&[&str]] = &[
            &[],
            &[""],
            &["Bearer"],
            &[r#"Bearer error="insufficient_claims""#],
            &[r#"Bearer claims="""#],
            &[r#"Bearer claims="%%%""#],
            &[r#"Bearer claims="W10=""#],
            &[r#"Bearer claims="e3""#],
            &[r#"Bearer claims="/////w==""#],
            &[r#"Bearer claims="e30"#],
            &[r#"Bearer claims="{}""#],
            &[r#"Bearer realm="claims=e30""#],
            &[r#"Bearer realm="x, claims=e30", error="y""#],
            &[r#"Bearer realm="x, claims=\"e30\"", error="y""#],
            &["Bearer authorization_uri=https://login.x?claims=e30, error=y"],
            &["claims=e30"],
        ];
        for values in rows {
            assert_eq!(claims_of(401, values), None, "{values:?}");
        }
        assert_eq!(claims_of(403, &[r#"Bearer claims="e30""#]), None);
    }
}
