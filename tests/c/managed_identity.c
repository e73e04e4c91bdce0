/* managed_identity.c: what the hosts of managed identities differ in, and a program decides. An argument says which. */

#include "apps.h"

/* Is it refused like this, with these words? */
static void refused(mtlspop_app *app, mtlspop_token_request *request, mtlspop_status status, const char *code,
                    const char *words)
{
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == status);
    CHECK(token == NULL && strcmp(mtlspop_error_code(error), code) == 0);
    CHECK(strstr(mtlspop_error_message(error), words) != NULL);
    printf("%s: %s\n", mtlspop_error_code(error), mtlspop_error_message(error));
    mtlspop_error_free(error);
}

/* An agent of Azure Arc that confirms the identity, and then one that does not. */
static void arc(void)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token;
    mtlspop_app *app;

    mtlspop_app_options_set_user_assigned_client_id(options, env("USER_ASSIGNED_CLIENT_ID"));
    app = app_of(options);
    token = acquire(app, request);
    CHECK(strcmp(mtlspop_token_access_token(token), "confirmed") == 0);
    mtlspop_token_free(token);
    mtlspop_token_request_set_force_refresh(request, 1);
    refused(app, request, MTLSPOP_E_INVALID_RESPONSE, "user_assigned_managed_identity_not_confirmed", "discarded");
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "arc") == 0) arc();
    else CHECK(!"a name of a case");
    return check_result();
}
