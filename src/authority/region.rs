//! Azure regions, as a part of host names that is safe to put there.

use crate::error::{Error, ErrorKind, Result};

/// A region name: only `a`-`z` and `0`-`9`, so that no caller's text can change which host is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region(String);

impl Region {
    /// Reads the caller's region. `"East US"` means `eastus`, as the portal and Microsoft's own
    /// samples write it; what is still not `[a-z0-9]+` after that is an error.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("TryAutoDetect") {
            return Err(Error::new(
                ErrorKind::NotSupported,
                "region_discovery_failed",
                "azure region: TryAutoDetect is not available in this version; name the region, for example \"eastus\"",
            ));
        }
        let name: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()).collect();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Are the spellings of Microsoft's documents accepted (design: "east us" means eastus)?
    #[test]
    fn spellings_of_the_portal() {
        for text in ["eastus", "East US", "east us", "EASTUS"] {
            assert_eq!(Region::parse(text).unwrap().as_str(), "eastus");
        }
    }

    /// Is everything refused that could change the host (confidential_client spec, section 1.5)?
    #[test]
    fn nothing_else_reaches_a_host_name() {
        for text in
            ["", " ", "east.us", "east@us", "fake.com/x", "eastus\n", "ｅａｓｔｕｓ", "east-us", "east.us/x"]
        {
            assert_eq!(Region::parse(text).unwrap_err().kind(), ErrorKind::InvalidArgument, "{text:?}");
        }
    }
}
