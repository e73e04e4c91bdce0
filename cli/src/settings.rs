//! What can be set, by the same names on the command line and in a profile: whose token, and for what.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser as NotEmpty;
use serde::{Deserialize, Serialize};

/// Whose token, and for what. Secrets are never among it: only where they are.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// The API, by its URI: https://graph.microsoft.com, https://vault.azure.net
    #[arg(long, value_name = "URI", value_parser = resource, help_heading = "What for", conflicts_with = "scope")]
    pub(crate) resource: Option<String>,
    /// The same as a scope: https://graph.microsoft.com/.default
    #[arg(long, value_parser = NotEmpty::new(), help_heading = "What for")]
    pub(crate) scope: Option<String>,
    /// A token bound to a certificate (mtls_pop); never answered with Bearer
    #[arg(long, help_heading = "What for")]
    pub(crate) pop: bool,

    /// A managed identity of this host: the system-assigned one, unless an id names another
    #[arg(long, help_heading = "Whose")]
    pub(crate) managed_identity: bool,
    /// Client id of the app, or of a user-assigned managed identity [env: AZURE_CLIENT_ID]
    #[arg(long, value_name = "ID", value_parser = NotEmpty::new(), help_heading = "Whose")]
    pub(crate) client_id: Option<String>,
    /// A user-assigned managed identity by its object (principal) id
    #[arg(long, value_name = "ID", value_parser = NotEmpty::new(), help_heading = "Whose")]
    pub(crate) object_id: Option<String>,
    /// A user-assigned managed identity by its resource id (/subscriptions/...)
    #[arg(long, value_name = "ID", value_parser = NotEmpty::new(), help_heading = "Whose")]
    pub(crate) resource_id: Option<String>,
    /// Tenant of the app, by id or domain name [env: AZURE_TENANT_ID]
    #[arg(long, value_name = "TENANT", value_parser = NotEmpty::new(), help_heading = "Whose")]
    pub(crate) tenant: Option<String>,
    /// Whom the app asks [env: AZURE_AUTHORITY_HOST] [default: https://login.microsoftonline.com]
    #[arg(long, value_name = "URL", value_parser = NotEmpty::new(), help_heading = "Whose")]
    pub(crate) authority_host: Option<String>,
    /// Region whose token service is asked; auto for that of this host [env: AZURE_REGIONAL_AUTHORITY_NAME]
    #[arg(long, value_parser = NotEmpty::new(), help_heading = "Whose")]
    pub(crate) region: Option<String>,

    /// Certificate of the app, PEM or PFX [env: AZURE_CLIENT_CERTIFICATE_PATH]
    #[arg(long, value_name = "FILE", help_heading = "Proven by")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key, where that is in another file: PEM, or a TSS2 PRIVATE KEY for one in a TPM
    #[arg(long, value_name = "FILE", help_heading = "Proven by")]
    pub(crate) key: Option<PathBuf>,
    /// What holds the password of either; - is stdin [env: AZURE_CLIENT_CERTIFICATE_PASSWORD, the password]
    #[arg(long, value_name = "FILE", help_heading = "Proven by")]
    pub(crate) certificate_password_file: Option<PathBuf>,
    /// Send the chain, too, as apps need that trust subject name and issuer
    /// [env: AZURE_CLIENT_SEND_CERTIFICATE_CHAIN]
    #[arg(long, help_heading = "Proven by")]
    pub(crate) send_certificate_chain: bool,
    /// What holds the secret of the app; - is stdin [env: AZURE_CLIENT_SECRET, the secret]
    #[arg(long, value_name = "FILE", help_heading = "Proven by")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Federated token that proves the app, as Kubernetes has it [env: AZURE_FEDERATED_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = "Proven by")]
    pub(crate) federated_token_file: Option<PathBuf>,
    /// Keep the key of a managed identity's bound token in the TPM [env: TPM2TOOLS_TCTI or TCTI say which]
    #[arg(long, help_heading = "Proven by")]
    pub(crate) tpm: bool,
    /// What holds the authorisation value of a key in the TPM; - is stdin
    #[arg(long, value_name = "FILE", help_heading = "Proven by")]
    pub(crate) tpm_auth_file: Option<PathBuf>,

    /// Those of `CacheArgs`, which not every command has.
    #[arg(skip)]
    pub(crate) cache: bool,
    #[arg(skip)]
    pub(crate) cache_key: Option<String>,
}

/// An API, and not what a scope says of it.
fn resource(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("the API is missing, for example https://graph.microsoft.com"),
        _ if text.ends_with("/.default") => Err("that is a scope: give --scope, or leave /.default out"),
        _ => Ok(text.to_owned()),
    }
}
