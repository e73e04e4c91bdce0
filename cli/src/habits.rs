//! Options that other tools have and this one has not, and what to do in their place.

use clap::Error;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const INSTEAD: [(&[&str], &str); 4] = [
    (
        &["--client-secret", "--secret", "--password"],
        "every process of the host sees arguments: --secret-file names a file, or - for stdin; AZURE_CLIENT_SECRET is the secret",
    ),
    (&["--identity"], "a managed identity is --managed-identity"),
    (
        &["-k", "--insecure"],
        "servers are always verified: SSL_CERT_FILE names the root certificates of yours",
    ),
    (&["-L", "--location"], "redirects are not followed: call the URL that the answer names"),
];

/// The error of the command line, with a better hint than an option whose name looks alike.
pub(crate) fn explained(mut error: Error) -> Error {
    let unknown =
        (error.kind() == ErrorKind::UnknownArgument).then(|| error.get(ContextKind::InvalidArg)).flatten();
    let Some(ContextValue::String(name)) = unknown else { return error };
    let instead = INSTEAD.iter().find(|(names, _)| names.contains(&name.as_str()));
    if let Some((_, hint)) = instead {
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::SuggestedValue);
        let hint = ContextValue::StyledStrs(vec![StyledStr::from(*hint)]);
        error.insert(ContextKind::Suggested, hint);
    }
    error
}
