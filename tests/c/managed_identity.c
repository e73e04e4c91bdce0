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

/* Does the variable stop bound tokens while the program runs, with the reason told, and let them go on? */
static void imds_v2_switch(void)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = graph_request(1), *bearer = graph_request(0);
    mtlspop_capabilities *found = NULL;
    mtlspop_error *error = NULL;
    mtlspop_app *app;

    mtlspop_app_options_set_probe_timeout_ms(options, 60000); /* under valgrind, on a busy machine */
    app = app_of(options);
    CHECK(setenv("MSAL_MI_DISABLE_IMDS_V2", "True", 1) == 0);
    refused(app, request, MTLSPOP_E_NOT_SUPPORTED, "imds_v2_disabled", "MSAL_MI_DISABLE_IMDS_V2");
    CHECK_OK(mtlspop_app_managed_identity_capabilities(app, 60000, NULL, &found, &error), error);
    CHECK(mtlspop_capabilities_source(found) == MTLSPOP_SOURCE_IMDS);
    CHECK(mtlspop_capabilities_max_supported_binding_strength(found) == MTLSPOP_STRENGTH_NONE);
    CHECK(strstr(mtlspop_capabilities_error_reason(found), "MSAL_MI_DISABLE_IMDS_V2") != NULL);
    mtlspop_capabilities_free(found);
    mtlspop_token_free(acquire(app, bearer));
    CHECK(unsetenv("MSAL_MI_DISABLE_IMDS_V2") == 0);
    mtlspop_token_free(acquire(app, request));
    mtlspop_token_request_free(bearer);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

/* Is a token asked for over mTLS a Bearer one without a certificate, and refused together with a bound one? */
static void over_mtls(void)
{
    mtlspop_app *app = managed_identity_app();
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token;

    mtlspop_token_request_set_request_over_mtls(request, 1);
    token = acquire(app, request);
    CHECK(strcmp(mtlspop_token_type(token), "Bearer") == 0);
    CHECK(mtlspop_token_binding_certificate(token) == NULL);
    CHECK(strstr(mtlspop_token_endpoint(token), "mtlsauth") != NULL);
    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    refused(app, request, MTLSPOP_E_INVALID_ARGUMENT, "invalid_argument", "exclude each other");
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "arc") == 0) arc();
    else if (strcmp(name, "switch") == 0) imds_v2_switch();
    else if (strcmp(name, "over mtls") == 0) over_mtls();
    else CHECK(!"a name of a case");
    return check_result();
}
