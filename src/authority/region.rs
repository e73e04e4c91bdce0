//! Azure regions: names that are safe in a host name, and which of them an app uses (confidential_client spec, 1.5).

use super::region_names;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::http::Imds;

/// A region name: only `a`-`z` and `0`-`9`, so that no caller's text can change which host is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region(String);

/// Which region an app uses, as far as that is known without a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegionSetting {
    /// None: the global endpoint.
    Global,
    /// The caller said so.
    Explicit(Region),
    /// The caller wants it detected, and the environment of the host names it.
    Environment(Region),
    /// The caller wants it detected, and this service is to be asked.
    Detect(Imds),
}

/// How an endpoint came by its region. The numbers are MSAL's, for telemetry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegionDetails {
    pub(crate) used: Option<Region>,
    pub(crate) outcome: RegionOutcome,
    pub(crate) source: RegionSource,
    /// Why the detection failed.
    pub(crate) error: Option<String>,
}

/// Whose region it is. The numbers are MSAL's and part of the C ABI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum RegionOutcome {
    /// No region was wanted.
    #[default]
    None = 0,
    /// The host's, detected.
    AutodetectSuccess = 4,
    /// It could not be detected: the global endpoint was asked.
    FallbackToGlobal = 5,
    /// The caller's.
    UserProvided = 6,
}

/// Where a detected region comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum RegionSource {
    #[default]
    None = 0,
    FailedAutoDiscovery = 1,
    Cache = 2,
    EnvVariable = 3,
    Imds = 4,
}

/// Of a label of a host name (RFC 1035, section 2.3.4).
const LONGEST: usize = 63;

impl Region {
    /// Reads a region. `"East US"` means `eastus`, as the portal and Microsoft's own samples write
    /// it; what is still not `[a-z0-9]+` after that, or no label of a host name for its length, is an error.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let name: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()).collect();
        let fits = (1..=LONGEST).contains(&name.len());
        if !fits || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::argument(format!(
                "azure region {shown:?} is not a region name: use letters and digits, for example \"eastus\""
            )));
        }
        Ok(Self(name))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl RegionDetails {
    /// `error` with what is known of the region.
    pub(crate) fn told_by(&self, error: Error) -> Error {
        error.with_region(self.used.as_ref().map(Region::as_str), self.outcome as i32, self.error.as_deref())
    }
}

impl Error {
    /// How the token endpoint came by its region, or by none; `None` where that was not known yet.
    pub fn region_outcome(&self) -> Option<RegionOutcome> {
        use RegionOutcome::{AutodetectSuccess, FallbackToGlobal, None, UserProvided};
        let number = self.region_outcome_number()?;
        [None, AutodetectSuccess, FallbackToGlobal, UserProvided].into_iter().find(|of| *of as i32 == number)
    }
}

impl RegionSetting {
    /// Why the region that a person wrote looks wrong: it is none that Azure had when the table was made.
    pub(crate) fn doubt(&self) -> Option<String> {
        match self {
            Self::Explicit(Region(name)) | Self::Environment(Region(name))
                if !region_names::is_known(name) =>
            {
                Some(format!(
                    "{name:?} is none of the Azure regions known in {}: if it is misspelt, token requests will fail; \
                     if it is new, all is well",
                    region_names::AS_OF
                ))
            }
            _ => None,
        }
    }

    /// The caller's region, as `MSAL_DISABLE_REGION` and `MSAL_FORCE_REGION` leave it.
    pub(crate) fn resolve(option: Option<&str>, env: &dyn Env) -> Result<Self> {
        if env.var("MSAL_DISABLE_REGION").is_some() {
            return Ok(Self::Global);
        }
        match (option, env.var("MSAL_FORCE_REGION")) {
            (Some(text), _) => Self::read(text, env),
            (None, Some(text)) => {
                Self::read(&text, env).map_err(|e| e.context("the environment variable MSAL_FORCE_REGION"))
            }
            (None, None) => Ok(Self::Global),
        }
    }

    fn read(text: &str, env: &dyn Env) -> Result<Self> {
        if text.eq_ignore_ascii_case("DisableMsalForceRegion") {
            return Ok(Self::Global);
        }
        if !text.eq_ignore_ascii_case("TryAutoDetect") {
            return Region::parse(text).map(Self::Explicit);
        }
        match env.var("REGION_NAME").map(|name| Region::parse(&name)) {
            Some(Ok(region)) => Ok(Self::Environment(region)),
            _ => Imds::from_env(env).map(Self::Detect),
        }
    }
}

#[cfg(test)]
pub(super) const NASTY: [&str; 23] = [
    "",
    " ",
    ".",
    "east.us",
    "east@us",
    "east:us",
    "fake.com/x",
    "fake.com#",
    "fake.com?",
    "eastus\n",
    "eastus\t",
    "east\0us",
    "ｅａｓｔｕｓ",
    "eaſtus",
    "east-us",
    "east_us",
    "%65astus",
    "east\u{a0}us",
    "east\u{200b}us",
    "xn--eastus",
    "..\\eastus",
    "eastus\u{212a}",
    "westus0123456789012345678901234567890123456789012345678901234567",
];

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn env(variables: &[(&str, &str)]) -> HashMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn region(name: &str) -> Region {
        Region::parse(name).unwrap()
    }

    fn detect() -> RegionSetting {
        RegionSetting::Detect(Imds::from_env(&env(&[])).unwrap())
    }

    /// Are the spellings of Microsoft's documents accepted (design: "east us" means eastus)?
    #[test]
    fn spellings_of_the_portal() {
        for text in ["eastus", "East US", "east us", "EASTUS", " eastus "] {
            assert_eq!(region(text).as_str(), "eastus");
        }
        assert_eq!(region(&"a".repeat(63)).as_str().len(), 63, "as long as a label may be");
    }

    /// Does no byte that is not `[a-z0-9]` become part of a region, by whichever way it comes: the
    /// option, `MSAL_FORCE_REGION` or `REGION_NAME` (section 1.5)?
    #[test]
    fn nothing_else_reaches_a_host_name() {
        let characters = ('\0'..'\u{3000}')
            .chain('\u{ff00}'..'\u{fff0}')
            .filter(|c| !c.is_ascii_alphanumeric() && *c != ' ');
        let within =
            characters.flat_map(|c| [format!("east{c}us"), format!("{c}eastus"), format!("eastus{c}")]);
        for text in NASTY.iter().map(|text| (*text).to_owned()).chain(within) {
            assert!(Region::parse(&text).is_err(), "{text:?}");
        }
        for text in NASTY {
            RegionSetting::resolve(Some(text), &env(&[])).unwrap_err();
            let forced = RegionSetting::resolve(None, &env(&[("MSAL_FORCE_REGION", text)]));
            if text.is_empty() {
                assert_eq!(forced.unwrap(), RegionSetting::Global);
            } else {
                assert!(forced.unwrap_err().message().contains("MSAL_FORCE_REGION"));
            }
            let named = RegionSetting::resolve(Some("TryAutoDetect"), &env(&[("REGION_NAME", text)]));
            assert_eq!(named.unwrap(), detect(), "{text:?}: the metadata service is asked instead");
        }
    }

    /// Is a name that Azure does not have doubted wherever a person wrote it, and no other (design: never an
    /// error, since regions are opened)?
    #[test]
    fn unknown_regions() {
        let doubt = |option: Option<&str>, variables: &[(&str, &str)]| {
            RegionSetting::resolve(option, &env(variables)).unwrap().doubt()
        };
        for (option, variables) in [
            (Some("eastusa"), &[] as &[_]),
            (None, &[("MSAL_FORCE_REGION", "East US A")]),
            (Some("TryAutoDetect"), &[("REGION_NAME", "eastusa")]),
        ] {
            assert!(
                doubt(option, variables).unwrap().starts_with("\"eastusa\" is none of the Azure regions")
            );
        }
        for (option, variables) in [
            (None, &[] as &[_]),
            (Some("East US 2"), &[]),
            (Some("usgovvirginia"), &[]),
            (Some("TryAutoDetect"), &[("REGION_NAME", "China North 3")]),
            (Some("TryAutoDetect"), &[]),
            (Some("eastusa"), &[("MSAL_DISABLE_REGION", "1")]),
        ] {
            assert_eq!(doubt(option, variables), None, "{option:?} {variables:?}");
        }
    }

    /// The order of section 1.5: master switch, the caller's opt-out, the caller's region, the forced one.
    #[test]
    fn order_of_settings() {
        use RegionSetting::{Environment, Explicit, Global};
        let disable = ("MSAL_DISABLE_REGION", "1");
        let force = ("MSAL_FORCE_REGION", "West US");
        let force_detection = ("MSAL_FORCE_REGION", "TryAutoDetect");
        let name = ("REGION_NAME", "North Europe");
        type Row<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], RegionSetting);
        let rows: [Row<'_>; 12] = [
            (None, &[], Global),
            (Some("east us"), &[], Explicit(region("eastus"))),
            (Some("east us"), &[force, name], Explicit(region("eastus"))),
            (Some("east us"), &[disable, force], Global),
            (None, &[disable, force], Global),
            (None, &[force], Explicit(region("westus"))),
            (None, &[name], Global),
            (Some("DisableMsalForceRegion"), &[force], Global),
            (Some("disablemsalforceregion"), &[force], Global),
            (Some("TryAutoDetect"), &[force], detect()),
            (Some("tryautodetect"), &[name], Environment(region("northeurope"))),
            (None, &[force_detection, name], Environment(region("northeurope"))),
        ];
        for (option, variables, setting) in rows {
            let resolved = RegionSetting::resolve(option, &env(variables)).unwrap();
            assert_eq!(resolved, setting, "{option:?} {variables:?}");
        }
    }
}
