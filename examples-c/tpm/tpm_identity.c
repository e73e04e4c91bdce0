/* tpm_identity.c: a managed identity whose key is in a TPM, which vouches for it; and files for other programs. */
#define _POSIX_C_SOURCE 200809L
#include "../example.h"
#include "../example_file.h"

/* The key's file holds nothing that another TPM could use. */
static int write_files(const char *directory, const mtlspop_token *token, mtlspop_error **error)
{
    mtlspop_certificate *binding = mtlspop_token_binding_certificate(token);
    const char *chain = mtlspop_certificate_chain_pem(binding);
    const char *authorization = mtlspop_token_authorization(token); /* "mtls_pop eyJ..." */
    mtlspop_buffer *key = NULL;
    size_t size = 0;
    const uint8_t *bytes;
    int failed = mtlspop_certificate_export_tpm_key_pem(binding, &key, error);

    bytes = mtlspop_buffer_data(key, &size);
    failed = failed || write_file(directory, "cert.pem", chain, strlen(chain)) ||
             write_file(directory, "tpm-key.pem", bytes, size) ||
             write_file(directory, "authorization.txt", authorization, strlen(authorization));
    mtlspop_buffer_free(key);
    mtlspop_certificate_free(binding);
    return failed;
}

int main(int argc, char **argv)
{
    static const uint8_t pcrs[] = {0, 1, 2, 3, 4, 5, 6, 7};
    mtlspop_app_options *options = NULL;
    mtlspop_tpm_options *tpm = NULL;
    mtlspop_app *app = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "[existing directory]\nWrites cert.pem, tpm-key.pem and authorization.txt there.\n"
                                 "TPM2TOOLS_TCTI: the TPM (device:/dev/tpmrm0), API_URL: what to call."))
        return EXIT_SUCCESS;
    tpm = mtlspop_tpm_options_new();
    mtlspop_tpm_options_set_attestation(tpm, pcrs, sizeof pcrs);
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_tpm(options, tpm);
    mtlspop_app_options_set_min_strength(options, MTLSPOP_STRENGTH_ATTESTED);
    request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_new(options, &app, &error) || mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    if (argc < 2 || write_files(argv[1], token, &error) == 0)
        result = example_call("tpm_identity", app, token, &error);

done:
    example_error(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    mtlspop_tpm_options_free(tpm);
    return result;
}
