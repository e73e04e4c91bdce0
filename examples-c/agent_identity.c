/* agent_identity.c: a token for an agent identity, whose credential is a token that its blueprint gets for it. */
#include "example.h"

/* The credential of the agent: a token of the blueprint that names it. Called for tokens that are not cached. */
static int32_t ask_blueprint(void *blueprint, mtlspop_assertion_op *operation)
{
    mtlspop_token_request *request = example_exchange(operation); /* api://AzureADTokenExchange, by cloud */
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    mtlspop_token_request_set_fmi_path(request, mtlspop_assertion_op_client_id(operation));
    status = mtlspop_app_acquire_token(blueprint, request, &token, &error);
    if (status == MTLSPOP_OK)
        mtlspop_assertion_op_set_assertion(operation, mtlspop_token_access_token(token));
    else
        mtlspop_assertion_op_set_error(operation, mtlspop_error_message(error));
    mtlspop_error_free(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    return status;
}

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL, *agent_options = NULL;
    mtlspop_app *blueprint = NULL, *agent = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_certificate *certificate = NULL;
    mtlspop_error *error = NULL;
    char authority[256];
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "\n"
            "AGENT_IDENTITY_CLIENT_ID is an agent identity of AGENT_BLUEPRINT_CLIENT_ID, which has the certificate in\n"
            "AZURE_CLIENT_CERTIFICATE_PATH; AZURE_TENANT_ID: that of the agent; API_URL: what to call."))
        return EXIT_SUCCESS;
    example_authority(authority, sizeof authority);
    if (mtlspop_certificate_new_from_file(example_need("AZURE_CLIENT_CERTIFICATE_PATH", NULL), NULL, NULL, &certificate,
                                          &error))
        goto done;
    options = mtlspop_app_options_new_confidential_client(example_need("AGENT_BLUEPRINT_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(options, authority);
    mtlspop_app_options_set_certificate(options, certificate, 1);
    agent_options = mtlspop_app_options_new_confidential_client(example_need("AGENT_IDENTITY_CLIENT_ID", NULL));
    mtlspop_app_options_set_authority(agent_options, authority);
    if (mtlspop_app_new(options, &blueprint, &error))
        goto done;
    mtlspop_app_options_set_client_assertion(agent_options, ask_blueprint, blueprint, NULL);
    request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    if (mtlspop_app_new(agent_options, &agent, &error) || mtlspop_app_acquire_token(agent, request, &token, &error))
        goto done;
    result = example_call("agent_identity", agent, token, &error);

done:
    example_error(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(agent); /* before what its callback uses */
    mtlspop_app_free(blueprint);
    mtlspop_app_options_free(agent_options);
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(certificate);
    return result;
}
