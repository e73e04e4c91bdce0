"""What include/mtlspop.h declares. Written by `make header` from src/ffi: do not edit."""

from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int32, c_int64, c_size_t, c_void_p

VERSION = "0.1.0"
LOG_ERROR = 0
LOG_WARNING = 1
LOG_INFO = 2
LOG_VERBOSE = 3
BODY_READ = 0
BODY_REWIND = 1
SOURCE_NONE = 0
SOURCE_APP_SERVICE = 1
SOURCE_AZURE_ARC = 2
SOURCE_CLOUD_SHELL = 3
SOURCE_IMDS = 4
SOURCE_MACHINE_LEARNING = 5
SOURCE_SERVICE_FABRIC = 6
PKCS12_MODERN = 0
PKCS12_LEGACY = 1
OK = 0
E_INVALID_ARGUMENT = 101
E_INVALID_HANDLE = 102
E_NOT_SUPPORTED = 103
E_NETWORK = 201
E_TIMEOUT = 202
E_CANCELLED = 203
E_REJECTED = 301
E_THROTTLED = 302
E_INTERACTION_REQUIRED = 303
E_INVALID_RESPONSE = 304
E_KEY_UNAVAILABLE = 401
E_CALLBACK = 402
E_INTERNAL = 901
METRIC_KIND_COUNTER = 0
METRIC_KIND_HISTOGRAM = 1
STRENGTH_NONE = 0
STRENGTH_SOFTWARE = 1
STRENGTH_HARDWARE = 2
STRENGTH_ATTESTED = 3
TOKEN_SOURCE_IDENTITY_PROVIDER = 0
TOKEN_SOURCE_CACHE = 1
REGION_OUTCOME_NONE = 0
REGION_OUTCOME_AUTODETECT_SUCCESS = 4
REGION_OUTCOME_FALLBACK_TO_GLOBAL = 5
REGION_OUTCOME_USER_PROVIDED = 6
CACHE_LEVEL_NONE = 0
CACHE_LEVEL_L1 = 2
CACHE_LEVEL_L2 = 3
CACHE_REFRESH_REASON_NOT_APPLICABLE = 0
CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS = 1
CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN = 2
CACHE_REFRESH_REASON_EXPIRED = 3
CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED = 4
STORE_LOAD = 0
STORE_SAVE = 1
ABI_VERSION = 5

# Types of their own, so that no handle is taken for another, or for an int and cut to 32 bits.


class App(c_void_p):
    __slots__ = ()


class AppOptions(c_void_p):
    __slots__ = ()


class AssertionOp(c_void_p):
    __slots__ = ()


class AttestationOp(c_void_p):
    __slots__ = ()


class BodyOp(c_void_p):
    __slots__ = ()


class Buffer(c_void_p):
    __slots__ = ()


class Cancel(c_void_p):
    __slots__ = ()


class Capabilities(c_void_p):
    __slots__ = ()


class Certificate(c_void_p):
    __slots__ = ()


class Error(c_void_p):
    __slots__ = ()


class HttpRequest(c_void_p):
    __slots__ = ()


class HttpResponse(c_void_p):
    __slots__ = ()


class HttpStream(c_void_p):
    __slots__ = ()


class Metric(c_void_p):
    __slots__ = ()


class SecretOp(c_void_p):
    __slots__ = ()


class SignOp(c_void_p):
    __slots__ = ()


class StoreOp(c_void_p):
    __slots__ = ()


class Token(c_void_p):
    __slots__ = ()


class TokenCache(c_void_p):
    __slots__ = ()


class TokenRequest(c_void_p):
    __slots__ = ()


class TpmOptions(c_void_p):
    __slots__ = ()


# Callbacks: these objects must live as long as the library may call them.
AssertionCallback = CFUNCTYPE(c_int32, c_void_p, AssertionOp)
Destroy = CFUNCTYPE(None, c_void_p)
AttestationCallback = CFUNCTYPE(c_int32, c_void_p, AttestationOp)
SignCallback = CFUNCTYPE(c_int32, c_void_p, SignOp)
BackgroundRefreshCallback = CFUNCTYPE(None, c_void_p, Token, Error)
LogCallback = CFUNCTYPE(None, c_void_p, c_int32, c_char_p, c_char_p)
MetricsCallback = CFUNCTYPE(None, c_void_p, Metric)
SecretCallback = CFUNCTYPE(c_int32, c_void_p, SecretOp)
BodyCallback = CFUNCTYPE(c_int32, c_void_p, BodyOp)
StoreCallback = CFUNCTYPE(c_int32, c_void_p, StoreOp)

# What each function returns and takes.
FUNCTIONS = {
    "mtlspop_app_new": (c_int32, AppOptions, POINTER(App), POINTER(Error)),
    "mtlspop_app_acquire_token": (c_int32, App, TokenRequest, POINTER(Token), POINTER(Error)),
    "mtlspop_app_cached_token": (c_int32, App, TokenRequest, POINTER(Token), POINTER(Error)),
    "mtlspop_app_send": (c_int32, App, Token, HttpRequest, POINTER(HttpResponse), POINTER(Error)),
    "mtlspop_app_send_streaming": (c_int32, App, Token, HttpRequest, POINTER(HttpStream), POINTER(Error)),
    "mtlspop_app_token_cache": (TokenCache, App),
    "mtlspop_app_free": (None, App),
    "mtlspop_app_options_set_certificate": (None, AppOptions, Certificate, c_int32),
    "mtlspop_app_options_set_certificate_provider": (
        None, AppOptions, AssertionCallback, c_void_p, Destroy, c_int32,
    ),
    "mtlspop_app_options_set_send_certificate_over_mtls": (None, AppOptions, c_int32),
    "mtlspop_app_options_set_client_secret": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_client_assertion": (None, AppOptions, AssertionCallback, c_void_p, Destroy),
    "mtlspop_app_options_set_federated_token_file": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_enable_azure_proxy": (None, AppOptions, c_int32),
    "mtlspop_app_options_set_user_assigned_client_id": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_user_assigned_object_id": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_user_assigned_resource_id": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_probe_timeout_ms": (None, AppOptions, c_int64),
    "mtlspop_app_options_set_attestation": (None, AppOptions, AttestationCallback, c_void_p, Destroy),
    "mtlspop_app_options_set_key_signer": (
        None, AppOptions, c_char_p, c_size_t, SignCallback, c_void_p, Destroy,
    ),
    "mtlspop_app_options_set_min_strength": (None, AppOptions, c_int32),
    "mtlspop_app_options_new_managed_identity": (AppOptions,),
    "mtlspop_app_options_new_confidential_client": (AppOptions, c_char_p),
    "mtlspop_app_options_set_authority": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_oidc_authority": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_instance_discovery": (None, AppOptions, c_int32),
    "mtlspop_app_options_set_azure_region": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_client_capabilities": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_extra_query_parameter": (None, AppOptions, c_char_p, c_char_p, c_int32),
    "mtlspop_app_options_set_background_refresh": (None, AppOptions, c_int32),
    "mtlspop_app_options_set_background_refresh_callback": (
        None, AppOptions, BackgroundRefreshCallback, c_void_p, Destroy,
    ),
    "mtlspop_app_options_set_token_cache": (None, AppOptions, TokenCache),
    "mtlspop_app_options_set_connect_timeout_ms": (None, AppOptions, c_int64),
    "mtlspop_app_options_set_proxy": (None, AppOptions, c_char_p),
    "mtlspop_app_options_add_renegotiating_host": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_trusted_roots_file": (None, AppOptions, c_char_p),
    "mtlspop_app_options_set_trusted_roots_pem": (None, AppOptions, c_char_p, c_size_t),
    "mtlspop_app_options_set_log": (None, AppOptions, c_int32, LogCallback, c_void_p, Destroy),
    "mtlspop_app_options_set_metrics": (None, AppOptions, MetricsCallback, c_void_p, Destroy),
    "mtlspop_app_options_free": (None, AppOptions),
    "mtlspop_assertion_op_client_id": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_tenant_id": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_authority": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_token_endpoint": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_token_type": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_claims": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_client_capabilities": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_fmi_path": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_correlation_id": (c_char_p, AssertionOp),
    "mtlspop_assertion_op_remaining_ms": (c_int64, AssertionOp),
    "mtlspop_assertion_op_is_cancelled": (c_int32, AssertionOp),
    "mtlspop_assertion_op_set_assertion": (None, AssertionOp, c_char_p),
    "mtlspop_assertion_op_set_certificate": (None, AssertionOp, Certificate),
    "mtlspop_assertion_op_set_error": (None, AssertionOp, c_char_p),
    "mtlspop_federated_credential_audience": (c_char_p, c_char_p),
    "mtlspop_attestation_op_endpoint": (c_char_p, AttestationOp),
    "mtlspop_attestation_op_client_id": (c_char_p, AttestationOp),
    "mtlspop_attestation_op_public_key": (c_void_p, AttestationOp, POINTER(c_size_t)),
    "mtlspop_attestation_op_sign": (
        c_int32, AttestationOp, c_char_p, c_char_p, c_size_t, POINTER(Buffer), POINTER(Error),
    ),
    "mtlspop_attestation_op_correlation_id": (c_char_p, AttestationOp),
    "mtlspop_attestation_op_remaining_ms": (c_int64, AttestationOp),
    "mtlspop_attestation_op_is_cancelled": (c_int32, AttestationOp),
    "mtlspop_attestation_op_set_token": (None, AttestationOp, c_char_p),
    "mtlspop_attestation_op_set_error": (None, AttestationOp, c_char_p),
    "mtlspop_app_options_set_binding_store": (None, AppOptions, c_char_p, c_char_p, c_size_t),
    "mtlspop_app_options_set_binding_store_with_callback": (
        None, AppOptions, c_char_p, SecretCallback, c_void_p, Destroy,
    ),
    "mtlspop_app_options_set_unencrypted_binding_store": (None, AppOptions, c_char_p),
    "mtlspop_secret_op_set_secret": (None, SecretOp, c_char_p, c_size_t),
    "mtlspop_secret_op_set_error": (None, SecretOp, c_char_p),
    "mtlspop_http_request_set_body_callback": (
        None, HttpRequest, c_char_p, c_int64, c_int32, BodyCallback, c_void_p, Destroy,
    ),
    "mtlspop_http_request_set_body_fd": (None, HttpRequest, c_char_p, c_int32, c_int64),
    "mtlspop_body_op_kind": (c_int32, BodyOp),
    "mtlspop_body_op_buffer": (c_void_p, BodyOp, POINTER(c_size_t)),
    "mtlspop_body_op_set_length": (None, BodyOp, c_size_t),
    "mtlspop_body_op_set_error": (None, BodyOp, c_char_p),
    "mtlspop_buffer_data": (c_void_p, Buffer, POINTER(c_size_t)),
    "mtlspop_buffer_free": (None, Buffer),
    "mtlspop_cancel_new": (Cancel,),
    "mtlspop_cancel_raise": (None, Cancel),
    "mtlspop_cancel_free": (None, Cancel),
    "mtlspop_app_managed_identity_capabilities": (
        c_int32, App, c_int64, Cancel, POINTER(Capabilities), POINTER(Error),
    ),
    "mtlspop_capabilities_source": (c_int32, Capabilities),
    "mtlspop_capabilities_max_supported_binding_strength": (c_int32, Capabilities),
    "mtlspop_capabilities_is_mtls_pop_supported_by_host": (c_int32, Capabilities),
    "mtlspop_capabilities_detection_reason": (c_char_p, Capabilities),
    "mtlspop_capabilities_error_reason": (c_char_p, Capabilities),
    "mtlspop_capabilities_free": (None, Capabilities),
    "mtlspop_certificate_new_from_file": (
        c_int32, c_char_p, c_char_p, c_char_p, POINTER(Certificate), POINTER(Error),
    ),
    "mtlspop_certificate_new_from_pem": (
        c_int32, c_char_p, c_size_t, c_char_p, c_size_t, c_char_p, POINTER(Certificate), POINTER(Error),
    ),
    "mtlspop_certificate_new_from_pkcs12": (
        c_int32, c_char_p, c_size_t, c_char_p, POINTER(Certificate), POINTER(Error),
    ),
    "mtlspop_certificate_der": (c_void_p, Certificate, POINTER(c_size_t)),
    "mtlspop_certificate_chain_count": (c_size_t, Certificate),
    "mtlspop_certificate_chain_der": (c_void_p, Certificate, c_size_t, POINTER(c_size_t)),
    "mtlspop_certificate_pem": (c_char_p, Certificate),
    "mtlspop_certificate_chain_pem": (c_char_p, Certificate),
    "mtlspop_certificate_sha1_thumbprint": (c_char_p, Certificate),
    "mtlspop_certificate_sha256_thumbprint": (c_char_p, Certificate),
    "mtlspop_certificate_x5t_s256": (c_char_p, Certificate),
    "mtlspop_certificate_subject": (c_char_p, Certificate),
    "mtlspop_certificate_not_before": (c_int64, Certificate),
    "mtlspop_certificate_not_after": (c_int64, Certificate),
    "mtlspop_certificate_sign": (
        c_int32, Certificate, c_char_p, c_char_p, c_size_t, POINTER(Buffer), POINTER(Error),
    ),
    "mtlspop_certificate_is_exportable": (c_int32, Certificate),
    "mtlspop_certificate_export_private_key_pem": (c_int32, Certificate, POINTER(Buffer), POINTER(Error)),
    "mtlspop_certificate_export_pkcs12": (
        c_int32, Certificate, c_char_p, c_int32, POINTER(Buffer), POINTER(Error),
    ),
    "mtlspop_certificate_free": (None, Certificate),
    "mtlspop_error_status": (c_int32, Error),
    "mtlspop_error_message": (c_char_p, Error),
    "mtlspop_error_code": (c_char_p, Error),
    "mtlspop_error_http_status": (c_int32, Error),
    "mtlspop_error_aadsts_count": (c_size_t, Error),
    "mtlspop_error_aadsts_code": (c_int32, Error, c_size_t),
    "mtlspop_error_sub_error": (c_char_p, Error),
    "mtlspop_error_correlation_id": (c_char_p, Error),
    "mtlspop_error_claims": (c_char_p, Error),
    "mtlspop_error_retry_after_seconds": (c_int64, Error),
    "mtlspop_error_is_retryable": (c_int32, Error),
    "mtlspop_error_token_endpoint": (c_char_p, Error),
    "mtlspop_error_region": (c_char_p, Error),
    "mtlspop_error_region_outcome": (c_int32, Error),
    "mtlspop_error_region_error": (c_char_p, Error),
    "mtlspop_error_duration_total_ms": (c_int64, Error),
    "mtlspop_error_duration_in_http_ms": (c_int64, Error),
    "mtlspop_error_duration_in_cache_ms": (c_int64, Error),
    "mtlspop_status_name": (c_char_p, c_int32),
    "mtlspop_error_free": (None, Error),
    "mtlspop_http_request_new": (HttpRequest, c_char_p, c_char_p),
    "mtlspop_http_request_add_header": (None, HttpRequest, c_char_p, c_char_p),
    "mtlspop_http_request_set_body": (None, HttpRequest, c_char_p, c_char_p, c_size_t),
    "mtlspop_http_request_set_timeout_ms": (None, HttpRequest, c_int64),
    "mtlspop_http_request_set_read_timeout_ms": (None, HttpRequest, c_int64),
    "mtlspop_http_request_set_max_response_bytes": (None, HttpRequest, c_size_t),
    "mtlspop_http_request_set_allow_renegotiation": (None, HttpRequest, c_int32),
    "mtlspop_http_request_set_token_request": (None, HttpRequest, TokenRequest),
    "mtlspop_http_request_set_cancel": (None, HttpRequest, Cancel),
    "mtlspop_http_request_free": (None, HttpRequest),
    "mtlspop_http_response_status": (c_int32, HttpResponse),
    "mtlspop_http_response_header": (c_char_p, HttpResponse, c_char_p),
    "mtlspop_http_response_header_count": (c_size_t, HttpResponse),
    "mtlspop_http_response_header_name": (c_char_p, HttpResponse, c_size_t),
    "mtlspop_http_response_header_value": (c_char_p, HttpResponse, c_size_t),
    "mtlspop_http_response_body": (c_void_p, HttpResponse, POINTER(c_size_t)),
    "mtlspop_http_response_tls_version": (c_char_p, HttpResponse),
    "mtlspop_http_response_certificate_requested": (c_int32, HttpResponse),
    "mtlspop_http_response_renegotiation_declined": (c_int32, HttpResponse),
    "mtlspop_http_response_claims": (c_char_p, HttpResponse),
    "mtlspop_http_response_free": (None, HttpResponse),
    "mtlspop_metric_name": (c_char_p, Metric),
    "mtlspop_metric_kind": (c_int32, Metric),
    "mtlspop_metric_unit": (c_char_p, Metric),
    "mtlspop_metric_value": (c_int64, Metric),
    "mtlspop_metric_tag_count": (c_size_t, Metric),
    "mtlspop_metric_tag_name": (c_char_p, Metric, c_size_t),
    "mtlspop_metric_tag_value": (c_char_p, Metric, c_size_t),
    "mtlspop_certificate_new_with_signer": (
        c_int32, c_char_p, c_size_t, SignCallback, c_void_p, Destroy, POINTER(Certificate), POINTER(Error),
    ),
    "mtlspop_sign_op_algorithm": (c_char_p, SignOp),
    "mtlspop_sign_op_message": (c_void_p, SignOp, POINTER(c_size_t)),
    "mtlspop_sign_op_digest": (c_void_p, SignOp, POINTER(c_size_t)),
    "mtlspop_sign_op_set_signature": (None, SignOp, c_char_p, c_size_t),
    "mtlspop_sign_op_set_error": (None, SignOp, c_char_p),
    "mtlspop_http_stream_response": (HttpResponse, HttpStream),
    "mtlspop_http_stream_read": (c_int32, HttpStream, c_void_p, c_size_t, POINTER(c_size_t), POINTER(Error)),
    "mtlspop_http_stream_free": (None, HttpStream),
    "mtlspop_token_access_token": (c_char_p, Token),
    "mtlspop_token_type": (c_char_p, Token),
    "mtlspop_token_authorization": (c_char_p, Token),
    "mtlspop_token_expires_on": (c_int64, Token),
    "mtlspop_token_refresh_on": (c_int64, Token),
    "mtlspop_token_scopes": (c_char_p, Token),
    "mtlspop_token_tenant_id": (c_char_p, Token),
    "mtlspop_token_source": (c_int32, Token),
    "mtlspop_token_endpoint": (c_char_p, Token),
    "mtlspop_token_tls_version": (c_char_p, Token),
    "mtlspop_token_certificate_requested": (c_int32, Token),
    "mtlspop_token_region": (c_char_p, Token),
    "mtlspop_token_region_outcome": (c_int32, Token),
    "mtlspop_token_region_error": (c_char_p, Token),
    "mtlspop_token_correlation_id": (c_char_p, Token),
    "mtlspop_token_cache_level": (c_int32, Token),
    "mtlspop_token_cache_refresh_reason": (c_int32, Token),
    "mtlspop_token_duration_total_ms": (c_int64, Token),
    "mtlspop_token_duration_in_http_ms": (c_int64, Token),
    "mtlspop_token_duration_in_cache_ms": (c_int64, Token),
    "mtlspop_token_response_parameter": (c_char_p, Token, c_char_p),
    "mtlspop_token_binding_certificate": (Certificate, Token),
    "mtlspop_token_binding_strength": (c_int32, Token),
    "mtlspop_token_free": (None, Token),
    "mtlspop_token_cache_new": (TokenCache,),
    "mtlspop_token_cache_set_max_entries": (None, TokenCache, c_size_t),
    "mtlspop_token_cache_set_max_bytes": (None, TokenCache, c_size_t),
    "mtlspop_token_cache_set_store": (None, TokenCache, StoreCallback, c_void_p, Destroy),
    "mtlspop_token_cache_hits": (c_int64, TokenCache),
    "mtlspop_token_cache_misses": (c_int64, TokenCache),
    "mtlspop_token_cache_evictions": (c_int64, TokenCache),
    "mtlspop_token_cache_entries": (c_int64, TokenCache),
    "mtlspop_token_cache_bytes": (c_int64, TokenCache),
    "mtlspop_token_cache_free": (None, TokenCache),
    "mtlspop_store_op_kind": (c_int32, StoreOp),
    "mtlspop_store_op_partition_key": (c_char_p, StoreOp),
    "mtlspop_store_op_data": (c_void_p, StoreOp, POINTER(c_size_t)),
    "mtlspop_store_op_expires_on": (c_int64, StoreOp),
    "mtlspop_store_op_set_data": (None, StoreOp, c_char_p, c_size_t),
    "mtlspop_store_op_set_error": (None, StoreOp, c_char_p),
    "mtlspop_token_request_new": (TokenRequest, c_char_p),
    "mtlspop_token_request_set_mtls_proof_of_possession": (None, TokenRequest, c_int32),
    "mtlspop_token_request_set_request_over_mtls": (None, TokenRequest, c_int32),
    "mtlspop_token_request_set_min_strength": (None, TokenRequest, c_int32),
    "mtlspop_token_request_set_force_refresh": (None, TokenRequest, c_int32),
    "mtlspop_token_request_set_claims": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_access_token_hash_to_refresh": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_correlation_id": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_tenant_id": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_authority": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_send_x5c": (None, TokenRequest, c_int32),
    "mtlspop_token_request_set_fmi_path": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_client_assertion_fmi_path": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_claims_from_client": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_extra_client_assertion_claims": (None, TokenRequest, c_char_p),
    "mtlspop_token_request_set_extra_query_parameter": (None, TokenRequest, c_char_p, c_char_p, c_int32),
    "mtlspop_token_request_set_extra_body_parameter": (None, TokenRequest, c_char_p, c_char_p),
    "mtlspop_token_request_set_extra_http_header": (None, TokenRequest, c_char_p, c_char_p),
    "mtlspop_token_request_set_cache_partition_key": (None, TokenRequest, c_char_p, c_char_p),
    "mtlspop_token_request_set_timeout_ms": (None, TokenRequest, c_int64),
    "mtlspop_token_request_set_cancel": (None, TokenRequest, Cancel),
    "mtlspop_token_request_free": (None, TokenRequest),
    "mtlspop_tpm_options_new": (TpmOptions,),
    "mtlspop_tpm_options_set_plugin": (None, TpmOptions, c_char_p),
    "mtlspop_tpm_options_set_tcti": (None, TpmOptions, c_char_p),
    "mtlspop_tpm_options_set_auth": (None, TpmOptions, c_char_p, c_size_t),
    "mtlspop_tpm_options_set_auth_callback": (None, TpmOptions, SecretCallback, c_void_p, Destroy),
    "mtlspop_tpm_options_set_owner_auth": (None, TpmOptions, c_char_p, c_size_t),
    "mtlspop_tpm_options_set_persistent_handle": (None, TpmOptions, c_int64),
    "mtlspop_tpm_options_set_attestation": (None, TpmOptions, c_char_p, c_size_t),
    "mtlspop_tpm_options_free": (None, TpmOptions),
    "mtlspop_app_options_set_tpm": (None, AppOptions, TpmOptions),
    "mtlspop_certificate_new_with_tpm_key": (
        c_int32, c_char_p, c_size_t, c_char_p, c_size_t, TpmOptions, POINTER(Certificate), POINTER(Error),
    ),
    "mtlspop_certificate_export_tpm_key_pem": (c_int32, Certificate, POINTER(Buffer), POINTER(Error)),
    "mtlspop_version": (c_char_p,),
    "mtlspop_abi_version": (c_int32,),
}
