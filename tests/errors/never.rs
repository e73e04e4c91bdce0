//! The codes that MSAL has and this library never raises, and why. For docs/ERRORS.md.

use std::collections::BTreeSet;
use std::fs;

use crate::codes::CODES;
use crate::support::root;

/// What MSAL has for client credentials and managed identities and this library never raises, and why.
pub(crate) const NEVER_RAISED: &[(&[&str], &str)] = &[
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
    (
        &["mtls_pop_requires_keyguard"],
        "a key of any kind can be bound to; where a floor is set that it does not reach, it is `min_strength_not_met`",
    ),
    (&["credential_guard_requires_cng"], "a key of any kind can be attested"),
    (
        &["attestationmodule_load_failure"],
        "no module is loaded: a callback of the program attests; MSAL does not let this one out either",
    ),
    (
        &[
            "invalid_managed_identity_response",
            "missing_managed_identity_env_var",
            "unknown_managed_identity_error",
            "exactly_one_scope_expected",
            "credential_guard_not_available",
        ],
        "MSAL declares these or tests for them, and never raises them for a managed identity either",
    ),
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
    assert!(missing.is_empty(), "say in tests/errors/codes.rs when, or why never: {missing:?}");
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

/// Is every code that MSAL has for managed identities raised by the test that is named beside it, or explained
/// as never raised (managed_identity spec, section 11, and since_july_2026 spec)?
#[test]
fn codes_of_managed_identity_are_tested() {
    let never: BTreeSet<&str> = NEVER_RAISED.iter().flat_map(|(codes, _)| *codes).copied().collect();
    let mut wrong = Vec::new();
    for line in SECTION_11.lines().filter(|line| !line.trim().is_empty()) {
        let fine = match line.split_whitespace().collect::<Vec<_>>()[..] {
            [code, "never"] => never.contains(code),
            [code, file, test] => {
                let text = fs::read_to_string(root().join("tests/flows").join(file)).unwrap_or_default();
                let raised = CODES.iter().any(|row| row.code == code);
                raised && text.contains(&format!("fn {test}(")) && text.contains(&format!("\"{code}\""))
            }
            _ => false,
        };
        if !fine {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "neither raised by a test nor in NEVER_RAISED:\n{}", wrong.join("\n"));
}

/// The last three have no code in MSAL.
const SECTION_11: &str = "
    managed_identity_request_failed managed_identity_errors.rs imds_answers
    managed_identity_response_parse_failure managed_identity_errors.rs bearer_answers
    managed_identity_unreachable_network managed_identity_errors.rs bearer_answers
    invalid_managed_identity_endpoint managed_identity_errors.rs ruled_out
    managed_identity_all_sources_unavailable capabilities.rs floor_where_nothing_was_found
    user_assigned_managed_identity_not_supported managed_identity_errors.rs ruled_out
    user_assigned_managed_identity_not_configurable_at_runtime managed_identity_errors.rs ruled_out
    user_assigned_managed_identity_not_confirmed sources/arc_user_assigned.rs legacy_agent
    invalid_managed_identity_id_type managed_identity_errors.rs ruled_out
    mtls_not_supported_for_managed_identity never
    mtls_pop_not_supported_for_environment managed_identity_errors.rs ruled_out
    mtls_pop_token_not_supported_in_imds_v1 managed_identity.rs no_imds_v2
    imds_v2_disabled imds_v2_switch.rs fails_at_once
    mtls_pop_requires_keyguard never
    min_strength_not_met capabilities.rs floor_that_is_not_met
    credential_guard_requires_cng never
    attestation_failed attestation.rs never_a_downgrade
    attestationmodule_load_failure never
    invalid_certificate managed_identity_errors.rs imds_answers
    invalid_client managed_identity_errors.rs token_leg
    token_type_missing managed_identity_errors.rs token_leg
    token_type_mismatch managed_identity_errors.rs token_leg
    service_not_available managed_identity_errors.rs token_leg
    request_timeout managed_identity_time.rs the_time_is_over
    request_throttled managed_identity_errors.rs token_leg
    non_parsable_oauth_error managed_identity_errors.rs token_leg
    not_found managed_identity_errors.rs token_leg
    http_status_not_200 managed_identity_errors.rs token_leg
    unknown_error never
    invalid_json_claims_format managed_identity_claims.rs no_object
    invalid_timestamp_format managed_identity_errors.rs bearer_answers
    invalid_token_provider_response_value managed_identity_errors.rs token_leg
    multiple_matching_tokens_detected never
    invalid_managed_identity_response never
    missing_managed_identity_env_var never
    unknown_managed_identity_error never
    cannot_switch_between_imds_versions_for_preview never
    mtls_pop_without_region never
    exactly_one_scope_expected never
    credential_guard_not_available never
    invalid_argument managed_identity_errors.rs ruled_out
    operation_cancelled managed_identity_time.rs cancelled
    network_error managed_identity_errors.rs lost_connections";
