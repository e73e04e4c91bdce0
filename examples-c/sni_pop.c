/* sni_pop.c: a token bound to an SN/I certificate, and Graph called over mTLS with both. */
#include "example.h"

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_certificate *sni = NULL, *binding = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_http_request *call = NULL;
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    char authority[256];
    int result = EXIT_FAILURE;

    if (example_help(argc, argv,
                     "\nAZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH (PEM or PFX),\n"
                     "AZURE_CLIENT_CERTIFICATE_PASSWORD, AZURE_REGION (east us), API_URL: what to call."))
        return EXIT_SUCCESS;

    if (mtlspop_certificate_new_from_file(example_need("AZURE_CLIENT_CERTIFICATE_PATH", NULL), NULL,
                                          example_env("AZURE_CLIENT_CERTIFICATE_PASSWORD", NULL),
                                          &sni, &error))
        goto done;

    options = mtlspop_app_options_new_confidential_client(example_need("AZURE_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(options, example_authority(authority, sizeof authority));
    mtlspop_app_options_set_azure_region(options, example_region());
    mtlspop_app_options_set_certificate(options, sni, 1); /* 1: send x5c, as SN/I needs for Bearer */
    if (mtlspop_app_new(options, &app, &error))
        goto done;

    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    /* The same certificate as sni: with SN/I the token is bound to the credential itself. */
    binding = mtlspop_token_binding_certificate(token);

    call = mtlspop_http_request_new("GET", example_mtls_url());
    mtlspop_http_request_set_token_request(call, request); /* where the API rejects the token: another one, once */
    if (mtlspop_app_send(app, token, call, &response, &error))
        goto done;
    result = example_result("sni_pop", token, binding, response);

done:
    example_error(error);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(call);
    mtlspop_certificate_free(binding);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(sni);
    return result;
}
