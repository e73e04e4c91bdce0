//! Where settings come from, first that of most weight: the command line, a profile that it names, the environment, another profile.

use std::fmt;
use std::path::PathBuf;

use mtlspop::{Env as _, Secret};

use serde_json::Value;

use crate::environment::Environment;
use crate::profile::Profiles;
use crate::secrets::From;
use crate::settings::Settings;
use crate::{Context, Failure, Result};

/// The settings of one place.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) settings: Settings,
    pub(crate) secret: Option<From>,
    pub(crate) password: Option<From>,
    pub(crate) source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    CommandLine,
    Environment,
    Profile(String),
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
    /// A profile that the command line names stands behind its options. One that the environment names, or nobody, stands
    /// behind the environment, as AWS's tools have it.
    pub(crate) fn new(flags: &Settings, context: &Context) -> Result<Self> {
        let profiles = Profiles::read()?;
        let mut layers = vec![Layer::new(flags, Source::CommandLine)];
        if let Some(name) = &context.profile {
            layers.push(Layer::new(profiles.named(name)?, Source::Profile(name.clone())));
        }
        layers.push(Layer::environment()?);
        if context.profile.is_none() {
            let other = match variable("MTLSPOP_PROFILE")? {
                Some(name) => Some(Layer::new(profiles.named(&name)?, Source::Profile(name))),
                None => profiles
                    .unnamed()
                    .map(|(name, settings)| Layer::new(settings, Source::Profile(name.to_owned()))),
            };
            layers.extend(other);
        }
        Ok(Self(layers))
    }

    pub(crate) fn all(&self) -> &[Layer] {
        &self.0
    }

    /// The first value that there is.
    pub(crate) fn first<T>(&self, get: impl FnMut(&Layer) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(get)
    }

    /// Whether any place says yes.
    pub(crate) fn any(&self, get: impl FnMut(&Layer) -> bool) -> bool {
        self.0.iter().any(get)
    }

    /// Whatever holds a certificate, a key, a secret or a password.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let of_layer = |layer: &Layer| {
            let Settings { certificate, key, tpm_auth_file, .. } = &layer.settings;
            let files = [certificate, key, tpm_auth_file].map(Option::clone);
            let held = [&layer.secret, &layer.password].map(|from| match from {
                Some(From::File(path)) => Some(path.clone()),
                _ => None,
            });
            files.into_iter().chain(held).flatten().collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_layer).collect()
    }

    /// Where a tenant was named on purpose. In the environment it may stand for others.
    pub(crate) fn tenant_without_proof(&self) -> Option<&Source> {
        let named = |layer: &&Layer| layer.settings.tenant.is_some() && layer.source != Source::Environment;
        self.0.iter().find(named).map(|layer| &layer.source)
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
    fn new(settings: &Settings, source: Source) -> Self {
        let secret = settings.secret_file.clone().map(From::File);
        let password = settings.certificate_password_file.clone().map(From::File);
        Self { settings: settings.clone(), secret, password, source }
    }

    pub(crate) fn reads_stdin(&self) -> bool {
        let auth = self.settings.tpm_auth_file.clone().map(From::File);
        [&self.secret, &self.password, &auth].into_iter().flatten().any(From::is_stdin)
    }

    /// What is set here, by its name. Of secrets only where they are.
    pub(crate) fn shown(&self) -> Vec<(String, Value)> {
        let Ok(Value::Object(members)) = serde_json::to_value(&self.settings) else { return Vec::new() };
        let mut shown: Vec<_> = members
            .into_iter()
            .filter(|(_, value)| !value.is_null() && *value != Value::Bool(false))
            .collect();
        for (name, from) in [("secret-file", &self.secret), ("certificate-password-file", &self.password)] {
            if let Some(from) = from
                && !shown.iter().any(|(known, _)| known == name)
            {
                shown.push((name.to_owned(), from.place().into()));
            }
        }
        shown
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
        Ok(Self { settings, secret, password, source: Source::Environment })
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
        match (&self.source, &kinds[..]) {
            (_, []) => Ok(None),
            (_, [(kind, _)]) => Ok(Some(*kind)),
            (Source::Environment, [(first, _), ..]) => {
                let bound = pop && certificate.is_some();
                Ok(Some(if bound { Kind::Certificate } else { *first }))
            }
            (source, [(_, one), (_, other), ..]) => Err(Failure::input(format!(
                "one of {one} and {other} proves the identity, and the {source} has both"
            ))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment => f.write_str("environment"),
            Self::Profile(name) => write!(f, "profile {name}"),
        }
    }
}

/// An environment variable that is set and not empty. One that cannot be read is none that was left out.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match std::env::var_os(name) {
        Some(value) if value.to_str().is_none() => {
            Err(Failure::input(format!("the environment variable {name} is not UTF-8")))
        }
        _ => Ok(Environment.var(name)),
    }
}
