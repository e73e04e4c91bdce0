/* attestation.c: is a key attested through a callback, with each way to fail told, destroy called exactly once,
 * and apps with and without attestation kept apart? Needs curl, which takes the key to devcloud's service. */

#define _POSIX_C_SOURCE 200809L
#include "apps.h"

/* What the tests watch. */
struct watch {
    int calls;
    int destroyed;
};

static void destroy(void *userdata)
{
    ((struct watch *)userdata)->destroyed++;
}

static void base64url(const uint8_t *bytes, size_t length, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int count = 0;
    for (; length > 0; length--) {
        bits = bits << 8 | *bytes++;
        for (count += 8; count >= 6; count -= 6)
            *text++ = digits[bits >> (count - 6) & 63];
    }
    if (count)
        *text++ = digits[bits << (6 - count) & 63];
    *text = '\0';
}

/* Has devcloud attest the key, and looks at everything there is to read. */
static int32_t attest(void *userdata, mtlspop_attestation_op *operation)
{
    struct watch *watch = userdata;
    const char *nonce = mtlspop_attestation_op_correlation_id(operation);
    size_t length = 0;
    const uint8_t *key = mtlspop_attestation_op_public_key(operation, &length);
    mtlspop_buffer *signature = NULL;
    mtlspop_error *error = NULL;
    char modulus[512], signed_nonce[512], command[4096], answer[8192] = "", *token;
    const uint8_t *bytes;
    FILE *curl;

    watch->calls++;
    CHECK_CONTAINS(mtlspop_attestation_op_endpoint(operation), "https://sharedeus.eus.attest.azure.net/");
    CHECK(strlen(mtlspop_attestation_op_client_id(operation)) == 36 && strlen(nonce) == 36);
    CHECK(mtlspop_attestation_op_remaining_ms(operation) == -1);
    CHECK(!mtlspop_attestation_op_is_cancelled(operation));
    CHECK(length == 294);
    base64url(key + 33, 256, modulus);

    CHECK(mtlspop_attestation_op_sign(operation, "ES256", key, length, &signature, &error) ==
          MTLSPOP_E_INVALID_ARGUMENT && signature == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), "this key cannot sign \"ES256\", but PS256");
    mtlspop_error_free(error);
    error = NULL;
    CHECK_OK(mtlspop_attestation_op_sign(operation, "PS256", (const uint8_t *)nonce, strlen(nonce), &signature,
                                         &error), error);
    bytes = mtlspop_buffer_data(signature, &length);
    CHECK(length == 256);
    base64url(bytes, length, signed_nonce);
    mtlspop_buffer_free(signature);

    snprintf(command, sizeof command,
             "curl --silent --show-error --data '{\"nonce\":\"%s\",\"alg\":\"PS256\",\"signature\":\"%s\","
             "\"jwk\":{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}}' '%sattest/keyguard?api-version=2020-10-01'",
             nonce, signed_nonce, modulus, mtlspop_attestation_op_endpoint(operation));
    curl = popen(command, "r");
    CHECK(curl != NULL && fread(answer, 1, sizeof answer - 1, curl) > 0 && pclose(curl) == 0);
    token = strstr(answer, "\"token\":\"");
    CHECK(token != NULL);
    if (!token) return 1;
    token += strlen("\"token\":\"");
    token[strcspn(token, "\"")] = '\0';
    mtlspop_attestation_op_set_token(operation, token);
    return 0;
}

static int32_t fails(void *userdata, mtlspop_attestation_op *operation)
{
    ((struct watch *)userdata)->calls++;
    mtlspop_attestation_op_set_error(operation, "the TPM is locked");
    return 7;
}

static int32_t says_nothing(void *userdata, mtlspop_attestation_op *operation)
{
    (void)operation;
    ((struct watch *)userdata)->calls++;
    return 0;
}

static int32_t sets_null(void *userdata, mtlspop_attestation_op *operation)
{
    ((struct watch *)userdata)->calls++;
    mtlspop_attestation_op_set_token(operation, NULL);
    return 0;
}

static int32_t sets_blank(void *userdata, mtlspop_attestation_op *operation)
{
    ((struct watch *)userdata)->calls++;
    mtlspop_attestation_op_set_token(operation, " ");
    return 0;
}

static mtlspop_app *attested_app(mtlspop_attestation_callback callback, struct watch *watch)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_attestation(options, callback, watch, destroy);
    return app_of(options);
}

/* Gets no token with the callback; the message must hold the part. */
static void failure(mtlspop_attestation_callback callback, const char *part)
{
    struct watch watch = {0, 0};
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app = attested_app(callback, &watch);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_CALLBACK);
    CHECK(token == NULL && strcmp(mtlspop_error_code(error), "attestation_failed") == 0);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    printf("%s\n", mtlspop_error_message(error));
    mtlspop_error_free(error);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    CHECK(watch.calls == 1 && watch.destroyed == 1);
}

/* Cannot be set; the message must hold the part. */
static void refused(mtlspop_app_options *options, mtlspop_attestation_callback callback, const char *part)
{
    struct watch watch = {0, 0};
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;

    mtlspop_app_options_set_attestation(options, callback, &watch, destroy);
    CHECK(mtlspop_app_new(options, &app, &error) == MTLSPOP_E_INVALID_ARGUMENT && app == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    mtlspop_error_free(error);
    mtlspop_app_options_free(options);
    CHECK(watch.calls == 0 && watch.destroyed == 1);
}

/* The thumbprint of the certificate that a bound token of the app comes with; yours to free. */
static char *thumbprint(const mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = acquire(app, request);
    mtlspop_certificate *certificate = mtlspop_token_binding_certificate(token);
    const char *x5t = mtlspop_certificate_x5t_s256(certificate);
    char *copy = malloc(strlen(x5t) + 1);

    strcpy(copy, x5t);
    CHECK(call_graph(app, token) == 200);
    mtlspop_certificate_free(certificate);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    return copy;
}

/* Two apps with attestation share a certificate that one without it never sees. */
static void three_apps(void)
{
    struct watch one = {0, 0}, two = {0, 0};
    mtlspop_app *first = attested_app(attest, &one);
    mtlspop_app *second = attested_app(attest, &two);
    mtlspop_app *plain = managed_identity_app();
    char *attested = thumbprint(first), *shared = thumbprint(second), *unattested = thumbprint(plain);

    CHECK(strcmp(attested, shared) == 0 && strcmp(attested, unattested) != 0);
    CHECK(one.calls == 1 && two.calls == 0 && one.destroyed == 0);
    mtlspop_app_free(first);
    mtlspop_app_free(second);
    mtlspop_app_free(plain);
    CHECK(one.destroyed == 1 && two.destroyed == 1);
    free(attested);
    free(shared);
    free(unattested);
}

int main(void)
{
    failure(fails, "the attestation callback failed: the TPM is locked");
    failure(says_nothing, "set no token");
    failure(sets_null, "mtlspop_attestation_op_set_token: token is NULL");
    failure(sets_blank, "set no token");
    refused(mtlspop_app_options_new_managed_identity(), NULL, "callback is NULL");
    refused(client_options(env("AZURE_CLIENT_ID")), attest, "takes no attestation callback");
    three_apps();
    return check_result();
}
