//! The audience of a federated credential, by cloud: a wrong one is found out only by the last request of a flow.

use url::Url;

use super::cloud::Cloud;
use super::parse::Authority;
use crate::error::Error;

/// Of the clouds, in the order in which they are written down.
pub(crate) const AUDIENCES: [&str; 9] =
    [PUBLIC, CHINA, US_GOVERNMENT, TEST, FRANCE, GERMANY, SINGAPORE, US_NATIONAL, US_SECRET];

// Read in MSAL.NET's table of clouds (4.92, KnownCloudData), which has all but the US national and secret ones, and in
// Azure.Identity's for the sovereign ones. Entra's documents confirm the first two and the US ones; none of the others
// has been seen to be accepted.
pub(super) const PUBLIC: &str = "api://AzureADTokenExchange";
pub(super) const US_GOVERNMENT: &str = "api://AzureADTokenExchangeUSGov";
pub(super) const CHINA: &str = "api://AzureADTokenExchangeChina";
pub(super) const TEST: &str = "api://AzureADTokenExchangePpe";
pub(super) const FRANCE: &str = "api://AzureADTokenExchangeFrance";
pub(super) const GERMANY: &str = "api://AzureADTokenExchangeGermany";
pub(super) const SINGAPORE: &str = "api://AzureADTokenExchangeGovSG";
const US_NATIONAL: &str = "api://AzureADTokenExchangeUSNat";
const US_SECRET: &str = "api://AzureADTokenExchangeUSSec";

/// Clouds that nothing else needs to be known of here.
const ISOLATED: [(&str, &str); 2] = [
    ("login.microsoftonline.eaglex.ic.gov", US_NATIONAL),
    ("login.microsoftonline.microsoft.scloud", US_SECRET),
];

/// What the assertion of a federated credential must have as `aud` in the cloud of `authority`, which is a host
/// (`login.microsoftonline.us`) or an authority (`https://login.microsoftonline.us/<tenant>`). A token for it is
/// asked of Entra with the scope `<audience>/.default`. `None` where the cloud is not known, or has none.
pub fn federated_credential_audience(authority: &str) -> Option<&'static str> {
    let text = authority.trim();
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("https://{text}")),
    };
    of_host(url.ok()?.host_str()?)
}

fn of_host(host: &str) -> Option<&'static str> {
    let known = Cloud::of_host(host).and_then(|cloud| cloud.federated_credential_audience);
    let isolated = || ISOLATED.iter().find(|(name, _)| *name == host).map(|(_, audience)| *audience);
    known.or_else(isolated)
}

impl Authority {
    /// Adds the audience that the cloud wants, where the one of an assertion was refused.
    pub(super) fn name_audience(&self, error: Error) -> Error {
        let about_audience = error.aadsts_codes().iter().any(|code| WRONG_AUDIENCE.contains(code));
        match of_host(&self.host).filter(|_| about_audience) {
            Some(audience) => {
                error.with_words(&format!("with {} as the authority it is {audience}", self.host))
            }
            None => error,
        }
    }
}

/// No federated credential with this audience.
const WRONG_AUDIENCE: [u32; 2] = [700_212, 70_022_204];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Has each cloud its audience, by each of its names (since_july_2026, section 5)?
    #[test]
    fn audiences_of_clouds() {
        let rows = [
            ("login.microsoftonline.com", Some(PUBLIC)),
            ("login.windows.net", Some(PUBLIC)),
            ("login.microsoft.com", Some(PUBLIC)),
            ("sts.windows.net", Some(PUBLIC)),
            ("login-us.microsoftonline.com", Some(PUBLIC)),
            ("login.microsoftonline.us", Some("api://AzureADTokenExchangeUSGov")),
            ("login.usgovcloudapi.net", Some("api://AzureADTokenExchangeUSGov")),
            ("login.partner.microsoftonline.cn", Some("api://AzureADTokenExchangeChina")),
            ("login.chinacloudapi.cn", Some("api://AzureADTokenExchangeChina")),
            ("login.sovcloud-identity.fr", Some("api://AzureADTokenExchangeFrance")),
            ("login.sovcloud-identity.de", Some("api://AzureADTokenExchangeGermany")),
            ("login.sovcloud-identity.sg", Some("api://AzureADTokenExchangeGovSG")),
            ("login.microsoftonline.eaglex.ic.gov", Some("api://AzureADTokenExchangeUSNat")),
            ("login.microsoftonline.microsoft.scloud", Some("api://AzureADTokenExchangeUSSec")),
            ("login.windows-ppe.net", Some("api://AzureADTokenExchangePpe")),
            // It was closed in 2021.
            ("login.microsoftonline.de", None),
            ("login.example.com", None),
            ("evil-login.microsoftonline.com", None),
            ("contoso.ciamlogin.com", None),
        ];
        for (host, audience) in rows {
            for text in [
                host.to_owned(),
                host.to_ascii_uppercase(),
                format!("https://{host}/tenant/"),
                format!(" https://{host}/tenant/v2.0 "),
            ] {
                assert_eq!(federated_credential_audience(&text), audience, "{text}");
            }
            assert!(audience.is_none_or(|audience| AUDIENCES.contains(&audience)), "{host}");
        }
        for text in ["", " ", "https://", "no host", "/t", "https://login.microsoftonline.com.evil.test/t"] {
            assert_eq!(federated_credential_audience(text), None, "{text:?}");
        }
    }

    /// Is the audience of the cloud that was asked named where the one of an assertion was refused, and nowhere else?
    #[test]
    fn a_refused_audience_is_corrected() {
        let told = |authority: &str, code| {
            let error = Error::new(ErrorKind::Rejected, "invalid_client", "no").with_aadsts(vec![code]);
            Authority::parse(authority).unwrap().advise(error).message().to_owned()
        };
        for code in WRONG_AUDIENCE {
            let message = told("https://login.usgovcloudapi.net/t", code);
            assert!(message.ends_with(" it is api://AzureADTokenExchangeUSGov"), "{message}");
            assert_eq!(told("https://login.example.com/t", code), "no");
        }
        assert_eq!(told("https://login.microsoftonline.com/t", 700_213), "no");
    }
}
