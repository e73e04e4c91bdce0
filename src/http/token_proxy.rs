//! The token proxy of a Kubernetes cluster (AKS identity bindings): where it is, by which name, and who vouches for it.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::DnsName;
use url::Url;

use super::roots::{read_file, short};
use crate::env::{Env, is_shortage};
use crate::error::{Error, ErrorKind, Result, TransportFailure};

/// Stands in for the token endpoint, and for nothing else (docs/adr/020).
#[derive(Clone, Debug)]
pub(crate) struct TokenProxy {
    url: Url,
    /// For SNI and for its certificate, in the place of the URL's host.
    pub(super) name: Option<String>,
    authorities: Authorities,
}

/// Who vouches for it.
#[derive(Clone, Debug)]
enum Authorities {
    /// Those that vouch for everybody else.
    Usual,
    Data(Vec<u8>),
    /// Read for each request; with what was in there when the app was made.
    File {
        path: PathBuf,
        first: Vec<u8>,
    },
}

const URL: &str = "AZURE_KUBERNETES_TOKEN_PROXY";
const CA_FILE: &str = "AZURE_KUBERNETES_CA_FILE";
const CA_DATA: &str = "AZURE_KUBERNETES_CA_DATA";
const NAME: &str = "AZURE_KUBERNETES_SNI_NAME";

impl TokenProxy {
    /// What the environment says; `None` where it names no proxy, and nothing that goes with one.
    pub(crate) fn from_env(env: &dyn Env) -> Result<Option<Self>> {
        let Some(url) = env.var(URL) else {
            return match [CA_FILE, CA_DATA, NAME].into_iter().find(|name| env.var(name).is_some()) {
                Some(name) => {
                    Err(Error::argument(format!("{name} is set, but {URL} is not: set both, or neither")))
                }
                None => Ok(None),
            };
        };
        let name = env.var(NAME);
        if let Some(name) = name.as_deref().filter(|name| DnsName::try_from(*name).is_err()) {
            return Err(Error::argument(format!("{NAME} is not the name of a host: {}", shown(name))));
        }
        let authorities = match (env.var(CA_FILE), env.var(CA_DATA)) {
            (Some(_), Some(_)) => {
                return Err(Error::argument(format!(
                    "{CA_FILE} and {CA_DATA} are both set: set one of them"
                )));
            }
            (None, Some(pem)) => Authorities::Data(pem.into_bytes()),
            (Some(path), None) => {
                let path = PathBuf::from(path);
                match read(&path)? {
                    first if is_empty(&first) => {
                        let why = "is empty, as it is in the middle of a rotation: try again";
                        return Err(unusable(&path, why).with_retryable(true));
                    }
                    first => Authorities::File { path, first },
                }
            }
            (None, None) => Authorities::Usual,
        };
        Ok(Some(Self { url: parse(&url)?, name, authorities }))
    }

    /// Where a request for `token_endpoint` goes: its path below that of the proxy, and its query.
    pub(crate) fn endpoint(&self, token_endpoint: &Url) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{}", self.url.path().trim_end_matches('/'), token_endpoint.path()));
        url.set_query(token_endpoint.query());
        url
    }

    /// `error` with who caused it; where it is about TLS, with what decides about that here.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let who = "the token proxy of the cluster";
        if error.transport() != Some(TransportFailure::ServerTls) {
            return error.context(who);
        }
        let roots = match self.authorities {
            Authorities::Usual => "the usual roots",
            _ => self.origin(),
        };
        let name = if self.name.is_some() { NAME } else { "the host in its URL" };
        error.context(&format!("{who} (for which {roots} and {name} count)"))
    }

    /// Where the authorities come from, for messages.
    pub(super) fn origin(&self) -> &'static str {
        match self.authorities {
            Authorities::File { .. } => CA_FILE,
            _ => CA_DATA,
        }
    }

    /// The authorities as they are now, in PEM, instead of the usual ones; empty where none are to be had now.
    pub(super) fn authorities(&self) -> Result<Option<Vec<u8>>> {
        match &self.authorities {
            Authorities::Usual => Ok(None),
            Authorities::Data(pem) => Ok(Some(pem.clone())),
            Authorities::File { path, .. } => {
                let pem = read(path)?;
                Ok(Some(if is_empty(&pem) { Vec::new() } else { pem }))
            }
        }
    }

    /// Those that this process knew first.
    pub(super) fn first_authorities(&self) -> &[u8] {
        match &self.authorities {
            Authorities::Usual => &[],
            Authorities::Data(pem) | Authorities::File { first: pem, .. } => pem,
        }
    }
}

fn parse(text: &str) -> Result<Url> {
    // Not quoted where it may hold a password.
    let wrong = |why: &str| Err(Error::argument(format!("{URL} {why}: write https://<host>/<path>")));
    let Ok(url) = Url::parse(text.trim()) else {
        return wrong("is not a URL");
    };
    match () {
        () if url.scheme() != "https" => wrong("is not an https URL"),
        () if !url.username().is_empty() || url.password().is_some() => {
            wrong("has a user name or a password")
        }
        () if url.query().is_some() || url.fragment().is_some() => wrong("has a query or a fragment"),
        () => Ok(url),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    read_file(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    match is_shortage(error) {
        true => short(path, error),
        false => unusable(path, &format!("cannot be read: {error}")),
    }
}

fn is_empty(pem: &[u8]) -> bool {
    pem.trim_ascii().is_empty()
}

fn unusable(path: &Path, problem: &str) -> Error {
    let message = format!("{CA_FILE} ({}) {problem}", path.display());
    Error::new(ErrorKind::InvalidArgument, "invalid_trusted_roots", message)
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(100).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rustix::io::Errno;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<TokenProxy>> {
        let env: HashMap<_, _> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        TokenProxy::from_env(&env)
    }

    /// Is a file that cannot be read for want of a descriptor an error that passes, and one that is not there none?
    #[test]
    fn a_shortage_is_no_wrong_setting() {
        for (problem, kind, passes) in
            [(Errno::MFILE, ErrorKind::Network, true), (Errno::NOENT, ErrorKind::InvalidArgument, false)]
        {
            let error = unreadable(Path::new("/ca.pem"), &problem.into());
            assert_eq!((error.kind(), error.is_retryable()), (kind, passes), "{error}");
            assert!(error.message().contains("/ca.pem"), "{error}");
        }
    }

    /// Is a setting that says too little, too much or something else refused, without a secret in it
    /// (since_july_2026, section 4)?
    #[test]
    fn settings_that_are_wrong() {
        let url = (URL, "https://10.0.0.1/x");
        let rows: [(&[(&str, &str)], &str); 14] = [
            (&[(NAME, "a.ests.aks")], "AZURE_KUBERNETES_SNI_NAME is set, but AZURE_KUBERNETES_TOKEN_PROXY"),
            (&[(CA_DATA, "x")], "AZURE_KUBERNETES_CA_DATA is set, but"),
            (&[(CA_FILE, "x")], "AZURE_KUBERNETES_CA_FILE is set, but"),
            (&[url, (CA_DATA, "x"), (CA_FILE, "/x")], "both set"),
            (&[(URL, "10.0.0.1")], "is not a URL"),
            (&[(URL, "http://10.0.0.1")], "is not an https URL"),
            (&[(URL, "https://hidden@10.0.0.1")], "has a user name or a password"),
            (&[(URL, "https://:hidden@10.0.0.1")], "has a user name or a password"),
            (&[(URL, "https://10.0.0.1?hidden=1")], "has a query or a fragment"),
            (&[(URL, "https://10.0.0.1/#hidden")], "has a query or a fragment"),
            (&[url, (NAME, "10.0.0.1:443")], "AZURE_KUBERNETES_SNI_NAME is not the name of a host"),
            (&[url, (NAME, "a b")], "AZURE_KUBERNETES_SNI_NAME is not the name of a host"),
            (&[url, (CA_FILE, "/nowhere")], "AZURE_KUBERNETES_CA_FILE (/nowhere) cannot be read"),
            (&[url, (CA_FILE, "/dev/null")], "AZURE_KUBERNETES_CA_FILE (/dev/null) is empty"),
        ];
        for (variables, why) in rows {
            let error = of(variables).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.message().contains(why) && !error.message().contains("hidden"), "{error}");
        }
        assert!(of(&[("AZURE_FEDERATED_TOKEN_FILE", "x")]).unwrap().is_none());
    }

    /// Does the path of the token endpoint come below the proxy's, and its query along (section 4)?
    #[test]
    fn where_requests_go() {
        let asked = Url::parse("https://login.microsoftonline.com/t/oauth2/v2.0/token?p=1").unwrap();
        for (proxy, url) in [
            ("https://10.0.0.1", "https://10.0.0.1/t/oauth2/v2.0/token?p=1"),
            ("https://proxy.example:8443/", "https://proxy.example:8443/t/oauth2/v2.0/token?p=1"),
            ("https://proxy.example/a/b", "https://proxy.example/a/b/t/oauth2/v2.0/token?p=1"),
            ("https://proxy.example/a/b/", "https://proxy.example/a/b/t/oauth2/v2.0/token?p=1"),
        ] {
            let found = of(&[(URL, proxy)]).unwrap().unwrap();
            assert_eq!(found.endpoint(&asked).as_str(), url);
        }
    }
}
