/* apps.h: the three ways in, made from the environment that devcloud sets. */

#ifndef APPS_H
#define APPS_H

#include "check.h"

#define GRAPH "https://graph.microsoft.com/v1.0/applications"

/* An environment variable that must be there. */
static inline const char *env(const char *name)
{
    const char *value = getenv(name);
    if (value) return value;
    printf("FAILED %s is not set: run this program with devcloud\n", name);
    exit(1);
}

/* The first line of a file, which the caller frees. */
static inline char *read_line(const char *path)
{
    char *line = calloc(1, 16384);
    FILE *file = fopen(path, "r");
    if (!line || !file || !fgets(line, 16384, file)) {
        printf("FAILED cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static inline mtlspop_certificate *load(const char *path)
{
    mtlspop_certificate *certificate = NULL;
    mtlspop_error *error = NULL;
    CHECK_OK(mtlspop_certificate_new_from_file(path, NULL, NULL, &certificate, &error), error);
    return certificate;
}

/* Settings of a confidential client in devcloud's tenant. */
static inline mtlspop_app_options *client_options(const char *client_id)
{
    mtlspop_app_options *options = mtlspop_app_options_new_confidential_client(client_id);
    char authority[256];
    snprintf(authority, sizeof authority, "https://login.microsoftonline.com/%s", env("AZURE_TENANT_ID"));
    mtlspop_app_options_set_authority(options, authority);
    return options;
}

/* Makes the app and frees the settings. */
static inline mtlspop_app *app_of(mtlspop_app_options *options)
{
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;
    CHECK_OK(mtlspop_app_new(options, &app, &error), error);
    mtlspop_app_options_free(options);
    return app;
}

static inline mtlspop_app *managed_identity_app(void)
{
    return app_of(mtlspop_app_options_new_managed_identity());
}

static inline mtlspop_app *certificate_app(void)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    mtlspop_app_options_set_azure_region(options, env("AZURE_REGION"));
    return app_of(options);
}

/* Answers with the assertion that devcloud minted: for a bound token the one bound to a certificate. */
static inline int32_t federated_assertion(void *userdata, mtlspop_assertion_op *operation)
{
    int bound = strcmp(mtlspop_assertion_op_token_type(operation), "mtls_pop") == 0;
    char *assertion = read_line(env(bound ? "FIC_ASSERTION_PATH" : "AZURE_FEDERATED_TOKEN_FILE"));

    (void)userdata;
    mtlspop_assertion_op_set_assertion(operation, assertion);
    free(assertion);
    if (bound) {
        mtlspop_certificate *certificate = load(env("FIC_CERTIFICATE_PATH"));
        mtlspop_assertion_op_set_certificate(operation, certificate);
        mtlspop_certificate_free(certificate);
    }
    return 0;
}

static inline mtlspop_app *federated_app(void)
{
    mtlspop_app_options *options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_app_options_set_client_assertion(options, federated_assertion, NULL, NULL);
    return app_of(options);
}

/* A request for a token for Graph. Scopes work for every kind of app. */
static inline mtlspop_token_request *graph_request(int bound)
{
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_token_request_set_mtls_proof_of_possession(request, bound);
    return request;
}

static inline mtlspop_token *acquire(const mtlspop_app *app, const mtlspop_token_request *request)
{
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    CHECK_OK(mtlspop_app_acquire_token(app, request, &token, &error), error);
    return token;
}

/* Calls Graph with the token; the HTTP status, 0 if there was none. */
static inline int32_t call_graph(const mtlspop_app *app, const mtlspop_token *token)
{
    mtlspop_http_request *request = mtlspop_http_request_new("GET", GRAPH);
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    int32_t status;
    CHECK_OK(mtlspop_app_send(app, token, request, &response, &error), error);
    status = mtlspop_http_response_status(response);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(request);
    return status;
}

#endif
