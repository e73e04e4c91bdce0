//! `x-client-current-telemetry`: what a request tells the service about its cause (confidential_client spec, 9.1).

use super::{CacheRefreshReason, TokenType};

/// The facts of one request.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry<'a> {
    pub(crate) api: Api,
    pub(crate) reason: CacheRefreshReason,
    /// The region asked for or found; empty for none.
    pub(crate) region: &'a str,
    /// MSAL's numbers; `None` where no region was wanted, or its source is not told.
    pub(crate) region_source: Option<i32>,
    pub(crate) region_outcome: Option<i32>,
    /// The token cache has a store.
    pub(crate) serialized: bool,
    pub(crate) token_type: TokenType,
    pub(crate) caller: CallerSdk<'a>,
}

/// Which of the library's calls it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Api {
    AcquireTokenForClient = 1004,
    SystemAssignedManagedIdentity = 1015,
    UserAssignedManagedIdentity = 1016,
}

/// Who calls the library, where that is another library: three query parameters that are not sent as such.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallerSdk<'a> {
    pub(crate) id: &'a str,
    pub(crate) version: &'a str,
    pub(crate) managed_certificate: &'a str,
}

impl<'a> Telemetry<'a> {
    /// Of a request without region, store and caller.
    pub(crate) fn new(api: Api, reason: CacheRefreshReason, token_type: TokenType) -> Self {
        let (region_source, region_outcome, caller) = Default::default();
        Self { api, reason, region: "", region_source, region_outcome, serialized: false, token_type, caller }
    }

    /// The value of the header.
    pub(crate) fn header(&self) -> String {
        let number = |value: Option<i32>| value.map_or_else(String::new, |value| value.to_string());
        let token_type = self.token_type.telemetry_number();
        format!(
            "5|{},{},{},{},{}|{},1,{token_type},{},{},{}",
            self.api as i32,
            self.reason as i32,
            self.region,
            number(self.region_source),
            number(self.region_outcome),
            i32::from(self.serialized),
            self.caller.id,
            self.caller.version,
            self.caller.managed_certificate,
        )
    }
}

impl Api {
    /// MSAL's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AcquireTokenForClient => "AcquireTokenForClient",
            Self::SystemAssignedManagedIdentity => "AcquireTokenForSystemAssignedManagedIdentity",
            Self::UserAssignedManagedIdentity => "AcquireTokenForUserAssignedManagedIdentity",
        }
    }
}

impl TokenType {
    /// MSAL's number for it in telemetry.
    pub(crate) fn telemetry_number(self) -> i32 {
        match self {
            Self::Bearer => 1,
            Self::MtlsPop => 6,
        }
    }
}

impl<'a> CallerSdk<'a> {
    /// Takes note of a query parameter if it is one of the three; cut to what the service takes, and
    /// without what would break the header.
    pub(crate) fn take(&mut self, name: &str, value: &'a str) -> bool {
        let (place, length) = match name {
            "caller-sdk-id" => (&mut self.id, 10),
            "caller-sdk-ver" => (&mut self.version, 20),
            "ManagedCert" => (&mut self.managed_certificate, 1),
            _ => return false,
        };
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '|');
        let end =
            value.char_indices().take(length).take_while(|(_, c)| fits(*c)).map(|(at, c)| at + c.len_utf8());
        *place = &value[..end.last().unwrap_or(0)];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry() -> Telemetry<'static> {
        Telemetry::new(Api::AcquireTokenForClient, CacheRefreshReason::NoCachedAccessToken, TokenType::Bearer)
    }

    /// The two examples of section 9.1.
    #[test]
    fn examples_of_the_specification() {
        assert_eq!(telemetry().header(), "5|1004,2,,,|0,1,1,,,");
        let bound = Telemetry {
            region: "westus2",
            region_outcome: Some(6),
            token_type: TokenType::MtlsPop,
            ..telemetry()
        };
        assert_eq!(bound.header(), "5|1004,2,westus2,,6|0,1,6,,,");
    }

    /// Are the caller's names cut (section 4.2), and can none of them add a field or a header?
    #[test]
    fn callers_names() {
        let mut caller = CallerSdk::default();
        assert!(caller.take("caller-sdk-id", "abcdefghijklm"));
        assert!(caller.take("caller-sdk-ver", "1.2|3"));
        assert!(caller.take("ManagedCert", "1true"));
        assert!(!caller.take("dc", "x"));
        let header = Telemetry { caller, ..telemetry() }.header();
        assert!(header.ends_with("|0,1,1,abcdefghij,1.2,1"), "{header}");
        caller.take("caller-sdk-id", "a\r\nb");
        assert_eq!(caller.id, "a");
    }
}
