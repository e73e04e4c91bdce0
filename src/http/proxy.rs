//! Which proxy, if any, leads to a host: explicit option, environment, and the exceptions from both.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The proxy of an app and the hosts it is not used for.
#[derive(Debug, Default)]
pub(super) struct ProxySettings {
    proxy: Option<Proxy>,
    bypass: Vec<Bypass>,
}

/// An HTTP proxy that opens tunnels. `Debug` shows neither user name nor password.
pub(super) struct Proxy {
    host: String,
    port: u16,
    authorization: Option<Secret>,
}

/// One entry of `NO_PROXY`.
#[derive(Debug, PartialEq, Eq)]
enum Bypass {
    Everything,
    /// The host itself and everything below it, on any port or on one.
    Host(String, Option<u16>),
    Address(IpAddr, Option<u16>),
    Network(IpAddr, u8),
}

impl ProxySettings {
    /// `option` is a URL, or `none`; without it the environment decides, as for curl.
    pub(super) fn new(option: Option<&str>, env: &dyn Env) -> Result<Self> {
        let from_env = || {
            ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                .into_iter()
                .find_map(|name| env.var(name).map(|value| (name, Zeroizing::new(value))))
        };
        let proxy = match option {
            Some(option) if option.eq_ignore_ascii_case("none") => None,
            Some(option) => Some(Proxy::parse(option, "the proxy option")?),
            None => from_env().map(|(name, value)| Proxy::parse(&value, name)).transpose()?,
        };
        let exceptions = env.var("NO_PROXY").or_else(|| env.var("no_proxy")).unwrap_or_default();
        let bypass = exceptions.split([',', ' ', '\t']).filter_map(Bypass::parse).collect();
        Ok(Self { proxy, bypass })
    }

    /// The proxy to reach `host` through, or `None` to connect directly.
    pub(super) fn route(&self, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bypassed = self.bypass.iter().any(|entry| entry.matches(&host, port));
        (!bypassed).then_some(proxy)
    }
}

impl Proxy {
    fn parse(text: &str, origin: &str) -> Result<Self> {
        let text = text.trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if let Some(scheme) = scheme.filter(|scheme| !scheme.eq_ignore_ascii_case("http")) {
            return Err(Error::argument(format!(
                "{origin}: proxies of type {} are not supported; give the URL of an http:// proxy",
                scheme.escape_debug()
            )));
        }
        let url = Zeroizing::new(if scheme.is_some() { text.to_owned() } else { format!("http://{text}") });
        // The message does not repeat the value, which may hold a password.
        let invalid = || {
            Error::argument(format!(
                "{origin} is not a proxy URL; the form is http://user:password@host:port"
            ))
        };
        let parsed = ureq::Proxy::new(&url).map_err(|_| invalid())?;
        // ureq takes a port that is no number for none.
        if url::Url::parse(&url).is_err() {
            return Err(invalid());
        }
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid());
        }
        let credentials = parsed.username().map(|user| {
            let pair = Zeroizing::new(format!("{user}:{}", parsed.password().unwrap_or_default()));
            Secret::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        });
        Ok(Self { host: host.to_owned(), port: parsed.port(), authorization: credentials })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// For messages.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Bypass {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        if entry == "*" {
            return Some(Self::Everything);
        }
        if let Some((network, bits)) = entry.split_once('/') {
            let network = bare(network).parse::<IpAddr>().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(network))?;
            return Some(Self::Network(network, bits));
        }
        if let Ok(address) = bare(entry).parse() {
            return Some(Self::Address(address, None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Ok(address) = bare(host).parse() {
            return Some(Self::Address(address, port));
        }
        let host = host.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        (!host.is_empty()).then(|| Self::Host(host.to_ascii_lowercase(), port))
    }

    /// `host` is in lower case and has no trailing dot.
    fn matches(&self, host: &str, port: u16) -> bool {
        match self {
            Self::Everything => true,
            Self::Host(name, only) => {
                let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (host == name || below) && only.is_none_or(|only| only == port)
            }
            Self::Address(address, only) => {
                host.parse() == Ok(*address) && only.is_none_or(|only| only == port)
            }
            Self::Network(network, bits) => {
                host.parse().is_ok_and(|address| within(address, *network, *bits))
            }
        }
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let as_number = |address| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let differing = as_number(address) ^ as_number(network);
    address.is_ipv4() == network.is_ipv4() && differing.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn settings(option: Option<&str>, env: &[(&str, &str)]) -> Result<ProxySettings> {
        let env: HashMap<_, _> = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ProxySettings::new(option, &env)
    }

    fn chosen(option: Option<&str>, env: &[(&str, &str)]) -> Option<String> {
        settings(option, env).unwrap().route("login.microsoftonline.com", 443).map(Proxy::address)
    }

    /// Does the option win over the environment, and do the variables rank as for curl?
    #[test]
    fn the_option_wins_then_https_proxy_then_all_proxy() {
        let env = [("HTTPS_PROXY", "http://a:1"), ("https_proxy", "b:2"), ("ALL_PROXY", "http://c:3")];
        assert_eq!(chosen(Some("option:4"), &env).as_deref(), Some("option:4"));
        assert_eq!(chosen(Some("none"), &env), None);
        assert_eq!(chosen(None, &env).as_deref(), Some("a:1"));
        assert_eq!(chosen(None, &env[1..]).as_deref(), Some("b:2"));
        assert_eq!(chosen(None, &env[2..]).as_deref(), Some("c:3"));
        assert_eq!(chosen(None, &[]), None);
        assert_eq!(chosen(None, &[("HTTP_PROXY", "http://plain:1")]), None, "that one is for http:// only");
    }

    /// Are credentials percent-decoded, sent as Basic, and kept out of `Debug`?
    #[test]
    fn credentials_are_decoded_and_hidden() {
        let settings = settings(Some("http://us%40er:p%3Ass+w@proxy.test:8080"), &[]).unwrap();
        let proxy = settings.route("host", 443).unwrap();
        let expected = format!("Basic {}", STANDARD.encode("us@er:p:ss+w"));
        assert_eq!(proxy.authorization().unwrap().expose(), expected);
        let shown = format!("{settings:?}");
        assert!(shown.contains("proxy.test:8080") && !shown.contains("ss+w"), "{shown}");
    }

    /// Is what cannot work refused when the app is built, without repeating a password?
    #[test]
    fn unsupported_proxies_are_refused() {
        let error = settings(None, &[("ALL_PROXY", "socks5://user:hunter2@host:1")]).unwrap_err();
        assert!(error.message().contains("socks5") && error.message().contains("ALL_PROXY"), "{error}");
        for wrong in
            ["http://", "http://user:hunter2@", "http://a b", "https://user:hunter2@host", "a:hunter2"]
        {
            let error = settings(Some(wrong), &[]).unwrap_err();
            assert!(!error.message().contains("hunter2"), "{error}");
        }
    }

    /// Which targets does each form of a `NO_PROXY` entry take out?
    #[test]
    fn no_proxy_entries() {
        let table = [
            ("*", "anything.test", 443, true),
            ("example.com", "example.com", 443, true),
            ("example.com", "EXAMPLE.com.", 443, true),
            ("example.com", "www.example.com", 443, true),
            ("example.com", "badexample.com", 443, false),
            (".example.com", "www.example.com", 443, true),
            ("*.example.com", "www.example.com", 443, true),
            ("example.com:8443", "example.com", 443, false),
            ("example.com:8443", "example.com", 8443, true),
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.0.0.0/8", "10.1.2.3", 443, true),
            ("10.0.0.0/8", "11.1.2.3", 443, false),
            ("0.0.0.0/0", "11.1.2.3", 443, true),
            ("10.0.0.0/8", "a10.test", 443, false),
            ("fd00::/8", "fd12::1", 443, true),
            ("fd00::/8", "10.0.0.1", 443, false),
            ("[::1]", "::1", 443, true),
            ("[::1]:8443", "::1", 443, false),
            ("a, b.test ,c", "x.b.test", 443, true),
            ("", "a", 443, false),
            (".", "a", 443, false),
        ];
        for (list, host, port, bypassed) in table {
            let settings = settings(Some("proxy:1"), &[("NO_PROXY", list)]).unwrap();
            assert_eq!(settings.route(host, port).is_none(), bypassed, "{list} for {host}:{port}");
        }
    }
}
