/* fic_two_legs.c: one identity's bound token is another app's credential; no key leaves the library. */
#include "example.h"

/* The credential of leg 2: a token of leg 1. Called for tokens that are not cached; leg 1 has its own cache. */
static int32_t ask_first(void *first, mtlspop_assertion_op *operation)
{
    mtlspop_token_request *request = example_exchange(operation); /* api://AzureADTokenExchange, by cloud */
    mtlspop_token *token = NULL;
    mtlspop_certificate *binding;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    status = mtlspop_app_acquire_token(first, request, &token, &error);
    if (status == MTLSPOP_OK) {
        binding = mtlspop_token_binding_certificate(token);
        mtlspop_assertion_op_set_assertion(operation, mtlspop_token_access_token(token));
        mtlspop_assertion_op_set_certificate(operation, binding);
        mtlspop_certificate_free(binding);
    } else {
        mtlspop_assertion_op_set_error(operation, mtlspop_error_message(error));
    }
    mtlspop_error_free(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    return status;
}

int main(int argc, char **argv)
{
    int pop = strcmp(argv[argc - 1], "--bearer") != 0;
    mtlspop_app_options *leg1 = NULL, *leg2 = NULL;
    mtlspop_app *first = NULL, *second = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_certificate *sni = NULL;
    mtlspop_error *error = NULL;
    char authority[256];
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "[certificate] [--bearer]\n"
            "Leg 1 is the host's managed identity, or AZURE_CLIENT_ID with AZURE_CLIENT_CERTIFICATE_PATH; leg 2 is\n"
            "FIC_CLIENT_ID, which trusts it. AZURE_TENANT_ID, AZURE_REGION (east us), API_URL: what to call."))
        return EXIT_SUCCESS;
    example_authority(authority, sizeof authority);
    if (argc > 1 && strcmp(argv[1], "certificate") == 0) {
        const char *path = example_need("AZURE_CLIENT_CERTIFICATE_PATH", NULL);
        if (mtlspop_certificate_new_from_file(path, NULL, NULL, &sni, &error))
            goto done;
        leg1 = mtlspop_app_options_new_confidential_client(example_need("AZURE_CLIENT_ID", NULL));
        mtlspop_app_options_set_authority(leg1, authority);
        mtlspop_app_options_set_certificate(leg1, sni, 1);
    } else {
        leg1 = mtlspop_app_options_new_managed_identity();
    }
    if (mtlspop_app_new(leg1, &first, &error))
        goto done;
    leg2 = mtlspop_app_options_new_confidential_client(example_need("FIC_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(leg2, authority);
    mtlspop_app_options_set_azure_region(leg2, example_region());
    mtlspop_app_options_set_client_assertion(leg2, ask_first, first, NULL);
    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_request_set_mtls_proof_of_possession(request, pop);
    if (mtlspop_app_new(leg2, &second, &error) || mtlspop_app_acquire_token(second, request, &token, &error))
        goto done;
    result = example_call("fic_two_legs", second, token, &error);
done:
    example_error(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(second); /* before what its callback uses */
    mtlspop_app_free(first);
    mtlspop_app_options_free(leg2);
    mtlspop_app_options_free(leg1);
    mtlspop_certificate_free(sni);
    return result;
}
