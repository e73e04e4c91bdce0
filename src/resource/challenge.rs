//! What an API that answers 401 wants of a token: the claims in `WWW-Authenticate` (RFC 9110, section 11).

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_auth::parser::ChallengeParser;

use crate::http::Response;
use crate::log::Logger;
use crate::token::parse_claims;

/// APIs write base64 in both alphabets, with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The claims, a JSON object, that a 401 asks for, whatever the scheme of the challenge. A challenge that
/// cannot be read is no error: the caller gets the response as it is.
pub(super) fn claims(response: &Response, log: &Logger) -> Option<String> {
    if response.status != 401 {
        return None;
    }
    let values = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    for (_, value) in values {
        // After a syntax error the parser ends: the challenges that were complete before it count.
        for challenge in ChallengeParser::new(value) {
            let Ok(challenge) = challenge else {
                log.warn("resource", || "a WWW-Authenticate header cannot be read".to_owned());
                break;
            };
            let claims = challenge.params.iter().filter(|(name, _)| name.eq_ignore_ascii_case("claims"));
            for (_, encoded) in claims {
                match decode(&encoded.to_unescaped()) {
                    Some(claims) => return Some(claims),
                    None => log.warn("resource", || {
                        "the claims in a WWW-Authenticate header are not a JSON object in base64".to_owned()
                    }),
                }
            }
        }
    }
    None
}

fn decode(text: &str) -> Option<String> {
    let json = BASE64.decode(text.replace('+', "-").replace('/', "_")).ok()?;
    let json = String::from_utf8(json).ok()?;
    parse_claims(&json).is_ok().then_some(json)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn claims_of(status: u16, values: &[&str]) -> Option<String> {
        let header = |value: &&str| ("Www-Authenticate".to_owned(), (*value).to_owned());
        let headers = values.iter().map(header).collect();
        claims(&Response { status, headers, body: Zeroizing::default() }, &Logger::default())
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
            &["claims=e30"],
        ];
        for values in rows {
            assert_eq!(claims_of(401, values), None, "{values:?}");
        }
        assert_eq!(claims_of(403, &[r#"Bearer claims="e30""#]), None);
    }
}
