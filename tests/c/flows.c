/* flows.c: do all three ways in give Bearer and bound tokens that Graph takes, and the second time without a request? */

#include "apps.h"

static void flow(const char *name, mtlspop_app *app, int bound)
{
    mtlspop_token_request *request = graph_request(bound);
    mtlspop_token *token = acquire(app, request);
    mtlspop_token *again = acquire(app, request);
    mtlspop_certificate *certificate = mtlspop_token_binding_certificate(token);
    char authorization[32];

    printf("%s %s\n", name, bound ? "mtls_pop" : "Bearer");
    CHECK(mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER);
    CHECK(mtlspop_token_source(again) == MTLSPOP_TOKEN_SOURCE_CACHE);
    CHECK(strcmp(mtlspop_token_access_token(token), mtlspop_token_access_token(again)) == 0);
    CHECK(strcmp(mtlspop_token_type(token), bound ? "mtls_pop" : "Bearer") == 0);
    snprintf(authorization, sizeof authorization, "%s ey", mtlspop_token_type(token));
    CHECK(strncmp(mtlspop_token_authorization(token), authorization, strlen(authorization)) == 0);
    CHECK(mtlspop_token_expires_on(token) > 1700000000);
    CHECK((certificate != NULL) == bound);
    CHECK(mtlspop_token_binding_strength(token) == (bound ? MTLSPOP_STRENGTH_SOFTWARE : MTLSPOP_STRENGTH_NONE));
    CHECK(mtlspop_token_binding_strength(again) == mtlspop_token_binding_strength(token));
    if (certificate) {
        CHECK(strlen(mtlspop_certificate_x5t_s256(certificate)) == 43);
        CHECK(mtlspop_certificate_not_after(certificate) > mtlspop_certificate_not_before(certificate));
    }
    CHECK(call_graph(app, again) == 200);

    mtlspop_certificate_free(certificate);
    mtlspop_token_free(again);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
}

/* Is a claims challenge read, and answered where a request for the token is given? */
static void challenge(mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = acquire(app, request);
    mtlspop_http_request *call = mtlspop_http_request_new("GET", "https://graph.microsoft.com/claims-challenge");
    mtlspop_error *error = NULL;

    for (int answered = 0; answered < 2; answered++) {
        mtlspop_http_response *response = NULL;
        if (answered) mtlspop_http_request_set_token_request(call, request);
        CHECK_OK(mtlspop_app_send(app, token, call, &response, &error), error);
        CHECK(mtlspop_http_response_status(response) == (answered ? 200 : 401));
        CHECK((mtlspop_http_response_claims(response) == NULL) == answered);
        CHECK(strcmp(mtlspop_http_response_tls_version(response), "TLSv1.3") == 0);
        CHECK(mtlspop_http_response_certificate_requested(response) == 1);
        CHECK(strcmp(mtlspop_token_tls_version(token), "TLSv1.3") == 0);
        CHECK(mtlspop_token_certificate_requested(token) == 1);
        if (!answered) CHECK(strstr(mtlspop_http_response_claims(response), "\"acrs\"") != NULL);
        mtlspop_http_response_free(response);
    }

    mtlspop_http_request_free(call);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
}

/* What can the host do, and is a floor that it does not reach refused? */
static void capabilities(void)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_app *app;
    mtlspop_capabilities *found = NULL;
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    mtlspop_app_options_set_probe_timeout_ms(options, 60000);
    app = app_of(options);
    CHECK_OK(mtlspop_app_managed_identity_capabilities(app, 60000, NULL, &found, &error), error);
    CHECK(mtlspop_capabilities_source(found) == MTLSPOP_SOURCE_IMDS);
    CHECK(mtlspop_capabilities_max_supported_binding_strength(found) == MTLSPOP_STRENGTH_SOFTWARE);
    CHECK(mtlspop_capabilities_is_mtls_pop_supported_by_host(found) == 1);
    CHECK(strstr(mtlspop_capabilities_detection_reason(found), "IMDSv2") != NULL);
    CHECK(mtlspop_capabilities_error_reason(found) == NULL);

    mtlspop_token_request_set_min_strength(request, MTLSPOP_STRENGTH_HARDWARE);
    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_NOT_SUPPORTED);
    CHECK(error && strcmp(mtlspop_error_code(error), "min_strength_not_met") == 0);

    mtlspop_error_free(error);
    mtlspop_capabilities_free(found);
    mtlspop_app_free(app);

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_min_strength(options, MTLSPOP_STRENGTH_ATTESTED);
    app = app_of(options);
    mtlspop_token_request_set_min_strength(request, MTLSPOP_STRENGTH_NONE);
    CHECK(mtlspop_app_acquire_token(app, request, &token, NULL) == MTLSPOP_E_NOT_SUPPORTED);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

static void both(const char *name, mtlspop_app *app)
{
    flow(name, app, 0);
    flow(name, app, 1);
    mtlspop_app_free(app);
}

int main(void)
{
    mtlspop_app *app;

    capabilities();
    both("managed identity", managed_identity_app());
    both("SN/I certificate", certificate_app());
    app = certificate_app();
    challenge(app);
    mtlspop_app_free(app);
    both("federated identity", federated_app());
    return check_result();
}
