/* key_vault.c: a Key Vault called with a bound token; it asks for the certificate in a TLS renegotiation. */
#include "example.h"

int main(int argc, char **argv)
{
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
                     "https://<vault>.vault.azure.net/secrets/<name>?api-version=7.4\n"
                     "Uses the host's system-assigned managed identity."))
        return EXIT_SUCCESS;
    if (argc < 2) {
        fprintf(stderr, "name the URL of a secret (--help shows one)\n");
        return EXIT_FAILURE;
    }

    options = mtlspop_app_options_new_managed_identity();
    if (mtlspop_app_new(options, &app, &error))
        goto done;

    request = mtlspop_token_request_new("https://vault.azure.net");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    certificate = mtlspop_token_binding_certificate(token);

    /* For a vault the library sets x-ms-tokenboundauth, speaks TLS 1.2 and lets it renegotiate: nothing is left to do. */
    call = mtlspop_http_request_new("GET", argv[1]);
    mtlspop_http_request_set_token_request(call, request); /* where the API rejects the token: another one, once */
    if (mtlspop_app_send(app, token, call, &response, &error))
        goto done;
    printf("%s, certificate asked for: %s\n", mtlspop_http_response_tls_version(response),
           mtlspop_http_response_certificate_requested(response) == 1 ? "yes" : "no");
    result = example_result("key_vault", token, certificate, response);

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
