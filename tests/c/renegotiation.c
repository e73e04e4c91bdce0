/* renegotiation.c: does Apache, which asks for the certificate once it has read the request, get it where that is allowed,
 * and is it told how to where it is not? APACHE_URL: what wants the certificate. */

#include "apps.h"

/* Sends a GET, and gives the status of the answer. */
static int get(mtlspop_app *app, mtlspop_token *token, int allow, mtlspop_error **error)
{
    mtlspop_http_request *request = mtlspop_http_request_new("GET", env("APACHE_URL"));
    mtlspop_http_response *response = NULL;
    int status = 0;

    if (allow >= 0) mtlspop_http_request_set_allow_renegotiation(request, allow);
    if (mtlspop_app_send(app, token, request, &response, error) == MTLSPOP_OK) {
        status = mtlspop_http_response_status(response);
        CHECK(strcmp(mtlspop_http_response_tls_version(response), "TLSv1.2") == 0);
        CHECK(mtlspop_http_response_certificate_requested(response) == 1);
        CHECK(mtlspop_http_response_renegotiation_declined(response) == 0);
        mtlspop_http_response_free(response);
    }
    mtlspop_http_request_free(request);
    return status;
}

static mtlspop_app *named(const char *host)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_error *error = NULL;
    mtlspop_app *app = NULL;

    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_app_options_set_azure_region(options, "eastus");
    if (host) mtlspop_app_options_add_renegotiating_host(options, host);
    if (host && strstr(host, "://")) {
        CHECK(mtlspop_app_new(options, &app, &error) == MTLSPOP_E_INVALID_ARGUMENT);
        CHECK(error && strstr(mtlspop_error_message(error), "not the name of a host") != NULL);
        mtlspop_error_free(error);
    } else {
        CHECK_OK(mtlspop_app_new(options, &app, &error), error);
    }
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(certificate);
    return app;
}

int main(void)
{
    mtlspop_app *plain = named(NULL), *of_localhost = named("localhost");
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = acquire(plain, request);
    mtlspop_error *error = NULL;

    CHECK(get(plain, token, 1, NULL) == 200);
    CHECK(get(of_localhost, token, -1, NULL) == 200);
    CHECK(get(of_localhost, token, -1, NULL) == 200);
    CHECK(get(plain, token, -1, &error) == 0);
    CHECK(error && strcmp(mtlspop_error_code(error), "client_certificate_rejected") == 0);
    CHECK(error && strstr(mtlspop_error_message(error), "mtlspop_app_options_add_renegotiating_host") != NULL);
    mtlspop_error_free(error);
    CHECK(get(of_localhost, token, 0, NULL) == 0);
    CHECK(named("https://localhost") == NULL);

    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(of_localhost);
    mtlspop_app_free(plain);
    return check_result();
}
