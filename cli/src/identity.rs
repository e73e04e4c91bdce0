//! From the settings to an app of the library and a request for it.

use std::io::{self, Write as _};
use std::sync::Arc;

use mtlspop::{
    App, AppOptions, Certificate, Credential, LogLevel, Logger, ManagedIdentityId, MetricsFn, Token,
    TokenRequest,
};

use crate::cache::{Cache, Key};
use crate::credential::{certificate, credential, tpm};
use crate::layers::{Kind, Layer, Layers};
use crate::output::visible;
use crate::settings::Settings;
use crate::{Context, Failure, Result};

/// Whose tokens are asked for, and for what.
pub(crate) struct Identity {
    options: AppOptions,
    /// By the names that an identity endpoint knows them by.
    ids: Ids,
    /// What for, as a scope.
    scope: Option<String>,
    pop: bool,
    reads_stdin: bool,
    /// Nobody named it: it is what is left.
    assumed: bool,
    /// An app, by what tells it from others.
    app: Option<String>,
    /// What is kept between runs is encrypted under.
    cache: Option<Key>,
    verbose: bool,
}

pub(crate) type Ids = Vec<(&'static str, String)>;

pub(crate) const AUTHORITY_HOST: &str = "https://login.microsoftonline.com";

impl Identity {
    /// By what the command line says, and the environment where that says nothing. Nothing is sent.
    pub(crate) fn new(flags: &Settings, context: &Context) -> Result<Self> {
        let layers = Layers::new(flags, context)?;
        let pop = layers.any(|layer| layer.settings.pop);
        let kind = layers.kind(pop)?;
        let assumed = kind.is_none();
        if assumed && let Some(source) = layers.tenant_without_proof() {
            return Err(Failure::input(format!(
                "the {source} names a tenant, but nothing proves an app: give --certificate, --secret-file or --federated-token-file; a managed identity has no tenant"
            )));
        }
        let mut app = None;
        let credential = match kind {
            Some((kind, places)) if kind != Kind::ManagedIdentity => {
                let (client, tenant) = check_app(&layers)?;
                app = Some(format!("{client} {tenant}"));
                credential(kind, places, &layers)?
            }
            _ => None,
        };
        let (options, ids) = options(kind, credential, &layers)?;
        let cache = Cache::wanted(&layers)?;
        let options = options.with_logger(logger(context.verbose));
        let reads_stdin = layers.any(Layer::reads_stdin);
        let (scope, verbose) = (scope(&layers), context.verbose);
        Ok(Self { options, ids, scope, pop, reads_stdin, assumed, app, cache, verbose })
    }

    /// Whether the token will be bound to a certificate.
    pub(crate) fn is_bound(&self) -> bool {
        self.pop
    }

    /// What the token will be for, where that was said.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Whether one of its secrets is, or could have been, on stdin.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.reads_stdin
    }

    /// Says that claims challenges of APIs are answered.
    pub(crate) fn answering_claims(mut self) -> Self {
        self.options = self.options.with_client_capabilities(&["cp1"]);
        self
    }

    /// Has what its tokens take told to `sink`.
    pub(crate) fn with_metrics(mut self, sink: Arc<MetricsFn>) -> Self {
        self.options = self.options.with_metrics(sink);
        self
    }

    /// An app for whatever is asked of it, and the ids that it is known by.
    pub(crate) fn into_app(self) -> Result<(App, Ids)> {
        Ok((App::new(self.options)?, self.ids))
    }

    /// Another certificate of a managed identity, kept in the place of the one before.
    pub(crate) fn renew(self) -> Result<Certificate> {
        let cache = Cache::open(&self.cache.unwrap_or(Key::Keyring))?;
        let options = self.options.with_binding_store(cache.certificates()).with_background_refresh(false);
        Ok(App::new(options)?.renew_binding_certificate(None)?)
    }

    /// The token, and the app and request that it was got with.
    pub(crate) fn acquire(self) -> Result<(App, TokenRequest, Token)> {
        let missing =
            "what is the token for? Give --resource, for example https://graph.microsoft.com, or --scope";
        let scope = self.scope.ok_or_else(|| Failure::input(missing))?;
        let request = TokenRequest::new(&scope).with_mtls_proof_of_possession(self.pop);
        let cache = self.cache.as_ref().map(Cache::open).transpose()?;
        let mut options = self.options.with_background_refresh(false);
        if cache.is_some() && !self.verbose {
            options = options.with_logger(warnings_of_the_cache());
        }
        options = match (&cache, &self.app) {
            (Some(cache), Some(_)) => options.with_token_cache(cache.tokens()),
            (Some(cache), None) if self.pop => options.with_binding_store(cache.certificates()),
            _ => options,
        };
        let app = App::new(options)?;
        let kept = cache.as_ref().zip(self.app.as_deref());
        let turn = kept.and_then(|(cache, name)| cache.turn(name));
        let acquired = app.acquire_token(&request);
        drop(turn);
        match acquired {
            Ok(token) => {
                if let Some((cache, _)) = kept {
                    cache.remember(&token);
                }
                Ok((app, request, token))
            }
            Err(error) if self.assumed => Err(Failure::from(error).hint(
                "no option and no variable brings a credential, so that a managed identity of this host was asked for",
            )),
            Err(error) => Err(error.into()),
        }
    }
}

/// The certificate that bound tokens of the identity are bound to. That of a managed identity comes with a token.
pub(crate) fn binding_certificate(flags: &Settings, context: &Context) -> Result<Certificate> {
    if let Some(certificate) = app_certificate(flags, context)? {
        return Ok(certificate);
    }
    let flags = Settings { pop: true, ..flags.clone() };
    let (_, _, token) = Identity::new(&flags, context)?.acquire()?;
    let certificate = token.binding_certificate().cloned();
    certificate.ok_or_else(|| Failure::input("the token is bound to no certificate"))
}

/// The certificate of an app, with its key; `None` for a managed identity.
pub(crate) fn app_certificate(flags: &Settings, context: &Context) -> Result<Option<Certificate>> {
    let layers = Layers::new(flags, context)?;
    match layers.kind(true)? {
        Some((Kind::Certificate, places)) => certificate(places, &layers).map(Some),
        Some((Kind::Secret | Kind::FederatedTokenFile, _)) => Err(Failure::input(
            "a client secret or a federated token has no certificate: give --certificate or --managed-identity",
        )),
        Some((Kind::ManagedIdentity, _)) | None => Ok(None),
    }
}

/// The options of an app of this kind, which is proven by `credential` unless it is a managed identity; and the ids by
/// which it is known.
pub(crate) fn options(
    kind: Option<(Kind, &[Layer])>,
    credential: Option<Credential>,
    layers: &Layers,
) -> Result<(AppOptions, Ids)> {
    match kind {
        None => {
            let client_id = layers.first(|layer| layer.settings.client_id.clone());
            managed_identity(client_id.map(ManagedIdentityId::ClientId), layers)
        }
        Some((Kind::ManagedIdentity, places)) => managed_identity_of(places, layers),
        Some(_) => confidential_client(credential, layers),
    }
}

fn managed_identity_of(places: &[Layer], layers: &Layers) -> Result<(AppOptions, Ids)> {
    let id =
        |get: fn(&Settings) -> &Option<String>| places.iter().find_map(|layer| get(&layer.settings).clone());
    let ids = [
        id(|settings| &settings.client_id).map(ManagedIdentityId::ClientId),
        id(|settings| &settings.object_id).map(ManagedIdentityId::ObjectId),
        id(|settings| &settings.resource_id).map(ManagedIdentityId::ResourceId),
    ];
    let mut ids = ids.into_iter().flatten();
    let id = ids.next();
    if ids.next().is_some() {
        return Err(Failure::input("a managed identity is named by one id: client, object or resource id"));
    }
    managed_identity(id, layers)
}

fn managed_identity(id: Option<ManagedIdentityId>, layers: &Layers) -> Result<(AppOptions, Ids)> {
    let ids = match &id {
        Some(ManagedIdentityId::ClientId(id)) => vec![("client_id", id.clone())],
        Some(ManagedIdentityId::ObjectId(id)) => {
            vec![("object_id", id.clone()), ("principal_id", id.clone())]
        }
        Some(ManagedIdentityId::ResourceId(id)) => {
            vec![("mi_res_id", id.clone()), ("msi_res_id", id.clone())]
        }
        Some(ManagedIdentityId::SystemAssigned) | None => Vec::new(),
    };
    let options = AppOptions::managed_identity(id.unwrap_or(ManagedIdentityId::SystemAssigned));
    Ok(match layers.any(|layer| layer.settings.tpm) {
        true => (options.with_tpm(tpm(layers)?), ids),
        false => (options, ids),
    })
}

/// Client and tenant of an app, which has to have both.
fn check_app(layers: &Layers) -> Result<(String, String)> {
    let setting = |get: fn(&Settings) -> &Option<String>| layers.first(|layer| get(&layer.settings).clone());
    if layers.any(|layer| layer.settings.tpm) {
        return Err(Failure::input(
            "--tpm is for managed identities: an app's key is in the TPM where --key names its TSS2 PRIVATE KEY file",
        ));
    }
    let needed = |value: Option<String>, what: &str, variable: &str| {
        value.ok_or_else(|| {
            Failure::input(format!(
                "the app has no {what} id: set {variable}, or for a managed identity --managed-identity"
            ))
        })
    };
    let client_id =
        needed(setting(|settings| &settings.client_id), "client", "--client-id or AZURE_CLIENT_ID")?;
    let tenant = needed(setting(|settings| &settings.tenant), "tenant", "--tenant or AZURE_TENANT_ID")?;
    Ok((client_id, tenant))
}

fn confidential_client(credential: Option<Credential>, layers: &Layers) -> Result<(AppOptions, Ids)> {
    let setting = |get: fn(&Settings) -> &Option<String>| layers.first(|layer| get(&layer.settings).clone());
    let (client_id, tenant) = check_app(layers)?;
    let host = setting(|settings| &settings.authority_host).unwrap_or_else(|| AUTHORITY_HOST.to_owned());
    // Azure's libraries take it without https://, too.
    let scheme = if host.contains("://") { "" } else { "https://" };
    let authority = format!("{scheme}{}/{tenant}", host.trim_end_matches('/'));
    let mut options = AppOptions::confidential_client(&client_id).with_authority(&authority);
    if let Some(region) = setting(|settings| &settings.region) {
        let region = if region.eq_ignore_ascii_case("auto") { "TryAutoDetect" } else { &region };
        options = options.with_azure_region(region);
    }
    if let Some(credential) = credential {
        options = options.with_credential(credential);
    }
    Ok((options, vec![("client_id", client_id)]))
}

/// As scopes have it, also for managed identities. A slash at the end of a resource stays, as `az` does it: it is part of
/// the audience.
pub(crate) fn scope(layers: &Layers) -> Option<String> {
    layers.first(|Layer { settings, .. }| match (&settings.scope, &settings.resource) {
        (Some(scope), _) => Some(scope.clone()),
        (None, Some(resource)) => Some(format!("{resource}/.default")),
        (None, None) => None,
    })
}

/// What goes wrong there fails no run, but is not to be found out by its slowness.
fn warnings_of_the_cache() -> Logger {
    Logger::new(
        LogLevel::Warning,
        Arc::new(|_, target, message| {
            if matches!(target, "token" | "binding_store") {
                // Nobody is left to be told when stderr is gone.
                let _ = writeln!(io::stderr(), "mtlspop: warning: {}", visible(message));
            }
        }),
    )
}

pub(crate) fn logger(verbose: bool) -> Logger {
    if !verbose {
        return Logger::default();
    }
    Logger::new(
        LogLevel::Info,
        Arc::new(|level, target, message| {
            // Nobody is left to be told when stderr is gone.
            let _ = writeln!(io::stderr(), "mtlspop: {level:?} {target}: {}", visible(message));
        }),
    )
}
