/* nulls.c: does a NULL for any pointer of any function stay an error? nulls.rs writes the calls. */

#include <mtlspop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mtlspop_app *have_app;
static mtlspop_app_options *have_app_options;
static mtlspop_assertion_op *have_assertion_op;
static mtlspop_attestation_op *have_attestation_op;
static mtlspop_body_op *have_body_op;
static mtlspop_buffer *have_buffer;
static mtlspop_cancel *have_cancel;
static mtlspop_capabilities *have_capabilities;
static mtlspop_certificate *have_certificate;
static mtlspop_error *have_error;
static mtlspop_http_request *have_http_request;
static mtlspop_http_response *have_http_response;
static mtlspop_http_stream *have_http_stream;
static const mtlspop_metric *have_metric;
static mtlspop_secret_op *have_secret_op;
static mtlspop_sign_op *have_sign_op;
static mtlspop_store_op *have_store_op;
static mtlspop_token *have_token;
static mtlspop_token_cache *have_token_cache;
static mtlspop_token_request *have_token_request;
static mtlspop_tpm_options *have_tpm_options;
static uint8_t have_bytes[16];
static size_t have_length;

static const char *now_at = "start";
static int calls;

/* Where we are, for check() and for who reads the report of a crash. */
static void at(const char *call)
{
    now_at = call;
    calls++;
    fprintf(stderr, "%s\n", call);
}

static void check(int true_or_not)
{
    if (true_or_not) return;
    printf("FAILED at %s\n", now_at);
    exit(1);
}

static int32_t have_assertion_callback(void *userdata, mtlspop_assertion_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static int32_t have_secret_callback(void *userdata, mtlspop_secret_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static int32_t have_attestation_callback(void *userdata, mtlspop_attestation_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static int32_t have_body_callback(void *userdata, mtlspop_body_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static int32_t have_sign_callback(void *userdata, mtlspop_sign_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static int32_t have_store_callback(void *userdata, mtlspop_store_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static void have_background_refresh_callback(void *userdata, mtlspop_token *token, mtlspop_error *error)
{
    (void)userdata;
    mtlspop_token_free(token);
    mtlspop_error_free(error);
}

static void have_metrics_callback(void *userdata, const mtlspop_metric *metric)
{
    (void)userdata;
    (void)metric;
}

static void have_log_callback(void *userdata, int32_t level, const char *target, const char *message)
{
    (void)userdata;
    (void)level;
    (void)target;
    (void)message;
}

static void have_destroy(void *userdata)
{
    (void)userdata;
}

#include "null_calls.inc"

/* An operation exists only while it is being asked. */
static int32_t call_in_assertion_callback(void *userdata, mtlspop_assertion_op *operation)
{
    (void)userdata;
    have_assertion_op = operation;
    call_assertion_op();
    have_assertion_op = NULL;
    return 1;
}

static int32_t call_in_secret_callback(void *userdata, mtlspop_secret_op *operation)
{
    (void)userdata;
    have_secret_op = operation;
    call_secret_op();
    have_secret_op = NULL;
    return 1;
}

static int32_t call_in_attestation_callback(void *userdata, mtlspop_attestation_op *operation)
{
    (void)userdata;
    have_attestation_op = operation;
    call_attestation_op();
    have_attestation_op = NULL;
    return 1;
}

static int32_t call_in_body_callback(void *userdata, mtlspop_body_op *operation)
{
    (void)userdata;
    have_body_op = operation;
    call_body_op();
    have_body_op = NULL;
    return 1;
}

static int32_t call_in_sign_callback(void *userdata, mtlspop_sign_op *operation)
{
    (void)userdata;
    have_sign_op = operation;
    call_sign_op();
    have_sign_op = NULL;
    return 1;
}

static int32_t call_in_store_callback(void *userdata, mtlspop_store_op *operation)
{
    (void)userdata;
    have_store_op = operation;
    call_store_op();
    have_store_op = NULL;
    return 1;
}

/* Called several times; once is enough. */
static void call_in_metrics_callback(void *userdata, const mtlspop_metric *metric)
{
    (void)userdata;
    if (have_metric)
        return;
    have_metric = metric;
    call_metric();
}

/* Asks for a token with a certificate, or with an assertion callback where it is NULL. */
static mtlspop_status ask_with_callback(const mtlspop_certificate *certificate, mtlspop_error **out_error)
{
    mtlspop_app_options *options = mtlspop_app_options_new_confidential_client("client");
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_cache *cache = mtlspop_token_cache_new();
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_status status;

    mtlspop_app_options_set_authority(options, "https://login.microsoftonline.com/tenant");
    mtlspop_app_options_set_metrics(options, call_in_metrics_callback, NULL, NULL);
    mtlspop_token_cache_set_store(cache, call_in_store_callback, NULL, NULL);
    mtlspop_app_options_set_token_cache(options, cache);
    mtlspop_token_cache_free(cache);
    if (certificate)
        mtlspop_app_options_set_certificate(options, certificate, 0);
    else
        mtlspop_app_options_set_client_assertion(options, call_in_assertion_callback, NULL, NULL);
    check(mtlspop_app_new(options, &app, NULL) == MTLSPOP_OK);
    status = mtlspop_app_acquire_token(app, request, &token, out_error);

    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    mtlspop_app_options_free(options);
    return status;
}

static void ask_with_signer(void)
{
    const uint8_t *der;
    size_t length;
    mtlspop_certificate *elsewhere = NULL;

    der = mtlspop_certificate_der(have_certificate, &length);
    check(!mtlspop_certificate_new_with_signer(der, length, call_in_sign_callback, NULL, NULL, &elsewhere, NULL));
    check(ask_with_callback(elsewhere, NULL) != MTLSPOP_OK);
    mtlspop_certificate_free(elsewhere);
}

static void ask_for_secret(void)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_app *app = NULL;

    mtlspop_app_options_set_binding_store_with_callback(options, "/nowhere", call_in_secret_callback, NULL, NULL);
    check(mtlspop_app_new(options, &app, NULL) != MTLSPOP_OK);
    mtlspop_app_options_free(options);
}

static void ask_with_attestation(void)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;

    mtlspop_app_options_set_attestation(options, call_in_attestation_callback, NULL, NULL);
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    check(mtlspop_app_new(options, &app, NULL) == MTLSPOP_OK);
    check(mtlspop_app_acquire_token(app, request, &token, NULL) == MTLSPOP_E_CALLBACK);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    mtlspop_app_options_free(options);
}

static void ask_for_body(void)
{
    mtlspop_http_request *request = mtlspop_http_request_new("POST", "https://graph.microsoft.com/v1.0/me");
    mtlspop_http_response *response = NULL;

    mtlspop_http_request_set_body_callback(request, NULL, 1, 0, call_in_body_callback, NULL, NULL);
    check(mtlspop_app_send(have_app, have_token, request, &response, NULL) != MTLSPOP_OK);
    mtlspop_http_request_free(request);
}

int main(void)
{
    const char *certificate = getenv("AZURE_CLIENT_CERTIFICATE_PATH");

    at("making one handle of each type");
    check(ask_with_callback(NULL, &have_error) != MTLSPOP_OK && have_error);
    check(!mtlspop_certificate_new_from_file(certificate, NULL, NULL, &have_certificate, NULL));
    ask_with_signer();
    ask_for_secret();
    ask_with_attestation();
    check(!mtlspop_certificate_export_private_key_pem(have_certificate, &have_buffer, NULL));
    have_app_options = mtlspop_app_options_new_managed_identity();
    check(!mtlspop_app_new(have_app_options, &have_app, NULL));
    have_token_request = mtlspop_token_request_new("https://graph.microsoft.com/");
    check(!mtlspop_app_acquire_token(have_app, have_token_request, &have_token, NULL));
    have_token_cache = mtlspop_app_token_cache(have_app);
    have_tpm_options = mtlspop_tpm_options_new();
    have_cancel = mtlspop_cancel_new();
    check(!mtlspop_app_managed_identity_capabilities(have_app, 0, have_cancel, &have_capabilities, NULL));
    have_http_request = mtlspop_http_request_new("GET", "https://graph.microsoft.com/v1.0/me");
    check(!mtlspop_app_send(have_app, have_token, have_http_request, &have_http_response, NULL));
    check(!mtlspop_app_send_streaming(have_app, have_token, have_http_request, &have_http_stream, NULL));
    ask_for_body();

    call_all();

    mtlspop_http_stream_free(have_http_stream);
    mtlspop_http_response_free(have_http_response);
    mtlspop_http_request_free(have_http_request);
    mtlspop_capabilities_free(have_capabilities);
    mtlspop_tpm_options_free(have_tpm_options);
    mtlspop_cancel_free(have_cancel);
    mtlspop_token_cache_free(have_token_cache);
    mtlspop_token_free(have_token);
    mtlspop_token_request_free(have_token_request);
    mtlspop_app_free(have_app);
    mtlspop_app_options_free(have_app_options);
    mtlspop_buffer_free(have_buffer);
    mtlspop_certificate_free(have_certificate);
    mtlspop_error_free(have_error);
    printf("%d calls\n", calls);
    return 0;
}
