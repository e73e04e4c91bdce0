//! What one request may change about the authority of its app (confidential_client spec, section 1.4).

use super::parse::{Authority, AuthorityKind};
use crate::error::{Error, ErrorKind, Result};

impl Authority {
    /// The same authority for another tenant. `common` and `organizations` name none, and change
    /// nothing.
    pub(crate) fn with_tenant(&self, tenant: &str) -> Result<Self> {
        let tenant = checked(tenant)?;
        let path = match self.kind {
            AuthorityKind::Aad if is_placeholder(&tenant) => return Ok(self.clone()),
            AuthorityKind::Aad | AuthorityKind::Ciam => format!("{tenant}/"),
            AuthorityKind::Dsts => format!("dstsv2/{tenant}/"),
            AuthorityKind::B2c => {
                let policy = self.path.split('/').nth(2).unwrap_or_default();
                format!("tfp/{tenant}/{policy}/")
            }
            AuthorityKind::Adfs | AuthorityKind::Generic => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "tenant_override_non_aad",
                    format!("the authority {} has no tenants: leave the tenant out", self.canonical()),
                ));
            }
        };
        Ok(Self::new(self.kind, self.host.clone(), self.port.clone(), path, Some(tenant)))
    }

    /// The authority of a request that names its own, where this is the app's.
    pub(crate) fn overridden_by(&self, other: &Self, region_configured: bool) -> Result<Self> {
        if self.kind != other.kind {
            return Err(mismatch("authority_type_mismatch", self, other, "is of another type than"));
        }
        let same_host = (&self.host, &self.port) == (&other.host, &other.port);
        match self.kind {
            _ if same_host => {}
            AuthorityKind::Ciam | AuthorityKind::Generic => {}
            AuthorityKind::B2c => {
                let code = "B2C_authority_host_mismatch";
                return Err(mismatch(code, self, other, "is on another host than"));
            }
            _ if region_configured => {
                let why = "is on another host, which an app with a region does not allow, than";
                return Err(mismatch("authority_override_regional", self, other, why));
            }
            // For a known cloud this is its name, so that its aliases are equal.
            AuthorityKind::Aad if self.environment() == other.environment() => {}
            _ => return Err(mismatch("authority_host_mismatch", self, other, "is in another cloud than")),
        }
        let nameless = self.kind == AuthorityKind::Aad && other.tenant().is_some_and(is_placeholder);
        Ok(if nameless { self.clone() } else { other.clone() })
    }
}

/// A tenant as it may stand in a path: an id or a domain name, in lower case.
fn checked(tenant: &str) -> Result<String> {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if tenant.split('.').all(is_label) {
        return Ok(tenant.to_ascii_lowercase());
    }
    let shown: String = tenant.chars().take(60).collect();
    Err(Error::argument(format!("tenant {shown:?} is neither a tenant id nor a domain name")))
}

fn is_placeholder(tenant: &str) -> bool {
    matches!(tenant, "common" | "organizations")
}

fn mismatch(code: &str, app: &Authority, request: &Authority, why: &str) -> Error {
    let (app, request) = (app.canonical(), request.canonical());
    let message = format!("the authority of the request, {request}, {why} the app's, {app}");
    Error::new(ErrorKind::InvalidArgument, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Authority {
        Authority::parse(text).unwrap()
    }

    /// Does another tenant keep host, port, kind and policy (section 1.4)?
    #[test]
    fn another_tenant() {
        let rows = [
            ("https://login.windows.net/common", "https://login.windows.net/contoso.com/"),
            ("https://login.example.com:8443/t", "https://login.example.com:8443/contoso.com/"),
            ("https://x.ciamlogin.com", "https://x.ciamlogin.com/contoso.com/"),
            ("https://d.example/dstsv2/t", "https://d.example/dstsv2/contoso.com/"),
            ("https://b.example/tfp/t/p1", "https://b.example/tfp/contoso.com/p1/"),
        ];
        for (from, to) in rows {
            let changed = authority(from).with_tenant("Contoso.com").unwrap();
            assert_eq!((changed.canonical().as_str(), changed.tenant()), (to, Some("contoso.com")));
            assert_eq!(changed, authority(to), "as if it had been written so");
        }
        let oidc = Authority::parse_oidc("https://idp.example/t").unwrap();
        for tenantless in [authority("https://fs.example/adfs"), oidc] {
            assert_eq!(tenantless.with_tenant("t").unwrap_err().code(), "tenant_override_non_aad");
        }
    }

    /// Do `common` and `organizations` leave the tenant of an Entra authority as it is (section 1.4)?
    #[test]
    fn no_tenant_at_all() {
        let app = authority("https://login.microsoftonline.com/t1");
        for tenant in ["common", "Organizations"] {
            assert_eq!(app.with_tenant(tenant).unwrap(), app);
            let other = authority(&format!("https://login.windows.net/{tenant}"));
            assert_eq!(app.overridden_by(&other, false).unwrap(), app);
        }
        assert_eq!(app.with_tenant("consumers").unwrap().tenant(), Some("consumers"));
        let dsts = authority("https://d.example/dstsv2/t").with_tenant("common").unwrap();
        assert_eq!(dsts.tenant(), Some("common"));
    }

    /// Can a tenant change anything but the tenant?
    #[test]
    fn tenants_that_are_none() {
        let app = authority("https://login.microsoftonline.com/t1");
        for tenant in [
            "", " ", ".", "..", "a/b", "a b", "a?b", "a#b", "%2e%2e", "a%2fb", "a\\b", "a\n", "ａ", ".a",
            "a..b", "@x",
        ] {
            assert_eq!(app.with_tenant(tenant).unwrap_err().code(), "invalid_argument", "{tenant:?}");
        }
    }

    /// The rules of section 1.4 for a request with an authority of its own, one by one.
    #[test]
    fn another_authority() {
        const PUBLIC: &str = "https://login.microsoftonline.com/t1";
        const B2C: &str = "https://b.example/tfp/t/p1";
        let rows = [
            // app, request, region, outcome
            (PUBLIC, "https://login.microsoftonline.com/t2", true, ""),
            (PUBLIC, "https://login.windows.net/t2", false, ""),
            (PUBLIC, "https://login.windows.net/t2", true, "authority_override_regional"),
            (PUBLIC, "https://login.microsoftonline.us/t2", false, "authority_host_mismatch"),
            (PUBLIC, "https://login.microsoftonline.com:8443/t2", false, "authority_host_mismatch"),
            (PUBLIC, "https://login.microsoftonline.com/adfs", false, "authority_type_mismatch"),
            (PUBLIC, B2C, true, "authority_type_mismatch"),
            ("https://login.example.com/t1", "https://login.example.com/t2", true, ""),
            ("https://login.example.com/t1", "https://sts.example.com/t2", false, "authority_host_mismatch"),
            (B2C, "https://b.example/tfp/t/p2", true, ""),
            (B2C, "https://c.example/tfp/t/p1", true, "B2C_authority_host_mismatch"),
            ("https://x.ciamlogin.com/t", "https://y.ciamlogin.com/t", true, ""),
            ("https://d.example/dstsv2/t", "https://e.example/dstsv2/t", false, "authority_host_mismatch"),
            ("https://d.example/dstsv2/t", "https://e.example/dstsv2/t", true, "authority_override_regional"),
            ("https://fs.example/adfs", "https://fs2.example/adfs", false, "authority_host_mismatch"),
        ];
        for (app, request, region, code) in rows {
            let request = authority(request);
            match authority(app).overridden_by(&request, region) {
                Ok(outcome) => assert_eq!((outcome, ""), (request, code)),
                Err(error) => assert_eq!(error.code(), code, "{app} {request:?}"),
            }
        }
        let oidc = |text| Authority::parse_oidc(text).unwrap();
        let other = oidc("https://other.example/b");
        assert_eq!(oidc("https://idp.example/a").overridden_by(&other, true).unwrap(), other);
    }
}
