//! The names of Azure's regions, so that a misspelt one is seen before production.
//!
//! A table like this is never whole: Azure opens regions. So what is not in it is worth a line in the log, and
//! never an error.

/// When the table was made.
pub(super) const AS_OF: &str = "November 2026";

/// Whether the table has it.
pub(super) fn is_known(name: &str) -> bool {
    [PUBLIC, GOVERNMENT, CHINA].iter().any(|names| names.contains(&name))
}

/// "Programmatic name" in Microsoft's "Azure regions list", of 23 September 2025:
/// <https://learn.microsoft.com/azure/reliability/regions-list>. Below the blank line what Azure's SDKs and
/// Resource Manager know beside it: a partner of Sweden Central, Jio's regions, and two for previews.
#[rustfmt::skip]
const PUBLIC: &[&str] = &[
    "australiacentral", "australiacentral2", "australiaeast", "australiasoutheast", "austriaeast", "belgiumcentral",
    "brazilsouth", "brazilsoutheast", "canadacentral", "canadaeast", "centralindia", "centralus", "chilecentral",
    "denmarkeast", "eastasia", "eastus", "eastus2", "francecentral", "francesouth", "germanynorth",
    "germanywestcentral", "indonesiacentral", "israelcentral", "italynorth", "japaneast", "japanwest",
    "koreacentral", "koreasouth", "malaysiawest", "mexicocentral", "newzealandnorth", "northcentralus",
    "northeurope", "norwayeast", "norwaywest", "polandcentral", "qatarcentral", "southafricanorth",
    "southafricawest", "southcentralus", "southindia", "southeastasia", "spaincentral", "swedencentral",
    "switzerlandnorth", "switzerlandwest", "uaecentral", "uaenorth", "uksouth", "ukwest", "westcentralus",
    "westeurope", "westindia", "westus", "westus2", "westus3",

    "swedensouth", "jioindiacentral", "jioindiawest", "centraluseuap", "eastus2euap",
];

/// As `AzureLocation` of the Azure SDK for .NET has them.
#[rustfmt::skip]
const GOVERNMENT: &[&str] =
    &["usdodcentral", "usdodeast", "usgovarizona", "usgoviowa", "usgovtexas", "usgovvirginia"];

/// The same, and the third pair, which is newer.
#[rustfmt::skip]
const CHINA: &[&str] =
    &["chinaeast", "chinaeast2", "chinaeast3", "chinanorth", "chinanorth2", "chinanorth3"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::region::Region;
    use super::*;

    /// Is each name one that a region can have, and there once; and are misspelt ones not there?
    #[test]
    fn names() {
        let all: Vec<&str> = [PUBLIC, GOVERNMENT, CHINA].concat();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        for name in all {
            assert_eq!(Region::parse(name).unwrap().as_str(), name);
            assert!(is_known(name));
        }
        for name in ["", "eastus1", "useast", "europewest", "westeurope2", "eastusa", "us-east-1"] {
            assert!(!is_known(name), "{name}");
        }
    }
}
