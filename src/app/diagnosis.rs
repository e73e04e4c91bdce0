//! What somebody wants to know of an app who looks for a fault: whom it asks, and what the way there is like. No token
//! and no secret is sent for it.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use url::Url;
use uuid::Uuid;

use super::core::Identity;
use super::{App, TokenRequest};
use crate::authority::{Region, RegionOutcome};
use crate::binding::{Certificate, CertificateSummary};
use crate::error::{Error, Result};
use crate::http::{Refusal, Sight, TlsVersion, https_url};
use crate::key::MtlsBindingStrength;
use crate::runtime::{Call, Cancel};
use crate::token::TokenType;

/// A server that an app asks, or a host's own service.
#[derive(Clone, Debug)]
pub struct Server {
    /// What it is asked for.
    pub role: ServerRole,
    url: Url,
    /// What is shown to it where it asks for a certificate.
    certificate: Option<Certificate>,
}

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerRole {
    /// Who the tenant is: its OpenID configuration.
    Authority,
    /// Tokens.
    TokenEndpoint,
    /// Tokens of the host's managed identity.
    HostEndpoint,
    /// The API.
    Resource,
}

/// Whom a request for a token leads to.
#[derive(Clone, Debug)]
pub struct Servers {
    /// In the order in which they are asked.
    pub list: Vec<Server>,
    /// The region whose token service it is.
    pub region: Option<String>,
    /// Whose choice that is.
    pub region_outcome: RegionOutcome,
    /// Why it could not be found out, where it was to be.
    pub region_error: Option<String>,
}

/// What was seen on the way to a server.
#[derive(Clone, Debug)]
pub struct Look {
    /// Host and port of the proxy, where there is one.
    pub proxy: Option<String>,
    /// Why it is that one, or none; or what is wrong with it.
    pub route: Result<String>,
    /// Where the name leads; `None` where a proxy looks it up.
    pub addresses: Option<Result<Vec<IpAddr>, String>>,
    /// The certificates that the server showed, its own first, also where they were not accepted.
    pub chain: Vec<CertificateSummary>,
    /// The version of TLS, and whether the server asked for a client certificate.
    pub tls: Option<(TlsVersion, bool)>,
    /// Whether it may ask for the certificate of a bound token later, in a renegotiation.
    pub may_renegotiate: bool,
    /// The status of the answer.
    pub status: Option<u16>,
    /// How far this host's clock is ahead of the server's, in seconds.
    pub clock_ahead: Option<i64>,
    /// How long the answer took.
    pub took: Duration,
    /// Why there is no answer, or what is wrong with it.
    pub error: Option<Error>,
}

impl Server {
    /// The API at `url`, to which `certificate` is shown where it asks for one.
    pub fn resource(url: &str, certificate: Option<&Certificate>) -> Result<Self> {
        let parsed = https_url(url).ok_or_else(|| Error::argument("the API's URL is not an https URL"))?;
        Ok(Self { role: ServerRole::Resource, url: parsed, certificate: certificate.cloned() })
    }

    /// Its name.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether there is a certificate to show to it.
    pub fn is_shown_certificate(&self) -> bool {
        self.certificate.is_some()
    }
}

impl App {
    /// Refuses a request that cannot succeed with this app, whatever services say.
    pub fn check(&self, request: &TokenRequest) -> Result<()> {
        self.core.key(request).map(drop)
    }

    /// Whom `request` leads to. Hosts that the library does not know are asked about, and the region is detected
    /// where the app wants that. A bound token of a managed identity is given by a service that IMDS names together with
    /// the certificate: it is not among them.
    pub fn servers(&self, request: &TokenRequest, timeout: Duration) -> Result<Servers> {
        let call = self.diagnostic_call(timeout);
        let none = Servers {
            list: Vec::new(),
            region: None,
            region_outcome: RegionOutcome::None,
            region_error: None,
        };
        match &self.core.identity {
            Identity::ManagedIdentity(identity) => {
                let endpoint = identity.host_endpoint().filter(|url| url.scheme() == "http");
                let server = |url| Server { role: ServerRole::HostEndpoint, url, certificate: None };
                Ok(Servers { list: endpoint.map(server).into_iter().collect(), ..none })
            }
            Identity::ConfidentialClient(client) => {
                let bound = request.token_type() == TokenType::MtlsPop;
                let (configuration, endpoint, certificate) =
                    client.servers(request, bound, &self.core.pool, &call)?;
                let (role, shown) = (ServerRole::TokenEndpoint, certificate.cloned());
                let tokens = Server { role, url: endpoint.url, certificate: shown };
                let authority =
                    configuration.map(|url| Server { role: ServerRole::Authority, url, certificate: None });
                // The same host is looked at once.
                let apart = |authority: &Server| authority.host() != tokens.host() || certificate.is_some();
                let both = authority.as_ref().is_none_or(apart);
                let list = authority.into_iter().chain(both.then_some(tokens)).collect();
                let region = endpoint.region;
                Ok(Servers {
                    list,
                    region: region.used.as_ref().map(Region::as_str).map(str::to_owned),
                    region_outcome: region.outcome,
                    region_error: region.error,
                })
            }
        }
    }

    /// Looks how `server` is reached, with one GET that carries neither token nor secret. What goes wrong is told.
    pub fn look_at(&self, server: &Server, timeout: Duration) -> Look {
        let call = self.diagnostic_call(timeout);
        let Sight { route, addresses, chain, response, at, took } =
            self.core.pool.look(&server.url, server.certificate.as_ref(), &call);
        let mut look = Look {
            proxy: route.as_ref().ok().and_then(|route| route.proxy.clone()),
            route: route.map(|route| route.why),
            addresses: addresses.map(|found| found.map_err(|error| error.to_string())),
            chain: chain.iter().filter_map(|der| CertificateSummary::of(der)).collect(),
            tls: None,
            may_renegotiate: self.core.pool.may_renegotiate(server.host()),
            status: None,
            clock_ahead: None,
            took,
            error: None,
        };
        match response {
            Err(error) => look.error = Some(error),
            Ok(response) => {
                look.tls = response.tls.map(|tls| (tls.version, tls.certificate_requested));
                look.status = Some(response.status);
                let date = response.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
                look.clock_ahead = date.map(|date| seconds_between(date, at));
                if server.role == ServerRole::Authority && response.status >= 400 {
                    let refusal = Refusal::read(&response);
                    let said = format!("the authority answered HTTP {}: {}", response.status, refusal.said());
                    let error = Error::new(Refusal::kind(response.status), "oidc_failure", said);
                    look.error = Some(refusal.details(error.with_http_status(response.status)));
                }
            }
        }
        look
    }

    /// What of `NO_PROXY` is neither a host nor an address nor a network, and is taken no notice of.
    pub fn meaningless_proxy_exceptions(&self) -> &[String] {
        self.core.pool.meaningless_exceptions()
    }

    /// How many root certificates are trusted for servers, and where they are from.
    pub fn trusted_roots(&self) -> Result<(usize, String)> {
        self.core.pool.roots()
    }

    /// Whether the keys of a managed identity's bound tokens can be made where they are to be, and how strong they are;
    /// `None` for a confidential client, whose certificate has its key.
    pub fn check_keys(&self, timeout: Duration) -> Result<Option<MtlsBindingStrength>> {
        match &self.core.identity {
            Identity::ManagedIdentity(identity) => {
                identity.home.check(&self.diagnostic_call(timeout).wait())?;
                Ok(Some(identity.home.strength()))
            }
            Identity::ConfidentialClient(_) => Ok(None),
        }
    }

    /// Whom the metadata service of this host takes the managed identity of the app for: client id and tenant. `None` where
    /// that cannot be asked: another service vouches for it, or IMDSv2 is turned off.
    pub fn identity_of_host(&self, timeout: Duration) -> Result<Option<(String, String)>> {
        match &self.core.identity {
            Identity::ManagedIdentity(identity) => {
                identity.known_to_host(&self.core, &self.diagnostic_call(timeout))
            }
            Identity::ConfidentialClient(_) => Ok(None),
        }
    }

    fn diagnostic_call(&self, timeout: Duration) -> Call {
        let (clock, log, id) = (self.core.clock.clone(), self.core.log.clone(), Uuid::new_v4().to_string());
        Call::new(clock, Cancel::default(), log, id, Some(timeout))
    }
}

fn seconds_between(earlier: SystemTime, later: SystemTime) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match later.duration_since(earlier) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}
