//! `mtlspop inspect`: what a token says, and what is not to be said.

use crate::support::{GRAPH, as_app, bare, cloud, fail_with, feed, succeed};

/// Are header, claims and times shown, and whether the token is bound to a certificate, with its key or without, by the exit
/// status, too; and is the signature never, and nobody asked?
#[test]
fn tokens_are_shown() {
    let cloud = cloud();
    let (with_key, without) = (cloud.files().sni(), cloud.files().sni_certificate());
    let [bound, bearer] = ["--pop", "--output json"]
        .map(|option| succeed(&mut as_app(&cloud, &format!("token --resource {GRAPH} {option}"))));
    let asked = cloud.requests().len();
    for certificate in [&with_key, &without] {
        let mut command = bare(&format!("inspect --output table --certificate {}", certificate.display()));
        let output = feed(&mut command, bound.as_bytes());
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        for part in
            ["alg             ", "RS256", "in 59 minutes", "not shown, not verified", "CN=app-a.", "yes\n"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let printed: serde_json::Value = serde_json::from_str(&bound).unwrap();
        let signature = printed["accessToken"].as_str().unwrap().rsplit('.').next().unwrap();
        assert!(signature.len() > 300 && !shown.contains(signature), "{shown}");
    }
    let other = format!("inspect --certificate {}", cloud.files().fic_binding().display());
    for (token, says) in [(&bound, "bound to another certificate"), (&bearer, "bound to no certificate")] {
        let output = feed(&mut bare(&other), token.as_bytes());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{output:?}");
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&shown["certificate"]["matches"], &shown["claims"]["aud"]),
            (&false.into(), &GRAPH.into())
        );
    }
    assert_eq!(cloud.requests().len(), asked);
}

/// Is what is no token refused, however long, and do texts in a token not reach the terminal as they are?
#[test]
fn no_tokens() {
    let endless = vec![b'x'; 3 << 20];
    for (input, says) in [
        (b"".as_slice(), "no token on stdin"),
        (b"secret", "no JWT"),
        (b"\xff\xfe", "not UTF-8"),
        (&endless, "longer than 1 MiB"),
    ] {
        let said = fail_with(&mut bare("inspect"), input, 2);
        assert!(said.contains(says) && !said.contains("secret"), "{said}");
    }
    // {"alg":"none"}, and claims with an escape sequence and a text that would be read backwards.
    let claims = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        "{\"a\\u001b[2J\":\"\u{202e}\\u001b[31m\",\"exp\":-1}",
    );
    let output = feed(&mut bare("inspect -o table"), format!("eyJhbGciOiJub25lIn0.{claims}.").as_bytes());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && shown.contains("\\u{202e}\\u{1b}[31m"), "{shown}");
    assert!(shown.contains("none: anybody can have written it") && shown.contains("1969-12-31"), "{shown}");
}
