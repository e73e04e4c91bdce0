//! `mtlspop inspect`: what a token says, without asking anybody and without its signature.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use mtlspop::{Certificate, Error, ErrorKind, SignRequest, Signer};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::cache::{Cache, KeyArgs};
use crate::layers::Layers;
use crate::output::{Format, print, table};
use crate::secrets::{self, From};
use crate::settings::Settings;
use crate::times::in_words;
use crate::{Context, Failure, Result};

/// Show what a token from stdin says: header, claims, times, and what it is bound to
///
/// Nobody is asked, nothing is verified, and the signature is not shown. On stdin may be the token alone, a header with it, or
/// what mtlspop token or a token service prints as JSON.
///
/// With --certificate it is told whether the token is bound to that one; where it is not, the exit status is 1.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The token of the last run with --cache, in the place of stdin
    #[arg(long)]
    last: bool,
    #[command(flatten)]
    key: KeyArgs,
    /// A certificate, PEM or PFX, with its private key or without
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// What holds its password
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_password_file: Option<PathBuf>,
    /// How it is printed [default: table on a terminal, else json]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop token --resource https://graph.microsoft.com |
      mtlspop inspect --output table
  mtlspop inspect --certificate cert.pem < token.txt";

/// What a token says.
struct Said {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: bool,
}

pub(crate) fn run(args: &InspectArgs, context: &Context) -> Result<()> {
    let input = match args.last {
        true => last(args, context)?,
        false => from_stdin()?,
    };
    let text =
        std::str::from_utf8(&input).map_err(|_| Failure::input("stdin is not UTF-8: that is no token"))?;
    let said = read(text)?;
    let certificate = args.certificate.as_deref().map(|path| certificate(path, args)).transpose()?;
    let bound_to = said.claims.get("cnf").and_then(|cnf| cnf.get("x5t#S256")).and_then(Value::as_str);
    let matches = certificate.as_ref().map(|certificate| bound_to == Some(certificate.x5t_s256()));
    print(&match Format::of(args.output) {
        Format::Table => table(&rows(&said, bound_to, certificate.as_ref())),
        Format::Json => {
            let certificate = certificate.as_ref().map(|certificate| {
                json!({ "subject": certificate.subject(), "x5t#S256": certificate.x5t_s256(), "matches": matches })
            });
            format!(
                "{:#}\n",
                json!({ "header": said.header, "claims": said.claims, "certificate": certificate })
            )
        }
    })?;
    match (matches, bound_to) {
        (Some(false), Some(_)) => Err(Failure::mismatch("the token is bound to another certificate")),
        (Some(false), None) => Err(Failure::mismatch("the token is bound to no certificate")),
        _ => Ok(()),
    }
}

fn from_stdin() -> Result<Zeroizing<Vec<u8>>> {
    if io::stdin().is_terminal() {
        // Nobody is left to be told when stderr is gone.
        let _ = writeln!(io::stderr(), "mtlspop: paste the token, then press Enter and Ctrl-D");
    }
    secrets::limited(io::stdin().lock())
        .map_err(|error| Failure::input(format!("stdin cannot be read: {error}")))?
        .ok_or_else(|| Failure::input("stdin is longer than 1 MiB: that is no token"))
}

fn last(args: &InspectArgs, context: &Context) -> Result<Zeroizing<Vec<u8>>> {
    let layers = Layers::new(&args.key.with(&Settings::default()), context)?;
    Cache::open(&Cache::key(&layers)?)?.last().ok_or_else(|| {
        Failure::input("no token is kept: mtlspop token --cache and call --cache keep that of an app, never that of a managed identity")
    })
}

/// The token in a text, taken apart. What is wrong with it is told without any of it.
fn read(text: &str) -> Result<Said> {
    let text = text.trim();
    let answer: Option<Value> = text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
    let token = match &answer {
        Some(answer) => {
            ["accessToken", "access_token"].iter().find_map(|name| answer[*name].as_str()).ok_or_else(
                || Failure::input("there is neither accessToken nor access_token in the JSON on stdin"),
            )?
        }
        None => text.split_whitespace().next_back().unwrap_or_default(),
    };
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims, signature) = match parts[..] {
        [header, claims, signature] => (header, claims, signature),
        [_, _, _, _, _] => {
            return Err(Failure::input(
                "the token is encrypted (JWE): only the API that it is for can read it",
            ));
        }
        _ if token.is_empty() => return Err(Failure::input("there is no token on stdin")),
        _ => {
            return Err(Failure::input(
                "what is on stdin is no JWT (three parts with dots between them): a token that is none says nothing",
            ));
        }
    };
    Ok(Said {
        header: object(header, "header")?,
        claims: object(claims, "claims")?,
        signed: !signature.is_empty(),
    })
}

fn object(part: &str, what: &str) -> Result<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part.trim_end_matches('='));
    let bytes =
        bytes.map_err(|_| Failure::input(format!("the {what} of the token on stdin is not base64url")))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Failure::input(format!("the {what} of the token on stdin is not a JSON object")))
}

fn rows(said: &Said, bound_to: Option<&str>, certificate: Option<&Certificate>) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (part, members) in [("header", &said.header), ("claim", &said.claims)] {
        rows.extend(members.iter().map(|(name, value)| (format!("{part} {name}"), words(name, value))));
    }
    let signature = if said.signed { "not shown, not verified" } else { "none: anybody can have written it" };
    rows.push(("signature".to_owned(), signature.to_owned()));
    rows.push((
        "bound to".to_owned(),
        bound_to.map_or("no certificate".to_owned(), |x5t| format!("{x5t} (x5t#S256)")),
    ));
    if let Some(certificate) = certificate {
        let matches = bound_to == Some(certificate.x5t_s256());
        rows.push((
            "certificate".to_owned(),
            format!("{} ({})", certificate.x5t_s256(), certificate.subject()),
        ));
        rows.push(("matches".to_owned(), if matches { "yes" } else { "no" }.to_owned()));
    }
    rows
}

fn words(name: &str, value: &Value) -> String {
    let time = value.as_i64().filter(|_| ["exp", "nbf", "iat", "auth_time"].contains(&name));
    match (time, value) {
        (Some(time), _) => in_words(time),
        (None, Value::String(text)) => text.clone(),
        (None, value) => value.to_string(),
    }
}

/// A certificate for its thumbprint: its key need not be there.
fn certificate(path: &Path, args: &InspectArgs) -> Result<Certificate> {
    let password = args.certificate_password_file.clone().map(From::File);
    let password = password.map(|from| from.read("the password of the certificate")).transpose()?;
    match Certificate::from_file(path, None, password.as_ref()) {
        Err(error) if error.code() == "cert_without_private_key" => {
            Ok(Certificate::with_signer(&secrets::read(path)?, Arc::new(NoKey))?)
        }
        other => Ok(other?),
    }
}

/// In the place of a key that is not there.
struct NoKey;

impl Signer for NoKey {
    fn sign(&self, _: &SignRequest<'_>) -> mtlspop::Result<Vec<u8>> {
        Err(Error::new(ErrorKind::KeyUnavailable, "cert_without_private_key", "there is no private key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    /// Is the token found in whatever it is usually wrapped in?
    #[test]
    fn wrappings() {
        let token = token(r#"{"alg":"RS256"}"#, r#"{"exp":1}"#);
        for text in [
            format!("\n{token}\n"),
            format!("Bearer {token}"),
            format!("Authorization: mtls_pop {token}\r\n"),
            format!(r#"{{"accessToken":"{token}"}}"#),
            format!(r#"{{"token_type":"Bearer","access_token":"{token}"}}"#),
        ] {
            let said = read(&text).unwrap();
            assert_eq!((said.header["alg"].as_str(), said.claims["exp"].as_i64()), (Some("RS256"), Some(1)));
        }
    }

    /// Is what is no token told apart, and none of it repeated?
    #[test]
    fn no_tokens() {
        let good = token("{}", "{}");
        let (header, rest) = good.split_once('.').unwrap();
        for (text, says) in [
            (" \n".to_owned(), "no token on stdin"),
            ("opaque-secret".to_owned(), "no JWT"),
            ("{\"secret\":1}".to_owned(), "neither accessToken"),
            ("{secret".to_owned(), "no JWT"),
            ("a.b.c.d.secret".to_owned(), "encrypted"),
            (format!("secret!.{rest}"), "header of the token on stdin is not base64url"),
            (format!("{header}.c2VjcmV0.x"), "claims of the token on stdin is not a JSON object"),
            (token("[1]", "{}"), "header of the token on stdin is not a JSON object"),
        ] {
            let said = format!("{:?}", read(&text).err().unwrap());
            assert!(said.contains(says) && !said.contains("secret"), "{text}: {said}");
        }
        // A tower of brackets is refused as well, not climbed.
        let deep = token("{}", &format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)));
        assert!(read(&deep).is_err());
    }
}
