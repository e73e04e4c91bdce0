/* stored_certificate.c: a bound token of a managed identity whose certificate outlives the program. */
#include "example.h"

int main(int argc, char **argv)
{
    const char *secret = getenv("BINDING_STORE_SECRET");
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_certificate *certificate = NULL;
    mtlspop_http_request *call = NULL;
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    int result = EXIT_FAILURE;

    if (example_help(argc, argv,
                     "DIRECTORY\n"
                     "DIRECTORY: an absolute path; made for this user alone. A second run finds its certificate there.\n"
                     "BINDING_STORE_SECRET: encrypts the private key; without it, it lies there in the clear."))
        return EXIT_SUCCESS;
    if (argc != 2) {
        fputs("stored_certificate: one argument, the directory; see --help\n", stderr);
        return EXIT_FAILURE;
    }

    options = mtlspop_app_options_new_managed_identity();
    if (secret != NULL)
        mtlspop_app_options_set_binding_store(options, argv[1], (const uint8_t *)secret, strlen(secret));
    else
        mtlspop_app_options_set_unencrypted_binding_store(options, argv[1]);
    if (mtlspop_app_new(options, &app, &error))
        goto done;

    request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    certificate = mtlspop_token_binding_certificate(token);

    call = mtlspop_http_request_new("GET", example_mtls_url());
    mtlspop_http_request_set_token_request(call, request); /* where the API rejects the token: another one, once */
    if (mtlspop_app_send(app, token, call, &response, &error))
        goto done;
    result = example_result("stored_certificate", token, certificate, response);

done:
    example_error(error);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(call);
    mtlspop_certificate_free(certificate);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    return result;
}
