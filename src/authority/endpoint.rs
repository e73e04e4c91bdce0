//! From authority, region and mTLS to the host a token is asked from (confidential_client spec, 1.6, 1.7).

use url::Url;

use super::cloud::Cloud;
use super::parse::{Authority, AuthorityKind};
use super::region::Region;
use crate::error::{Error, ErrorKind, Result};

impl Authority {
    /// The token endpoint of an Entra authority: the table of section 1.7. `network` is the name that
    /// instance discovery prefers for a host which the library does not know.
    ///
    /// With mTLS it fails for hosts that have no mTLS sibling.
    pub(super) fn aad_endpoint(
        &self,
        network: Option<&str>,
        region: Option<&Region>,
        mtls: bool,
    ) -> Result<Url> {
        if mtls {
            self.require_mtls_host()?;
        }
        let cloud = self.cloud();
        let is_public = cloud.is_some_and(Cloud::is_public);
        let known = cloud.map_or(self.host.as_str(), |cloud| cloud.preferred_network);
        let global = match (mtls, is_public) {
            (true, true) => "mtlsauth.microsoft.com".to_owned(),
            (true, false) => known.replacen("login", "mtlsauth", 1),
            (false, true) if region.is_some() => "login.microsoft.com".to_owned(),
            (false, _) if region.is_none() => network.unwrap_or(known).to_owned(),
            (false, _) => known.to_owned(),
        };
        let host = match region {
            Some(region) if !global.starts_with(&format!("{}.", region.as_str())) => {
                format!("{}.{global}", region.as_str())
            }
            _ => global,
        };
        self.endpoint(&host)
    }

    /// The token endpoint of the other kinds that need no discovery: region and mTLS change nothing.
    pub(super) fn own_endpoint(&self) -> Result<Url> {
        self.endpoint(&self.host)
    }

    /// Section 1.6: hosts that do not start with `login.` have no mTLS sibling. The older names of two clouds have
    /// that of their cloud (since_july_2026, section 13).
    pub(super) fn require_mtls_host(&self) -> Result<()> {
        if self.host.starts_with("login.") {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotSupported,
            "mtls_pop_not_supported_for_environment",
            format!(
                "the authority host {} has no mTLS endpoint: use the login. host of your cloud, for example \
                 login.microsoftonline.com",
                self.host
            ),
        ))
    }

    fn endpoint(&self, host: &str) -> Result<Url> {
        let suffix = if self.kind == AuthorityKind::Adfs { "oauth2/token" } else { "oauth2/v2.0/token" };
        let text = format!("https://{host}{}/{}{suffix}", self.port, self.path);
        Url::parse(&text).map_err(|e| Error::internal(format!("token endpoint {text}: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(authority: &str, region: Option<&str>, mtls: bool) -> String {
        let region = region.map(|region| Region::parse(region).unwrap());
        let authority = Authority::parse(&format!("https://{authority}/t")).unwrap();
        match authority.aad_endpoint(None, region.as_ref(), mtls) {
            Ok(url) => {
                assert_eq!(url.path(), "/t/oauth2/v2.0/token");
                url.host_str().unwrap().to_owned()
            }
            Err(error) => error.code().to_owned(),
        }
    }

    /// The endpoint table, row by row (confidential_client spec, section 1.7; since_july_2026, section 13, for the older
    /// names of two clouds).
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
                "mtlsauth.microsoftonline.us",
                "westus2.mtlsauth.microsoftonline.us",
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
                "mtlsauth.partner.microsoftonline.cn",
                "westus2.mtlsauth.partner.microsoftonline.cn",
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

    /// An unknown host: does the name that discovery prefers count for Bearer without a region, and
    /// nowhere else (section 1.7, unknown rows)?
    #[test]
    fn discovered_name() {
        let authority = Authority::parse("https://login.example.com:8443/t").unwrap();
        let region = Region::parse("westus2").unwrap();
        let rows = [
            (None, false, "https://sts.example.com:8443/t/oauth2/v2.0/token"),
            (Some(&region), false, "https://westus2.login.example.com:8443/t/oauth2/v2.0/token"),
            (None, true, "https://mtlsauth.example.com:8443/t/oauth2/v2.0/token"),
            (Some(&region), true, "https://westus2.mtlsauth.example.com:8443/t/oauth2/v2.0/token"),
        ];
        for (region, mtls, url) in rows {
            let endpoint = authority.aad_endpoint(Some("sts.example.com"), region, mtls).unwrap();
            assert_eq!(endpoint.as_str(), url);
        }
    }

    /// The other authority types: the host is never rewritten (section 1.7, second table).
    #[test]
    fn other_authority_types() {
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
            assert_eq!(authority.own_endpoint().unwrap().as_str(), url);
            authority.require_tenant_for_pop().unwrap();
        }
    }
}
