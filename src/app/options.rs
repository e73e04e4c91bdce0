//! What an app is made from, checked before anything is sent.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::confidential_client::{ConfidentialClient, Settings};
use super::core::Identity;
use super::host::HOST;
use super::managed_identity::{Attestation, ManagedIdentity};
use super::measure::extended;
use super::parameters::Parameters;
use super::refreshed::{BackgroundRefreshFn, OnBackgroundRefresh};
use crate::attestation::AttestationProvider;
use crate::authority::{Authority, RegionSetting, Resolver};
use crate::binding::BindingStore;
use crate::clock::{Clock, system_clock};
use crate::credential::Credential;
use crate::env::{Env, ProcessEnv};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Observer, Pool, RequestObserverFn, TokenProxy, TransportOptions};
use crate::key::{CallbackKey, KeyAlgorithm, KeyHome, MtlsBindingStrength, PrivateKey, Signer, TpmOptions};
use crate::log::Logger;
use crate::managed_identity::imds_v2::Switch;
use crate::managed_identity::{ManagedIdentityId, detect};
use crate::metrics::{Metrics, MetricsFn};
use crate::secret::Secret;
use crate::token::TokenCache;

/// Settings of an [`App`](super::App). Nothing is checked before [`App::new`](super::App::new).
#[derive(Clone)]
pub struct AppOptions {
    kind: Kind,
    authority: Option<AuthorityText>,
    instance_discovery: Option<bool>,
    azure_region: Option<String>,
    credential: Option<Credential>,
    enable_azure_proxy: bool,
    attestation: Option<Arc<dyn AttestationProvider>>,
    key_home: Option<HomeOption>,
    min_strength: MtlsBindingStrength,
    send_certificate_over_mtls: bool,
    client_capabilities: Vec<String>,
    parameters: Parameters,
    token_cache: Option<TokenCache>,
    background_refresh: Option<bool>,
    on_background_refresh: OnBackgroundRefresh,
    binding_store: Option<BindingStore>,
    /// A managed identity was named for a confidential client.
    misplaced_id: bool,
    probe_timeout: Option<Duration>,
    misnamed_host: Option<Error>,
    transport: TransportOptions,
    clock: Arc<dyn Clock>,
    env: Arc<dyn Env>,
    log: Logger,
    metrics: Metrics,
}

#[derive(Clone)]
enum Kind {
    ManagedIdentity(ManagedIdentityId),
    ConfidentialClient { client_id: String },
}

#[derive(Clone)]
enum HomeOption {
    Tpm(TpmOptions),
    Signer { public_key: Vec<u8>, signer: Arc<dyn Signer> },
}

#[derive(Clone, Debug)]
enum AuthorityText {
    Known(String),
    Oidc(String),
}

/// The metadata service of a busy host may take a second and more.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// What [`AppOptions::check`] made of the settings.
pub(super) struct Parts {
    pub(super) identity: Identity,
    pub(super) client_capabilities: Vec<String>,
    pub(super) token_cache: TokenCache,
    pub(super) pool: Pool,
    pub(super) background_refresh: bool,
    pub(super) on_background_refresh: OnBackgroundRefresh,
    pub(super) binding_store: Option<Arc<BindingStore>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Logger,
    pub(super) metrics: Metrics,
    pub(super) extended_metrics: bool,
    pub(super) probe_timeout: Duration,
}

impl AppOptions {
    /// For a managed identity of this host.
    pub fn managed_identity(id: ManagedIdentityId) -> Self {
        Self::new(Kind::ManagedIdentity(id))
    }

    /// For an app registration, by its client id. Needs an authority and a credential.
    pub fn confidential_client(client_id: &str) -> Self {
        Self::new(Kind::ConfidentialClient { client_id: client_id.to_owned() })
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            authority: None,
            instance_discovery: None,
            azure_region: None,
            credential: None,
            enable_azure_proxy: false,
            attestation: None,
            key_home: None,
            min_strength: MtlsBindingStrength::None,
            send_certificate_over_mtls: false,
            client_capabilities: Vec::new(),
            parameters: Parameters::default(),
            token_cache: None,
            background_refresh: None,
            on_background_refresh: None,
            binding_store: None,
            misplaced_id: false,
            probe_timeout: None,
            misnamed_host: None,
            transport: TransportOptions::default(),
            clock: system_clock(),
            env: Arc::new(ProcessEnv),
            log: Logger::default(),
            metrics: Metrics::default(),
        }
    }

    /// Which managed identity is meant; for confidential clients an error of `App::new`.
    pub fn with_managed_identity_id(mut self, id: ManagedIdentityId) -> Self {
        match &mut self.kind {
            Kind::ManagedIdentity(known) => *known = id,
            Kind::ConfidentialClient { .. } => self.misplaced_id = true,
        }
        self
    }

    /// Who issues tokens: `https://login.microsoftonline.com/<tenant id>`, or an authority of AD FS,
    /// dSTS, B2C or CIAM. The last authority set counts.
    pub fn with_authority(mut self, authority: &str) -> Self {
        self.authority = Some(AuthorityText::Known(authority.to_owned()));
        self
    }

    /// The same for an OpenID provider, which is asked for its token endpoint. Used exactly as given.
    pub fn with_oidc_authority(mut self, authority: &str) -> Self {
        self.authority = Some(AuthorityText::Oidc(authority.to_owned()));
        self
    }

    /// Whether a host that the library does not know is asked about before it is used, which is the
    /// default: Entra about hosts of Entra, an AD FS host about itself.
    pub fn with_instance_discovery(mut self, on: bool) -> Self {
        self.instance_discovery = Some(on);
        self
    }

    /// The Azure region whose token service is asked (`eastus`; `"east us"` means the same), or
    /// `TryAutoDetect` for that of this host.
    pub fn with_azure_region(mut self, region: &str) -> Self {
        self.azure_region = Some(region.to_owned());
        self
    }

    /// How the confidential client proves itself. The last one set counts.
    pub fn with_credential(mut self, credential: Credential) -> Self {
        self.credential = Some(credential);
        self
    }

    /// Whether a federated token file is exchanged by the token proxy of the cluster, as AKS identity bindings have it,
    /// where `AZURE_KUBERNETES_TOKEN_PROXY` names one; off by default. `AZURE_KUBERNETES_CA_FILE` or
    /// `AZURE_KUBERNETES_CA_DATA` (PEM) say who vouches for it, `AZURE_KUBERNETES_SNI_NAME` by which name. Only the
    /// token is asked of it, and no region counts.
    pub fn with_enable_azure_proxy(mut self, on: bool) -> Self {
        self.enable_azure_proxy = on;
        self
    }

    /// Has the binding keys of a managed identity attested: each bound token of the app is then bound to a
    /// certificate for an attested key, or there is none. Bearer tokens are not affected. For confidential
    /// clients an error of `App::new`.
    pub fn with_attestation(mut self, provider: Arc<dyn AttestationProvider>) -> Self {
        self.attestation = Some(provider);
        self
    }

    /// Keeps the keys of a managed identity's bound tokens in a TPM 2.0, which they never leave. Where that cannot
    /// be done there is an error, never a key in software. For confidential clients an error of `App::new`: see
    /// [`Certificate::with_tpm_key`](crate::Certificate::with_tpm_key). Of this and
    /// [`with_key_signer`](Self::with_key_signer) the last one counts.
    pub fn with_tpm(mut self, tpm: TpmOptions) -> Self {
        self.key_home = Some(HomeOption::Tpm(tpm));
        self
    }

    /// Has a key that lives elsewhere be the key of a managed identity's bound tokens: `signer` signs with it, for
    /// the certificate request and for TLS. `public_key` is its public half, RSA of at least 2048 bits: a
    /// SubjectPublicKeyInfo in DER. One key, for each certificate. For confidential clients an error of
    /// `App::new`: see [`Certificate::with_signer`](crate::Certificate::with_signer).
    pub fn with_key_signer(mut self, public_key: &[u8], signer: Arc<dyn Signer>) -> Self {
        self.key_home = Some(HomeOption::Signer { public_key: public_key.to_vec(), signer });
        self
    }

    /// Whether the certificate of the credential is presented in TLS for Bearer tokens, too, beside the
    /// assertion. Entra must have enabled the app for it (AADSTS51000).
    pub fn with_send_certificate_over_mtls(mut self, on: bool) -> Self {
        self.send_certificate_over_mtls = on;
        self
    }

    /// What the app can handle, as `xms_cc`: `cp1` says that it answers claims challenges of APIs.
    pub fn with_client_capabilities<S: AsRef<str>>(mut self, capabilities: &[S]) -> Self {
        let names = capabilities.iter().flat_map(|text| text.as_ref().split_whitespace());
        let mut list: Vec<String> = names.map(str::to_owned).collect();
        list.sort_unstable();
        list.dedup();
        self.client_capabilities = list;
        self
    }

    /// A query parameter for the token endpoint in each request; see
    /// [`TokenRequest::with_extra_query_parameter`](super::TokenRequest::with_extra_query_parameter).
    pub fn with_extra_query_parameter(mut self, name: &str, value: &str, in_cache_key: bool) -> Self {
        self.parameters.set_query(name, value, in_cache_key);
        self
    }

    /// A token cache that is shared with other apps, or has limits or a store of the caller's. Without it
    /// the app has one of its own; a managed identity uses the one of the process.
    pub fn with_token_cache(mut self, cache: TokenCache) -> Self {
        self.token_cache = Some(cache);
        self
    }

    /// How well the keys of a managed identity's bound tokens must be kept at least: a floor for each request,
    /// which may set a higher one. See [`TokenRequest::with_min_strength`](super::TokenRequest::with_min_strength).
    pub fn with_min_strength(mut self, strength: MtlsBindingStrength) -> Self {
        self.min_strength = strength;
        self
    }

    /// Where the binding certificates of a managed identity are kept on disk with their keys, so that the
    /// next start of the program, and other processes with this store, need no new ones. Off without it.
    pub fn with_binding_store(mut self, store: BindingStore) -> Self {
        self.binding_store = Some(store);
        self
    }

    /// How long a connection may take to come about: name look-up, TCP, proxy and TLS together; 10
    /// seconds by default. What vouches for managed identities never gets more than 2.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.transport.connect_timeout = timeout;
        self
    }

    /// How long one attempt to find out what this host's metadata service can do may take; 3 seconds by
    /// default, of which connecting gets 2. An attempt that was too slow, or refused for the moment, is
    /// repeated up to three times, with 1, 2 and 4 seconds between: a busy host is not taken for one that
    /// has no such service. For managed identities.
    pub fn with_probe_timeout(mut self, timeout: Duration) -> Self {
        self.probe_timeout = Some(timeout);
        self
    }

    /// Whether tokens are replaced early, and binding certificates of managed identities renewed, on a thread
    /// of the app, which is the default unless the app has callbacks: those would then be called on that thread.
    pub fn with_background_refresh(mut self, on: bool) -> Self {
        self.background_refresh = Some(on);
        self
    }

    /// Who is told how each background refresh of a token ended (MSAL's `OnBackgroundTokenRefreshCompleted`): the
    /// new token, which the cache has by then, or why there is none, and the old one goes on being served. An error of
    /// `App::new` where the app refreshes nothing in the background. What a caller waits for is not reported, nor is
    /// a certificate's renewal.
    pub fn with_background_refresh_callback(mut self, callback: Arc<BackgroundRefreshFn>) -> Self {
        self.on_background_refresh = Some(callback);
        self
    }

    /// `http://[user:password@]host:port`, or `none`; in user name and password, other signs than letters and
    /// digits are percent-encoded. Without this setting the environment counts as for curl: the first of
    /// `https_proxy`, `HTTPS_PROXY`, `all_proxy` and `ALL_PROXY`. `no_proxy`, or else `NO_PROXY`, counts always.
    /// What vouches for managed identities is never asked through a proxy.
    pub fn with_proxy(mut self, proxy: &str) -> Self {
        self.transport.proxy = Some(Secret::new(proxy));
        self
    }

    /// A PEM file of the root certificates to trust, instead of `SSL_CERT_FILE` and the platform's.
    pub fn with_trusted_roots_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.transport.roots_file = Some(path.into());
        self
    }

    /// Adds a host that may ask for the certificate of a bound token in a TLS renegotiation, after it has read a
    /// request: by its name, without port, or `*.contoso.com` for all below a name. It is spoken to in TLS 1.2 then.
    /// Key Vault and Managed HSM of every cloud need not be named. What is no host name is an error of `App::new`.
    pub fn with_renegotiating_host(mut self, host: &str) -> Self {
        if let Err(error) = self.transport.renegotiating.add(host) {
            self.misnamed_host.get_or_insert(error);
        }
        self
    }

    /// The root certificates to trust, as PEM.
    pub fn with_trusted_roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.transport.roots_pem = Some(pem.into());
        self
    }

    /// Where log lines go; nowhere by default.
    pub fn with_logger(mut self, log: Logger) -> Self {
        self.transport.log = log.clone();
        self.log = log;
        self
    }

    /// Where measurements go, under MSAL's OpenTelemetry names; nowhere by default. Called on any thread
    /// that uses the app, also on its background thread.
    pub fn with_metrics(mut self, sink: Arc<MetricsFn>) -> Self {
        self.metrics = Metrics::new(sink);
        self
    }

    /// Who is told of each request that the app sends, and of its answer: what was sent where, by names, without any
    /// value that is secret. Also on the app's background thread.
    pub fn with_request_observer(mut self, observer: Arc<RequestObserverFn>) -> Self {
        self.transport.observer = Observer(Some(observer));
        self
    }

    /// Another clock, for tests.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Other environment variables than the process's, for tests.
    pub fn with_env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = env;
        self
    }

    /// Checks everything that can be checked without a request.
    pub(super) fn check(self) -> Result<Parts> {
        if let Some(error) = self.misnamed_host {
            return Err(error);
        }
        let stored = self.token_cache.as_ref().is_some_and(|cache| cache.store().is_some());
        let calls_back = stored
            || self.attestation.is_some()
            || matches!(self.key_home, Some(HomeOption::Signer { .. }))
            || self.credential.as_ref().is_some_and(Credential::calls_back);
        let background_refresh = self.background_refresh.unwrap_or(!calls_back);
        if self.on_background_refresh.is_some() && !background_refresh {
            return Err(Error::argument(
                "a background refresh callback is set, but the app refreshes nothing in the background: switch that on, \
                 and the app's other callbacks are called there, too",
            ));
        }
        let pool = Pool::new(self.transport, self.env.clone())?;
        let identity = match self.kind {
            Kind::ManagedIdentity(id) => {
                let misplaced = [
                    ("authority", self.authority.is_some()),
                    ("instance discovery", self.instance_discovery.is_some()),
                    ("Azure region", self.azure_region.is_some()),
                    ("credential", self.credential.is_some()),
                    ("token proxy", self.enable_azure_proxy),
                    ("certificate over mTLS", self.send_certificate_over_mtls),
                    ("token cache", self.token_cache.is_some()),
                ];
                if let Some((what, _)) = misplaced.iter().find(|(_, set)| *set) {
                    return Err(Error::argument(format!(
                        "a managed identity app takes no {what}: the host decides; use a confidential client app"
                    )));
                }
                if let Some(store) = &self.binding_store {
                    store.check(&self.log)?;
                }
                let source = detect(self.env.as_ref())?;
                let (home, attestation) = keys(self.key_home, self.attestation, self.env.as_ref())?;
                let (parameters, floor) = (self.parameters, self.min_strength);
                let switch = Switch::new(self.env.clone());
                let identity =
                    ManagedIdentity::new(id, source, home, attestation, parameters, floor, switch)?;
                Identity::ManagedIdentity(Box::new(identity))
            }
            Kind::ConfidentialClient { client_id } => {
                let misplaced = [
                    ("user-assigned managed identity", self.misplaced_id),
                    ("attestation callback", self.attestation.is_some()),
                    ("place for keys", self.key_home.is_some()),
                    ("binding store", self.binding_store.is_some()),
                    ("minimum strength", self.min_strength > MtlsBindingStrength::None),
                    ("probe timeout", self.probe_timeout.is_some()),
                ];
                if let Some((what, _)) = misplaced.iter().find(|(_, set)| *set) {
                    return Err(Error::argument(format!(
                        "a confidential client app takes no {what}: its client id and its certificate are its own"
                    )));
                }
                let authority = self.authority.ok_or_else(|| {
                    Error::new(
                        ErrorKind::InvalidArgument,
                        "missing_tenanted_authority",
                        "no authority: set https://login.microsoftonline.com/<tenant id>",
                    )
                })?;
                let authority = match authority {
                    AuthorityText::Known(text) => Authority::parse(&text),
                    AuthorityText::Oidc(text) => Authority::parse_oidc(&text),
                }?;
                let mut region = RegionSetting::resolve(self.azure_region.as_deref(), self.env.as_ref())?;
                if let Some(doubt) = region.doubt().filter(|_| authority.has_regions()) {
                    self.log.warn("authority", || doubt);
                }
                let discovery = self.instance_discovery.unwrap_or(true);
                let credential = self.credential.map(|c| c.resolved(self.env.as_ref())).transpose()?;
                if let Some(certificate) = credential.as_ref().and_then(Credential::static_certificate) {
                    certificate.log_notes(&self.log);
                }
                let token_proxy = match (self.enable_azure_proxy, &credential) {
                    (false, _) => None,
                    (true, Some(Credential::FederatedTokenFile(_))) => {
                        TokenProxy::from_env(self.env.as_ref())?
                    }
                    (true, _) => {
                        return Err(Error::argument(
                            "the token proxy of a cluster takes federated token files only: set one, or do not enable it",
                        ));
                    }
                };
                if let Some(proxy) = &token_proxy {
                    pool.token_proxy(proxy)?;
                    if region != RegionSetting::Global {
                        self.log.info("app", || {
                            "the token proxy of the cluster is asked: no region counts".into()
                        });
                        region = RegionSetting::Global;
                    }
                }
                let settings = Settings {
                    client_id,
                    authority,
                    token_proxy,
                    resolver: Resolver::new(region, discovery, HOST.regions.clone(), HOST.instances.clone()),
                    send_certificate_over_mtls: self.send_certificate_over_mtls,
                    parameters: self.parameters,
                };
                Identity::ConfidentialClient(Box::new(ConfidentialClient::new(settings, credential)?))
            }
        };
        Ok(Parts {
            identity,
            client_capabilities: self.client_capabilities,
            extended_metrics: extended(self.env.as_ref()),
            token_cache: self.token_cache.unwrap_or_default(),
            pool,
            background_refresh,
            on_background_refresh: self.on_background_refresh,
            binding_store: self.binding_store.map(Arc::new),
            clock: self.clock,
            log: self.log,
            metrics: self.metrics,
            probe_timeout: self.probe_timeout.unwrap_or(PROBE_TIMEOUT),
        })
    }
}

/// Where a managed identity's keys are, and who attests them.
fn keys(
    home: Option<HomeOption>,
    provider: Option<Arc<dyn AttestationProvider>>,
    env: &dyn Env,
) -> Result<(KeyHome, Attestation)> {
    let (home, pcrs) = match home {
        None => (KeyHome::Software, None),
        Some(HomeOption::Tpm(options)) => {
            let pcrs = options.attested_pcrs()?;
            (KeyHome::Tpm(options.resolve(env)?), pcrs)
        }
        Some(HomeOption::Signer { public_key, signer }) => {
            let key = CallbackKey::new(&public_key, signer)?;
            if key.algorithm() != KeyAlgorithm::Rsa {
                return Err(Error::argument(
                    "the key of a managed identity must be an RSA key: IMDS takes no other",
                ));
            }
            (KeyHome::Elsewhere(Arc::new(key)), None)
        }
    };
    match (provider, pcrs) {
        (None, None) => Ok((home, Attestation::None)),
        (Some(provider), None) => Ok((home, Attestation::Callback(provider))),
        (None, Some(pcrs)) => Ok((home, Attestation::Tpm { pcrs })),
        (Some(_), Some(_)) => {
            Err(Error::argument("the keys are to be attested by the TPM and by a callback: choose one"))
        }
    }
}

impl fmt::Debug for AppOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppOptions")
            .field("authority", &self.authority)
            .field("azure_region", &self.azure_region)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}
