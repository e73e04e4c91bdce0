/* external_signer.c: a bound token whose key this program never holds. The openssl command plays the HSM. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

/* Signs with the key that userdata names. A real one would call PKCS#11 or a key vault here. */
static int32_t sign(void *userdata, mtlspop_sign_op *operation)
{
    char command[4096] = "printf '";
    uint8_t signature[1024];
    size_t length, i, used = strlen(command);
    const uint8_t *digest = mtlspop_sign_op_digest(operation, &length);
    FILE *hsm;

    if (strcmp(mtlspop_sign_op_algorithm(operation), "PS256") != 0)
        return mtlspop_sign_op_set_error(operation, "this signer has an RSA key and knows PS256 only"), 1;
    for (i = 0; i < length; i++)
        used += (size_t)snprintf(command + used, sizeof command - used, "\\%03o", digest[i]);
    snprintf(command + used, sizeof command - used,
             "' | openssl pkeyutl -sign -inkey '%s' -pkeyopt digest:sha256"
             " -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest", (const char *)userdata);
    hsm = popen(command, "r");
    length = hsm != NULL ? fread(signature, 1, sizeof signature, hsm) : 0;
    if (hsm == NULL || pclose(hsm) != 0)
        return mtlspop_sign_op_set_error(operation, "openssl did not sign, see what it printed"), 1;
    return mtlspop_sign_op_set_signature(operation, signature, length), 0;
}

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_certificate *certificate = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    static uint8_t chain[65536];
    size_t length;
    char authority[256];
    int result = EXIT_FAILURE;
    FILE *file;

    if (example_help(argc, argv, "<certificate and issuers, PEM> <file of its private key>\n"
                                 "AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_REGION (east us), API_URL: what to call."))
        return EXIT_SUCCESS;
    if (argc < 3 || (file = fopen(argv[1], "rb")) == NULL)
        return fprintf(stderr, "name a certificate and a key (--help)\n"), EXIT_FAILURE;
    length = fread(chain, 1, sizeof chain, file);
    fclose(file);

    if (mtlspop_certificate_new_with_signer(chain, length, sign, argv[2], NULL, &certificate, &error))
        goto done;
    options = mtlspop_app_options_new_confidential_client(example_need("AZURE_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(options, example_authority(authority, sizeof authority));
    mtlspop_app_options_set_azure_region(options, example_region());
    mtlspop_app_options_set_certificate(options, certificate, 1);
    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_new(options, &app, &error) || mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    result = example_call("external_signer", app, token, &error);

done:
    example_error(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(certificate);
    return result;
}
