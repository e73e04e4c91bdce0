/* details.c: what tokens, errors, responses, certificates and the questions to callbacks tell beside the main thing, and
 * the settings that no example needs. What was sent is checked by main.rs. */

#include "apps.h"

#define CORRELATION_ID "6f0c7a52-93be-4d1f-8a47-b0e5d2c91f38"

/* Reads a file into memory, which the caller frees. */
static uint8_t *read_file(const char *path, size_t *length)
{
    uint8_t *bytes = malloc(65536);
    FILE *file = fopen(path, "rb");

    *length = bytes && file ? fread(bytes, 1, 65536, file) : 0;
    CHECK(*length > 0);
    if (file) fclose(file);
    return bytes;
}

/* What a certificate says of itself and of its chain. */
static void certificates(void)
{
    size_t length, der_length, same_length, index;
    uint8_t *pem = read_file(env("AZURE_CLIENT_CERTIFICATE_PATH"), &length);
    mtlspop_certificate *certificate = NULL;
    mtlspop_error *error = NULL;
    const uint8_t *der, *same;

    CHECK_OK(mtlspop_certificate_new_from_pem(pem, length, NULL, 0, NULL, &certificate, &error), error);
    free(pem);

    der = mtlspop_certificate_der(certificate, &der_length);
    same = mtlspop_certificate_chain_der(certificate, 0, &same_length);
    CHECK(der_length > 0 && same_length == der_length && memcmp(der, same, der_length) == 0);

    for (index = 0; index < mtlspop_certificate_chain_count(certificate); index++)
        CHECK(mtlspop_certificate_chain_der(certificate, index, &length) != NULL && length > 0);
    CHECK(index > 0 && mtlspop_certificate_chain_der(certificate, index, &length) == NULL);

    printf("%s has the thumbprint %s\n", mtlspop_certificate_subject(certificate),
           mtlspop_certificate_sha256_thumbprint(certificate));
    CHECK_CONTAINS(mtlspop_certificate_subject(certificate), "CN=");
    CHECK(strlen(mtlspop_certificate_sha256_thumbprint(certificate)) == 64);
    mtlspop_certificate_free(certificate);
}

/* Answers as federated_assertion() does, once everything that can be known of the question is as it should be. */
static int32_t asked(void *userdata, mtlspop_assertion_op *operation)
{
    ++*(int *)userdata;
    if (mtlspop_assertion_op_is_cancelled(operation))
        return mtlspop_assertion_op_set_error(operation, "nobody waits for it any more"), 1;
    printf("an assertion for %s, in the call %s\n", mtlspop_assertion_op_token_endpoint(operation),
           mtlspop_assertion_op_correlation_id(operation));

    CHECK(strcmp(mtlspop_assertion_op_tenant_id(operation), env("AZURE_TENANT_ID")) == 0);
    CHECK_CONTAINS(mtlspop_assertion_op_token_endpoint(operation), "https://login.microsoftonline.com/");
    CHECK_CONTAINS(mtlspop_assertion_op_claims(operation), "\"acrs\"");
    CHECK(strcmp(mtlspop_assertion_op_correlation_id(operation), CORRELATION_ID) == 0);
    return federated_assertion(NULL, operation);
}

/* What a callback is asked; and which token is served where an API has rejected another one. */
static void questions_and_tokens(void)
{
    mtlspop_app_options *options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token, *again;
    mtlspop_app *app;
    int count = 0;

    mtlspop_app_options_set_client_assertion(options, asked, &count, NULL);
    app = app_of(options);
    mtlspop_token_request_set_correlation_id(request, CORRELATION_ID);
    mtlspop_token_request_set_claims(request, "{\"access_token\":{\"acrs\":{\"value\":\"c1\"}}}");
    token = acquire(app, request);

    printf("call %s, to be replaced from %lld on\n", mtlspop_token_correlation_id(token),
           (long long)mtlspop_token_refresh_on(token));
    CHECK(strcmp(mtlspop_token_correlation_id(token), CORRELATION_ID) == 0);
    CHECK(mtlspop_token_refresh_on(token) <= mtlspop_token_expires_on(token));

    /* The SHA-256 of the token that was rejected; this one is another, so that it is served in spite of the claims. */
    mtlspop_token_request_set_access_token_hash_to_refresh(
        request, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
    again = acquire(app, request);
    CHECK(mtlspop_token_source(again) == MTLSPOP_TOKEN_SOURCE_CACHE && count == 1);

    mtlspop_token_free(again);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

/* The headers of a response, and a body that is too long. */
static void responses(void)
{
    mtlspop_app *app = managed_identity_app();
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token = acquire(app, request);
    mtlspop_http_request *call = mtlspop_http_request_new("GET", GRAPH);
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    int found = 0;
    size_t i;

    CHECK_OK(mtlspop_app_send(app, token, call, &response, &error), error);
    for (i = 0; i < mtlspop_http_response_header_count(response); i++) {
        printf("%s: %s\n", mtlspop_http_response_header_name(response, i),
               mtlspop_http_response_header_value(response, i));
        found += strcmp(mtlspop_http_response_header_name(response, i), "request-id") == 0;
    }
    CHECK(found == 1 && mtlspop_http_response_header_value(response, i) == NULL);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(call);

    call = mtlspop_http_request_new("GET", "https://graph.microsoft.com/big/2000");
    mtlspop_http_request_set_max_response_bytes(call, 1000);
    CHECK(mtlspop_app_send(app, token, call, &response, &error) == MTLSPOP_E_INVALID_RESPONSE);

    mtlspop_error_free(error);
    mtlspop_http_request_free(call);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

/* Trust that the app is given, and not the environment. */
static void roots(void)
{
    char *path = strdup(env("SSL_CERT_FILE"));
    size_t length;
    uint8_t *pem = read_file(path, &length);
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token = NULL;
    mtlspop_app_options *options;
    mtlspop_app *app;

    CHECK(unsetenv("SSL_CERT_FILE") == 0);
    app = federated_app();
    CHECK(mtlspop_app_acquire_token(app, request, &token, NULL) == MTLSPOP_E_NETWORK);
    mtlspop_app_free(app);

    options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_app_options_set_client_assertion(options, federated_assertion, NULL, NULL);
    mtlspop_app_options_set_trusted_roots_file(options, path);
    app = app_of(options);
    mtlspop_token_free(acquire(app, request));
    mtlspop_app_free(app);

    options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_app_options_set_client_assertion(options, federated_assertion, NULL, NULL);
    mtlspop_app_options_set_trusted_roots_pem(options, pem, length);
    app = app_of(options);
    mtlspop_token_free(acquire(app, request));
    mtlspop_app_free(app);

    CHECK(setenv("SSL_CERT_FILE", path, 1) == 0);
    mtlspop_token_request_free(request);
    free(pem);
    free(path);
}

/* A managed identity by each name that it has beside its client id. */
static void names_of_an_identity(void)
{
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_app *app;

    mtlspop_app_options_set_user_assigned_object_id(options, env("USER_ASSIGNED_OBJECT_ID"));
    app = app_of(options);
    mtlspop_token_free(acquire(app, request));
    mtlspop_app_free(app);

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_user_assigned_resource_id(options, env("USER_ASSIGNED_RESOURCE_ID"));
    app = app_of(options);
    mtlspop_token_free(acquire(app, request));
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
}

/* What a service says with its no, and with its wish to be left alone: nobody asks it with this client any more. */
static void errors(void)
{
    mtlspop_app *app = certificate_app();
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    size_t i;

    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_INTERACTION_REQUIRED);
    for (i = 0; i < mtlspop_error_aadsts_count(error); i++)
        printf("AADSTS%d\n", (int)mtlspop_error_aadsts_code(error, i));
    CHECK(i == 2 && mtlspop_error_aadsts_code(error, 0) == 50076 && mtlspop_error_aadsts_code(error, 2) == 0);
    CHECK(strcmp(mtlspop_error_sub_error(error), "basic_action") == 0);

    /* With what the service wants, the next request may get a token. */
    if (mtlspop_error_claims(error) != NULL)
        mtlspop_token_request_set_claims(request, mtlspop_error_claims(error));
    CHECK_CONTAINS(mtlspop_error_claims(error), "\"acrs\"");
    mtlspop_error_free(error);

    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_THROTTLED);
    if (mtlspop_error_retry_after_seconds(error) >= 0)
        printf("try again in %lld s\n", (long long)mtlspop_error_retry_after_seconds(error));
    CHECK(mtlspop_error_retry_after_seconds(error) > 30 && mtlspop_error_retry_after_seconds(error) <= 60);

    mtlspop_error_free(error);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

int main(void)
{
    errors();
    certificates();
    questions_and_tokens();
    names_of_an_identity();
    roots();
    responses();
    return check_result();
}
