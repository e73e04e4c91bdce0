//! `mtlspop token`: a token, printed for a person or a program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mtlspop::{Certificate, Token};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::cache::CacheArgs;
use crate::certificate::pem_with_key;
use crate::identity::Identity;
use crate::output::{is_for_a_person, print, table, write_private};
use crate::settings::Settings;
use crate::times::{in_words, local, seconds};
use crate::{Context, Failure, Result};

/// Get a token
///
/// Whose it is, the command line says, else the environment, as Azure's own libraries have it: a secret, a certificate or a
/// federated token, in this order, with --pop a certificate before the others; else a managed identity of this host.
///
/// Secrets are in files, on stdin (-), in the environment, or in the directory of systemd's credentials
/// ($CREDENTIALS_DIRECTORY: mtlspop.client-secret, mtlspop.certificate, mtlspop.certificate-password).
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    settings: Settings,
    /// How it is printed [default: table on a terminal, else json]
    #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    output: Option<Output>,
    /// Write the certificate of a bound token with its chain and private key there: PEM, mode 0600, for curl --cert
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    export_certificate: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people: all about the token, but not the token
    Table,
    /// For programs: with the names of `az account get-access-token`, and ours
    Json,
    /// The token alone
    Token,
    /// The header: curl --header @<(mtlspop token --output header ...)
    Header,
    // No dollar sign and no quote in these: scripts of clap_complete for fish and zsh would run what they see.
    /// For a shell: variables for its eval
    Env,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop token --managed-identity -o token \\
      --resource https://graph.microsoft.com
  eval \"$(mtlspop token --resource https://graph.microsoft.com -o env)\"
  mtlspop token --resource https://vault.azure.net \\
      --tenant contoso.com --client-id ID --secret-file secret.txt
  mtlspop token --pop --resource https://graph.microsoft.com \\
      --tenant contoso.com --client-id ID --certificate app.pem
  mtlspop token --pop --resource https://graph.microsoft.com \\
      --output header --export-certificate cert.pem |
      curl --header @- --cert cert.pem \\
      https://mtlstb.graph.microsoft.com/v1.0/applications";

pub(crate) fn run(args: &TokenArgs, context: &Context) -> Result<()> {
    let identity = Identity::new(&args.cache.with(&args.settings), context)?;
    if args.export_certificate.is_some() && !identity.is_bound() {
        return Err(Failure::input(
            "a Bearer token has no certificate to export: ask for a bound one, --pop",
        ));
    }
    let (_, _, token) = identity.acquire()?;
    if let (Some(path), Some(certificate)) = (&args.export_certificate, token.binding_certificate()) {
        write_private(path, pem_with_key(certificate)?.as_bytes())?;
    }
    let output = args.output.unwrap_or(if is_for_a_person() { Output::Table } else { Output::Json });
    print(&Zeroizing::new(match output {
        Output::Table => table(&rows(&token)),
        Output::Json => json(&token),
        Output::Token => format!("{}\n", token.access_token()),
        Output::Header => format!("Authorization: {}\n", token.authorization()),
        Output::Env => env(&token),
    }))
}

fn rows(token: &Token) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("token", format!("{}, not shown here: --output token prints it", token.token_type().as_str())),
        ("expires", in_words(seconds(token.expires_on()))),
        ("scopes", token.scopes().collect::<Vec<_>>().join(" ")),
    ];
    rows.extend(token.tenant_id().map(|tenant| ("tenant", tenant.to_owned())));
    rows.push(("issued by", token.token_endpoint().to_owned()));
    rows.extend(token.region().map(|region| ("region", region.to_owned())));
    if let Some(certificate) = token.binding_certificate() {
        rows.push(("bound to", format!("{} (x5t#S256)", certificate.x5t_s256())));
        rows.push(("certificate", certificate.subject().to_owned()));
        rows.push(("valid until", in_words(seconds(certificate.not_after()))));
        rows.push(("key", token.binding_strength().name().to_owned()));
    }
    rows
}

fn json(token: &Token) -> String {
    let expires_on = seconds(token.expires_on());
    let mut members = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        members.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("accessToken", Some(token.access_token().into()));
    set("expiresOn", local(expires_on).map(Value::from));
    set("expires_on", Some(expires_on.into()));
    set("tenant", token.tenant_id().map(Value::from));
    set("tokenType", Some(token.token_type().as_str().into()));
    set("scopes", Some(token.scopes().collect::<Vec<_>>().into()));
    set("refresh_on", token.refresh_on().map(|time| seconds(time).into()));
    set("tokenEndpoint", Some(token.token_endpoint().into()));
    set("region", token.region().map(Value::from));
    set("correlationId", Some(token.correlation_id().into()));
    if let Some(certificate) = token.binding_certificate() {
        set("x5t#S256", Some(certificate.x5t_s256().into()));
        set("bindingStrength", Some(token.binding_strength().name().into()));
    }
    format!("{:#}\n", Value::Object(members))
}

fn env(token: &Token) -> String {
    let expires_on = seconds(token.expires_on()).to_string();
    let x5t = token.binding_certificate().map_or("", Certificate::x5t_s256);
    let variables = [
        ("MTLSPOP_ACCESS_TOKEN", token.access_token()),
        ("MTLSPOP_TOKEN_TYPE", token.token_type().as_str()),
        ("MTLSPOP_EXPIRES_ON", &expires_on),
        ("MTLSPOP_X5T_S256", x5t),
    ];
    let line = |(name, value): (&str, &str)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"));
    variables.into_iter().map(line).collect()
}
