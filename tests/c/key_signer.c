/* key_signer.c: does a key that only the openssl command line holds do for a managed identity's bound tokens, is it
 * taken for no more than can be seen of it, and is its callback called for its own app only? key_signer DIRECTORY:
 * where files may be written. */

#include "hsm.h"

static char rsa_key[1024], ec_key[1024], public_key[1024];

/* Makes a key with OpenSSL; its public half in DER goes to der. Returns the number of bytes. */
static size_t make_key(const char *file, const char *options, uint8_t *der, size_t size)
{
    char command[4096];

    snprintf(command, sizeof command,
             "openssl genpkey %s -out %s 2>/dev/null && openssl pkey -in %s -pubout -outform DER -out %s", options,
             file, file, public_key);
    CHECK(system(command) == 0);
    return read_file(public_key, der, size);
}

static int32_t fails(void *userdata, mtlspop_sign_op *operation)
{
    ((struct hsm *)userdata)->calls++;
    mtlspop_sign_op_set_error(operation, "the vault is closed");
    return 7;
}

static mtlspop_app *app_with(const uint8_t *key, size_t length, mtlspop_sign_callback callback, struct hsm *hsm)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_key_signer(options, key, length, callback, hsm, destroy);
    return app_of(options);
}

/* Makes no app of it; the message must hold the part. */
static void refused(mtlspop_app_options *options, const uint8_t *key, size_t length, mtlspop_sign_callback callback,
                    mtlspop_status expected, const char *part)
{
    struct hsm hsm = {NULL, NULL, 0, 0};
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;

    mtlspop_app_options_set_key_signer(options, key, length, callback, &hsm, destroy);
    CHECK(mtlspop_app_new(options, &app, &error) == expected && app == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    mtlspop_error_free(error);
    mtlspop_app_options_free(options);
    CHECK(hsm.calls == 0 && hsm.destroyed == 1);
}

static void no_more_than_software(const mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_capabilities *found = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    CHECK_OK(mtlspop_app_managed_identity_capabilities(app, 0, NULL, &found, &error), error);
    CHECK(mtlspop_capabilities_max_supported_binding_strength(found) == MTLSPOP_STRENGTH_SOFTWARE);
    mtlspop_capabilities_free(found);
    mtlspop_token_request_set_min_strength(request, MTLSPOP_STRENGTH_HARDWARE);
    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_NOT_SUPPORTED && token == NULL);
    CHECK(strcmp(mtlspop_error_code(error), "min_strength_not_met") == 0);
    CHECK_CONTAINS(mtlspop_error_message(error), "a signer of the caller holds the key");
    mtlspop_error_free(error);
    mtlspop_token_request_free(request);
}

/* As if no other app of the process had a signer for this key. */
static void token_and_call(const uint8_t *key, size_t length)
{
    struct hsm hsm = {NULL, NULL, 0, 0};
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app;
    mtlspop_token *token;
    mtlspop_certificate *certificate;
    mtlspop_buffer *buffer = NULL;
    mtlspop_error *error = NULL;

    hsm.key = rsa_key;
    app = app_with(key, length, sign, &hsm);
    no_more_than_software(app);
    CHECK(hsm.calls == 0);
    token = acquire(app, request);
    CHECK(call_graph(app, token) == 200);
    CHECK(mtlspop_token_binding_strength(token) == MTLSPOP_STRENGTH_SOFTWARE);
    CHECK(hsm.calls == 3); /* for the certificate request and two handshakes */
    certificate = mtlspop_token_binding_certificate(token);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);

    CHECK(!mtlspop_certificate_is_exportable(certificate));
    CHECK(mtlspop_certificate_export_private_key_pem(certificate, &buffer, &error) == MTLSPOP_E_KEY_UNAVAILABLE);
    CHECK_CONTAINS(mtlspop_error_message(error), "a signer of the caller holds it");
    mtlspop_error_free(error);
    CHECK(mtlspop_certificate_export_tpm_key_pem(certificate, &buffer, &error) == MTLSPOP_E_KEY_UNAVAILABLE);
    CHECK_CONTAINS(mtlspop_error_message(error), "not in a TPM");
    mtlspop_error_free(error);
    CHECK_OK(mtlspop_certificate_sign(certificate, "PS256", key, length, &buffer, &error), error);
    CHECK(hsm.calls == 4 && hsm.destroyed == 0);
    mtlspop_buffer_free(buffer);
    mtlspop_certificate_free(certificate);
    CHECK(hsm.destroyed == 1);
}

static void failure(const uint8_t *key, size_t length)
{
    struct hsm hsm = {NULL, NULL, 0, 0};
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app = app_with(key, length, fails, &hsm);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_CALLBACK && token == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), "the sign callback failed: the vault is closed");
    CHECK(hsm.calls == 1);
    mtlspop_error_free(error);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    CHECK(hsm.destroyed == 1);
}

int main(int count, char **arguments)
{
    const char *directory = count > 1 ? arguments[1] : ".";
    static uint8_t rsa[1024], ec[1024];
    size_t rsa_length, ec_length;

    name_hsm_files(directory);
    name_file(public_key, directory, "public.der");
    name_file(ec_key, directory, "ec.pem");
    name_file(rsa_key, directory, "rsa.pem");
    ec_length = make_key(ec_key, "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", ec, sizeof ec);
    rsa_length = make_key(rsa_key, "-algorithm RSA", rsa, sizeof rsa);

    token_and_call(rsa, rsa_length);
    token_and_call(rsa, rsa_length);
    failure(rsa, rsa_length);
    refused(mtlspop_app_options_new_managed_identity(), rsa, rsa_length, NULL, MTLSPOP_E_INVALID_ARGUMENT,
            "callback is NULL");
    refused(mtlspop_app_options_new_managed_identity(), NULL, 0, sign, MTLSPOP_E_INVALID_ARGUMENT,
            "public_key is NULL");
    refused(mtlspop_app_options_new_managed_identity(), ec, ec_length, sign, MTLSPOP_E_INVALID_ARGUMENT,
            "must be an RSA key");
    refused(mtlspop_app_options_new_managed_identity(), rsa, rsa_length - 1, sign, MTLSPOP_E_KEY_UNAVAILABLE,
            "malformed");
    refused(client_options(env("AZURE_CLIENT_ID")), rsa, rsa_length, sign, MTLSPOP_E_INVALID_ARGUMENT,
            "takes no place for keys");
    return check_result();
}
