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
    /// Or what is wrong with it, for those who would go through it.
    proxy: Option<Result<Proxy>>,
    /// Who names it.
    origin: &'static str,
    bypass: Vec<Bypass>,
    /// Of the exceptions those that mean nothing, and are left out.
    meaningless: Vec<String>,
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

/// The variables that name the proxy for https, in curl's order. One that is empty is not set.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const FORM: &str = "the form is http://user:password@host:port";

impl ProxySettings {
    /// `option` is a URL, or `none`; without it the environment decides, as for curl.
    ///
    /// An option that cannot be used is an error. The environment may be meant for other programs: what is
    /// wrong with it is told by [`Self::route`].
    pub(super) fn new(option: Option<&str>, env: &dyn Env) -> Result<Self> {
        let from_env = || {
            VARIABLES.into_iter().find_map(|name| env.var(name).map(|value| (name, Zeroizing::new(value))))
        };
        const OPTION: &str = "the proxy option";
        let (origin, proxy) = match option {
            Some(option) if option.eq_ignore_ascii_case("none") => (OPTION, None),
            Some(option) => (OPTION, Some(Ok(Proxy::parse(option, OPTION)?))),
            None => from_env().map_or(("", None), |(name, value)| (name, Some(Proxy::parse(&value, name)))),
        };
        let exceptions = env.var("no_proxy").or_else(|| env.var("NO_PROXY")).unwrap_or_default();
        let entries = || exceptions.split([',', ' ', '\t']).map(str::trim).filter(|entry| !entry.is_empty());
        let bypass = entries().filter_map(Bypass::parse).collect();
        let meaningless = entries().filter(|entry| Bypass::parse(entry).is_none());
        // Whoever took it for a proxy may have put a password into it.
        let meaningless =
            meaningless.filter_map(|entry| entry.rsplit('@').next()).map(str::to_owned).collect();
        Ok(Self { proxy, origin, bypass, meaningless })
    }

    /// The proxy to reach `host` through, or `None` to connect directly.
    pub(super) fn route(&self, host: &str, port: u16) -> Result<Option<&Proxy>> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        if self.is_exempt(host, port) {
            return Ok(None);
        }
        proxy.as_ref().map(Some).map_err(Clone::clone)
    }

    /// Why it is that one, or none, for a person.
    pub(super) fn why(&self, host: &str, port: u16) -> String {
        match (self.origin, &self.proxy) {
            ("", _) => format!("none of {} is set", VARIABLES.join(", ")),
            (origin, None) => format!("{origin} is none"),
            (_, Some(_)) if self.is_exempt(host, port) => "NO_PROXY excepts the host".to_owned(),
            (origin, Some(_)) => format!("{origin} names it, and NO_PROXY does not except the host"),
        }
    }

    /// What stands among the exceptions and is neither a host nor an address nor a network.
    pub(super) fn meaningless(&self) -> &[String] {
        &self.meaningless
    }

    fn is_exempt(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.bypass.iter().any(|entry| entry.matches(&host, port))
    }
}

impl Proxy {
    /// No message repeats the text, which may hold a password.
    fn parse(text: &str, origin: &str) -> Result<Self> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => ("http".to_owned(), text),
        };
        if scheme != "http" {
            return Err(unsupported(&scheme, origin));
        }
        // A sign of these in a password would end the authority, or begin the host, before its time.
        let (authority, beyond) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
        if beyond.contains('@') || authority.matches('@').count() > 1 {
            return Err(Error::argument(format!(
                "{origin} has a sign in its user name or password that means something else in a URL: percent-encode \
                 it there, # as %23, / as %2F, \\ as %5C, ? as %3F, @ as %40; {FORM}"
            )));
        }
        let invalid = || {
            let encode = match authority.contains('@') {
                true => "; in user name and password, percent-encode all but letters and digits",
                false => "",
            };
            Error::argument(format!("{origin} is not a proxy URL; {FORM}{encode}"))
        };
        let url = Zeroizing::new(format!("http://{rest}"));
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

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn unsupported(scheme: &str, origin: &str) -> Error {
    Error::argument(match scheme {
        "https" => format!(
            "{origin} names an https:// proxy, to which TLS would be spoken: that is not supported; most proxies \
             take requests for https hosts over plain HTTP: write http:// where yours does"
        ),
        "socks" | "socks4" | "socks4a" | "socks5" | "socks5h" => format!(
            "{origin} names a SOCKS proxy ({scheme}://): that is not supported; give the http:// URL of an HTTP \
             proxy, or list in NO_PROXY the hosts that are reached without"
        ),
        _ => format!(
            "{origin} names a proxy of a type that is not supported; give the http:// URL of an HTTP proxy"
        ),
    })
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
        settings(option, env).unwrap().route("login.microsoftonline.com", 443).unwrap().map(Proxy::address)
    }

    /// Does the option win over the environment, and do the variables rank as for curl, which takes one that is
    /// empty for none?
    #[test]
    fn the_option_wins_then_the_variables_in_their_order() {
        let env = [
            ("https_proxy", "a:1"),
            ("HTTPS_PROXY", "b:2"),
            ("all_proxy", "c:3"),
            ("ALL_PROXY", "http://d:4"),
        ];
        assert_eq!(chosen(Some("option:4"), &env).as_deref(), Some("option:4"));
        assert_eq!(chosen(Some("none"), &env), None);
        for (first, expected) in ["a:1", "b:2", "c:3", "d:4"].into_iter().enumerate() {
            assert_eq!(chosen(None, &env[first..]).as_deref(), Some(expected));
            let emptied: Vec<_> = env.iter().map(|(name, _)| (*name, "")).take(first).collect();
            assert_eq!(chosen(None, &[&emptied, &env[first..]].concat()).as_deref(), Some(expected));
        }
        assert_eq!(chosen(None, &[]), None);
        for name in ["HTTP_PROXY", "http_proxy"] {
            assert_eq!(chosen(None, &[(name, "http://plain:1")]), None, "that one is for http:// only");
        }
    }

    /// Are credentials percent-decoded, sent as Basic, and kept out of `Debug`?
    #[test]
    fn credentials_are_decoded_and_hidden() {
        let settings = settings(Some("http://us%40er:p%3Ass+w@proxy.test:8080"), &[]).unwrap();
        let proxy = settings.route("host", 443).unwrap().unwrap();
        let expected = format!("Basic {}", STANDARD.encode("us@er:p:ss+w"));
        assert_eq!(proxy.authorization().unwrap().expose(), expected);
        let shown = format!("{settings:?}");
        assert!(shown.contains("proxy.test:8080") && !shown.contains("ss+w"), "{shown}");
    }

    /// Is an option that cannot work an error at once, and such a variable one for those alone who would go
    /// through it?
    #[test]
    fn a_proxy_that_cannot_be_used() {
        for wrong in ["socks5h://127.0.0.1:1080", "https://proxy:443", "http://"] {
            settings(Some(wrong), &[]).unwrap_err();
            for name in VARIABLES {
                let env = [(name, wrong), ("NO_PROXY", "direct.test")];
                let all = settings(None, &env).unwrap();
                assert!(all.route("direct.test", 443).unwrap().is_none());
                let error = all.route("host.test", 443).unwrap_err();
                assert!(error.message().starts_with(name), "{error}");
                assert!(
                    settings(None, &[(name, wrong), ("NO_PROXY", "*")])
                        .unwrap()
                        .route("a", 1)
                        .unwrap()
                        .is_none()
                );
                assert!(settings(Some("none"), &env).unwrap().route("host.test", 443).unwrap().is_none());
                assert_eq!(chosen(Some("option:4"), &env).as_deref(), Some("option:4"));
            }
        }
    }

    /// Is it told what is wrong with the URL and what to do, and never the password?
    #[test]
    fn what_is_wrong_is_told() {
        let table = [
            ("socks5h://user:hunter2@host:1", "SOCKS proxy (socks5h://)"),
            ("SOCKS4A://user:hunter2@host:1", "SOCKS proxy (socks4a://)"),
            ("socks5://host", "SOCKS proxy (socks5://)"),
            ("https://user:hunter2@host", "write http://"),
            ("ftp://user:hunter2@host", "of a type that is not supported"),
            ("http://user:hunt#er2@host:8080", "# as %23"),
            ("http://user:hunt/er2@host:8080", "/ as %2F"),
            ("user:hunt\\er2@host:8080", "\\ as %5C"),
            ("http://user:hunt?er2@host:8080", "? as %3F"),
            ("http://user:hunt@er2@host:8080", "@ as %40"),
            // These would be read as host and port of another proxy.
            ("http://user:80#hunter2@host:8080", "# as %23"),
            ("http://user:80/hunter2@host:8080", "/ as %2F"),
            ("user:hunter2://x@host:8080", "/ as %2F"),
            ("http://user:hunter2@", "is not a proxy URL"),
            ("http://user:hunter2 x@host", "percent-encode"),
            ("http://user:hunter2\u{e4}@host", "percent-encode"),
            ("http://user:hunter2%ff@host", "percent-encode"),
            ("a:hunter2", "http://user:password@host:port"),
            ("http://a b", "http://user:password@host:port"),
            ("http://", "http://user:password@host:port"),
        ];
        for (wrong, words) in table {
            let error = settings(Some(wrong), &[]).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::InvalidArgument);
            assert!(error.message().contains(words), "{wrong}: {error}");
            assert!(!error.message().contains("hunt") && !error.message().contains("er2"), "{error}");
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
            assert_eq!(settings.route(host, port).unwrap().is_none(), bypassed, "{list} for {host}:{port}");
        }
    }
}
