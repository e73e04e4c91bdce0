/* example.h: what the examples share: settings from the environment, errors and results as text. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <mtlspop.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints the usage and returns 1 where --help or -h is the first argument. */
static inline int example_help(int argc, char **argv, const char *usage)
{
    if (argc < 2 || (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
        return 0;
    printf("usage: %s %s\n", argv[0], usage);
    return 1;
}

/* An environment variable; where it is not set, the other one, if there is another. */
static inline const char *example_env(const char *name, const char *other)
{
    const char *value = getenv(name);

    if (value != NULL && *value != '\0')
        return value;
    return other != NULL ? example_env(other, NULL) : NULL;
}

/* The same for a variable that is needed: says so and ends the program where it is not set. */
static inline const char *example_need(const char *name, const char *other)
{
    const char *value = example_env(name, other);

    if (value == NULL) {
        fprintf(stderr, "set %s (--help lists the settings)\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

/* The authority of the tenant AZURE_TENANT_ID, in the cloud of AZURE_AUTHORITY_HOST, written to authority. */
static inline const char *example_authority(char *authority, size_t size)
{
    const char *host = example_env("AZURE_AUTHORITY_HOST", NULL); /* AKS puts a slash at its end */

    host = host != NULL ? host : "https://login.microsoftonline.com";
    snprintf(authority, size, "%s%s%s", host, host[strlen(host) - 1] == '/' ? "" : "/",
             example_need("AZURE_TENANT_ID", NULL));
    return authority;
}

/* A request, within the time of a callback, for the token that is its app's credential: it is for the cloud's audience. */
static inline mtlspop_token_request *example_exchange(const mtlspop_assertion_op *operation)
{
    const char *audience = mtlspop_federated_credential_audience(mtlspop_assertion_op_authority(operation));
    mtlspop_token_request *request;
    char scope[80];

    snprintf(scope, sizeof scope, "%s/.default", audience != NULL ? audience : "unknown cloud");
    request = mtlspop_token_request_new(scope);
    /* What is left of the time; -1 there and 0 here stand for no limit. */
    mtlspop_token_request_set_timeout_ms(request, mtlspop_assertion_op_remaining_ms(operation) + 1);
    return request;
}

/* AZURE_REGION, or the region of Microsoft's how-to. */
static inline const char *example_region(void)
{
    const char *region = example_env("AZURE_REGION", NULL);

    return region != NULL ? region : "east us";
}

/* The API to call. Real Graph wants the permission Application.Read.All for this: set API_URL for another path. */
static inline const char *example_url(void)
{
    const char *url = example_env("API_URL", NULL);

    return url != NULL ? url : "https://graph.microsoft.com/v1.0/applications";
}

/* The same for a bound token: Graph asks for its certificate at this host only (docs/RESOURCES.md). */
static inline const char *example_mtls_url(void)
{
    const char *url = example_env("API_URL", NULL);

    return url != NULL ? url : "https://mtlstb.graph.microsoft.com/v1.0/applications";
}

static inline const char *example_status_name(mtlspop_status status)
{
    switch (status) {
    case MTLSPOP_E_INVALID_ARGUMENT: return "INVALID_ARGUMENT";
    case MTLSPOP_E_INVALID_HANDLE: return "INVALID_HANDLE";
    case MTLSPOP_E_NOT_SUPPORTED: return "NOT_SUPPORTED";
    case MTLSPOP_E_NETWORK: return "NETWORK";
    case MTLSPOP_E_TIMEOUT: return "TIMEOUT";
    case MTLSPOP_E_CANCELLED: return "CANCELLED";
    case MTLSPOP_E_REJECTED: return "REJECTED";
    case MTLSPOP_E_THROTTLED: return "THROTTLED";
    case MTLSPOP_E_INTERACTION_REQUIRED: return "INTERACTION_REQUIRED";
    case MTLSPOP_E_INVALID_RESPONSE: return "INVALID_RESPONSE";
    case MTLSPOP_E_KEY_UNAVAILABLE: return "KEY_UNAVAILABLE";
    case MTLSPOP_E_CALLBACK: return "CALLBACK";
    case MTLSPOP_E_INTERNAL: return "INTERNAL";
    default: return "UNKNOWN";
    }
}

/*
 * What --source prints: which service vouches for the managed identity, how that is known, and how well
 * the key of a bound token can be kept. Returns EXIT_SUCCESS, or 3 where there is no such service.
 */
static inline int example_source(const mtlspop_app *app, mtlspop_error **error)
{
    static const char *const sources[] = {"none", "App Service", "Azure Arc", "Cloud Shell",
                                          "IMDS", "Machine Learning", "Service Fabric"};
    static const char *const strengths[] = {"none", "software", "hardware", "attested"};
    mtlspop_capabilities *found = NULL;
    int source;

    if (mtlspop_app_managed_identity_capabilities(app, 0, NULL, &found, error))
        return EXIT_FAILURE;
    source = (int)mtlspop_capabilities_source(found);
    printf("source: %s\n", sources[source]);
    printf("why: %s\n", mtlspop_capabilities_detection_reason(found));
    if (mtlspop_capabilities_error_reason(found) != NULL)
        printf("probes: %s\n", mtlspop_capabilities_error_reason(found));
    printf("mtls_pop: %s, strength of the key: %s\n",
           mtlspop_capabilities_is_mtls_pop_supported_by_host(found) ? "yes" : "no",
           strengths[mtlspop_capabilities_max_supported_binding_strength(found)]);
    mtlspop_capabilities_free(found);
    return source == MTLSPOP_SOURCE_NONE ? 3 : EXIT_SUCCESS;
}

/* Prints an error to stderr and frees it; NULL is fine. */
static inline void example_error(mtlspop_error *error)
{
    const char *id = error != NULL ? mtlspop_error_correlation_id(error) : NULL;

    if (error == NULL)
        return;
    fprintf(stderr, "%s (%d) %s: %s [correlation id %s]\n",
            example_status_name(mtlspop_error_status(error)), (int)mtlspop_error_status(error),
            mtlspop_error_code(error), mtlspop_error_message(error), id != NULL ? id : "none");
    mtlspop_error_free(error);
}

/*
 * Finds x5t#S256 in the cnf claim of a token; "-" where there is none. For demonstration only: a
 * client must treat a token as opaque, its format is between the issuer and the API.
 */
static inline void example_cnf(const char *token, char *cnf, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const char name[] = "\"x5t#S256\":\"";
    const char *payload = token != NULL ? strchr(token, '.') : NULL;
    const char *digit, *found;
    char json[8192];
    uint32_t bits = 0;
    size_t n = 0, count = 0;

    for (; payload != NULL && *++payload != '\0' && n + 1 < sizeof json; count++) {
        if ((digit = strchr(digits, *payload)) == NULL)
            break;
        bits = bits << 6 | (uint32_t)(digit - digits);
        if (count % 4 != 0) /* after 2, 3 and 4 characters of base64url one more byte is complete */
            json[n++] = (char)(bits >> (6 - 2 * (count % 4)) & 0xff);
    }
    json[n] = '\0';
    found = strstr(json, name);
    found = found != NULL ? found + strlen(name) : "-\"";
    snprintf(cnf, size, "%.*s", (int)strcspn(found, "\""), found);
}

/* Prints the one line of an example. */
static inline void example_print(const char *flow, const mtlspop_token *token,
                                 const mtlspop_certificate *certificate, int status)
{
    int cached = mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_CACHE;
    char cnf[64];

    example_cnf(mtlspop_token_access_token(token), cnf, sizeof cnf);
    printf("flow=%s type=%s x5t#S256=%s cnf=%s source=%s status=%d\n", flow,
           mtlspop_token_type(token),
           certificate != NULL ? mtlspop_certificate_x5t_s256(certificate) : "-", cnf,
           cached ? "cache" : "identity_provider", status);
}

/* The same, with success where the API answered 200 to 299, or was not called (response is NULL). */
static inline int example_result(const char *flow, const mtlspop_token *token,
                                 const mtlspop_certificate *certificate,
                                 const mtlspop_http_response *response)
{
    int status = response != NULL ? (int)mtlspop_http_response_status(response) : 0;

    example_print(flow, token, certificate, status);
    if (response == NULL || (status >= 200 && status < 300))
        return EXIT_SUCCESS;
    fprintf(stderr, "%s: the API answered %d%s\n", flow, status,
            certificate != NULL && mtlspop_http_response_certificate_requested(response) == 0
                ? ", and never asked for the certificate that the token is bound to" : "");
    return EXIT_FAILURE;
}

/* Calls the API with a token and prints the result; an error is left to the caller to print. */
static inline int example_call(const char *flow, const mtlspop_app *app, const mtlspop_token *token,
                               mtlspop_error **error)
{
    mtlspop_certificate *binding = mtlspop_token_binding_certificate(token); /* NULL for Bearer */
    mtlspop_http_request *call = mtlspop_http_request_new("GET", binding != NULL ? example_mtls_url() : example_url());
    mtlspop_http_response *response = NULL;
    int result = EXIT_FAILURE;

    if (mtlspop_app_send(app, token, call, &response, error) == MTLSPOP_OK)
        result = example_result(flow, token, binding, response);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(call);
    mtlspop_certificate_free(binding);
    return result;
}

#endif
