/* export_certificate.c: a bound token and its certificate as files, for curl and other programs. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"
#include "example_file.h"

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_certificate *binding = NULL;
    mtlspop_buffer *key = NULL, *pfx = NULL;
    mtlspop_error *error = NULL;
    const char *chain, *authorization;
    const uint8_t *bytes;
    size_t size;
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "<existing directory> [password for binding.pfx]\n"
                                 "Writes cert.pem, key.pem, binding.pfx and authorization.txt."))
        return EXIT_SUCCESS;
    if (argc < 2)
        return fprintf(stderr, "name a directory (--help)\n"), EXIT_FAILURE;

    options = mtlspop_app_options_new_managed_identity();
    request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_new(options, &app, &error) || mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;

    binding = mtlspop_token_binding_certificate(token);
    if (mtlspop_certificate_export_private_key_pem(binding, &key, &error) ||
        mtlspop_certificate_export_pkcs12(binding, argc > 2 ? argv[2] : "", MTLSPOP_PKCS12_MODERN,
                                          &pfx, &error))
        goto done;
    chain = mtlspop_certificate_chain_pem(binding);
    authorization = mtlspop_token_authorization(token); /* "mtls_pop eyJ...": as secret as the key */
    if (write_file(argv[1], "cert.pem", chain, strlen(chain)) ||
        (bytes = mtlspop_buffer_data(key, &size), write_file(argv[1], "key.pem", bytes, size)) ||
        (bytes = mtlspop_buffer_data(pfx, &size), write_file(argv[1], "binding.pfx", bytes, size)) ||
        write_file(argv[1], "authorization.txt", authorization, strlen(authorization)))
        goto done;
    result = example_result("export_certificate", token, binding, NULL);

done:
    example_error(error);
    mtlspop_buffer_free(pfx);
    mtlspop_buffer_free(key);
    mtlspop_certificate_free(binding);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    return result;
}
