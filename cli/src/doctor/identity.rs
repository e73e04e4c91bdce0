//! Whose token it would be, as far as the settings and this host tell.

use std::sync::Arc;
use std::time::Duration;

use mtlspop::{
    App, Certificate, Credential, ManagedIdentitySource, RegionOutcome, Secret, Server, Token, TokenRequest,
};

use super::advice::advice;
use super::live::{self, Transcript};
use super::report::Report;
use super::{credential, server};
use crate::environment::Environment;
use crate::identity::{logger, options, scope};
use crate::layers::{Kind, Layer, Layers};
use crate::settings::Settings;
use crate::{Context, Failure};

/// The identity, with what is well of it.
pub(super) struct Patient {
    app: App,
    /// What bound tokens are bound to, where that is in a file.
    certificate: Option<Certificate>,
    is_managed_identity: bool,
    pop: bool,
    request: TokenRequest,
    /// Why no token is asked for.
    unfit: Option<&'static str>,
}

/// For what a token is asked, where nothing else is said: only whom the app leads to is looked at.
const ANY_SCOPE: &str = "https://graph.microsoft.com/.default";

impl Patient {
    /// Looks at settings, credential and host. `None` where there is nothing of an app.
    pub(super) fn examine(
        flags: &Settings,
        context: &Context,
        limit: Duration,
        transcript: Option<&Transcript>,
        report: &mut Report,
    ) -> Option<Self> {
        let wrong = |report: &mut Report, failure: Failure| {
            report.fault(
                "settings",
                failure.message(),
                "correct the option, variable or profile that it names; mtlspop config shows which count",
            );
            None
        };
        let layers = match Layers::new(flags, context) {
            Ok(layers) => layers,
            Err(failure) => return wrong(report, failure),
        };
        let pop = layers.any(|layer| layer.settings.pop);
        let kind = match layers.kind(pop) {
            Ok(kind) => kind,
            Err(failure) => return wrong(report, failure),
        };
        let is_managed_identity = matches!(kind, None | Some((Kind::ManagedIdentity, _)));
        let found = match kind {
            Some((kind, places)) if !is_managed_identity => {
                credential::examine(kind, places, &layers, report)
            }
            _ => None,
        };
        let certificate = match &found {
            Some(Credential::Certificate { certificate, .. }) => Some(certificate.clone()),
            _ => None,
        };
        let is_provable = is_managed_identity || found.is_some();
        // One that cannot be read was told of. The app is made to look at the network: it proves itself to nobody.
        let credential =
            (!is_managed_identity).then(|| found.unwrap_or(Credential::Secret(Secret::new("none"))));
        let made = options(kind, credential, &layers).and_then(|(options, _)| {
            let options = options
                .with_env(Arc::new(Environment))
                .with_connect_timeout(limit)
                .with_background_refresh(false)
                .with_client_capabilities(&["cp1"])
                .with_logger(logger(context.verbose));
            let options = match transcript {
                Some(transcript) => options.with_request_observer(transcript.observer()),
                None => options,
            };
            let options = if is_managed_identity { options.with_probe_timeout(limit) } else { options };
            Ok(App::new(options)?)
        });
        let app = match made {
            Ok(app) => app,
            Err(failure) => return wrong(report, failure),
        };
        let scope = scope(&layers);
        let request =
            TokenRequest::new(scope.as_deref().unwrap_or(ANY_SCOPE)).with_mtls_proof_of_possession(pop);
        report.ok("settings", summary(kind, &layers, pop, scope.as_deref()));
        if is_provable && let Err(error) = app.check(&request) {
            report.fault("request", error.message(), advice(&error));
        }
        let unfit = match (is_provable, &scope) {
            (false, _) => Some("not asked for, as the credential is at fault"),
            (_, None) => Some("not asked for: --resource says what for"),
            _ => None,
        };
        let patient = Self { app, certificate, is_managed_identity, pop, request, unfit };
        if is_managed_identity {
            patient.host(flags.tpm || layers.any(|layer| layer.settings.tpm), limit, report);
        }
        Some(patient)
    }

    /// The host of a managed identity.
    fn host(&self, tpm: bool, limit: Duration, report: &mut Report) {
        match self.app.managed_identity_capabilities(Some(limit), None) {
            Err(error) => report.fault("source", error.message(), NO_SOURCE),
            Ok(found) => {
                let source = found.source().map_or("none", ManagedIdentitySource::name);
                let detail = format!("{source}: {}", found.detection_reason());
                match found.error_reason() {
                    Some(error) if found.source().is_none() => {
                        report.fault("source", format!("{detail} ({error})"), NO_SOURCE);
                    }
                    _ => report.ok("source", detail),
                }
                if found.is_mtls_pop_supported_by_host() {
                    self.identity(limit, report);
                }
                if found.source().is_some() && found.is_mtls_pop_supported_by_host() {
                    report.ok(
                        "bound-tokens",
                        format!(
                            "the host gives them; strength {}",
                            found.max_supported_binding_strength().name()
                        ),
                    );
                } else if found.source().is_some() && self.pop {
                    report.fault(
                        "bound-tokens",
                        format!("the host gives none: {}", found.strength_reason()),
                        "ask for a Bearer token, without --pop, or for a bound one on a host with IMDSv2 (a virtual machine, a scale set, \
                         an AKS node), or by an app with a certificate",
                    );
                } else if found.source().is_some() {
                    report
                        .skipped("bound-tokens", format!("the host gives none: {}", found.strength_reason()));
                }
            }
        }
        match (tpm, self.app.check_keys(limit)) {
            (false, _) => report.skipped("tpm", "not asked for: --tpm"),
            (true, Ok(_)) => report.ok("tpm", "it answers, and makes the key of a bound token"),
            (true, Err(error)) => report.fault(
                "tpm",
                error.message(),
                "install the plugin (make install TPM=1, or the package) and see that this user may use /dev/tpmrm0; TPM2TOOLS_TCTI says where \
                 another TPM is",
            ),
        }
    }

    /// Whether the host has the identity that is meant.
    fn identity(&self, limit: Duration, report: &mut Report) {
        match self.app.identity_of_host(limit) {
            Ok(Some((client, tenant))) => {
                report.ok("identity", format!("the host knows it as client {client} of tenant {tenant}"));
            }
            Ok(None) => {}
            Err(error) => report.fault(
                "identity",
                error.message(),
                "assign this managed identity to the host (az vm identity assign), or correct its id; without an id it is the system-assigned one",
            ),
        }
    }

    /// The whole flow. Services get more time for it than a look takes.
    pub(super) fn go(&self, url: Option<&str>, limit: Duration, report: &mut Report) -> Option<Token> {
        match self.unfit {
            None => {
                let token = live::go(&self.app, &self.request, url, report)?;
                let certificate = token.binding_certificate().filter(|_| self.is_managed_identity);
                // Only now is it known who gives bound tokens to this host.
                if let Some(certificate) = certificate
                    && let Ok(server) = Server::resource(token.token_endpoint(), Some(certificate))
                {
                    server::examine(&self.app, &server, self.pop, limit, report);
                }
                Some(token)
            }
            Some(why) => {
                report.skipped("token", why);
                None
            }
        }
    }

    /// The ways to all servers, and what they have in common.
    pub(super) fn servers(&self, url: Option<&str>, limit: Duration, report: &mut Report) {
        match self.app.trusted_roots() {
            Ok((count, origin)) => report.ok("roots", format!("{count} root certificates of {origin}")),
            Err(error) => report.fault("roots", error.message(), advice(&error)),
        }
        let meaningless = self.app.meaningless_proxy_exceptions();
        if !meaningless.is_empty() {
            report.warning(
                "no-proxy",
                format!("NO_PROXY has what is neither a host nor a network: {}", meaningless.join(", ")),
                "write hosts without https:// and without a path, addresses, or networks as 10.0.0.0/8",
            );
        }
        let mut servers = Vec::new();
        match self.app.servers(&self.request, limit) {
            Err(error) => report.fault("token-service", error.message(), advice(&error)),
            Ok(found) => {
                if !self.is_managed_identity {
                    let region = found.region.as_deref().unwrap_or("none, the global service is asked");
                    match (found.region_outcome, &found.region_error) {
                        (RegionOutcome::FallbackToGlobal, error) => report.warning(
                            "region",
                            format!(
                                "it was not found out{}",
                                error.as_ref().map(|e| format!(": {e}")).unwrap_or_default()
                            ),
                            "name it: --region eastus, or REGION_NAME",
                        ),
                        _ => report.ok("region", region),
                    }
                }
                servers = found.list;
            }
        }
        if self.is_managed_identity && self.pop {
            report
                .skipped("token-service", "IMDS names it together with the certificate: --live looks at it");
        }
        match url.map(|url| Server::resource(url, self.certificate.as_ref().filter(|_| self.pop))) {
            None => report.skipped("api", "none was named: mtlspop doctor URL looks at one, too"),
            Some(Ok(server)) => servers.push(server),
            Some(Err(error)) => report.fault("api", error.message(), "give the whole URL, https://..."),
        }
        for server in &servers {
            server::examine(&self.app, server, self.pop, limit, report);
        }
    }
}

const NO_SOURCE: &str = "run it on an Azure host that has a managed identity; elsewhere name an app: --tenant, --client-id and --certificate, or \
                         AZURE_TENANT_ID and its like; on Azure, see that nothing keeps the host from 169.254.169.254";

/// What the settings say, in words.
fn summary(kind: Option<(Kind, &[Layer])>, layers: &Layers, pop: bool, scope: Option<&str>) -> String {
    let first = |get: fn(&Settings) -> &Option<String>| layers.first(|layer| get(&layer.settings).clone());
    let from = kind.and_then(|(_, places)| places.last()).map(|layer| layer.source.to_string());
    let from = from.map(|from| format!(" ({from})")).unwrap_or_default();
    let who = match kind {
        None => "a managed identity of this host, as nothing names another one".to_owned(),
        Some((Kind::ManagedIdentity, _)) => format!("a managed identity of this host{from}"),
        Some((kind, _)) => {
            let by = match kind {
                Kind::Secret => "a secret",
                Kind::FederatedTokenFile => "a federated token",
                _ => "a certificate",
            };
            let text = |value: Option<String>| value.unwrap_or_default();
            format!(
                "app {} of tenant {}, proven by {by}{from}",
                text(first(|settings| &settings.client_id)),
                text(first(|settings| &settings.tenant))
            )
        }
    };
    let kind = if pop { "bound (mtls_pop)" } else { "Bearer" };
    format!("{who}; {kind} tokens for {}", scope.unwrap_or("what --resource will say"))
}
