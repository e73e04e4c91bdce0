//! From authority, region and mTLS to the one URL a token is asked from (confidential_client spec, 1.1, 1.6, 1.7).

use url::Url;

use super::cloud::Cloud;
use super::region::Region;
use crate::error::{Error, ErrorKind, Result};

/// An authority, checked: who issues tokens, and for which tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    kind: AuthorityKind,
    /// Lower case, without port.
    host: String,
    /// `:8443` where the caller named a port, else empty.
    port: String,
    /// The path of the authority without the leading and with the trailing slash: `{tenant}/`.
    path: String,
    tenant: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthorityKind {
    Aad,
    Adfs,
    Dsts,
    B2c,
    Ciam,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    /// The region whose host it is, where it is a regional one.
    pub(crate) region: Option<String>,
}

impl Authority {
    /// Reads `https://{host}/{tenant}`. Host and tenant are lower-cased, as they go onto the wire.
    pub(crate) fn parse(text: &str) -> Result<Self> {
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
        let lower = url.path().to_ascii_lowercase();
        let segments: Vec<&str> = lower.split('/').filter(|segment| !segment.is_empty()).collect();
        let (kind, path, tenant) = match segments.as_slice() {
            [] if host.ends_with(".ciamlogin.com") => {
                let name = host.trim_end_matches(".ciamlogin.com");
                let tenant = format!("{name}.onmicrosoft.com");
                (AuthorityKind::Ciam, format!("{tenant}/"), Some(tenant))
            }
            [] => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "invalid_authority",
                    format!("authority {text:?} names no tenant: write https://{host}/<tenant id>"),
                ));
            }
            [tenant, ..] if host.ends_with(".ciamlogin.com") => one_segment(AuthorityKind::Ciam, tenant),
            ["adfs", ..] => (AuthorityKind::Adfs, "adfs/".into(), None),
            ["dstsv2", tenant, ..] => {
                (AuthorityKind::Dsts, format!("dstsv2/{tenant}/"), Some((*tenant).to_owned()))
            }
            ["dstsv2"] => return Err(invalid(text, "needs a tenant: https://<host>/dstsv2/<tenant>")),
            ["tfp", tenant, policy, ..] => {
                (AuthorityKind::B2c, format!("tfp/{tenant}/{policy}/"), Some((*tenant).to_owned()))
            }
            ["tfp", ..] => {
                return Err(invalid(text, "needs tenant and policy: https://<host>/tfp/<tenant>/<policy>"));
            }
            [tenant, ..] => one_segment(AuthorityKind::Aad, tenant),
        };
        Ok(Self { kind, host, port, path, tenant })
    }

    /// An error where nothing vouches that this host is Entra's: client credentials go there.
    pub(crate) fn require_known_host(&self) -> Result<()> {
        if self.kind != AuthorityKind::Aad || Cloud::of_host(&self.host).is_some() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotSupported,
            "invalid_instance",
            format!(
                "{} is not a known Microsoft Entra host, and this version does not ask Entra about unknown ones; \
                 use login.microsoftonline.com or the host of your sovereign cloud",
                self.host
            ),
        ))
    }

    /// `https://{host}/{tenant}/`, as given (not the regional or mTLS host).
    pub(crate) fn canonical(&self) -> String {
        format!("https://{}{}/{}", self.host, self.port, self.path)
    }

    /// The tenant of the path; `None` for ADFS.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// What separates tokens of one cloud from those of another: the cloud's own name, so that
    /// aliases share, or the host.
    pub(crate) fn environment(&self) -> &str {
        match Cloud::of_host(&self.host) {
            Some(cloud) if self.kind == AuthorityKind::Aad => cloud.preferred_network,
            _ => &self.host,
        }
    }

    /// Whether assertions are PS256 with SHA-256 thumbprints; RS256 with SHA-1 ones otherwise.
    pub(crate) fn supports_sha2_assertions(&self) -> bool {
        !matches!(self.kind, AuthorityKind::Adfs | AuthorityKind::Dsts)
    }

    /// Refuses `common` and `organizations`: a bound token needs a tenant (section 1.7).
    pub(crate) fn require_tenant_for_pop(&self) -> Result<()> {
        match self.tenant() {
            Some(tenant @ ("common" | "organizations")) if self.kind == AuthorityKind::Aad => {
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

    /// The token endpoint for this authority, with or without region and mTLS (the table of section 1.7).
    ///
    /// With mTLS it fails before any traffic for hosts that have no mTLS sibling.
    pub(crate) fn token_endpoint(&self, region: Option<&Region>, mtls: bool) -> Result<Endpoint> {
        let suffix = if self.kind == AuthorityKind::Adfs { "oauth2/token" } else { "oauth2/v2.0/token" };
        let region = region.filter(|_| self.kind == AuthorityKind::Aad);
        let host =
            if self.kind == AuthorityKind::Aad { self.aad_host(region, mtls)? } else { self.host.clone() };
        let text = format!("https://{host}{}/{}{suffix}", self.port, self.path);
        let url = Url::parse(&text).map_err(|e| Error::internal(format!("token endpoint {text}: {e}")))?;
        Ok(Endpoint { url, region: region.map(|region| region.as_str().to_owned()) })
    }

    fn aad_host(&self, region: Option<&Region>, mtls: bool) -> Result<String> {
        if mtls {
            self.require_mtls_host()?;
        }
        let cloud = Cloud::of_host(&self.host);
        let network = cloud.map_or(self.host.as_str(), |cloud| cloud.preferred_network);
        let is_public = cloud.is_some_and(Cloud::is_public);
        let global = match (mtls, is_public) {
            (true, true) => "mtlsauth.microsoft.com".to_owned(),
            (true, false) => network.replacen("login", "mtlsauth", 1),
            (false, true) if region.is_some() => "login.microsoft.com".to_owned(),
            (false, _) => network.to_owned(),
        };
        Ok(match region {
            Some(region) if !global.starts_with(&format!("{}.", region.as_str())) => {
                format!("{}.{global}", region.as_str())
            }
            _ => global,
        })
    }

    /// Section 1.6: legacy hosts and hosts that do not start with `login.` have no mTLS sibling.
    fn require_mtls_host(&self) -> Result<()> {
        let advice = match self.host.as_str() {
            "login.usgovcloudapi.net" => "use login.microsoftonline.us",
            "login.chinacloudapi.cn" => "use login.partner.microsoftonline.cn",
            host if !host.starts_with("login.") => {
                "use the login. host of your cloud, for example login.microsoftonline.com"
            }
            _ => return Ok(()),
        };
        Err(Error::new(
            ErrorKind::NotSupported,
            "mtls_pop_not_supported_for_environment",
            format!("the authority host {} has no mTLS endpoint: {advice}", self.host),
        ))
    }
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

    fn host(authority: &str, region: Option<&str>, mtls: bool) -> String {
        let region = region.map(|region| Region::parse(region).unwrap());
        match Authority::parse(&format!("https://{authority}/t"))
            .unwrap()
            .token_endpoint(region.as_ref(), mtls)
        {
            Ok(endpoint) => endpoint.url.host_str().unwrap().to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    /// The endpoint table, row by row (confidential_client spec, section 1.7).
    #[test]
    fn endpoint_table() {
        const NO: &str = "mtls_pop_not_supported_for_environment";
        let rows = [
            // authority host, bearer, bearer + region, mTLS, mTLS + region
            [
                "login.microsoftonline.com",
                "login.microsoftonline.com",
                "westus2.login.microsoft.com",
                "mtlsauth.microsoft.com",
                "westus2.mtlsauth.microsoft.com",
            ],
            [
                "login.windows.net",
                "login.microsoftonline.com",
                "westus2.login.microsoft.com",
                "mtlsauth.microsoft.com",
                "westus2.mtlsauth.microsoft.com",
            ],
            [
                "login.microsoft.com",
                "login.microsoftonline.com",
                "westus2.login.microsoft.com",
                "mtlsauth.microsoft.com",
                "westus2.mtlsauth.microsoft.com",
            ],
            ["sts.windows.net", "login.microsoftonline.com", "westus2.login.microsoft.com", NO, NO],
            [
                "login.microsoftonline.us",
                "login.microsoftonline.us",
                "westus2.login.microsoftonline.us",
                "mtlsauth.microsoftonline.us",
                "westus2.mtlsauth.microsoftonline.us",
            ],
            [
                "login.usgovcloudapi.net",
                "login.microsoftonline.us",
                "westus2.login.microsoftonline.us",
                NO,
                NO,
            ],
            [
                "login.partner.microsoftonline.cn",
                "login.partner.microsoftonline.cn",
                "westus2.login.partner.microsoftonline.cn",
                "mtlsauth.partner.microsoftonline.cn",
                "westus2.mtlsauth.partner.microsoftonline.cn",
            ],
            [
                "login.chinacloudapi.cn",
                "login.partner.microsoftonline.cn",
                "westus2.login.partner.microsoftonline.cn",
                NO,
                NO,
            ],
            [
                "login.microsoftonline.de",
                "login.microsoftonline.de",
                "westus2.login.microsoftonline.de",
                "mtlsauth.microsoftonline.de",
                "westus2.mtlsauth.microsoftonline.de",
            ],
            [
                "login-us.microsoftonline.com",
                "login-us.microsoftonline.com",
                "westus2.login-us.microsoftonline.com",
                NO,
                NO,
            ],
            [
                "login.windows-ppe.net",
                "login.windows-ppe.net",
                "westus2.login.windows-ppe.net",
                "mtlsauth.windows-ppe.net",
                "westus2.mtlsauth.windows-ppe.net",
            ],
            [
                "login.microsoft-ppe.com",
                "login.windows-ppe.net",
                "westus2.login.windows-ppe.net",
                "mtlsauth.windows-ppe.net",
                "westus2.mtlsauth.windows-ppe.net",
            ],
            [
                "login.sovcloud-identity.fr",
                "login.sovcloud-identity.fr",
                "westus2.login.sovcloud-identity.fr",
                "mtlsauth.sovcloud-identity.fr",
                "westus2.mtlsauth.sovcloud-identity.fr",
            ],
            [
                "login.sovcloud-identity.de",
                "login.sovcloud-identity.de",
                "westus2.login.sovcloud-identity.de",
                "mtlsauth.sovcloud-identity.de",
                "westus2.mtlsauth.sovcloud-identity.de",
            ],
            [
                "login.sovcloud-identity.sg",
                "login.sovcloud-identity.sg",
                "westus2.login.sovcloud-identity.sg",
                "mtlsauth.sovcloud-identity.sg",
                "westus2.mtlsauth.sovcloud-identity.sg",
            ],
            [
                "login.example.com",
                "login.example.com",
                "westus2.login.example.com",
                "mtlsauth.example.com",
                "westus2.mtlsauth.example.com",
            ],
            ["other.example.com", "other.example.com", "westus2.other.example.com", NO, NO],
        ];
        for [authority, bearer, regional, mtls, regional_mtls] in rows {
            assert_eq!(host(authority, None, false), bearer, "{authority} bearer");
            assert_eq!(host(authority, Some("westus2"), false), regional, "{authority} bearer, region");
            assert_eq!(host(authority, None, true), mtls, "{authority} mTLS");
            assert_eq!(host(authority, Some("westus2"), true), regional_mtls, "{authority} mTLS, region");
        }
    }

    /// The other authority types: region ignored, host never rewritten (section 1.7, second table).
    #[test]
    fn other_authority_types() {
        let region = Region::parse("westus2").unwrap();
        let rows = [
            (
                "https://d.dsts.core.azure-test.net/dstsv2/T1/",
                "https://d.dsts.core.azure-test.net/dstsv2/t1/oauth2/v2.0/token",
            ),
            ("https://x.ciamlogin.com/", "https://x.ciamlogin.com/x.onmicrosoft.com/oauth2/v2.0/token"),
            ("https://x.ciamlogin.com/T1", "https://x.ciamlogin.com/t1/oauth2/v2.0/token"),
            ("https://x.b2clogin.com/tfp/T1/P1", "https://x.b2clogin.com/tfp/t1/p1/oauth2/v2.0/token"),
            ("https://fs.contoso.com/adfs", "https://fs.contoso.com/adfs/oauth2/token"),
        ];
        for (authority, url) in rows {
            let authority = Authority::parse(authority).unwrap();
            for mtls in [false, true] {
                let endpoint = authority.token_endpoint(Some(&region), mtls).unwrap();
                assert_eq!((endpoint.url.as_str(), endpoint.region), (url, None));
            }
            authority.require_tenant_for_pop().unwrap();
        }
    }

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
    }

    /// Is a tenant demanded for PoP on Entra authorities only (section 1.7)?
    #[test]
    fn pop_needs_a_tenant() {
        for (authority, fine) in
            [("common", false), ("Organizations", false), ("consumers", true), ("t", true)]
        {
            let authority =
                Authority::parse(&format!("https://login.microsoftonline.com/{authority}")).unwrap();
            assert_eq!(authority.require_tenant_for_pop().is_ok(), fine);
        }
        let dsts = Authority::parse("https://d/dstsv2/common").unwrap();
        dsts.require_tenant_for_pop().unwrap();
    }
}
