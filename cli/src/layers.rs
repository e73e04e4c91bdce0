//! Where settings come from, first that of most weight: the command line, the environment.

use std::path::PathBuf;

use mtlspop::{Env as _, ProcessEnv, Secret};

use crate::secrets::From;
use crate::settings::Settings;
use crate::{Failure, Result};

/// The settings of one place.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) settings: Settings,
    pub(crate) secret: Option<From>,
    pub(crate) password: Option<From>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    CommandLine,
    Environment,
}

/// How an identity is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ManagedIdentity,
    Certificate,
    Secret,
    FederatedTokenFile,
}

/// All places, in their order.
#[derive(Debug)]
pub(crate) struct Layers(Vec<Layer>);

/// Files that systemd puts into `$CREDENTIALS_DIRECTORY` for a unit with `LoadCredential=`.
const SECRET: &str = "mtlspop.client-secret";
const CERTIFICATE: &str = "mtlspop.certificate";
const PASSWORD: &str = "mtlspop.certificate-password";

impl Layers {
    pub(crate) fn new(flags: &Settings) -> Result<Self> {
        Ok(Self(vec![Layer::command_line(flags), Layer::environment()?]))
    }

    /// The first value that there is.
    pub(crate) fn first<T>(&self, get: impl FnMut(&Layer) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(get)
    }

    /// Whether any place says yes.
    pub(crate) fn any(&self, get: impl FnMut(&Layer) -> bool) -> bool {
        self.0.iter().any(get)
    }

    /// How the identity is proven, by the first place that says so; and that place with those of more weight, from which
    /// alone what belongs to it is taken. With `pop` what the environment has of a certificate comes before all else there.
    pub(crate) fn kind(&self, pop: bool) -> Result<Option<(Kind, &[Layer])>> {
        for (index, layer) in self.0.iter().enumerate() {
            if let Some(kind) = layer.kind(pop)? {
                return Ok(Some((kind, &self.0[..=index])));
            }
        }
        Ok(None)
    }
}

impl Layer {
    fn command_line(flags: &Settings) -> Self {
        let secret = flags.secret_file.clone().map(From::File);
        let password = flags.certificate_password_file.clone().map(From::File);
        Self { settings: flags.clone(), secret, password, place: Place::CommandLine }
    }

    /// The variables of Azure's own libraries, and what systemd has put beside them.
    fn environment() -> Result<Self> {
        let file = |name| variable(name).map(|value| value.map(PathBuf::from));
        let secret =
            |name| variable(name).map(|value| value.map(|value| From::Variable(name, Secret::new(value))));
        let directory = file("CREDENTIALS_DIRECTORY")?;
        let given = |name| directory.as_ref().map(|path| path.join(name)).filter(|path| path.exists());
        let settings = Settings {
            client_id: variable("AZURE_CLIENT_ID")?,
            tenant: variable("AZURE_TENANT_ID")?,
            authority_host: variable("AZURE_AUTHORITY_HOST")?,
            region: variable("AZURE_REGIONAL_AUTHORITY_NAME")?,
            certificate: file("AZURE_CLIENT_CERTIFICATE_PATH")?.or_else(|| given(CERTIFICATE)),
            send_certificate_chain: variable("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")?
                .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
            federated_token_file: file("AZURE_FEDERATED_TOKEN_FILE")?,
            ..Settings::default()
        };
        let password =
            secret("AZURE_CLIENT_CERTIFICATE_PASSWORD")?.or_else(|| given(PASSWORD).map(From::File));
        let secret = secret("AZURE_CLIENT_SECRET")?.or_else(|| given(SECRET).map(From::File));
        Ok(Self { settings, secret, password, place: Place::Environment })
    }

    /// Of more than one the environment has the order of Azure's own libraries; elsewhere it is a mistake.
    fn kind(&self, pop: bool) -> Result<Option<Kind>> {
        let Settings { managed_identity, object_id, resource_id, certificate, federated_token_file, .. } =
            &self.settings;
        let named = *managed_identity || object_id.is_some() || resource_id.is_some();
        let mut kinds = Vec::new();
        kinds.extend(named.then_some((Kind::ManagedIdentity, "a managed identity")));
        kinds.extend(self.secret.as_ref().map(|_| (Kind::Secret, "a secret")));
        kinds.extend(certificate.as_ref().map(|_| (Kind::Certificate, "a certificate")));
        kinds.extend(federated_token_file.as_ref().map(|_| (Kind::FederatedTokenFile, "a federated token")));
        match (self.place, &kinds[..]) {
            (_, []) => Ok(None),
            (_, [(kind, _)]) => Ok(Some(*kind)),
            (Place::Environment, [(first, _), ..]) => {
                let bound = pop && certificate.is_some();
                Ok(Some(if bound { Kind::Certificate } else { *first }))
            }
            (Place::CommandLine, [(_, one), (_, other), ..]) => Err(Failure::input(format!(
                "one of {one} and {other} proves the identity: give only that one"
            ))),
        }
    }
}

/// An environment variable that is set and not empty. One that cannot be read is none that was left out.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var_os(name) {
        Some(value) if value.to_str().is_none() => {
            Err(Failure::input(format!("the environment variable {name} is not UTF-8")))
        }
        _ => Ok(ProcessEnv.var(name)),
    }
}
