/* managed_identity_pop.c: a token bound to a certificate from IMDSv2, and Graph called over mTLS. */
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
    int source = argc > 1 && strcmp(argv[1], "--source") == 0;
    const char *client_id = argc > 1 + source ? argv[1 + source] : NULL;
    int result = EXIT_FAILURE;

    if (example_help(argc, argv,
                     "[--source] [client id of a user-assigned managed identity]\n"
                     "Without a client id: the system-assigned one. API_URL: what to call.\n"
                     "--source: only tells what this host has; exit status 3 where it has nothing."))
        return EXIT_SUCCESS;

    options = mtlspop_app_options_new_managed_identity();
    if (client_id != NULL)
        mtlspop_app_options_set_user_assigned_client_id(options, client_id);
    if (mtlspop_app_new(options, &app, &error))
        goto done;
    if (source) {
        result = example_source(app, &error);
        goto done;
    }

    request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    /* The key was made in this process, IMDS issued the certificate; the library renews both. */
    certificate = mtlspop_token_binding_certificate(token);

    call = mtlspop_http_request_new("GET", example_mtls_url());
    mtlspop_http_request_set_token_request(call, request); /* where the API rejects the token: another one, once */
    if (mtlspop_app_send(app, token, call, &response, &error))
        goto done;
    result = example_result("managed_identity_pop", token, certificate, response);

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
