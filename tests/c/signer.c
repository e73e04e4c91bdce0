/* signer.c: does a key that only the openssl command line holds do for tokens and calls, and is destroy called
 * exactly once whatever happens? signer DIRECTORY: where files may be written. */

#include "hsm.h"

/* Files: devcloud's, and those that are written. */
static char sni_chain[1024], sni_key[1024], sni_both[1024], ec_both[1024], no_pem[1024], ec_chain[1024];

static int32_t fails(void *userdata, mtlspop_sign_op *operation)
{
    (void)userdata;
    mtlspop_sign_op_set_error(operation, "the vault is closed");
    return 7;
}

static int32_t fails_silently(void *userdata, mtlspop_sign_op *operation)
{
    (void)userdata;
    (void)operation;
    return 7;
}

static int32_t says_nothing(void *userdata, mtlspop_sign_op *operation)
{
    (void)userdata;
    (void)operation;
    return 0;
}

static int32_t sets_null(void *userdata, mtlspop_sign_op *operation)
{
    (void)userdata;
    mtlspop_sign_op_set_signature(operation, NULL, 256);
    return 0;
}

static int32_t sets_rubbish(void *userdata, mtlspop_sign_op *operation)
{
    static const uint8_t rubbish[256];
    (void)userdata;
    mtlspop_sign_op_set_signature(operation, rubbish, sizeof rubbish);
    return 0;
}

static mtlspop_status make(const char *file, mtlspop_sign_callback callback, struct hsm *hsm,
                           mtlspop_certificate **certificate, mtlspop_error **error)
{
    static uint8_t chain[65536];
    size_t length = read_file(file, chain, sizeof chain);
    return mtlspop_certificate_new_with_signer(chain, length, callback, hsm, destroy, certificate, error);
}

/* An app with the SN/I certificate, or another one of the same name. */
static mtlspop_app *signer_app(const char *file, mtlspop_sign_callback callback, struct hsm *hsm)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = NULL;
    mtlspop_error *error = NULL;

    CHECK_OK(make(file, callback, hsm, &certificate, &error), error);
    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    return app_of(options);
}

static void tokens_and_calls(const char *chain, const char *key, int bearer)
{
    struct hsm hsm = {NULL, NULL, 0, 0};
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app;
    mtlspop_token *token;
    mtlspop_certificate *certificate;
    mtlspop_buffer *buffer = (void *)&hsm;
    mtlspop_error *error = NULL;
    const char *algorithm;

    hsm.key = key;
    app = signer_app(chain, sign, &hsm);
    token = acquire(app, request);
    CHECK(call_graph(app, token) == 200);
    CHECK(hsm.calls == 2);
    certificate = mtlspop_token_binding_certificate(token);
    mtlspop_token_free(token);
    if (bearer) {
        mtlspop_token_request_set_mtls_proof_of_possession(request, 0);
        mtlspop_token_free(acquire(app, request));
        CHECK(hsm.calls == 3);
        /* The assertion is still good; another one takes a signature, here two. */
        hsm.refuses = "PS256";
        mtlspop_token_request_set_force_refresh(request, 1);
        mtlspop_token_free(acquire(app, request));
        CHECK(hsm.calls == 3);
        mtlspop_token_request_set_extra_client_assertion_claims(request, "{\"purpose\": \"test\"}");
        mtlspop_token_free(acquire(app, request));
        CHECK(hsm.calls == 5);
    }
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);

    CHECK(!mtlspop_certificate_is_exportable(certificate));
    CHECK_CONTAINS(mtlspop_certificate_chain_pem(certificate), "BEGIN CERTIFICATE");
    CHECK(mtlspop_certificate_export_private_key_pem(certificate, &buffer, &error) == MTLSPOP_E_KEY_UNAVAILABLE);
    CHECK(buffer == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), "a signer of the caller holds it");
    mtlspop_error_free(error);
    CHECK(mtlspop_certificate_export_pkcs12(certificate, "", MTLSPOP_PKCS12_MODERN, &buffer, NULL) ==
          MTLSPOP_E_KEY_UNAVAILABLE);
    /* The key cannot leave, but it signs for whoever has the certificate. */
    algorithm = bearer ? "RS256" : "ES256";
    hsm.refuses = NULL;
    hsm.calls = 0;
    CHECK_OK(mtlspop_certificate_sign(certificate, algorithm, (const uint8_t *)"message", 7, &buffer, &error), error);
    CHECK(mtlspop_buffer_data(buffer, NULL) != NULL && hsm.calls == 1);
    mtlspop_buffer_free(buffer);
    hsm.refuses = algorithm;
    CHECK(mtlspop_certificate_sign(certificate, algorithm, NULL, 0, &buffer, &error) == MTLSPOP_E_CALLBACK);
    CHECK(buffer == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), "this HSM cannot do that");
    mtlspop_error_free(error);
    CHECK(mtlspop_certificate_sign(certificate, "HS256", NULL, 0, &buffer, NULL) == MTLSPOP_E_INVALID_ARGUMENT);
    CHECK(hsm.destroyed == 0);
    mtlspop_certificate_free(certificate);
    CHECK(hsm.destroyed == 1);
}

static void name_files(const char *directory)
{
    const char *cloud = env("DEVCLOUD_STATE_DIR");
    mtlspop_certificate *certificate;
    const char *chain;

    name_file(sni_chain, cloud, "sni-cert.pem");
    name_file(sni_key, cloud, "sni-key.pem");
    name_file(sni_both, cloud, "sni.pem");
    name_file(ec_both, cloud, "sni-ec.pem");
    name_file(no_pem, cloud, "fic-assertion.jwt");
    name_file(ec_chain, directory, "ec-chain.pem");
    name_hsm_files(directory);

    certificate = load(ec_both);
    chain = mtlspop_certificate_chain_pem(certificate);
    write_file(ec_chain, (const uint8_t *)chain, strlen(chain));
    mtlspop_certificate_free(certificate);
}

/* Fails with the callback, in a handshake and for an assertion; the message must hold the part. */
static void failure(mtlspop_sign_callback callback, mtlspop_status expected, const char *part)
{
    int bound;
    for (bound = 0; bound < 2; bound++) {
        struct hsm hsm = {NULL, NULL, 0, 0};
        mtlspop_token_request *request = graph_request(bound);
        mtlspop_app *app = signer_app(sni_chain, callback, &hsm);
        mtlspop_token *token = NULL;
        mtlspop_error *error = NULL;

        CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == expected);
        CHECK(token == NULL);
        CHECK_CONTAINS(mtlspop_error_message(error), part);
        printf("%s\n", mtlspop_error_message(error));
        mtlspop_error_free(error);
        mtlspop_app_free(app);
        mtlspop_token_request_free(request);
        CHECK(hsm.destroyed == 1);
    }
}

/* Cannot be made; the message must hold the part. */
static void refused(const char *file, mtlspop_sign_callback callback, mtlspop_status expected, const char *part)
{
    struct hsm hsm = {NULL, NULL, 0, 0};
    mtlspop_certificate *certificate = (void *)&hsm;
    mtlspop_error *error = NULL;

    CHECK(make(file, callback, &hsm, &certificate, &error) == expected);
    CHECK(certificate == NULL && hsm.destroyed == 1 && hsm.calls == 0);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    mtlspop_error_free(error);
}

static void nothing_to_make_it_from(void)
{
    struct hsm hsm = {NULL, NULL, 0, 0};
    mtlspop_certificate *certificate = NULL;
    const uint8_t byte = 0;

    CHECK(mtlspop_certificate_new_with_signer(NULL, 1, sign, &hsm, destroy, &certificate, NULL) ==
          MTLSPOP_E_INVALID_ARGUMENT);
    CHECK(hsm.destroyed == 1);
    CHECK(mtlspop_certificate_new_with_signer(&byte, 1, sign, &hsm, destroy, NULL, NULL) ==
          MTLSPOP_E_INVALID_ARGUMENT);
    CHECK(hsm.destroyed == 2);
    CHECK(mtlspop_certificate_new_with_signer(&byte, 0, sign, &hsm, destroy, &certificate, NULL) ==
          MTLSPOP_E_KEY_UNAVAILABLE);
    CHECK(hsm.destroyed == 3 && certificate == NULL);
}

int main(int count, char **arguments)
{
    name_files(count > 1 ? arguments[1] : ".");
    tokens_and_calls(sni_chain, sni_key, 1);
    tokens_and_calls(ec_chain, ec_both, 0);
    failure(fails, MTLSPOP_E_CALLBACK, "the sign callback failed: the vault is closed");
    failure(fails_silently, MTLSPOP_E_CALLBACK, "it returned 7");
    failure(says_nothing, MTLSPOP_E_CALLBACK, "set no signature");
    failure(sets_null, MTLSPOP_E_INVALID_ARGUMENT, "mtlspop_sign_op_set_signature: signature is NULL");
    failure(sets_rubbish, MTLSPOP_E_KEY_UNAVAILABLE, "does not verify");
    refused(sni_chain, NULL, MTLSPOP_E_INVALID_ARGUMENT, "callback is NULL");
    refused(sni_both, sign, MTLSPOP_E_INVALID_ARGUMENT, "there is a private key in it");
    refused(no_pem, sign, MTLSPOP_E_KEY_UNAVAILABLE, "there is no certificate in it");
    nothing_to_make_it_from();
    return check_result();
}
