/* call_graph.c: one app, one token, several calls; token and connections are reused by the library. */
#include "example.h"

/* Asks for the token and calls Graph. A long-lived program does just this, and keeps no token itself. */
static int call_graph(const mtlspop_app *app, const mtlspop_token_request *request,
                      const mtlspop_http_request *call)
{
    mtlspop_token *token = NULL;
    mtlspop_certificate *binding = NULL;
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    int result = EXIT_FAILURE;

    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    binding = mtlspop_token_binding_certificate(token);
    /* Sent over the connections of this certificate: kept alive, and shared with no other one. */
    if (mtlspop_app_send(app, token, call, &response, &error))
        goto done;
    result = example_result("call_graph", token, binding, response);

done:
    example_error(error);
    mtlspop_http_response_free(response);
    mtlspop_certificate_free(binding);
    mtlspop_token_free(token);
    return result;
}

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_certificate *sni = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_http_request *call = NULL;
    mtlspop_error *error = NULL;
    char authority[256];
    int i, result = EXIT_FAILURE;

    if (example_help(argc, argv, "\nThe settings of sni_pop."))
        return EXIT_SUCCESS;

    if (mtlspop_certificate_new_from_file(example_need("AZURE_CLIENT_CERTIFICATE_PATH", NULL), NULL,
                                          example_env("AZURE_CLIENT_CERTIFICATE_PASSWORD", NULL),
                                          &sni, &error))
        goto done;
    options = mtlspop_app_options_new_confidential_client(example_need("AZURE_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(options, example_authority(authority, sizeof authority));
    mtlspop_app_options_set_azure_region(options, example_region());
    mtlspop_app_options_set_certificate(options, sni, 1);
    if (mtlspop_app_new(options, &app, &error))
        goto done;

    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    call = mtlspop_http_request_new("GET", example_mtls_url());
    for (i = 0, result = EXIT_SUCCESS; i < 3 && result == EXIT_SUCCESS; i++)
        result = call_graph(app, request, call);

done:
    example_error(error);
    mtlspop_http_request_free(call);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(sni);
    return result;
}
