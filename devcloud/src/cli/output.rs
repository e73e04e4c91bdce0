//! What commands print, and how they fail.

use std::error::Error;
use std::io::{self, Write as _};

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Variables that clients prefer to those we set; they would lead around the cloud.
pub(super) const IN_THE_WAY: [&str; 12] = [
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "ALL_PROXY",
    "SSL_CERT_DIR",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "IMDS_ENDPOINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
    "DEFAULT_IDENTITY_CLIENT_ID",
];

/// `export NAME='value'`, safe for any POSIX shell.
pub(super) fn export(in_the_way: &[&str], env: impl IntoIterator<Item = (String, String)>) -> String {
    let unset = format!("unset {}\n", in_the_way.join(" "));
    let exports =
        env.into_iter().map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''")));
    std::iter::once(unset).chain(exports).collect()
}

pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
