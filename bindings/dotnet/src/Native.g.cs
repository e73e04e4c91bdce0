// What include/mtlspop.h declares. Written by `make header` from src/ffi: do not edit.

using System;
using System.Runtime.InteropServices;

namespace Mtlspop
{
    /// <summary>The C ABI as it is: handles and text out are IntPtr, text in is UTF-8 with its NUL.</summary>
    internal static class Native
    {
        private const string Library = "mtlspop";
        internal const string VERSION = "0.1.0";
        internal const int LOG_ERROR = 0;
        internal const int LOG_WARNING = 1;
        internal const int LOG_INFO = 2;
        internal const int LOG_VERBOSE = 3;
        internal const int BODY_READ = 0;
        internal const int BODY_REWIND = 1;
        internal const int SOURCE_NONE = 0;
        internal const int SOURCE_APP_SERVICE = 1;
        internal const int SOURCE_AZURE_ARC = 2;
        internal const int SOURCE_CLOUD_SHELL = 3;
        internal const int SOURCE_IMDS = 4;
        internal const int SOURCE_MACHINE_LEARNING = 5;
        internal const int SOURCE_SERVICE_FABRIC = 6;
        internal const int PKCS12_MODERN = 0;
        internal const int PKCS12_LEGACY = 1;
        internal const int OK = 0;
        internal const int E_INVALID_ARGUMENT = 101;
        internal const int E_INVALID_HANDLE = 102;
        internal const int E_NOT_SUPPORTED = 103;
        internal const int E_NETWORK = 201;
        internal const int E_TIMEOUT = 202;
        internal const int E_CANCELLED = 203;
        internal const int E_REJECTED = 301;
        internal const int E_THROTTLED = 302;
        internal const int E_INTERACTION_REQUIRED = 303;
        internal const int E_INVALID_RESPONSE = 304;
        internal const int E_KEY_UNAVAILABLE = 401;
        internal const int E_CALLBACK = 402;
        internal const int E_INTERNAL = 901;
        internal const int METRIC_KIND_COUNTER = 0;
        internal const int METRIC_KIND_HISTOGRAM = 1;
        internal const int STRENGTH_NONE = 0;
        internal const int STRENGTH_SOFTWARE = 1;
        internal const int STRENGTH_HARDWARE = 2;
        internal const int STRENGTH_ATTESTED = 3;
        internal const int TOKEN_SOURCE_IDENTITY_PROVIDER = 0;
        internal const int TOKEN_SOURCE_CACHE = 1;
        internal const int REGION_OUTCOME_NONE = 0;
        internal const int REGION_OUTCOME_AUTODETECT_SUCCESS = 4;
        internal const int REGION_OUTCOME_FALLBACK_TO_GLOBAL = 5;
        internal const int REGION_OUTCOME_USER_PROVIDED = 6;
        internal const int CACHE_LEVEL_NONE = 0;
        internal const int CACHE_LEVEL_L1 = 2;
        internal const int CACHE_LEVEL_L2 = 3;
        internal const int CACHE_REFRESH_REASON_NOT_APPLICABLE = 0;
        internal const int CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS = 1;
        internal const int CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN = 2;
        internal const int CACHE_REFRESH_REASON_EXPIRED = 3;
        internal const int CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED = 4;
        internal const int STORE_LOAD = 0;
        internal const int STORE_SAVE = 1;
        internal const int ABI_VERSION = 5;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int AssertionCallback(IntPtr userdata, IntPtr operation);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void Destroy(IntPtr userdata);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int AttestationCallback(IntPtr userdata, IntPtr operation);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int SignCallback(IntPtr userdata, IntPtr operation);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void BackgroundRefreshCallback(IntPtr userdata, IntPtr token, IntPtr error);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void LogCallback(IntPtr userdata, int level, IntPtr target, IntPtr message);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void MetricsCallback(IntPtr userdata, IntPtr metric);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int SecretCallback(IntPtr userdata, IntPtr operation);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int BodyCallback(IntPtr userdata, IntPtr operation);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int StoreCallback(IntPtr userdata, IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_app_new(IntPtr options, out IntPtr out_app, out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_app_acquire_token(
            IntPtr app,
            IntPtr request,
            out IntPtr out_token,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_app_cached_token(
            IntPtr app,
            IntPtr request,
            out IntPtr out_token,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_app_send(
            IntPtr app,
            IntPtr token,
            IntPtr request,
            out IntPtr out_response,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_app_send_streaming(
            IntPtr app,
            IntPtr token,
            IntPtr request,
            out IntPtr out_stream,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_app_token_cache(IntPtr app);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_free(IntPtr app);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_certificate(
            IntPtr options,
            IntPtr certificate,
            int send_x5c);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_certificate_provider(
            IntPtr options,
            AssertionCallback callback,
            IntPtr userdata,
            Destroy destroy,
            int send_x5c);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_send_certificate_over_mtls(
            IntPtr options,
            int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_client_secret(IntPtr options, byte[] secret);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_client_assertion(
            IntPtr options,
            AssertionCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_federated_token_file(IntPtr options, byte[] path);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_enable_azure_proxy(IntPtr options, int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_user_assigned_client_id(
            IntPtr options,
            byte[] client_id);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_user_assigned_object_id(
            IntPtr options,
            byte[] object_id);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_user_assigned_resource_id(
            IntPtr options,
            byte[] resource_id);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_probe_timeout_ms(
            IntPtr options,
            long milliseconds);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_attestation(
            IntPtr options,
            AttestationCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_key_signer(
            IntPtr options,
            byte[] public_key,
            UIntPtr length,
            SignCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_min_strength(IntPtr options, int min_strength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_app_options_new_managed_identity();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_app_options_new_confidential_client(byte[] client_id);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_authority(IntPtr options, byte[] authority);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_oidc_authority(IntPtr options, byte[] authority);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_instance_discovery(IntPtr options, int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_azure_region(IntPtr options, byte[] region);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_client_capabilities(
            IntPtr options,
            byte[] capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_extra_query_parameter(
            IntPtr options,
            byte[] name,
            byte[] value,
            int in_cache_key);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_background_refresh(IntPtr options, int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_background_refresh_callback(
            IntPtr options,
            BackgroundRefreshCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_token_cache(IntPtr options, IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_connect_timeout_ms(
            IntPtr options,
            long milliseconds);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_proxy(IntPtr options, byte[] proxy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_add_renegotiating_host(IntPtr options, byte[] host);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_trusted_roots_file(IntPtr options, byte[] path);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_trusted_roots_pem(
            IntPtr options,
            byte[] pem,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_log(
            IntPtr options,
            int level,
            LogCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_metrics(
            IntPtr options,
            MetricsCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_free(IntPtr options);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_client_id(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_tenant_id(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_authority(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_token_endpoint(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_token_type(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_claims(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_client_capabilities(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_fmi_path(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_assertion_op_correlation_id(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_assertion_op_remaining_ms(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_assertion_op_is_cancelled(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_assertion_op_set_assertion(IntPtr operation, byte[] assertion);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_assertion_op_set_certificate(
            IntPtr operation,
            IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_assertion_op_set_error(IntPtr operation, byte[] message);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_federated_credential_audience(byte[] authority);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_attestation_op_endpoint(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_attestation_op_client_id(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_attestation_op_public_key(
            IntPtr operation,
            out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_attestation_op_sign(
            IntPtr operation,
            byte[] algorithm,
            byte[] message,
            UIntPtr length,
            out IntPtr out_signature,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_attestation_op_correlation_id(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_attestation_op_remaining_ms(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_attestation_op_is_cancelled(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_attestation_op_set_token(IntPtr operation, byte[] token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_attestation_op_set_error(IntPtr operation, byte[] message);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_binding_store(
            IntPtr options,
            byte[] directory,
            byte[] secret,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_binding_store_with_callback(
            IntPtr options,
            byte[] directory,
            SecretCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_unencrypted_binding_store(
            IntPtr options,
            byte[] directory);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_secret_op_set_secret(
            IntPtr operation,
            byte[] secret,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_secret_op_set_error(IntPtr operation, byte[] message);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_body_callback(
            IntPtr request,
            byte[] content_type,
            long length,
            int can_rewind,
            BodyCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_body_fd(
            IntPtr request,
            byte[] content_type,
            int fd,
            long length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_body_op_kind(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_body_op_buffer(IntPtr operation, out UIntPtr out_capacity);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_body_op_set_length(IntPtr operation, UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_body_op_set_error(IntPtr operation, byte[] message);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_buffer_data(IntPtr buffer, out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_buffer_free(IntPtr buffer);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_cancel_new();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_cancel_raise(IntPtr cancel);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_cancel_free(IntPtr cancel);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_app_managed_identity_capabilities(
            IntPtr app,
            long timeout_ms,
            IntPtr cancel,
            out IntPtr out_capabilities,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_capabilities_source(IntPtr capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_capabilities_max_supported_binding_strength(IntPtr capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_capabilities_is_mtls_pop_supported_by_host(IntPtr capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_capabilities_detection_reason(IntPtr capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_capabilities_error_reason(IntPtr capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_capabilities_free(IntPtr capabilities);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_new_from_file(
            byte[] path,
            byte[] key_path,
            byte[] password,
            out IntPtr out_certificate,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_new_from_pem(
            byte[] pem,
            UIntPtr length,
            byte[] key_pem,
            UIntPtr key_length,
            byte[] password,
            out IntPtr out_certificate,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_new_from_pkcs12(
            byte[] pfx,
            UIntPtr length,
            byte[] password,
            out IntPtr out_certificate,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_der(IntPtr certificate, out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern UIntPtr mtlspop_certificate_chain_count(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_chain_der(
            IntPtr certificate,
            UIntPtr index,
            out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_pem(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_chain_pem(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_sha1_thumbprint(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_sha256_thumbprint(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_x5t_s256(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_certificate_subject(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_certificate_not_before(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_certificate_not_after(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_sign(
            IntPtr certificate,
            byte[] algorithm,
            byte[] message,
            UIntPtr length,
            out IntPtr out_signature,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_is_exportable(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_export_private_key_pem(
            IntPtr certificate,
            out IntPtr out_pem,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_export_pkcs12(
            IntPtr certificate,
            byte[] password,
            int format,
            out IntPtr out_pfx,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_certificate_free(IntPtr certificate);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_error_status(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_message(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_code(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_error_http_status(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern UIntPtr mtlspop_error_aadsts_count(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_error_aadsts_code(IntPtr error, UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_sub_error(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_correlation_id(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_claims(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_error_retry_after_seconds(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_error_is_retryable(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_token_endpoint(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_region(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_error_region_outcome(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_error_region_error(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_error_duration_total_ms(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_error_duration_in_http_ms(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_error_duration_in_cache_ms(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_status_name(int status);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_error_free(IntPtr error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_request_new(byte[] method, byte[] url);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_add_header(
            IntPtr request,
            byte[] name,
            byte[] value);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_body(
            IntPtr request,
            byte[] content_type,
            byte[] data,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_timeout_ms(IntPtr request, long milliseconds);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_read_timeout_ms(
            IntPtr request,
            long milliseconds);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_max_response_bytes(
            IntPtr request,
            UIntPtr bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_allow_renegotiation(IntPtr request, int allow);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_token_request(
            IntPtr request,
            IntPtr token_request);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_set_cancel(IntPtr request, IntPtr cancel);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_request_free(IntPtr request);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_http_response_status(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_response_header(IntPtr response, byte[] name);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern UIntPtr mtlspop_http_response_header_count(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_response_header_name(IntPtr response, UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_response_header_value(IntPtr response, UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_response_body(IntPtr response, out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_response_tls_version(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_http_response_certificate_requested(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_http_response_renegotiation_declined(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_response_claims(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_response_free(IntPtr response);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_metric_name(IntPtr metric);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_metric_kind(IntPtr metric);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_metric_unit(IntPtr metric);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_metric_value(IntPtr metric);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern UIntPtr mtlspop_metric_tag_count(IntPtr metric);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_metric_tag_name(IntPtr metric, UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_metric_tag_value(IntPtr metric, UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_new_with_signer(
            byte[] data,
            UIntPtr length,
            SignCallback callback,
            IntPtr userdata,
            Destroy destroy,
            out IntPtr out_certificate,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_sign_op_algorithm(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_sign_op_message(IntPtr operation, out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_sign_op_digest(IntPtr operation, out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_sign_op_set_signature(
            IntPtr operation,
            byte[] signature,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_sign_op_set_error(IntPtr operation, byte[] message);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_http_stream_response(IntPtr stream);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_http_stream_read(
            IntPtr stream,
            IntPtr buffer,
            UIntPtr capacity,
            out UIntPtr out_length,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_http_stream_free(IntPtr stream);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_access_token(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_type(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_authorization(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_expires_on(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_refresh_on(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_scopes(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_tenant_id(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_token_source(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_endpoint(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_tls_version(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_token_certificate_requested(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_region(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_token_region_outcome(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_region_error(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_correlation_id(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_token_cache_level(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_token_cache_refresh_reason(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_duration_total_ms(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_duration_in_http_ms(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_duration_in_cache_ms(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_response_parameter(IntPtr token, byte[] name);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_binding_certificate(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_token_binding_strength(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_free(IntPtr token);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_cache_new();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_cache_set_max_entries(IntPtr cache, UIntPtr max_entries);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_cache_set_max_bytes(IntPtr cache, UIntPtr max_bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_cache_set_store(
            IntPtr cache,
            StoreCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_cache_hits(IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_cache_misses(IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_cache_evictions(IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_cache_entries(IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_token_cache_bytes(IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_cache_free(IntPtr cache);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_store_op_kind(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_store_op_partition_key(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_store_op_data(IntPtr operation, out UIntPtr out_length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern long mtlspop_store_op_expires_on(IntPtr operation);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_store_op_set_data(IntPtr operation, byte[] data, UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_store_op_set_error(IntPtr operation, byte[] message);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_token_request_new(byte[] scopes_or_resource);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_mtls_proof_of_possession(
            IntPtr request,
            int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_request_over_mtls(IntPtr request, int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_min_strength(IntPtr request, int min_strength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_force_refresh(IntPtr request, int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_claims(IntPtr request, byte[] claims);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_access_token_hash_to_refresh(
            IntPtr request,
            byte[] sha256);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_correlation_id(
            IntPtr request,
            byte[] correlation_id);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_tenant_id(IntPtr request, byte[] tenant_id);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_authority(IntPtr request, byte[] authority);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_send_x5c(IntPtr request, int on);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_fmi_path(IntPtr request, byte[] path);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_client_assertion_fmi_path(
            IntPtr request,
            byte[] path);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_claims_from_client(
            IntPtr request,
            byte[] claims);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_extra_client_assertion_claims(
            IntPtr request,
            byte[] claims);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_extra_query_parameter(
            IntPtr request,
            byte[] name,
            byte[] value,
            int in_cache_key);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_extra_body_parameter(
            IntPtr request,
            byte[] name,
            byte[] value);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_extra_http_header(
            IntPtr request,
            byte[] name,
            byte[] value);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_cache_partition_key(
            IntPtr request,
            byte[] name,
            byte[] value);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_timeout_ms(IntPtr request, long milliseconds);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_set_cancel(IntPtr request, IntPtr cancel);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_token_request_free(IntPtr request);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_tpm_options_new();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_plugin(IntPtr options, byte[] path);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_tcti(IntPtr options, byte[] tcti);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_auth(IntPtr options, byte[] auth, UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_auth_callback(
            IntPtr options,
            SecretCallback callback,
            IntPtr userdata,
            Destroy destroy);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_owner_auth(
            IntPtr options,
            byte[] auth,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_persistent_handle(IntPtr options, long handle);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_set_attestation(
            IntPtr options,
            byte[] pcrs,
            UIntPtr length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_tpm_options_free(IntPtr options);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern void mtlspop_app_options_set_tpm(IntPtr options, IntPtr tpm);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_new_with_tpm_key(
            byte[] data,
            UIntPtr length,
            byte[] key,
            UIntPtr key_length,
            IntPtr tpm,
            out IntPtr out_certificate,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_certificate_export_tpm_key_pem(
            IntPtr certificate,
            out IntPtr out_pem,
            out IntPtr out_error);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern IntPtr mtlspop_version();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
        internal static extern int mtlspop_abi_version();
    }
}
