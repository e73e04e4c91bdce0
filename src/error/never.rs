//! The codes that MSAL has and this library never raises, and why. For docs/ERRORS.md.

use std::collections::BTreeSet;

use super::codes::CODES;

/// What MSAL has for client credentials and this library never raises, and why.
pub(super) const NEVER_RAISED: &[(&[&str], &str)] = &[
    (
        &["mtls_pop_without_region", "mtls_bearer_without_region", "region_required_for_mtls_pop"],
        "without a region the global mTLS endpoint is asked; MSAL does so too, and never raises these either",
    ),
    (
        &["mtls_not_supported_for_managed_identity"],
        "bound tokens for managed identities are not limited to one operating system here",
    ),
    (
        &["cannot_switch_between_imds_versions_for_preview"],
        "one app may ask for Bearer and for bound tokens in any order",
    ),
    (&["encoded_token_too_long"], "how long an assertion may be is for the service to judge"),
    (
        &["Client_Credential_Authentication_Types_Are_Mutually_Exclusive"],
        "the last credential set counts; MSAL does so too, and never raises this either",
    ),
    (&["invalid_authority_type"], "each kind of authority is accepted; MSAL does so too"),
    (
        &[
            "invalid-custom-instance-metadata",
            "validate_authority_or_custom_instance_metadata",
            "custom_metadata_instance_or_uri",
            "region_discovery_with_custom_instance_metadata",
        ],
        "the caller cannot give metadata of clouds",
    ),
    (&["experimental_feature"], "nothing needs to be opted into"),
    (&["multiple_matching_tokens_detected"], "a token is looked up by one exact key"),
    (
        &[
            "static_cache_with_external_serialization",
            "combined_user_app_cache_not_supported",
            "internal_cache_disabled",
        ],
        "the cache holds tokens of apps only, and cannot be switched off",
    ),
    (&["unknown_error"], "what cannot be read is `non_parsable_oauth_error`"),
];

/// Is every code that MSAL has for client credentials explained, as raised or as never raised
/// (confidential_client spec, section 7.3)?
#[test]
fn codes_of_msal_are_accounted_for() {
    let known: BTreeSet<&str> = CODES
        .iter()
        .map(|row| row.code)
        .chain(NEVER_RAISED.iter().flat_map(|(codes, _)| *codes).copied())
        .collect();
    let missing: Vec<_> = SECTION_7_3.split_whitespace().filter(|code| !known.contains(code)).collect();
    assert!(missing.is_empty(), "say in src/error/codes.rs when, or why never: {missing:?}");
}

const SECTION_7_3: &str = "
    mtls_certificate_not_provided invalid_credential_material missing_tenanted_authority
    mtls_pop_not_supported_for_environment token_type_mismatch token_type_missing
    mtls_pop_without_region mtls_bearer_without_region region_required_for_mtls_pop
    mtls_not_supported_for_managed_identity mtls_pop_token_not_supported_in_imds_v1
    cannot_switch_between_imds_versions_for_preview min_strength_not_met

    invalid_client_assertion cert_without_private_key certificate_not_rsa cryptographic_error
    encoded_token_too_long Client_Credentials_Required_In_Confidential_Client_Application
    invalid_client Client_Credential_Authentication_Types_Are_Mutually_Exclusive

    invalid_authority invalid_authority_type authority_type_mismatch authority_host_mismatch
    B2C_authority_host_mismatch authority_override_regional authority_validation_failed
    invalid_instance invalid-custom-instance-metadata validate_authority_or_custom_instance_metadata
    custom_metadata_instance_or_uri region_discovery_with_custom_instance_metadata
    region_discovery_failed oidc_failure

    scopes_required_client_credentials no_client_id experimental_feature invalid_json_claims_format
    force_refresh_and_token_hash_not_compatible invalid_token_provider_response_value
    multiple_matching_tokens_detected json_parse_failed static_cache_with_external_serialization
    combined_user_app_cache_not_supported invalid_request internal_cache_disabled

    request_timeout service_not_available request_throttled not_found http_status_not_200
    non_parsable_oauth_error unknown_error invalid_grant interaction_required unauthorized_client";
