/* workload_identity.c: a Bearer token for a pod's Kubernetes workload identity, and Graph called with it. */
#include "example.h"

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    char authority[256];
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "[--azure-proxy]\n"
            "AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE and AZURE_AUTHORITY_HOST,\n"
            "which AKS sets in pods labelled azure.workload.identity/use; API_URL: what to call. With --azure-proxy\n"
            "the token comes by the proxy of the cluster, as for AKS identity bindings: AZURE_KUBERNETES_TOKEN_PROXY."))
        return EXIT_SUCCESS;
    example_authority(authority, sizeof authority);
    options = mtlspop_app_options_new_confidential_client(example_need("AZURE_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(options, authority);
    mtlspop_app_options_set_federated_token_file(options, NULL); /* NULL: the one AKS names in the environment */
    mtlspop_app_options_set_enable_azure_proxy(options, argc > 1 && strcmp(argv[1], "--azure-proxy") == 0);
    if (mtlspop_app_new(options, &app, &error))
        goto done;
    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    result = example_call("workload_identity", app, token, &error);

done:
    example_error(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    return result;
}
