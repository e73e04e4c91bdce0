//! Every `error_code` string there is: which numbers it comes with, when, and what to do. For docs/ERRORS.md
//! and for the tests that hold the source against it.

use mtlspop::ErrorKind::{self, *};

/// Who coined a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// MSAL, which reports the same under this name.
    Msal,
    /// This library: MSAL has no word for it.
    Ours,
    /// The token endpoint. Codes of the service are passed on verbatim; these are those that people meet.
    Service,
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) code: &'static str,
    pub(crate) kinds: &'static [ErrorKind],
    pub(crate) origin: Origin,
    /// One clause.
    pub(crate) when: &'static str,
    /// One sentence.
    pub(crate) fix: &'static str,
}

const fn msal(code: &'static str, kinds: &'static [ErrorKind], when: &'static str, fix: &'static str) -> Row {
    Row { code, kinds, origin: Origin::Msal, when, fix }
}

const fn ours(code: &'static str, kinds: &'static [ErrorKind], when: &'static str, fix: &'static str) -> Row {
    Row { code, kinds, origin: Origin::Ours, when, fix }
}

const fn service(
    code: &'static str,
    kinds: &'static [ErrorKind],
    when: &'static str,
    fix: &'static str,
) -> Row {
    Row { code, kinds, origin: Origin::Service, when, fix }
}

/// In the order of the alphabet.
pub(crate) const CODES: &[Row] = &[
    msal(
        "B2C_authority_host_mismatch",
        &[InvalidArgument],
        "a request names a B2C authority on another host than the app's",
        "Name one on the same host, or make another app.",
    ),
    msal(
        "Client_Credentials_Required_In_Confidential_Client_Application",
        &[InvalidArgument],
        "a confidential client app was given no credential",
        "Set a certificate, a secret, an assertion callback or a federated token file.",
    ),
    msal(
        "attestation_failed",
        &[Callback, Rejected, Throttled, InvalidResponse],
        "the attestation callback failed or gave no token, or the attestation service did not accept the TPM's evidence",
        "See the message for who said what; no certificate without attestation is used instead.",
    ),
    msal(
        "authority_host_mismatch",
        &[InvalidArgument],
        "a request names an authority of another cloud than the app's",
        "Name one of the same cloud, or make another app.",
    ),
    msal(
        "authority_override_regional",
        &[InvalidArgument],
        "a request names another authority, and the app has a region",
        "Override only the tenant, or make another app.",
    ),
    msal(
        "authority_type_mismatch",
        &[InvalidArgument],
        "a request names an authority of another kind than the app's",
        "Name one of the same kind, or make another app.",
    ),
    msal(
        "authority_validation_failed",
        &[InvalidResponse, Rejected, Throttled],
        "the configuration of an OIDC authority names another issuer, or an AD FS host does not vouch for itself",
        "Check the authority's host.",
    ),
    ours(
        "binding_certificate_expired",
        &[KeyUnavailable],
        "an API is to be called with a token whose binding certificate has expired",
        "Acquire a new token.",
    ),
    ours(
        "body_callback_failed",
        &[Callback],
        "the callback that gives the body of a request reported a failure",
        "See the text that the callback set.",
    ),
    msal(
        "cert_without_private_key",
        &[KeyUnavailable],
        "a certificate was loaded from input that holds no private key for it",
        "Give the private key too: a PFX file, or PEM with certificate and key.",
    ),
    ours(
        "certificate_expired",
        &[KeyUnavailable],
        "the certificate of the credential has expired",
        "Use a current certificate, and check this host's clock.",
    ),
    msal(
        "certificate_not_rsa",
        &[KeyUnavailable],
        "a Bearer token was asked for with an EC certificate",
        "Use a certificate with an RSA key, or ask for mtls_pop.",
    ),
    ours(
        "certificate_not_yet_valid",
        &[KeyUnavailable],
        "the certificate of the credential is not valid yet",
        "Check this host's clock, or use the certificate that is valid now.",
    ),
    ours(
        "client_assertion_callback_failed",
        &[Callback],
        "the assertion callback returned a failure",
        "See the message for what the callback said.",
    ),
    ours(
        "client_certificate_rejected",
        &[Network],
        "the server answered our certificate with a TLS alert",
        "Check that the certificate is valid, complete with its chain, and meant for this host.",
    ),
    msal(
        "cryptographic_error",
        &[KeyUnavailable],
        "a private key cannot be read, decrypted or used",
        "Check password, format and type of the key; RSA and EC P-256, P-384 and P-521 work.",
    ),
    msal(
        "force_refresh_and_token_hash_not_compatible",
        &[InvalidArgument],
        "a request asks for a forced refresh and names the hash of a token to refresh",
        "Set one of them.",
    ),
    msal(
        "http_status_not_200",
        &[Rejected, Throttled, InvalidResponse],
        "the token endpoint refused without an error code, or answered with neither a token nor a no, as a redirect",
        "Act on the HTTP status; the host may not be a token endpoint.",
    ),
    msal(
        "imds_v2_disabled",
        &[NotSupported],
        "IMDSv2 is turned off by MSAL_MI_DISABLE_IMDS_V2, and the request needs a certificate from it",
        "Unset the variable, or ask for a Bearer token, which comes from IMDSv1.",
    ),
    ours(
        "instance_discovery_failed",
        &[InvalidResponse],
        "Entra's answer about an unknown authority host cannot be read; only in warnings, the host is used as it was given",
        "Check what answers for login.microsoftonline.com, or switch instance discovery off.",
    ),
    service(
        "interaction_required",
        &[InteractionRequired],
        "a policy of the tenant wants a person to take part",
        "Have an administrator exempt the app: a workload cannot answer.",
    ),
    ours(
        "internal_error",
        &[Internal],
        "the library came upon a bug of its own",
        "Report it with the message.",
    ),
    ours(
        "invalid_argument",
        &[InvalidArgument],
        "a parameter or a combination of settings is wrong",
        "Change what the message names.",
    ),
    msal(
        "invalid_authority",
        &[InvalidArgument],
        "the authority is not a URL of the form https://host/tenant",
        "Write it as https://login.microsoftonline.com/ and the tenant id.",
    ),
    msal(
        "invalid_certificate",
        &[KeyUnavailable, InvalidResponse],
        "a certificate cannot be read (the caller's, or the one that IMDS issued)",
        "Give PEM or PFX that is complete; where IMDS issued it, try again later and report it to Azure.",
    ),
    msal(
        "invalid_client",
        &[Rejected, Throttled],
        "the token endpoint did not accept the credential",
        "Follow the advice in the message; it depends on the AADSTS number.",
    ),
    msal(
        "invalid_client_assertion",
        &[Callback, KeyUnavailable],
        "an assertion callback gave no assertion, or the federated token file holds no token",
        "Let the callback set it; check AZURE_FEDERATED_TOKEN_FILE and the volume it is on.",
    ),
    msal(
        "invalid_credential_material",
        &[InvalidArgument],
        "the certificate is to be presented in TLS for Bearer tokens, and the credential is none",
        "Use a certificate as the credential, or leave send_certificate_over_mtls off.",
    ),
    service(
        "invalid_grant",
        &[InteractionRequired, Rejected],
        "the assertion or what else was presented is not acceptable for a token",
        "Follow the AADSTS number in the message; no person needs to sign in for a workload.",
    ),
    ours(
        "invalid_handle",
        &[InvalidHandle],
        "a handle is NULL, was freed, or is of another type",
        "Look for a use after free, or a NULL that an earlier failure left.",
    ),
    msal(
        "invalid_instance",
        &[Rejected],
        "Entra does not know the host of the authority",
        "Use login.microsoftonline.com or the host of your sovereign cloud; for a private cloud that Entra does not know, switch instance discovery off.",
    ),
    msal(
        "invalid_json_claims_format",
        &[InvalidArgument],
        "the claims of a request are not a JSON object",
        "Pass on the claims exactly as the API or the error gave them, decoded from base64.",
    ),
    msal(
        "invalid_managed_identity_endpoint",
        &[InvalidArgument],
        "the environment variable that says where managed identities come from is not an http URL",
        "Correct the variable that the message names, or unset it.",
    ),
    msal(
        "invalid_managed_identity_id_type",
        &[NotSupported],
        "Machine Learning was to be asked for an identity other than by its client id",
        "Name the identity by its client id; for the default one, set `DEFAULT_IDENTITY_CLIENT_ID`.",
    ),
    service(
        "invalid_request",
        &[Rejected],
        "the token endpoint misses a parameter or does not understand one",
        "Follow the AADSTS number in the message.",
    ),
    service(
        "invalid_resource",
        &[Rejected],
        "the tenant does not know the resource",
        "Check the resource part of the scope, and that the resource is there in this tenant.",
    ),
    ours(
        "invalid_response",
        &[InvalidResponse],
        "a server broke the rules of HTTP",
        "Look for a proxy or another server that answers in its place.",
    ),
    service(
        "invalid_scope",
        &[Rejected],
        "the token endpoint does not accept the scope",
        "Ask for the resource's identifier followed by /.default.",
    ),
    msal(
        "invalid_timestamp_format",
        &[InvalidResponse],
        "the host's identity service sent an expiry that is not a time",
        "Report it to Azure; what answered may not be the real service.",
    ),
    msal(
        "invalid_token_provider_response_value",
        &[InvalidResponse],
        "an answer of success lacks the token or its expiry is not in the future, or the token has characters that no header may hold",
        "Check this host's clock; else report it to the service.",
    ),
    ours(
        "invalid_trusted_roots",
        &[InvalidArgument],
        "the trusted roots given (option, SSL_CERT_FILE or SSL_CERT_DIR; for the token proxy of a cluster AZURE_KUBERNETES_CA_FILE or _CA_DATA) cannot be used, or not all of them",
        "Give PEM text with CERTIFICATE blocks, without what the message names.",
    ),
    msal(
        "json_parse_failed",
        &[InvalidResponse],
        "the client_info of the token endpoint's answer cannot be read",
        "Check what answers for the token endpoint: a proxy may have changed it.",
    ),
    msal(
        "managed_identity_all_sources_unavailable",
        &[NotSupported],
        "a minimum strength was asked of a host where no source of managed identity answers",
        "See what the message says about each probe; the next call asks again after a minute.",
    ),
    msal(
        "managed_identity_request_failed",
        &[Rejected, Throttled, InvalidResponse, KeyUnavailable],
        "the host's identity service refused, answered with something incomplete or not to be followed, or named a key file that cannot be used",
        "Check that the identity is assigned to this host and that the resource exists.",
    ),
    msal(
        "managed_identity_response_parse_failure",
        &[InvalidResponse],
        "the host's identity service answered 200 with something that is not JSON",
        "Look for a proxy or another server at its address.",
    ),
    msal(
        "managed_identity_unreachable_network",
        &[Network],
        "nothing answers at the address of the host's identity service",
        "Check that this host is in Azure, has a managed identity, and that no firewall is in between.",
    ),
    msal(
        "min_strength_not_met",
        &[NotSupported],
        "this host keeps the key of a binding certificate less well than the request demands",
        "Lower the floor, or use a host that has what the message says is missing.",
    ),
    msal(
        "missing_tenanted_authority",
        &[InvalidArgument],
        "there is no authority, or it names common or organizations and the token is to be bound",
        "Put the tenant's id into the authority.",
    ),
    msal(
        "mtls_certificate_not_provided",
        &[Callback, InvalidArgument],
        "mtls_pop was asked with a credential that brings no certificate, or a certificate callback gave none",
        "Use a certificate, or an assertion callback that returns its binding certificate; let the callback set it.",
    ),
    msal(
        "mtls_pop_not_supported_for_environment",
        &[NotSupported],
        "the authority's host has no mTLS endpoint, or the host's managed identity is not that of IMDS, and issues nothing over mTLS",
        "Use the authority host that the message names, or ask for Bearer.",
    ),
    msal(
        "mtls_pop_token_not_supported_in_imds_v1",
        &[NotSupported],
        "the instance metadata service of this host has no IMDSv2",
        "Ask for Bearer, or use a host that has IMDSv2.",
    ),
    ours(
        "network_error",
        &[Network],
        "a name cannot be resolved, a server cannot be reached, or the connection broke",
        "Try again; if it stays, check DNS, firewall and proxy.",
    ),
    msal("no_client_id", &[InvalidArgument], "the client id is empty", "Set the app's client id."),
    msal(
        "non_parsable_oauth_error",
        &[InvalidResponse],
        "the token endpoint answered with something that is not JSON",
        "Look for a proxy or another server that answers in its place.",
    ),
    msal(
        "not_found",
        &[Rejected],
        "the token endpoint answered 404 without an error code",
        "Check authority, tenant and region against the endpoint in the message.",
    ),
    msal(
        "oidc_failure",
        &[InvalidResponse, Rejected, Throttled, Network, Timeout],
        "the OpenID configuration of the authority could not be had or read",
        "Check the authority: its configuration must be at /.well-known/openid-configuration below it.",
    ),
    ours(
        "operation_cancelled",
        &[Cancelled],
        "the caller stopped the call, or the app was freed meanwhile",
        "Nothing to do.",
    ),
    ours(
        "proxy_error",
        &[Network],
        "the proxy cannot be reached, or refused the tunnel",
        "Check the proxy option or https_proxy and HTTPS_PROXY, and the proxy's own rules; where it is retryable, try again.",
    ),
    ours(
        "reentrant_call",
        &[InvalidArgument],
        "a callback asked for the very token it is being called for",
        "Have the callback get what it needs in another way.",
    ),
    msal(
        "region_discovery_failed",
        &[InvalidResponse],
        "the region could not be detected; only in warnings and in the region error of a token, the global endpoint is asked",
        "Name the region, or set REGION_NAME.",
    ),
    msal(
        "request_throttled",
        &[Throttled],
        "the token endpoint answered 429 with something that is not JSON",
        "Wait as long as the server asks, and keep tokens until they expire.",
    ),
    msal(
        "request_timeout",
        &[Timeout],
        "the time given for the call is over, or a peer took longer than its limit",
        "Try again, or give the call more time.",
    ),
    ours(
        "response_too_large",
        &[InvalidResponse],
        "an answer is longer than the limit",
        "Raise the limit of the request, or ask the API for less.",
    ),
    msal(
        "scopes_required_client_credentials",
        &[InvalidArgument],
        "the request names no scope and no resource",
        "Name one, for example https://graph.microsoft.com/.default.",
    ),
    ours(
        "secret_callback_failed",
        &[Callback],
        "the callback that gives the secret of a binding store, or the authorisation value of TPM keys, reported a failure",
        "See the text that the callback set.",
    ),
    msal(
        "service_not_available",
        &[Rejected, InteractionRequired],
        "the token endpoint, or the agent of Azure Arc, answered with a status of 500 or more",
        "Try again later, after the time that the server asks for.",
    ),
    ours(
        "sign_callback_failed",
        &[Callback],
        "the callback that signs with a key that lives elsewhere reported a failure",
        "See the text that the callback set.",
    ),
    ours(
        "store_callback_failed",
        &[Callback],
        "the callback of a token store reported a failure; only in warnings, the call goes on without the store",
        "See the text that the callback set.",
    ),
    service(
        "temporarily_unavailable",
        &[Rejected],
        "the token endpoint is too busy",
        "Try again later, after the time that the server asks for.",
    ),
    msal(
        "tenant_override_non_aad",
        &[InvalidArgument],
        "a request names a tenant, and the app's authority has none (AD FS, OIDC)",
        "Leave the tenant out of the request.",
    ),
    ours(
        "tls_error",
        &[Network],
        "the server's certificate is not trusted here, or TLS could not be agreed",
        "Follow the message: mostly a root certificate is missing, or this host's clock is wrong.",
    ),
    msal(
        "token_type_mismatch",
        &[InvalidResponse],
        "the token endpoint issued another type of token than was asked; it was discarded",
        "Check that tenant, resource and region are enabled for mTLS proof-of-possession.",
    ),
    msal(
        "token_type_missing",
        &[InvalidResponse],
        "the token endpoint did not say which type of token it issued",
        "Look for a proxy or another server that answers in its place.",
    ),
    ours(
        "tpm_auth_failed",
        &[KeyUnavailable],
        "the TPM refuses the authorisation value of a key or hierarchy",
        "Set the right one; wrong ones are counted, and lock the TPM.",
    ),
    ours(
        "tpm_busy",
        &[KeyUnavailable],
        "the TPM cannot do it now, or has no room for another key",
        "Try again; where it stays so, use the resource manager (device:/dev/tpmrm0).",
    ),
    ours(
        "tpm_error",
        &[KeyUnavailable],
        "the TPM, or the key in it, cannot do what is needed, or failed",
        "See the message, which has the TPM's own code.",
    ),
    ours(
        "tpm_key_lost",
        &[KeyUnavailable],
        "the key is not one of this TPM: it was cleared, or is another one",
        "Ask for a token again where the library makes the keys, which then gets a new one; else make a new key.",
    ),
    ours(
        "tpm_locked_out",
        &[KeyUnavailable],
        "the TPM is locked after too many wrong authorisation values",
        "Wait for its recovery time, or reset the lock (tpm2_dictionarylockout).",
    ),
    ours(
        "tpm_unavailable",
        &[NotSupported],
        "a key is to be in a TPM, and the plugin, tpm2-tss or the TPM itself is missing",
        "See the message for which it is; no key in software is used instead.",
    ),
    service(
        "unauthorized_client",
        &[Rejected],
        "the tenant does not know the app, or does not allow it this kind of request",
        "Follow the AADSTS number in the message: mostly client id or tenant is wrong.",
    ),
    service(
        "unsupported_grant_type",
        &[Rejected],
        "the endpoint does not issue tokens for client credentials",
        "Check that the authority is Microsoft Entra's and not a user flow.",
    ),
    msal(
        "user_assigned_managed_identity_not_configurable_at_runtime",
        &[NotSupported],
        "Service Fabric was to be asked for an identity by its client or resource id",
        "Name the identity by its object id, or set no id.",
    ),
    msal(
        "user_assigned_managed_identity_not_confirmed",
        &[InvalidResponse],
        "the agent of Azure Arc did not say that its token is for the user-assigned identity that was asked for, and it was discarded",
        "Update the agent and check the id, or set none: older agents answer for the system-assigned identity.",
    ),
    msal(
        "user_assigned_managed_identity_not_supported",
        &[NotSupported],
        "Cloud Shell was to be asked for a user-assigned identity",
        "Set no id: the host has one identity.",
    ),
];

/// Is each code there once, in order, with its statuses, one clause and one sentence?
#[test]
fn each_code_once_with_one_sentence() {
    assert!(CODES.is_sorted_by(|one, next| one.code < next.code), "sort the rows by code");
    for row in CODES {
        assert!(!row.kinds.is_empty(), "{}: names no status", row.code);
        assert!(!row.when.is_empty() && !row.when.ends_with('.'), "{}: {}", row.code, row.when);
        assert!(row.fix.ends_with('.') && !row.fix.contains(". "), "{}: {}", row.code, row.fix);
        assert!(![row.when, row.fix].concat().contains(['|', '\n']), "{}: breaks a table", row.code);
    }
}
