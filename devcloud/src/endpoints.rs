//! Where a running cloud is, in the words of a program that is to use it: its environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::TOKEN_PROXY_PATH;
use crate::directory::{
    AGENT_CLIENT_ID, APP_A_CLIENT_ID, APP_A_SECRET, APP_B_CLIENT_ID, BLUEPRINT_CLIENT_ID, TENANT_ID,
    TOKEN_PROXY_NAME, USER_ASSIGNED_CLIENT_ID, USER_ASSIGNED_OBJECT_ID, USER_ASSIGNED_RESOURCE_ID,
};
use crate::files::Files;
use crate::profile::Profile;
use crate::source::Source;

/// Where a cloud listens and keeps its files.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) imds: SocketAddr,
    pub(crate) token_proxy: SocketAddr,
    pub(crate) proxy: SocketAddr,
    pub(crate) control: SocketAddr,
    pub(crate) files: Files,
    pub(crate) sources: Vec<(Source, Vec<(String, String)>)>,
    pub(crate) source: Option<Source>,
    pub(crate) profile: Profile,
    pub(crate) proxy_auth: Option<String>,
}

impl Endpoints {
    /// The same as another host sees it.
    pub(crate) fn of_host(&self, profile: Profile, source: Option<Source>) -> Self {
        Endpoints { profile, source, ..self.clone() }
    }

    pub(crate) fn ready(&self) -> Value {
        let env: BTreeMap<_, _> = self.env().into_iter().collect();
        json!({
            "event": "ready",
            "pid": std::process::id(),
            "imds": format!("http://{}", self.imds),
            "proxy": self.proxy_url(),
            "control": format!("http://{}", self.control),
            "state_dir": self.files.directory,
            "ca": self.files.ca(),
            "env": env,
        })
    }

    pub(crate) fn proxy_url(&self) -> String {
        match &self.proxy_auth {
            Some(credentials) => {
                let encode =
                    |text| form_urlencoded::byte_serialize(text).collect::<String>().replace('+', "%20");
                let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                format!("http://{}:{}@{}", encode(user.as_bytes()), encode(password.as_bytes()), self.proxy)
            }
            None => format!("http://{}", self.proxy),
        }
    }

    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let file = |path: PathBuf| path.display().to_string();
        let all = [
            ("HTTPS_PROXY", self.proxy_url()),
            // The SDK for JavaScript would go by the proxy to IMDS, too.
            ("NO_PROXY", "127.0.0.1,localhost,169.254.169.254".to_owned()),
            ("SSL_CERT_FILE", file(self.files.ca())),
            // Each has a list of roots of its own: Python's requests, curl, Node.
            ("REQUESTS_CA_BUNDLE", file(self.files.ca())),
            ("CURL_CA_BUNDLE", file(self.files.ca())),
            ("NODE_EXTRA_CA_CERTS", file(self.files.ca())),
            // From Node 24 on, its fetch goes by HTTPS_PROXY where this is set.
            ("NODE_USE_ENV_PROXY", "1".to_owned()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", self.imds)),
            ("DEVCLOUD_CONTROL", format!("http://{}", self.control)),
            ("DEVCLOUD_STATE_DIR", file(self.files.directory.clone())),
            ("AZURE_TENANT_ID", TENANT_ID.to_owned()),
            ("AZURE_CLIENT_ID", APP_A_CLIENT_ID.to_owned()),
            ("AZURE_CLIENT_SECRET", APP_A_SECRET.to_owned()),
            ("AZURE_CLIENT_CERTIFICATE_PATH", file(self.files.sni())),
            ("AZURE_REGION", "east us".to_owned()),
            ("FIC_CLIENT_ID", APP_B_CLIENT_ID.to_owned()),
            ("FIC_CERTIFICATE_PATH", file(self.files.fic_binding())),
            ("FIC_ASSERTION_PATH", file(self.files.fic_assertion())),
            ("AZURE_FEDERATED_TOKEN_FILE", file(self.files.fic_assertion_unbound())),
            ("AZURE_KUBERNETES_TOKEN_PROXY", format!("https://{}{TOKEN_PROXY_PATH}", self.token_proxy)),
            ("AZURE_KUBERNETES_CA_FILE", file(self.files.cluster_ca())),
            ("AZURE_KUBERNETES_SNI_NAME", TOKEN_PROXY_NAME.to_owned()),
            ("AGENT_BLUEPRINT_CLIENT_ID", BLUEPRINT_CLIENT_ID.to_owned()),
            ("AGENT_IDENTITY_CLIENT_ID", AGENT_CLIENT_ID.to_owned()),
            ("USER_ASSIGNED_CLIENT_ID", USER_ASSIGNED_CLIENT_ID.to_owned()),
            ("USER_ASSIGNED_OBJECT_ID", USER_ASSIGNED_OBJECT_ID.to_owned()),
            ("USER_ASSIGNED_RESOURCE_ID", USER_ASSIGNED_RESOURCE_ID.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(self.arc_endpoint())
        .collect();
        let source = self.source.filter(|_| self.profile.has_sources());
        let of_source = source.map(|source| self.source_env(source)).unwrap_or_default();
        self.profile.of(all, &self.files).into_iter().chain(of_source).collect()
    }

    /// For a single program that is to be on a host with Azure Arc: what it needs as `IDENTITY_ENDPOINT`.
    fn arc_endpoint(&self) -> Option<(String, String)> {
        let mut env = self.source_env(Source::AzureArc).into_iter();
        let (_, endpoint) = env.find(|(name, _)| name == "IDENTITY_ENDPOINT")?;
        Some(("DEVCLOUD_ARC_ENDPOINT".to_owned(), endpoint))
    }

    pub(crate) fn source_env(&self, source: Source) -> Vec<(String, String)> {
        let of_source = self.sources.iter().filter(|(own, _)| *own == source);
        of_source.flat_map(|(_, env)| env.iter().cloned()).collect()
    }
}
