/* clients.c: does everything that a confidential client can be told have its effect, and is what came of it told?
 * What was sent is checked by main.rs. */

#include "apps.h"

#define OTHER_TENANT "2c9a6e14-3f7b-4d58-b1a0-8e6d5c4b3a21"

/* What callbacks leave for the tests. */
struct watch {
    int called;
    int destroyed;
    int successes;
    int failures;
    char text[16384];
};

static void destroy(void *userdata)
{
    ((struct watch *)userdata)->destroyed++;
}

/* Gives the certificate, of the same name as the registered one, that needs x5c in Bearer assertions. */
static int32_t give_certificate(void *userdata, mtlspop_assertion_op *operation)
{
    char path[1024];
    mtlspop_certificate *certificate;

    ((struct watch *)userdata)->called++;
    snprintf(path, sizeof path, "%s/sni-rotated.pem", env("DEVCLOUD_STATE_DIR"));
    certificate = load(path);
    mtlspop_assertion_op_set_certificate(operation, certificate);
    mtlspop_certificate_free(certificate);
    return 0;
}

/* One line for each measurement: name, kind, unit and tags. */
static void collect(void *userdata, const mtlspop_metric *metric)
{
    struct watch *watch = userdata;
    const char *name = mtlspop_metric_name(metric);
    size_t used = strlen(watch->text), size = sizeof watch->text, i;

    watch->successes += strcmp(name, "MsalSuccess") == 0;
    watch->failures += strcmp(name, "MsalFailure") == 0;
    if (mtlspop_metric_kind(metric) == MTLSPOP_METRIC_KIND_COUNTER) {
        CHECK(mtlspop_metric_value(metric) == 1 && strcmp(mtlspop_metric_unit(metric), "1") == 0);
    } else {
        CHECK(mtlspop_metric_kind(metric) == MTLSPOP_METRIC_KIND_HISTOGRAM && mtlspop_metric_value(metric) >= 0);
    }
    used += (size_t)snprintf(watch->text + used, size - used, "%s %s", name, mtlspop_metric_unit(metric));
    for (i = 0; i < mtlspop_metric_tag_count(metric); i++)
        used += (size_t)snprintf(watch->text + used, size - used, " %s=%s", mtlspop_metric_tag_name(metric, i),
                                 mtlspop_metric_tag_value(metric, i));
    snprintf(watch->text + used, size - used, "\n");
    CHECK(mtlspop_metric_tag_name(metric, i) == NULL && mtlspop_metric_tag_value(metric, i) == NULL);
}

static mtlspop_app_options *provider_options(struct watch *provider, int send_x5c)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_certificate_provider(options, give_certificate, provider, destroy, send_x5c);
    return options;
}

/* Is the token from the cache, and is why not told? Frees it. */
static void expect(mtlspop_token *token, int32_t reason)
{
    int cached = reason == MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE;
    CHECK(mtlspop_token_cache_refresh_reason(token) == reason);
    CHECK(mtlspop_token_cache_level(token) == (cached ? MTLSPOP_CACHE_LEVEL_L1 : MTLSPOP_CACHE_LEVEL_NONE));
    CHECK(mtlspop_token_source(token) ==
          (cached ? MTLSPOP_TOKEN_SOURCE_CACHE : MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER));
    CHECK(mtlspop_token_duration_total_ms(token) >= mtlspop_token_duration_in_http_ms(token));
    CHECK(mtlspop_token_duration_in_http_ms(token) >= 0);
    CHECK(mtlspop_token_duration_in_cache_ms(token) == 0);
    mtlspop_token_free(token);
}

/* Is the provider called once for each request that goes to the network, and is each acquisition measured? */
static void provider_and_metrics(void)
{
    static struct watch provider, metrics;
    mtlspop_app_options *options = provider_options(&provider, 0);
    mtlspop_token_request *request = graph_request(0);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_app *app;

    mtlspop_app_options_set_metrics(options, collect, &metrics, destroy);
    mtlspop_app_options_set_connect_timeout_ms(options, 30000);
    app = app_of(options);
    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_REJECTED);
    CHECK_CONTAINS(mtlspop_error_token_endpoint(error), "https://login.microsoftonline.com/");
    CHECK(mtlspop_error_region(error) == NULL && mtlspop_error_region_error(error) == NULL);
    CHECK(mtlspop_error_region_outcome(error) == MTLSPOP_REGION_OUTCOME_NONE);
    CHECK(mtlspop_error_duration_total_ms(error) >= mtlspop_error_duration_in_http_ms(error));
    CHECK(mtlspop_error_duration_in_cache_ms(error) == 0 && mtlspop_error_region_outcome(NULL) == -1);
    mtlspop_error_free(error);
    CHECK(provider.called == 1 && metrics.failures == 1 && metrics.successes == 0);
    mtlspop_token_request_set_send_x5c(request, 1);
    expect(acquire(app, request), MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN);
    expect(acquire(app, request), MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE);
    CHECK(provider.called == 2);
    mtlspop_token_request_set_force_refresh(request, 1);
    expect(acquire(app, request), MTLSPOP_CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS);
    CHECK(provider.called == 3 && metrics.failures == 1 && metrics.successes == 3);
    CHECK_CONTAINS(metrics.text, "MsalFailure 1 MsalVersion=" MTLSPOP_VERSION " Platform=linux ApiId=");
    CHECK_CONTAINS(metrics.text, "ErrorCode=invalid_client RawStsErrorCode=700027");
    CHECK_CONTAINS(metrics.text, "TokenSource=Cache CacheLevel=L1Cache");
    CHECK_CONTAINS(metrics.text, "MsalTotalDuration.1A ms ");
    printf("%s", metrics.text);
    CHECK(provider.destroyed == 0 && metrics.destroyed == 0);
    mtlspop_app_free(app);
    CHECK(provider.destroyed == 1 && metrics.destroyed == 1);
    mtlspop_token_request_free(request);
}

/* Does a callback hear what the app and the request say? */
static int32_t hears(void *userdata, mtlspop_assertion_op *operation)
{
    ((struct watch *)userdata)->called++;
    CHECK(strcmp(mtlspop_assertion_op_client_capabilities(operation), "cp1 cp2") == 0);
    CHECK_CONTAINS(mtlspop_assertion_op_fmi_path(operation), "credential/of/");
    return federated_assertion(NULL, operation);
}

/* Are tokens of different paths different tokens, and are requests and callback told? */
static void paths_and_capabilities(void)
{
    static struct watch watch;
    mtlspop_app_options *options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_token_request *request = graph_request(0);
    mtlspop_app *app;

    mtlspop_app_options_set_client_assertion(options, hears, &watch, destroy);
    mtlspop_app_options_set_client_capabilities(options, "cp1 cp2");
    app = app_of(options);
    mtlspop_token_request_set_client_assertion_fmi_path(request, "credential/of/a");
    expect(acquire(app, request), MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN);
    mtlspop_token_request_set_client_assertion_fmi_path(request, "credential/of/b");
    expect(acquire(app, request), MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN);
    mtlspop_token_request_set_fmi_path(request, "some/workload");
    expect(acquire(app, request), MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN);
    CHECK(watch.called == 3);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    CHECK(watch.destroyed == 1);
}

/* Is another tenant asked, by its name or as part of an authority? */
static void tenants(mtlspop_app *app)
{
    mtlspop_token_request *by_name = graph_request(0), *by_authority = graph_request(0);
    mtlspop_token *token;

    mtlspop_token_request_set_tenant_id(by_name, OTHER_TENANT);
    token = acquire(app, by_name);
    CHECK(strcmp(mtlspop_token_tenant_id(token), OTHER_TENANT) == 0);
    CHECK(strcmp(mtlspop_token_response_parameter(token, "xms_devcloud"), "demo") == 0);
    CHECK(mtlspop_token_response_parameter(token, "uid") == NULL);
    CHECK(mtlspop_token_region_outcome(token) == MTLSPOP_REGION_OUTCOME_NONE);
    mtlspop_token_free(token);
    mtlspop_token_request_set_authority(by_authority, "https://login.microsoftonline.com/" OTHER_TENANT);
    expect(acquire(app, by_authority), MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE);
    mtlspop_token_request_free(by_authority);
    mtlspop_token_request_free(by_name);
}

/* Is each addition sent, and does it make another token of it where it should? */
static void additions(mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(0);
    const int32_t fetched = MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN;
    const int32_t cached = MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE;

    expect(acquire(app, request), fetched);
    mtlspop_token_request_set_extra_query_parameter(request, "slice", "a b", 0);
    mtlspop_token_request_set_extra_http_header(request, "x-demo", "header");
    expect(acquire(app, request), cached);
    mtlspop_token_request_set_extra_query_parameter(request, "dc", "x", 1);
    expect(acquire(app, request), fetched);
    mtlspop_token_request_set_extra_body_parameter(request, "demo", "body");
    expect(acquire(app, request), fetched);
    mtlspop_token_request_set_claims_from_client(request, "{\"demo\":1}");
    expect(acquire(app, request), fetched);
    mtlspop_token_request_set_extra_client_assertion_claims(request, "{\"demo\":2}");
    expect(acquire(app, request), fetched);
    mtlspop_token_request_set_cache_partition_key(request, "customer", "contoso");
    expect(acquire(app, request), fetched);
    expect(acquire(app, request), cached);
    mtlspop_token_request_free(request);
}

/* Does the certificate come along for a Bearer token? */
static void bearer_over_mtls(void)
{
    static struct watch watch;
    mtlspop_app_options *options = provider_options(&watch, 1);
    mtlspop_token_request *request = graph_request(0);
    mtlspop_app *app;
    mtlspop_token *token;

    mtlspop_app_options_set_send_certificate_over_mtls(options, 1);
    app = app_of(options);
    token = acquire(app, request);
    CHECK(strcmp(mtlspop_token_type(token), "Bearer") == 0);
    CHECK_CONTAINS(mtlspop_token_endpoint(token), "https://mtlsauth.microsoft.com/");
    CHECK(mtlspop_token_binding_certificate(token) == NULL);
    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    CHECK(watch.called == 1 && watch.destroyed == 1);
}

/* Is it told how the region was found, and why not? IMDS knows none: main.rs sees to that. */
static void regions(const char *region, int32_t outcome, const char *used, const char *why)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_token_request *request = graph_request(0);
    mtlspop_app *app;
    mtlspop_token *token;

    mtlspop_app_options_set_client_secret(options, env("AZURE_CLIENT_SECRET"));
    mtlspop_app_options_set_azure_region(options, region);
    app = app_of(options);
    token = acquire(app, request);
    CHECK(mtlspop_token_region_outcome(token) == outcome);
    if (used) CHECK_CONTAINS(mtlspop_token_region(token), used);
    else CHECK(mtlspop_token_region(token) == NULL);
    if (why) CHECK_CONTAINS(mtlspop_token_region_error(token), why);
    else CHECK(mtlspop_token_region_error(token) == NULL);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
}

/* Do the environment's client id, tenant and token file do, by the authority and by the cluster's token proxy? */
static void workload_identity(const char *client, const char *file, int proxy, const char *endpoint)
{
    mtlspop_app_options *options = client_options(client);
    mtlspop_token_request *request = graph_request(0);
    mtlspop_app *app;
    mtlspop_token *token;

    mtlspop_app_options_set_federated_token_file(options, file);
    mtlspop_app_options_set_enable_azure_proxy(options, proxy);
    app = app_of(options);
    token = acquire(app, request);
    CHECK_CONTAINS(mtlspop_token_endpoint(token), endpoint);
    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
}

int main(void)
{
    static struct watch provider;
    mtlspop_app_options *options = provider_options(&provider, 1);
    mtlspop_app *app;
    char pod[1024];

    mtlspop_app_options_set_extra_query_parameter(options, "of_app", "1", 0);
    app = app_of(options);
    tenants(app);
    additions(app);
    mtlspop_app_free(app);
    CHECK(provider.destroyed == 1);

    provider_and_metrics();
    paths_and_capabilities();
    bearer_over_mtls();
    regions("East US", MTLSPOP_REGION_OUTCOME_USER_PROVIDED, "eastus", NULL);
    regions("TryAutoDetect", MTLSPOP_REGION_OUTCOME_FALLBACK_TO_GLOBAL, NULL, "HTTP 404");
    workload_identity(env("FIC_CLIENT_ID"), NULL, 0, "https://login.microsoftonline.com/");
    snprintf(pod, sizeof pod, "%s/identity-binding.jwt", env("DEVCLOUD_STATE_DIR"));
    workload_identity(env("USER_ASSIGNED_CLIENT_ID"), pod, 1, env("AZURE_KUBERNETES_TOKEN_PROXY"));
    return check_result();
}
