/* fic_pop.c: a federated identity credential bound to a certificate, and Graph called over mTLS. */
#include "example.h"

struct workload {
    const char *assertion_path; /* a JWT, renewed by whoever federates: read anew on each call */
    mtlspop_certificate *certificate;
};

/* Called for each token request that goes to the network, and never for a cached token. */
static int32_t give_assertion(void *userdata, mtlspop_assertion_op *operation)
{
    const struct workload *workload = userdata;
    FILE *file = fopen(workload->assertion_path, "r");
    char jwt[16384] = "";

    if (file == NULL || fgets(jwt, sizeof jwt, file) == NULL) {
        mtlspop_assertion_op_set_error(operation, "the assertion file cannot be read");
    } else {
        jwt[strcspn(jwt, "\r\n")] = '\0';
        mtlspop_assertion_op_set_assertion(operation, jwt);
        mtlspop_assertion_op_set_certificate(operation, workload->certificate);
    }
    if (file != NULL)
        fclose(file);
    return jwt[0] != '\0' ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct workload workload = {NULL, NULL};
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_certificate *binding = NULL;
    mtlspop_http_request *call = NULL;
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    char authority[256];
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "\nAZURE_TENANT_ID, FIC_CLIENT_ID or AZURE_CLIENT_ID, AZURE_REGION (east us), API_URL,\n"
            "FIC_CERTIFICATE_PATH or AZURE_CLIENT_CERTIFICATE_PATH (without password), and an assertion bound to it in\n"
            "FIC_ASSERTION_PATH. The token in AKS workload identity's AZURE_FEDERATED_TOKEN_FILE is unbound: sent as\n"
            "jwt-pop it would be refused by Entra."))
        return EXIT_SUCCESS;
    workload.assertion_path = example_need("FIC_ASSERTION_PATH", NULL);
    if (mtlspop_certificate_new_from_file(
            example_need("FIC_CERTIFICATE_PATH", "AZURE_CLIENT_CERTIFICATE_PATH"), NULL, NULL,
            &workload.certificate, &error))
        goto done;
    options = mtlspop_app_options_new_confidential_client(example_need("FIC_CLIENT_ID", "AZURE_CLIENT_ID"));
    mtlspop_app_options_set_authority(options, example_authority(authority, sizeof authority));
    mtlspop_app_options_set_azure_region(options, example_region());
    mtlspop_app_options_set_client_assertion(options, give_assertion, &workload, NULL);
    if (mtlspop_app_new(options, &app, &error))
        goto done;

    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    binding = mtlspop_token_binding_certificate(token); /* the one that came with the assertion */
    call = mtlspop_http_request_new("GET", example_mtls_url());
    if (mtlspop_app_send(app, token, call, &response, &error))
        goto done;
    result = example_result("fic_pop", token, binding, response);
done:
    example_error(error);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(call);
    mtlspop_certificate_free(binding);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(workload.certificate);
    return result;
}
