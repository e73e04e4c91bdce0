//! An authority: who issues tokens, and for which tenant (confidential_client spec, section 1.1).

use url::{Position, Url};

use super::cloud::Cloud;
use crate::error::{Error, ErrorKind, Result};

/// An authority, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(super) kind: AuthorityKind,
    /// Lower case, without port.
    pub(super) host: String,
    /// `:8443` where the caller named a port, else empty.
    pub(super) port: String,
    /// What follows the first slash: `{tenant}/`; path and query as given for an OpenID provider.
    pub(super) path: String,
    tenant: Option<String>,
    environment: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthorityKind {
    Aad,
    Adfs,
    Dsts,
    B2c,
    Ciam,
    /// An OpenID provider, which says itself where its token endpoint is.
    Generic,
}

/// What follows an authority in the URLs of its endpoints, as the portal and AD FS show them.
const ENDPOINTS: [&str; 9] =
    ["v2.0", "oauth2", ".well-known", "discovery", "federationmetadata", "saml2", "wsfed", "ls", "services"];

impl Authority {
    /// Reads `https://{host}/{tenant}`. Host and tenant are lower-cased, as they go onto the wire. The URL of an
    /// endpoint of the authority will do, too; what else follows is an error, for it may be what was meant.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (url, host, port) = https_url(text)?;
        let lower = url.path().to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut rest: &[&str] = &[];
        let (kind, path, tenant) = match segments.as_slice() {
            [] if host.ends_with(".ciamlogin.com") => {
                let name = host.trim_end_matches(".ciamlogin.com");
                one_segment(AuthorityKind::Ciam, &format!("{name}.onmicrosoft.com"))
            }
            [] => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "invalid_authority",
                    format!("authority {text:?} names no tenant: write https://{host}/<tenant id>"),
                ));
            }
            [tenant, more @ ..] if host.ends_with(".ciamlogin.com") => {
                rest = more;
                one_segment(AuthorityKind::Ciam, tenant)
            }
            ["adfs", more @ ..] => {
                rest = more;
                (AuthorityKind::Adfs, "adfs/".into(), None)
            }
            ["dstsv2", tenant, more @ ..] => {
                rest = more;
                (AuthorityKind::Dsts, format!("dstsv2/{tenant}/"), Some((*tenant).to_owned()))
            }
            ["dstsv2"] => return Err(invalid(text, "needs a tenant: https://<host>/dstsv2/<tenant>")),
            ["tfp", tenant, policy, more @ ..] => {
                rest = more;
                (AuthorityKind::B2c, format!("tfp/{tenant}/{policy}/"), Some((*tenant).to_owned()))
            }
            ["tfp", ..] => {
                return Err(invalid(text, "needs tenant and policy: https://<host>/tfp/<tenant>/<policy>"));
            }
            [tenant, more @ ..] => {
                rest = more;
                one_segment(AuthorityKind::Aad, tenant)
            }
        };
        let authority = Self::new(kind, host, port, path, tenant);
        if rest.first().is_some_and(|first| !ENDPOINTS.contains(first)) {
            let left = rest.join("/");
            return Err(invalid(
                text,
                &format!(
                    "means {}, and /{left} is left over: leave it out, or write what you mean",
                    authority.canonical()
                ),
            ));
        }
        if url.query().is_some_and(|query| !query.is_empty()) || url.fragment().is_some() {
            let why = format!(
                "means {}, and what follows the path is left over: leave it out",
                authority.canonical()
            );
            return Err(invalid(text, &why));
        }
        Ok(authority)
    }

    /// Reads the authority of an OpenID provider: path and query stay as they are given.
    pub(crate) fn parse_oidc(text: &str) -> Result<Self> {
        let (url, host, port) = https_url(text)?;
        if url.fragment().is_some() {
            return Err(invalid(text, "must not have a #fragment"));
        }
        let path = url[Position::AfterPort..].strip_prefix('/').unwrap_or_default().to_owned();
        Ok(Self::new(AuthorityKind::Generic, host, port, path, None))
    }

    pub(super) fn new(
        kind: AuthorityKind,
        host: String,
        port: String,
        path: String,
        tenant: Option<String>,
    ) -> Self {
        let mut authority = Self { kind, host, port, path, tenant, environment: String::new() };
        authority.environment = match authority.cloud() {
            Some(cloud) if authority.port.is_empty() => cloud.preferred_network.to_owned(),
            _ if kind == AuthorityKind::Aad => format!("{}{}", authority.host, authority.port),
            _ => authority.canonical(),
        };
        authority
    }

    /// Reads an authority that a request names in the place of this one.
    pub(crate) fn parse_other(&self, text: &str) -> Result<Self> {
        match self.kind {
            AuthorityKind::Generic => Self::parse_oidc(text),
            _ => Self::parse(text),
        }
    }

    /// `https://{host}/{tenant}/`, as given (not the regional or mTLS host).
    pub(crate) fn canonical(&self) -> String {
        format!("https://{}{}/{}", self.host, self.port, self.path)
    }

    /// The tenant of the path; `None` for AD FS and OpenID providers.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What separates the tokens of one issuer from those of another: the name of the cloud, so that
    /// its aliases share, the host where the cloud is not known, and the whole authority of other kinds.
    pub(crate) fn environment(&self) -> &str {
        &self.environment
    }

    /// Whether assertions are PS256 with SHA-256 thumbprints; RS256 with SHA-1 ones otherwise.
    pub(crate) fn supports_sha2_assertions(&self) -> bool {
        !matches!(self.kind, AuthorityKind::Adfs | AuthorityKind::Dsts | AuthorityKind::Generic)
    }

    /// Whether its tokens can come from a region.
    pub(crate) fn has_regions(&self) -> bool {
        self.kind == AuthorityKind::Aad
    }

    /// The cloud whose alias the host is, for authorities of Entra.
    pub(super) fn cloud(&self) -> Option<&'static Cloud> {
        Cloud::of_host(&self.host).filter(|_| self.kind == AuthorityKind::Aad)
    }

    /// Refuses `common` and `organizations`: a bound token needs a tenant (section 1.7; since July 2026, section 11,
    /// of dSTS, too).
    pub(crate) fn require_tenant_for_pop(&self) -> Result<()> {
        match self.tenant() {
            Some(tenant @ ("common" | "organizations"))
                if matches!(self.kind, AuthorityKind::Aad | AuthorityKind::Dsts) =>
            {
                Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "missing_tenanted_authority",
                    format!(
                        "mTLS proof-of-possession needs a tenant: replace /{tenant} in the authority by the tenant's id"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The URL with its host (lower case) and port (`:8443`, or nothing).
fn https_url(text: &str) -> Result<(Url, String, String)> {
    if text.contains('@') {
        // Not quoted: what stands before it may be a password.
        let message = "the authority must not hold a user name or password";
        return Err(Error::new(ErrorKind::InvalidArgument, "invalid_authority", message));
    }
    let url = Url::parse(text.trim()).map_err(|e| invalid(text, &format!("is not a URL ({e})")))?;
    if url.scheme() != "https" {
        return Err(invalid(text, "must start with https://"));
    }
    let host = url.host_str().ok_or_else(|| invalid(text, "has no host"))?.to_ascii_lowercase();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok((url, host, port))
}

fn one_segment(kind: AuthorityKind, tenant: &str) -> (AuthorityKind, String, Option<String>) {
    (kind, format!("{tenant}/"), Some(tenant.to_owned()))
}

fn invalid(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(100).collect();
    Error::new(ErrorKind::InvalidArgument, "invalid_authority", format!("authority {shown:?} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Are malformed authorities refused with a sentence (section 1.1, other rules)?
    #[test]
    fn malformed_authorities() {
        let bad = [
            "",
            "login.microsoftonline.com/t",
            "http://login.microsoftonline.com/t",
            "https://login.microsoftonline.com",
            "https://login.microsoftonline.com/",
            "https://u:p@login.microsoftonline.com/t",
            "http://u:p@login.microsoftonline.com/t",
            "https://x/dstsv2",
            "https://x/tfp/t",
        ];
        for text in bad {
            let error = Authority::parse(text).unwrap_err();
            assert_eq!(error.code(), "invalid_authority", "{text:?}");
            assert!(!error.message().contains("u:p"));
        }
        for text in
            ["", "idp.example.com", "http://idp.example.com", "https://u:p@idp.example.com", "https://x/#f"]
        {
            assert_eq!(Authority::parse_oidc(text).unwrap_err().code(), "invalid_authority", "{text:?}");
        }
    }

    /// Does each kind have the canonical form, the tenant and the kind of assertion of section 1.1?
    #[test]
    fn kinds_of_authority() {
        let rows = [
            ("https://Login.MicrosoftOnline.com/T1/", "https://login.microsoftonline.com/t1/", "t1", true),
            (
                "https://x.ciamlogin.com",
                "https://x.ciamlogin.com/x.onmicrosoft.com/",
                "x.onmicrosoft.com",
                true,
            ),
            ("https://x.ciamlogin.com/T1", "https://x.ciamlogin.com/t1/", "t1", true),
            ("https://fs.contoso.com/ADFS/ls", "https://fs.contoso.com/adfs/", "", false),
            ("https://d.example/dstsv2/T1/v2.0", "https://d.example/dstsv2/t1/", "t1", false),
            ("https://b.example/tfp/T1/P1/v2.0/", "https://b.example/tfp/t1/p1/", "t1", true),
            ("https://login.example.com:8443/T1", "https://login.example.com:8443/t1/", "t1", true),
        ];
        for (text, canonical, tenant, sha2) in rows {
            let authority = Authority::parse(text).unwrap();
            assert_eq!(authority.canonical(), canonical);
            assert_eq!(authority.tenant().unwrap_or_default(), tenant, "{text}");
            assert_eq!(authority.supports_sha2_assertions(), sha2, "{text}");
        }
    }

    /// Is the URL of an endpoint taken for its authority, as MSAL takes it, and nothing else cut off in silence?
    #[test]
    fn what_follows_an_authority() {
        for end in [
            "",
            "/",
            "//",
            "/v2.0",
            "/v2.0/",
            "/V2.0/.well-known/openid-configuration",
            "/.well-known/openid-configuration",
            "/oauth2/v2.0/token",
            "/oauth2/v2.0/authorize/",
            "/oauth2/token",
            "/federationmetadata/2007-06/federationmetadata.xml",
            "/saml2",
            "/wsfed",
            "?",
        ] {
            for start in [
                "https://login.microsoftonline.com/t",
                "https://x.ciamlogin.com/t",
                "https://d.example/dstsv2/t",
                "https://b.b2clogin.com/tfp/t/p",
                "https://fs.contoso.com/adfs",
            ] {
                let authority = Authority::parse(&format!("{start}{end}")).unwrap();
                assert_eq!(authority.canonical(), format!("{start}/"), "{end}");
            }
        }
        let rows = [
            (
                "https://login.microsoftonline.com/not/a/tenant",
                "https://login.microsoftonline.com/not/",
                "/a/tenant",
            ),
            (
                "https://login.microsoftonline.com/te/t/b2c_1_p/v2.0",
                "https://login.microsoftonline.com/te/",
                "/t/b2c",
            ),
            ("https://login.microsoftonline.com/t/v1.0", "https://login.microsoftonline.com/t/", "/v1.0"),
            ("https://x.ciamlogin.com/t/u", "https://x.ciamlogin.com/t/", "/u"),
            ("https://d.example/dstsv2/t/u", "https://d.example/dstsv2/t/", "/u"),
            ("https://b.example/tfp/t/p/u", "https://b.example/tfp/t/p/", "/u"),
            ("https://fs.contoso.com/adfs/t", "https://fs.contoso.com/adfs/", "/t"),
            (
                "https://login.microsoftonline.com/t?p=policy",
                "https://login.microsoftonline.com/t/",
                "the path",
            ),
            ("https://login.microsoftonline.com/t#u", "https://login.microsoftonline.com/t/", "the path"),
        ];
        for (text, understood, left) in rows {
            let error = Authority::parse(text).unwrap_err();
            assert_eq!(error.code(), "invalid_authority", "{text}");
            let message = error.message();
            assert!(
                message.contains(&format!("means {understood}, and ")) && message.contains(left),
                "{message}"
            );
        }
    }

    /// Does the authority of an OpenID provider stay as it was given, on whatever host (section 1.1)?
    #[test]
    fn openid_authorities() {
        for text in [
            "https://idp.example.com/",
            "https://idp.example.com:8443/Tenant-X/v2.0?App=1",
            "https://login.microsoftonline.com/adfs",
            "https://x.ciamlogin.com/",
        ] {
            let authority = Authority::parse_oidc(text).unwrap();
            assert_eq!(authority.canonical(), text);
            assert_eq!((authority.kind, authority.tenant()), (AuthorityKind::Generic, None));
            assert!(!authority.supports_sha2_assertions());
        }
    }

    /// Do aliases of a cloud share tokens, and nobody else (section 5.1)?
    #[test]
    fn environments() {
        let of = |text: &str| Authority::parse(text).unwrap().environment().to_owned();
        assert_eq!(of("https://login.windows.net/t"), of("https://login.microsoftonline.com/t"));
        let different = [
            of("https://login.microsoftonline.com/t"),
            of("https://login.microsoftonline.com:8443/t"),
            of("https://login.microsoftonline.us/t"),
            of("https://login.example.com/t"),
            of("https://b.example/tfp/t/p1"),
            of("https://b.example/tfp/t/p2"),
            Authority::parse_oidc("https://idp.example/a").unwrap().environment().to_owned(),
            Authority::parse_oidc("https://idp.example/b").unwrap().environment().to_owned(),
        ];
        let distinct: std::collections::HashSet<_> = different.iter().collect();
        assert_eq!(distinct.len(), different.len());
    }

    /// Is a tenant demanded for PoP of Entra and dSTS, and of no others, which may call theirs so (section 1.7; since
    /// July 2026, section 11)?
    #[test]
    fn pop_needs_a_tenant() {
        for (authority, fine) in
            [("common", false), ("Organizations", false), ("consumers", true), ("t", true)]
        {
            let authority =
                Authority::parse(&format!("https://login.microsoftonline.com/{authority}")).unwrap();
            assert_eq!(authority.require_tenant_for_pop().is_ok(), fine);
        }
        for (text, fine) in [
            ("https://d/dstsv2/common", false),
            ("https://d/dstsv2/Organizations", false),
            ("https://d/dstsv2/consumers", true),
            ("https://x.ciamlogin.com/common", true),
            ("https://b/tfp/common/p", true),
        ] {
            assert_eq!(Authority::parse(text).unwrap().require_tenant_for_pop().is_ok(), fine, "{text}");
        }
    }
}
