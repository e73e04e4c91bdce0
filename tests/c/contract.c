/* contract.c: does every mistake of a caller get a status and a sentence that say what to do?
 *
 * Prints `case | status | code | message`. */

#include "apps.h"

#define AUTHORITY "https://login.microsoftonline.com/7d3f0a52-8c1e-4b6a-9f27-5e0c4d1b8a63"
#define SECRET "hush-hush-hush"

/* Checks one failed call, prints it, and frees its error. */
static void row(const char *name, mtlspop_status status, mtlspop_error *error, mtlspop_status expected,
                const char *part)
{
    const char *message = mtlspop_error_message(error);
    const char *code = mtlspop_error_code(error);

    printf("%s | %d | %s | %s\n", name, (int)status, code ? code : "", message ? message : "");
    CHECK(status == expected);
    CHECK(error && mtlspop_error_status(error) == status);
    CHECK(code && *code);
    CHECK_CONTAINS(message, part);
    CHECK(message && !strchr(message, '\n') && !strstr(message, SECRET) && !strstr(message, "PRIVATE KEY"));
    mtlspop_error_free(error);
}

/* Fails to make an app from the options, which it frees. */
static void app_row(const char *name, mtlspop_app_options *options, mtlspop_status expected, const char *part)
{
    mtlspop_app *app = (mtlspop_app *)options;
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_app_new(options, &app, &error);
    CHECK(app == NULL);
    row(name, status, error, expected, part);
    mtlspop_app_options_free(options);
}

/* Fails to get a token with the request, which it frees. */
static void token_row(const char *name, const mtlspop_app *app, mtlspop_token_request *request,
                      mtlspop_status expected, const char *part)
{
    mtlspop_token *token = (mtlspop_token *)request;
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_app_acquire_token(app, request, &token, &error);
    CHECK(token == NULL);
    row(name, status, error, expected, part);
    mtlspop_token_request_free(request);
}

static void certificate_row(const char *name, const char *path, const char *key_path, const char *part)
{
    mtlspop_certificate *certificate = (mtlspop_certificate *)&name;
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_certificate_new_from_file(path, key_path, NULL, &certificate, &error);
    CHECK(certificate == NULL);
    row(name, status, error, MTLSPOP_E_KEY_UNAVAILABLE, part);
}

static mtlspop_app_options *with_secret(const char *authority)
{
    mtlspop_app_options *options = mtlspop_app_options_new_confidential_client(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_client_secret(options, SECRET);
    if (authority) mtlspop_app_options_set_authority(options, authority);
    return options;
}

static mtlspop_app_options *with_region(const char *region)
{
    mtlspop_app_options *options = with_secret(AUTHORITY);
    mtlspop_app_options_set_azure_region(options, region);
    return options;
}

static mtlspop_app *with_certificate(const char *authority, const char *path)
{
    mtlspop_app_options *options = mtlspop_app_options_new_confidential_client(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = load(path);
    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    mtlspop_app_options_set_authority(options, authority);
    return app_of(options);
}

static char *in_state(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", env("DEVCLOUD_STATE_DIR"), name);
    return path;
}

static void handles(const mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    token_row("app NULL", NULL, graph_request(0), MTLSPOP_E_INVALID_HANDLE, "app is NULL");
    token_row("request NULL", app, NULL, MTLSPOP_E_INVALID_HANDLE, "request is NULL");
    token_row("app is a request", (const mtlspop_app *)request, graph_request(0), MTLSPOP_E_INVALID_HANDLE,
              "app is not a live mtlspop_app");
    status = mtlspop_app_acquire_token(app, request, NULL, &error);
    row("out_token NULL", status, error, MTLSPOP_E_INVALID_ARGUMENT, "out_token is NULL");
    CHECK(mtlspop_app_acquire_token(NULL, request, &token, NULL) == MTLSPOP_E_INVALID_HANDLE);
    mtlspop_token_request_free(request);

    mtlspop_app_free(NULL);
    mtlspop_app_options_free(NULL);
    mtlspop_buffer_free(NULL);
    mtlspop_certificate_free(NULL);
    mtlspop_error_free(NULL);
    mtlspop_http_request_free(NULL);
    mtlspop_http_response_free(NULL);
    mtlspop_token_free(NULL);
    mtlspop_token_request_free(NULL);
}

static void options(void)
{
    mtlspop_app_options *options;

    app_row("options NULL", NULL, MTLSPOP_E_INVALID_HANDLE, "options is NULL");
    app_row("client_id NULL", mtlspop_app_options_new_confidential_client(NULL), MTLSPOP_E_INVALID_ARGUMENT,
            "client_id is NULL");
    app_row("no authority", with_secret(NULL), MTLSPOP_E_INVALID_ARGUMENT, "authority");
    app_row("authority without tenant", with_secret("https://login.microsoftonline.com/"),
            MTLSPOP_E_INVALID_ARGUMENT, "tenant");
    app_row("authority over http", with_secret("http://login.microsoftonline.com/common"),
            MTLSPOP_E_INVALID_ARGUMENT, "https");
    app_row("region with a slash", with_region("east.us/x"), MTLSPOP_E_INVALID_ARGUMENT, "east.us/x");
    app_row("region not UTF-8", with_region("east\xff"), MTLSPOP_E_INVALID_ARGUMENT, "UTF-8");
    app_row("region NULL", with_region(NULL), MTLSPOP_E_INVALID_ARGUMENT, "region is NULL");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_oidc_authority(options, "http://idp.devcloud.test");
    app_row("OIDC authority over http", options, MTLSPOP_E_INVALID_ARGUMENT, "https");

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_instance_discovery(options, 0);
    app_row("managed identity with instance discovery", options, MTLSPOP_E_INVALID_ARGUMENT, "instance discovery");

    options = mtlspop_app_options_new_confidential_client("client");
    mtlspop_app_options_set_authority(options, AUTHORITY);
    app_row("no credential", options, MTLSPOP_E_INVALID_ARGUMENT, "credential");

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_client_secret(options, SECRET);
    app_row("managed identity with a secret", options, MTLSPOP_E_INVALID_ARGUMENT, "managed identity");

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_user_assigned_client_id(options, "");
    app_row("user-assigned id empty", options, MTLSPOP_E_INVALID_ARGUMENT, "empty");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_user_assigned_client_id(options, "client");
    app_row("user-assigned id for a confidential client", options, MTLSPOP_E_INVALID_ARGUMENT,
            "managed identity");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_proxy(options, "\xff");
    mtlspop_app_options_set_azure_region(options, NULL);
    app_row("two bad setters: the first", options, MTLSPOP_E_INVALID_ARGUMENT,
            "mtlspop_app_options_set_proxy: proxy is not valid UTF-8");
}

/* What an app with a credential of its own cannot be told. */
static void credentials(void)
{
    mtlspop_app_options *options = with_secret(AUTHORITY);

    mtlspop_app_options_set_send_certificate_over_mtls(options, 1);
    app_row("secret over mTLS", options, MTLSPOP_E_INVALID_ARGUMENT, "needs a certificate");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_certificate_provider(options, NULL, NULL, NULL, 1);
    app_row("certificate provider NULL", options, MTLSPOP_E_INVALID_ARGUMENT,
            "mtlspop_app_options_set_certificate_provider: callback is NULL");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_metrics(options, NULL, NULL, NULL);
    app_row("metrics callback NULL", options, MTLSPOP_E_INVALID_ARGUMENT,
            "mtlspop_app_options_set_metrics: callback is NULL");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_federated_token_file(options, "\xff");
    app_row("token file not UTF-8", options, MTLSPOP_E_INVALID_ARGUMENT, "path is not valid UTF-8");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_client_capabilities(options, NULL);
    app_row("capabilities NULL", options, MTLSPOP_E_INVALID_ARGUMENT, "capabilities is NULL");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_extra_query_parameter(options, "", "x", 0);
    app_row("query parameter of the app without name", options, MTLSPOP_E_INVALID_ARGUMENT, "no name");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_connect_timeout_ms(options, 0);
    app_row("connect timeout 0", options, MTLSPOP_E_INVALID_ARGUMENT, "milliseconds is 0");

    options = with_secret(AUTHORITY);
    mtlspop_app_options_set_connect_timeout_ms(options, -1);
    app_row("connect timeout negative", options, MTLSPOP_E_INVALID_ARGUMENT, "milliseconds is -1");
}

/* A token cannot be had from the file. */
static void token_file_row(const char *name, const char *path, int bound, mtlspop_status expected, const char *part)
{
    mtlspop_app_options *options = mtlspop_app_options_new_confidential_client(env("FIC_CLIENT_ID"));
    mtlspop_app *app;

    mtlspop_app_options_set_authority(options, AUTHORITY);
    mtlspop_app_options_set_federated_token_file(options, path);
    app = app_of(options);
    token_row(name, app, graph_request(bound), expected, part);
    mtlspop_app_free(app);
}

static void token_files(void)
{
    mtlspop_app_options *options;

    token_file_row("token file missing", "/nowhere/token", 0, MTLSPOP_E_KEY_UNAVAILABLE, "/nowhere/token");
    token_file_row("token file empty", "/dev/null", 0, MTLSPOP_E_KEY_UNAVAILABLE, "is empty");
    token_file_row("token file without a JWT", in_state("ca.pem"), 0, MTLSPOP_E_KEY_UNAVAILABLE, "holds no JWT");
    token_file_row("token file for PoP", NULL, 1, MTLSPOP_E_INVALID_ARGUMENT, "brings no certificate");
    options = mtlspop_app_options_new_confidential_client(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_authority(options, AUTHORITY);
    mtlspop_app_options_set_client_secret(options, env("AZURE_CLIENT_SECRET"));
    mtlspop_app_options_set_enable_azure_proxy(options, 1);
    app_row("token proxy without a token file", options, MTLSPOP_E_INVALID_ARGUMENT, "federated token files only");
}

/* Is the audience of each cloud found by authority and by host, and none made up? */
static void audiences(void)
{
    const char *government = "api://AzureADTokenExchangeUSGov";
    CHECK(strcmp(mtlspop_federated_credential_audience("https://login.microsoftonline.com/t"), "api://AzureADTokenExchange") == 0);
    CHECK(strcmp(mtlspop_federated_credential_audience("login.microsoftonline.us"), government) == 0);
    CHECK(mtlspop_federated_credential_audience("login.microsoftonline.us") ==
          mtlspop_federated_credential_audience("https://login.usgovcloudapi.net/t/"));
    CHECK(mtlspop_federated_credential_audience("login.example.com") == NULL);
    CHECK(mtlspop_federated_credential_audience("\xff") == NULL && mtlspop_federated_credential_audience(NULL) == NULL);
}

/* A request with one bad value of a setter that takes a text. */
static void text_row(const char *name, const mtlspop_app *app,
                     void (*set)(mtlspop_token_request *, const char *), const char *text, const char *part)
{
    mtlspop_token_request *request = graph_request(0);
    set(request, text);
    token_row(name, app, request, MTLSPOP_E_INVALID_ARGUMENT, part);
}

/* The same for a name and a value. */
static void pair_row(const char *name, const mtlspop_app *app,
                     void (*set)(mtlspop_token_request *, const char *, const char *), const char *key,
                     const char *value, const char *part)
{
    mtlspop_token_request *request = graph_request(0);
    set(request, key, value);
    token_row(name, app, request, MTLSPOP_E_INVALID_ARGUMENT, part);
}

static void set_query(mtlspop_token_request *request, const char *name, const char *value)
{
    mtlspop_token_request_set_extra_query_parameter(request, name, value, 1);
}

static void request_texts(const mtlspop_app *app, const mtlspop_app *managed)
{
    text_row("tenant NULL", app, mtlspop_token_request_set_tenant_id, NULL, "tenant_id is NULL");
    text_row("tenant with a slash", app, mtlspop_token_request_set_tenant_id, "a/b", "tenant");
    text_row("tenant for a managed identity", managed, mtlspop_token_request_set_tenant_id, "a", "takes no tenant");
    text_row("authority not UTF-8", app, mtlspop_token_request_set_authority, "\xff", "authority is not valid UTF-8");
    text_row("authority of another type", app, mtlspop_token_request_set_authority, "https://adfs.devcloud.test/adfs",
             "of another type");
    text_row("authority of another cloud", app, mtlspop_token_request_set_authority,
             "https://login.microsoftonline.us/devcloud.onmicrosoft.com", "in another cloud");
    text_row("FMI path NULL", app, mtlspop_token_request_set_fmi_path, NULL, "path is NULL");
    text_row("FMI path empty", app, mtlspop_token_request_set_fmi_path, "", "FMI path is empty");
    text_row("FMI path of the assertion empty", app, mtlspop_token_request_set_client_assertion_fmi_path, " ",
             "FMI path is empty");
    text_row("claims of the client not JSON", app, mtlspop_token_request_set_claims_from_client, "{", "JSON");
    text_row("claims of the client no object", app, mtlspop_token_request_set_claims_from_client, "[]", "JSON object");
    text_row("claims for an assertion not JSON", app, mtlspop_token_request_set_extra_client_assertion_claims, "{",
             "JSON");
    text_row("claims for an assertion, reserved", app, mtlspop_token_request_set_extra_client_assertion_claims,
             "{\"iss\":1}", "iss");
    pair_row("query parameter NULL", app, set_query, NULL, "x", "name is NULL");
    pair_row("query parameter without name", app, set_query, " ", "x", "no name");
    pair_row("body parameter of the library", app, mtlspop_token_request_set_extra_body_parameter, "token_type",
             "Bearer", "mtlspop_token_request_set_extra_body_parameter: the body parameter token_type is set by the library");
    pair_row("body parameter not UTF-8", app, mtlspop_token_request_set_extra_body_parameter, "x", "\xff",
             "value is not valid UTF-8");
    pair_row("header of the library", app, mtlspop_token_request_set_extra_http_header, "Content-Type", "x",
             "mtlspop_token_request_set_extra_http_header: the header Content-Type is set by the library");
    pair_row("header of the connection", app, mtlspop_token_request_set_extra_http_header, "Host", "x",
             "mtlspop_token_request_set_extra_http_header: the header Host is set by the library");
    pair_row("header without name", app, mtlspop_token_request_set_extra_http_header, "", "x", "has no name");
    pair_row("header name with a blank", app, mtlspop_token_request_set_extra_http_header, "x y", "z",
             "x y is not the name of an HTTP header");
    pair_row("header with a line break", app, mtlspop_token_request_set_extra_http_header, "x", "a\r\nb",
             "mtlspop_token_request_set_extra_http_header: the value of the header x holds a line break");
    pair_row("partition key without name", app, mtlspop_token_request_set_cache_partition_key, "", "x", "no name");
    pair_row("partition key NULL", app, mtlspop_token_request_set_cache_partition_key, "x", NULL, "value is NULL");
}

static void requests(void)
{
    mtlspop_app *secret = app_of(with_secret(AUTHORITY));
    mtlspop_app *common =
        with_certificate("https://login.microsoftonline.com/common", env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_app *certificate = with_certificate(AUTHORITY, env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_app *managed = managed_identity_app();
    mtlspop_app *ec = with_certificate(AUTHORITY, in_state("sni-ec.pem"));
    mtlspop_token_request *request;

    handles(secret);
    request_texts(certificate, managed);
    token_row("PoP with a secret", secret, graph_request(1), MTLSPOP_E_INVALID_ARGUMENT, "certificate");
    token_row("PoP at common", common, graph_request(1), MTLSPOP_E_INVALID_ARGUMENT, "tenant");
    token_row("Bearer with an EC key", ec, graph_request(0), MTLSPOP_E_KEY_UNAVAILABLE, "RSA");
    token_row("no scope", secret, mtlspop_token_request_new(" "), MTLSPOP_E_INVALID_ARGUMENT, "scope");

    request = graph_request(0);
    mtlspop_token_request_set_claims(request, "no JSON");
    token_row("claims not JSON", secret, request, MTLSPOP_E_INVALID_ARGUMENT, "JSON");
    request = graph_request(0);
    mtlspop_token_request_set_correlation_id(request, "1234");
    token_row("correlation id not a UUID", secret, request, MTLSPOP_E_INVALID_ARGUMENT, "UUID");
    request = graph_request(0);
    mtlspop_token_request_set_timeout_ms(request, -1);
    token_row("timeout negative", secret, request, MTLSPOP_E_INVALID_ARGUMENT, "milliseconds");
    token_row("the service refuses the secret", secret, graph_request(0), MTLSPOP_E_REJECTED, "AADSTS7000215");

    mtlspop_app_free(ec);
    mtlspop_app_free(managed);
    mtlspop_app_free(certificate);
    mtlspop_app_free(common);
    mtlspop_app_free(secret);
}

static void certificates(void)
{
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_certificate *again = NULL;
    mtlspop_buffer *pfx = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;
    const uint8_t *bytes;
    size_t length;

    certificate_row("certificate file missing", "/nowhere/certificate.pem", NULL, "/nowhere/certificate.pem");
    certificate_row("certificate without key", in_state("sni-cert.pem"), NULL, "key");
    certificate_row("key of another certificate", env("SSL_CERT_FILE"), in_state("sni-key.pem"), "not belong");

    /* The legacy format, because the key derivation of the other takes a minute under valgrind. */
    CHECK_OK(mtlspop_certificate_export_pkcs12(certificate, SECRET, MTLSPOP_PKCS12_LEGACY, &pfx, &error), error);
    bytes = mtlspop_buffer_data(pfx, &length);
    status = mtlspop_certificate_new_from_pkcs12(bytes, length, "wrong", &again, &error);
    row("PFX with a wrong password", status, error, MTLSPOP_E_KEY_UNAVAILABLE, "password");
    CHECK_OK(mtlspop_certificate_new_from_pkcs12(bytes, length, SECRET, &again, &error), error);
    CHECK(strcmp(mtlspop_certificate_x5t_s256(certificate), mtlspop_certificate_x5t_s256(again)) == 0);
    mtlspop_certificate_free(again);
    mtlspop_buffer_free(pfx);

    status = mtlspop_certificate_export_pkcs12(certificate, SECRET, 7, &pfx, &error);
    row("PFX of an unknown format", status, error, MTLSPOP_E_INVALID_ARGUMENT, "format 7");
    mtlspop_certificate_free(certificate);
}

static void http_row(const char *name, const mtlspop_app *app, const mtlspop_token *token, const char *url,
                     const char *header, const char *value, const char *part)
{
    mtlspop_http_request *request = mtlspop_http_request_new("GET", url);
    mtlspop_http_response *response = (mtlspop_http_response *)request;
    mtlspop_error *error = NULL;
    mtlspop_status status;
    if (header) mtlspop_http_request_add_header(request, header, value);
    status = mtlspop_app_send(app, token, request, &response, &error);
    CHECK(response == NULL);
    row(name, status, error, MTLSPOP_E_INVALID_ARGUMENT, part);
    mtlspop_http_request_free(request);
}

static void body_row(const mtlspop_app *app, const mtlspop_token *token)
{
    mtlspop_http_request *request = mtlspop_http_request_new("POST", GRAPH);
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;
    mtlspop_http_request_set_body(request, "text/plain\r\nx: y", NULL, 0);
    /* The first bad value counts. */
    mtlspop_http_request_add_header(request, "Host", "x");
    status = mtlspop_app_send(app, token, request, &response, &error);
    row("content type with a line break", status, error, MTLSPOP_E_INVALID_ARGUMENT,
        "mtlspop_http_request_set_body: the value of the header Content-Type holds a line break");
    mtlspop_http_request_free(request);
}

static void http(void)
{
    mtlspop_app *app = managed_identity_app();
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token = acquire(app, request);
    http_row("API over http", app, token, "http://graph.microsoft.com/", NULL, NULL, "https");
    http_row("API without URL", app, token, NULL, NULL, NULL, "url is NULL");
    /* The setter's name: it was found there. */
    http_row("header of the library", app, token, GRAPH, "authorization", "x",
             "mtlspop_http_request_add_header: the header authorization comes from the token");
    http_row("header of the connection", app, token, GRAPH, "Host", "x",
             "mtlspop_http_request_add_header: the header Host is set by the library");
    http_row("API header without name", app, token, GRAPH, "", "x",
             "mtlspop_http_request_add_header:  is not the name of an HTTP header");
    http_row("API header with a line break", app, token, GRAPH, "x", "a\nb",
             "mtlspop_http_request_add_header: the value of the header x holds a line break");
    body_row(app, token);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

int main(void)
{
    printf("case | status | code | message\n");
    options();
    credentials();
    token_files();
    audiences();
    requests();
    certificates();
    http();
    return check_result();
}
