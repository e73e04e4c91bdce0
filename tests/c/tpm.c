/* tpm.c: keys in a TPM, as C programs have them. The TPM is that of TPM2TOOLS_TCTI.
 *
 *     tpm attested DIRECTORY OTHER    a bound token whose key the TPM vouches for, its key exported and used again;
 *                                     not in the TPM whose TCTI is OTHER
 *     tpm guarded               keys with an authorisation value, from a callback and from memory
 *     tpm persistent            a key that stays at a place in the TPM
 *     tpm settings              settings that are wrong
 *     tpm without PLUGIN TCTI STATUS CODE PART    something is missing; PLUGIN and TCTI may be "-"
 */

#include "apps.h"
#include "files.h"

static const uint8_t pcrs[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* What the callback gives, and what the tests watch. */
struct keeper {
    const char *secret;
    int calls;
    int destroyed;
};

static int32_t give(void *userdata, mtlspop_secret_op *operation)
{
    struct keeper *keeper = userdata;

    keeper->calls++;
    if (!keeper->secret) {
        mtlspop_secret_op_set_error(operation, "the vault is closed");
        return 7;
    }
    mtlspop_secret_op_set_secret(operation, (const uint8_t *)keeper->secret, strlen(keeper->secret));
    return 0;
}

static void destroy(void *userdata)
{
    ((struct keeper *)userdata)->destroyed++;
}

/* The call has failed in this way; the error is freed. */
static void failed(mtlspop_status status, mtlspop_error *error, mtlspop_status expected, const char *code,
                   const char *part)
{
    CHECK(status == expected);
    CHECK(error && strcmp(mtlspop_error_code(error), code) == 0);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    printf("%d %s: %s\n", (int)status, mtlspop_error_code(error), mtlspop_error_message(error));
    mtlspop_error_free(error);
}

/* Settings of a managed identity with this TPM, whose settings are freed. */
static mtlspop_app_options *options_with(mtlspop_tpm_options *tpm)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_tpm(options, tpm);
    mtlspop_tpm_options_free(tpm);
    return options;
}

static int32_t strength(const mtlspop_app *app)
{
    mtlspop_capabilities *found = NULL;
    mtlspop_error *error = NULL;
    int32_t number;

    CHECK_OK(mtlspop_app_managed_identity_capabilities(app, 0, NULL, &found, &error), error);
    number = mtlspop_capabilities_max_supported_binding_strength(found);
    mtlspop_capabilities_free(found);
    return number;
}

/* The certificate of a bound token with which Graph was called. */
static mtlspop_certificate *bound_certificate(const mtlspop_app *app, int32_t min_strength)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token;
    mtlspop_certificate *certificate;

    mtlspop_token_request_set_min_strength(request, min_strength);
    token = acquire(app, request);
    CHECK(strcmp(mtlspop_token_type(token), "mtls_pop") == 0);
    CHECK(call_graph(app, token) == 200);
    CHECK(mtlspop_token_binding_strength(token) == strength(app));
    certificate = mtlspop_token_binding_certificate(token);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    return certificate;
}

static mtlspop_buffer *tpm_key(const mtlspop_certificate *certificate)
{
    mtlspop_buffer *pem = NULL;
    mtlspop_error *error = NULL;

    CHECK_OK(mtlspop_certificate_export_tpm_key_pem(certificate, &pem, &error), error);
    CHECK_CONTAINS((const char *)mtlspop_buffer_data(pem, NULL), "-----BEGIN TSS2 PRIVATE KEY-----");
    return pem;
}

/* A certificate with an exported key. */
static mtlspop_status with_key(const mtlspop_certificate *chain, const mtlspop_buffer *key,
                               const mtlspop_tpm_options *tpm, mtlspop_certificate **certificate,
                               mtlspop_error **error)
{
    const char *pem = mtlspop_certificate_chain_pem(chain);
    size_t length = 0;
    const uint8_t *bytes = mtlspop_buffer_data(key, &length);

    return mtlspop_certificate_new_with_tpm_key((const uint8_t *)pem, strlen(pem), bytes, length, tpm, certificate,
                                                error);
}

/* Signs in each way, and has OpenSSL verify what comes of it. */
static void signs(const mtlspop_certificate *certificate, const char *directory)
{
    static const char *const algorithms[] = {"PS256", "PS384", "PS512", "RS256", "RS384", "RS512"};
    const char *pem = mtlspop_certificate_pem(certificate);
    char path[1024], command[4096];
    size_t i;

    name_file(path, directory, "cert.pem");
    write_file(path, (const uint8_t *)pem, strlen(pem));
    name_file(path, directory, "message");
    write_file(path, (const uint8_t *)"message", 7);
    name_file(path, directory, "signature");
    for (i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        const char *algorithm = algorithms[i];
        mtlspop_buffer *signature = NULL;
        mtlspop_error *error = NULL;
        size_t length = 0;
        const uint8_t *bytes;

        CHECK_OK(mtlspop_certificate_sign(certificate, algorithm, (const uint8_t *)"message", 7, &signature, &error),
                 error);
        bytes = mtlspop_buffer_data(signature, &length);
        CHECK(length == 256);
        write_file(path, bytes, length);
        mtlspop_buffer_free(signature);
        snprintf(command, sizeof command,
                 "cd %s && openssl x509 -in cert.pem -noout -pubkey >public.pem && "
                 "openssl dgst -sha%s %s -verify public.pem -signature signature message >/dev/null",
                 directory, algorithm + 2,
                 *algorithm == 'P' ? "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest" : "");
        CHECK(system(command) == 0);
    }
}

/* The private key has no way out, and the error says why. */
static void stays_inside(const mtlspop_certificate *certificate)
{
    mtlspop_buffer *buffer = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    CHECK(!mtlspop_certificate_is_exportable(certificate));
    status = mtlspop_certificate_export_private_key_pem(certificate, &buffer, &error);
    CHECK(buffer == NULL);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "cryptographic_error", "it is in a TPM, which it never leaves");
    status = mtlspop_certificate_export_pkcs12(certificate, "", MTLSPOP_PKCS12_MODERN, &buffer, &error);
    CHECK(buffer == NULL);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "cryptographic_error", "it is in a TPM, which it never leaves");
    status = mtlspop_certificate_sign(certificate, "ES256", NULL, 0, &buffer, &error);
    failed(status, error, MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", "cannot sign \"ES256\"");
}

/* What is exported is the key again, for its own certificate. */
static void exported(const mtlspop_certificate *certificate, const char *directory)
{
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    mtlspop_certificate *copy = NULL, *other = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_buffer *key = tpm_key(certificate), *none = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    CHECK_OK(with_key(certificate, key, tpm, &copy, &error), error);
    CHECK(strcmp(mtlspop_certificate_x5t_s256(copy), mtlspop_certificate_x5t_s256(certificate)) == 0);
    signs(copy, directory);
    stays_inside(copy);
    mtlspop_certificate_free(copy);
    status = with_key(other, key, tpm, &copy, &error);
    CHECK(copy == NULL);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "invalid_certificate", "does not belong to the certificate");
    status = mtlspop_certificate_export_tpm_key_pem(other, &none, &error);
    CHECK(none == NULL);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "cryptographic_error", "not in a TPM");
    mtlspop_certificate_free(other);
    mtlspop_buffer_free(key);
    mtlspop_tpm_options_free(tpm);
}

/* Another TPM can do nothing with what was exported, which is still good for its own. */
static void another_tpm(const mtlspop_certificate *certificate, const char *tcti)
{
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    mtlspop_certificate *copy = NULL;
    mtlspop_buffer *key = tpm_key(certificate);
    mtlspop_error *error = NULL;
    mtlspop_status status;

    mtlspop_tpm_options_set_tcti(tpm, tcti);
    status = with_key(certificate, key, tpm, &copy, &error);
    CHECK(copy == NULL);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "tpm_key_lost", "the key is not one of this TPM");
    mtlspop_tpm_options_set_tcti(tpm, env("TPM2TOOLS_TCTI"));
    error = NULL;
    CHECK_OK(with_key(certificate, key, tpm, &copy, &error), error);
    mtlspop_certificate_free(copy);
    mtlspop_buffer_free(key);
    mtlspop_tpm_options_free(tpm);
}

static void attested(const char *directory, const char *other)
{
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app;
    mtlspop_token *token = NULL;
    mtlspop_certificate *certificate;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    mtlspop_tpm_options_set_attestation(tpm, pcrs, sizeof pcrs);
    app = app_of(options_with(tpm));
    CHECK(strength(app) == MTLSPOP_STRENGTH_ATTESTED);
    certificate = bound_certificate(app, MTLSPOP_STRENGTH_ATTESTED);
    mtlspop_app_free(app);
    stays_inside(certificate);
    signs(certificate, directory);
    exported(certificate, directory);
    another_tpm(certificate, other);
    mtlspop_certificate_free(certificate);

    /* Without attestation the same TPM is not what is asked for. */
    app = app_of(options_with(mtlspop_tpm_options_new()));
    CHECK(strength(app) == MTLSPOP_STRENGTH_HARDWARE);
    mtlspop_token_request_set_min_strength(request, MTLSPOP_STRENGTH_ATTESTED);
    status = mtlspop_app_acquire_token(app, request, &token, &error);
    CHECK(token == NULL);
    failed(status, error, MTLSPOP_E_NOT_SUPPORTED, "min_strength_not_met", "not attested");
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
}

/* No app is made of the settings, which are freed. */
static void refused(mtlspop_app_options *options, mtlspop_status expected, const char *code, const char *part)
{
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_app_new(options, &app, &error);

    CHECK(app == NULL);
    failed(status, error, expected, code, part);
    mtlspop_app_options_free(options);
}

/* Makes no app with a callback that fails. */
static void closed_vault(void)
{
    struct keeper keeper = {NULL, 0, 0};
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();

    mtlspop_tpm_options_set_auth_callback(tpm, give, &keeper, destroy);
    refused(options_with(tpm), MTLSPOP_E_CALLBACK, "secret_callback_failed", "the vault is closed");
    CHECK(keeper.calls == 1 && keeper.destroyed == 1);
}

static void guarded(void)
{
    struct keeper keeper = {"open sesame", 0, 0};
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    mtlspop_app *app;
    mtlspop_certificate *certificate, *copy = NULL;
    mtlspop_buffer *key;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    closed_vault();

    /* A key without a value is not one for an app that wants one. */
    app = app_of(options_with(mtlspop_tpm_options_new()));
    mtlspop_certificate_free(bound_certificate(app, MTLSPOP_STRENGTH_HARDWARE));
    mtlspop_app_free(app);

    mtlspop_tpm_options_set_auth_callback(tpm, give, &keeper, destroy);
    app = app_of(options_with(tpm));
    CHECK(keeper.calls == 1 && keeper.destroyed == 1);
    certificate = bound_certificate(app, MTLSPOP_STRENGTH_HARDWARE);
    CHECK(keeper.calls == 1);
    mtlspop_app_free(app);
    key = tpm_key(certificate);

    tpm = mtlspop_tpm_options_new();
    status = with_key(certificate, key, tpm, &copy, &error);
    failed(status, error, MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", "and none is set");
    mtlspop_tpm_options_set_auth(tpm, (const uint8_t *)"open barley", 11);
    status = with_key(certificate, key, tpm, &copy, &error);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "tpm_auth_failed", "refuses the authorisation value of the key");
    mtlspop_tpm_options_set_auth(tpm, (const uint8_t *)"open sesame", 11);
    CHECK_OK(with_key(certificate, key, tpm, &copy, &error), error);
    mtlspop_certificate_free(copy);
    mtlspop_tpm_options_set_auth_callback(tpm, give, &keeper, destroy);
    CHECK_OK(with_key(certificate, key, tpm, &copy, &error), error);
    CHECK(keeper.calls == 2);
    mtlspop_certificate_free(copy);
    keeper.secret = NULL;
    status = with_key(certificate, key, tpm, &copy, &error);
    failed(status, error, MTLSPOP_E_CALLBACK, "secret_callback_failed", "the vault is closed");
    keeper.secret = "";
    status = with_key(certificate, key, tpm, &copy, &error);
    failed(status, error, MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", "the secret of the callback is empty");
    CHECK(copy == NULL && keeper.destroyed == 1);
    mtlspop_tpm_options_free(tpm);
    CHECK(keeper.destroyed == 2);
    mtlspop_buffer_free(key);
    mtlspop_certificate_free(certificate);
}

static void persistent(void)
{
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    mtlspop_app *app;
    mtlspop_certificate *certificate;
    mtlspop_buffer *pem = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    mtlspop_tpm_options_set_persistent_handle(tpm, 0x81000007);
    app = app_of(options_with(tpm));
    certificate = bound_certificate(app, MTLSPOP_STRENGTH_HARDWARE);
    status = mtlspop_certificate_export_tpm_key_pem(certificate, &pem, &error);
    CHECK(pem == NULL);
    failed(status, error, MTLSPOP_E_KEY_UNAVAILABLE, "cryptographic_error", "persistent handle 0x81000007");
    mtlspop_certificate_free(certificate);
    mtlspop_app_free(app);
}

static void wrong(mtlspop_tpm_options *tpm, const char *part)
{
    refused(options_with(tpm), MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", part);
}

static int32_t attest(void *userdata, mtlspop_attestation_op *operation)
{
    (void)userdata;
    (void)operation;
    return 1;
}

static void settings(void)
{
    static const uint8_t zeros[33];
    struct keeper keeper = {NULL, 0, 0};
    mtlspop_app_options *options;
    mtlspop_tpm_options *tpm;

    mtlspop_tpm_options_set_auth(tpm = mtlspop_tpm_options_new(), zeros, 0);
    wrong(tpm, "mtlspop_tpm_options_set_auth: auth is empty");
    mtlspop_tpm_options_set_auth(tpm = mtlspop_tpm_options_new(), zeros, 33);
    wrong(tpm, "more than 32 bytes");
    mtlspop_tpm_options_set_auth(tpm = mtlspop_tpm_options_new(), zeros, 1);
    wrong(tpm, "ends with a zero byte");
    mtlspop_tpm_options_set_owner_auth(tpm = mtlspop_tpm_options_new(), NULL, 1);
    wrong(tpm, "mtlspop_tpm_options_set_owner_auth: auth is NULL");
    mtlspop_tpm_options_set_auth_callback(tpm = mtlspop_tpm_options_new(), NULL, &keeper, destroy);
    CHECK(keeper.destroyed == 1);
    wrong(tpm, "callback is NULL");
    mtlspop_tpm_options_set_persistent_handle(tpm = mtlspop_tpm_options_new(), -1);
    wrong(tpm, "-1 is not a handle");
    mtlspop_tpm_options_set_persistent_handle(tpm = mtlspop_tpm_options_new(), 0x80000000);
    wrong(tpm, "0x81000000 to 0x817fffff");
    mtlspop_tpm_options_set_attestation(tpm = mtlspop_tpm_options_new(), pcrs, 0);
    wrong(tpm, "a quote needs PCRs");
    mtlspop_tpm_options_set_attestation(tpm = mtlspop_tpm_options_new(), (const uint8_t *)"\x18", 1);
    wrong(tpm, "0 to 23");
    mtlspop_tpm_options_set_attestation(tpm = mtlspop_tpm_options_new(), pcrs, sizeof pcrs);
    options = options_with(tpm);
    mtlspop_app_options_set_attestation(options, attest, NULL, NULL);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", "choose one");
    options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_tpm(options, tpm = mtlspop_tpm_options_new());
    mtlspop_tpm_options_free(tpm);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", "takes no place for keys");
    refused(options_with(NULL), MTLSPOP_E_INVALID_HANDLE, "invalid_handle", "tpm is NULL");
}

/* What is missing is named, and there is no bound token for a key in software; Bearer is as ever. */
static void without(char **arguments)
{
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    mtlspop_app_options *options;
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    if (strcmp(arguments[0], "-") != 0) mtlspop_tpm_options_set_plugin(tpm, arguments[0]);
    if (strcmp(arguments[1], "-") != 0) mtlspop_tpm_options_set_tcti(tpm, arguments[1]);
    options = options_with(tpm);
    status = mtlspop_app_new(options, &app, &error);
    mtlspop_app_options_free(options);
    if (status == MTLSPOP_OK) status = mtlspop_app_acquire_token(app, request, &token, &error);
    CHECK(token == NULL);
    failed(status, error, atoi(arguments[2]), arguments[3], arguments[4]);
    if (app) {
        CHECK(strength(app) == MTLSPOP_STRENGTH_NONE);
        mtlspop_token_request_set_mtls_proof_of_possession(request, 0);
        token = acquire(app, request);
        CHECK(call_graph(app, token) == 200);
        mtlspop_token_free(token);
    }
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
}

int main(int count, char **arguments)
{
    const char *mode = count > 1 ? arguments[1] : "";

    if (strcmp(mode, "attested") == 0 && count == 4)
        attested(arguments[2], arguments[3]);
    else if (strcmp(mode, "guarded") == 0)
        guarded();
    else if (strcmp(mode, "persistent") == 0)
        persistent();
    else if (strcmp(mode, "settings") == 0)
        settings();
    else if (strcmp(mode, "without") == 0 && count == 7)
        without(arguments + 2);
    else
        CHECK(!"a mode and its arguments");
    return check_result();
}
