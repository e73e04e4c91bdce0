//! `mtlspop certificate`: what bound tokens are bound to, shown and exported.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use mtlspop::{Certificate, MtlsBindingStrength, Pkcs12Format};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cache::KeyArgs;
use crate::identity::{Identity, app_certificate, binding_certificate};
use crate::output::{Format, print, table, write_private};
use crate::secrets::From;
use crate::settings::Settings;
use crate::times::{in_words, seconds};
use crate::{Context, Failure, Result};

/// Show, export or ask for the certificate that bound tokens are bound to
///
/// That of an app is in its file. A managed identity gets a new one in each run, together with a token, so that it takes
/// --resource: to use both, get them with mtlspop token --pop --export-certificate.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CertificateArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Subject, dates, thumbprints, and where the key is
    Show {
        #[command(flatten)]
        settings: Box<Settings>,
        /// How it is printed [default: table on a terminal, else json]
        #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
        output: Option<Format>,
    },
    /// Write it to a file that its owner alone can read
    Export {
        #[command(flatten)]
        settings: Box<Settings>,
        /// What is written, in the place of a file that may be there
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        out: PathBuf,
        /// As what
        #[arg(long, value_enum, default_value_t = FileFormat::Pem, help_heading = "Output")]
        format: FileFormat,
        /// What holds the password that a PFX gets; - is stdin
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        pfx_password_file: Option<PathBuf>,
    },
    /// Have IMDS issue the next certificate of a managed identity now, in the place of the one that --cache keeps
    Renew {
        #[command(flatten)]
        settings: Box<Settings>,
        #[command(flatten)]
        key: KeyArgs,
        /// How it is printed [default: table on a terminal, else json]
        #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
        output: Option<Format>,
    },
    /// Write a certificate signing request for the key of an app's certificate, PEM, for whoever issues the next one
    Csr {
        #[command(flatten)]
        settings: Box<Settings>,
        /// For another subject, as in CN=app,O=Contoso [default: that of the certificate]
        #[arg(long, value_name = "NAME", help_heading = "Output")]
        subject: Option<String>,
        /// Where it is written [default: stdout]
        #[arg(long, value_name = "FILE", help_heading = "Output")]
        out: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    /// Private key, certificate and issuers; a key in a TPM as TSS2 PRIVATE KEY
    Pem,
    /// The same as PKCS#12, under a password
    Pfx,
    /// Certificate and issuers alone, PEM
    Chain,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop certificate show --certificate app.pem
  mtlspop certificate show --managed-identity \\
      --resource https://graph.microsoft.com
  mtlspop certificate export --certificate app.pem --out app.pfx \\
      --format pfx --pfx-password-file password.txt
  mtlspop certificate csr --certificate app.pem --out request.pem";

pub(crate) fn run(args: &CertificateArgs, context: &Context) -> Result<()> {
    match &args.command {
        Command::Show { settings, output } => show(&binding_certificate(settings, context)?, *output),
        Command::Renew { settings, key, output } => {
            if app_certificate(settings, context)?.is_some() {
                return Err(Failure::input(
                    "whoever issued the certificate of an app renews it, and puts it into its file: mtlspop certificate csr writes a request",
                ));
            }
            let settings = Settings { cache: true, pop: true, ..key.with(settings) };
            show(&Identity::new(&settings, context)?.renew()?, *output)
        }
        Command::Csr { settings, subject, out } => {
            request(settings, subject.as_deref(), out.as_deref(), context)
        }
        Command::Export { settings, out, format, pfx_password_file } => {
            let password = match (format, pfx_password_file) {
                (FileFormat::Pfx, Some(path)) => {
                    Some(From::File(path.clone()).read("the password of the PFX")?)
                }
                (FileFormat::Pfx, None) => {
                    return Err(Failure::input("a PFX gets a password: give --pfx-password-file"));
                }
                (_, Some(_)) => {
                    return Err(Failure::input(
                        "--pfx-password-file is for --format pfx: PEM is not encrypted",
                    ));
                }
                (_, None) => None,
            };
            let certificate = binding_certificate(settings, context)?;
            match password {
                Some(password) => {
                    write_private(out, certificate.pkcs12(&password, Pkcs12Format::Modern)?.expose())
                }
                None if *format == FileFormat::Chain => {
                    write_private(out, certificate.chain_pem().as_bytes())
                }
                None => write_private(out, pem_with_key(&certificate)?.as_bytes()),
            }
        }
    }
}

fn show(certificate: &Certificate, output: Option<Format>) -> Result<()> {
    print(&match Format::of(output) {
        Format::Table => table(&rows(certificate)),
        Format::Json => json(certificate),
    })
}

/// A request for the next certificate of an app.
fn request(settings: &Settings, subject: Option<&str>, out: Option<&Path>, context: &Context) -> Result<()> {
    let certificate = app_certificate(settings, context)?.ok_or_else(|| {
        Failure::input(
            "IMDS issues the certificates of a managed identity, for keys that are made with them: for an app give --certificate",
        )
    })?;
    let request = certificate.certificate_request(subject)?;
    match out {
        Some(path) => {
            fs::write(path, request).map_err(|error| Failure::output(&path.display().to_string(), &error))
        }
        None => print(&request),
    }
}

/// Key, certificate and issuers in one text, as curl and nginx read it.
pub(crate) fn pem_with_key(certificate: &Certificate) -> Result<Zeroizing<String>> {
    let chain = certificate.chain_pem();
    if !certificate.is_exportable()
        && let Ok(key) = certificate.tpm_key_pem()
    {
        return Ok(Zeroizing::new(format!("{key}{chain}")));
    }
    Ok(Zeroizing::new(format!("{}{chain}", certificate.private_key_pem()?.expose())))
}

fn rows(certificate: &Certificate) -> Vec<(&'static str, String)> {
    let issuers = certificate.chain_der().len() - 1;
    vec![
        ("subject", certificate.subject().to_owned()),
        ("valid from", in_words(seconds(certificate.not_before()))),
        ("valid until", in_words(seconds(certificate.not_after()))),
        ("x5t#S256", certificate.x5t_s256().to_owned()),
        ("SHA-1", certificate.sha1_hex()),
        ("SHA-256", certificate.sha256_hex()),
        ("issuers", format!("{issuers} of them came with it")),
        ("strength", certificate.strength().name().to_owned()),
        ("key", key(certificate).to_owned()),
    ]
}

fn json(certificate: &Certificate) -> String {
    let members = json!({
        "subject": certificate.subject(),
        "not_before": seconds(certificate.not_before()),
        "not_after": seconds(certificate.not_after()),
        "x5t#S256": certificate.x5t_s256(),
        "sha1": certificate.sha1_hex(),
        "sha256": certificate.sha256_hex(),
        "chain": certificate.chain_der().len(),
        "strength": certificate.strength().name(),
        "exportable": certificate.is_exportable(),
    });
    format!("{members:#}\n")
}

/// Where the private key is.
fn key(certificate: &Certificate) -> &'static str {
    match (certificate.strength(), certificate.is_exportable()) {
        (MtlsBindingStrength::Attested, _) => "in a TPM that vouches for it, which it does not leave",
        (MtlsBindingStrength::Hardware, _) => "in a TPM, which it does not leave",
        (_, true) => "in memory, and can be exported",
        (_, false) => "elsewhere",
    }
}
