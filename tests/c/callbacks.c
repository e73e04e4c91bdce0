/* callbacks.c: is destroy called exactly once whatever happens, and does what a callback does stay in bounds? */

#include "apps.h"

/* What the tests watch. */
struct watch {
    int destroyed;
    int called;
    const mtlspop_app *app;
    const mtlspop_token_request *request;
    mtlspop_status inner;
    char text[65536];
};

static void destroy(void *userdata)
{
    ((struct watch *)userdata)->destroyed++;
}

static int32_t good(void *userdata, mtlspop_assertion_op *operation)
{
    ((struct watch *)userdata)->called++;
    return federated_assertion(NULL, operation);
}

static int32_t fails(void *userdata, mtlspop_assertion_op *operation)
{
    ((struct watch *)userdata)->called++;
    mtlspop_assertion_op_set_error(operation, "the vault is closed");
    return 7;
}

static int32_t fails_silently(void *userdata, mtlspop_assertion_op *operation)
{
    (void)userdata;
    (void)operation;
    return 7;
}

static int32_t says_nothing(void *userdata, mtlspop_assertion_op *operation)
{
    (void)userdata;
    (void)operation;
    return 0;
}

static int32_t sets_null(void *userdata, mtlspop_assertion_op *operation)
{
    (void)userdata;
    mtlspop_assertion_op_set_assertion(operation, NULL);
    return 0;
}

static int32_t asks_the_same_app(void *userdata, mtlspop_assertion_op *operation)
{
    struct watch *watch = userdata;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    watch->inner = mtlspop_app_acquire_token(watch->app, watch->request, &token, &error);
    CHECK(token == NULL);
    if (error) mtlspop_assertion_op_set_error(operation, mtlspop_error_message(error));
    mtlspop_error_free(error);
    return 1;
}

static void collect(void *userdata, int32_t level, const char *target, const char *message)
{
    struct watch *watch = userdata;
    size_t used = strlen(watch->text);
    watch->called++;
    snprintf(watch->text + used, sizeof watch->text - used, "%d %s %s\n", (int)level, target, message);
}

static mtlspop_app_options *options_with(mtlspop_assertion_callback callback, struct watch *watch)
{
    mtlspop_app_options *options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_app_options_set_client_assertion(options, callback, watch, destroy);
    return options;
}

static void destroy_comes_once(void)
{
    static struct watch used, replaced, failed, null_callback, null_options, bad_level;
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app_options *options = options_with(good, &used);
    mtlspop_app *app = app_of(options);
    mtlspop_token *token = acquire(app, request);
    CHECK(used.called == 1);
    mtlspop_token_free(acquire(app, request));
    CHECK(used.called == 1);
    mtlspop_token_free(token);
    CHECK(used.destroyed == 0);
    mtlspop_app_free(app);
    CHECK(used.destroyed == 1);

    options = options_with(good, &replaced);
    mtlspop_app_options_set_client_secret(options, "another credential");
    CHECK(replaced.destroyed == 1);
    mtlspop_app_options_free(options);
    CHECK(replaced.destroyed == 1);

    options = mtlspop_app_options_new_confidential_client("no authority");
    mtlspop_app_options_set_client_assertion(options, good, &failed, destroy);
    CHECK(mtlspop_app_new(options, &app, NULL) == MTLSPOP_E_INVALID_ARGUMENT);
    CHECK(app == NULL);
    mtlspop_app_options_free(options);
    CHECK(failed.destroyed == 1 && failed.called == 0);

    options = options_with(NULL, &null_callback);
    CHECK(null_callback.destroyed == 1);
    mtlspop_app_options_set_log(options, 99, collect, &bad_level, destroy);
    CHECK(bad_level.destroyed == 1);
    mtlspop_app_options_free(options);
    CHECK(null_callback.destroyed == 1 && bad_level.destroyed == 1);

    mtlspop_app_options_set_client_assertion(NULL, good, &null_options, destroy);
    CHECK(null_options.destroyed == 1);
    mtlspop_token_request_free(request);
}

/* Fails with the callback; the message must hold the part. */
static void failure(mtlspop_assertion_callback callback, mtlspop_status expected, const char *part)
{
    static struct watch watch;
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app = app_of(options_with(callback, &watch));
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    watch.app = app;
    watch.request = request;
    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == expected);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    printf("%s\n", mtlspop_error_message(error));
    mtlspop_error_free(error);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    if (callback == asks_the_same_app) CHECK(watch.inner != MTLSPOP_OK);
}

/* A certificate callback that gives nothing: one code, whatever type of token it was to be for. */
static void no_certificate(void)
{
    static struct watch watch;
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_app *app;
    int bound;

    mtlspop_app_options_set_certificate_provider(options, says_nothing, &watch, destroy, 1);
    app = app_of(options);
    for (bound = 0; bound <= 1; bound++) {
        mtlspop_token_request *request = graph_request(bound);
        mtlspop_token *token = NULL;
        mtlspop_error *error = NULL;
        CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_CALLBACK);
        CHECK(token == NULL && strcmp(mtlspop_error_code(error), "mtls_certificate_not_provided") == 0);
        CHECK_CONTAINS(mtlspop_error_message(error), "set no certificate");
        mtlspop_error_free(error);
        mtlspop_token_request_free(request);
    }
    mtlspop_app_free(app);
    CHECK(watch.destroyed == 1);
}

/* Every line at the most talkative level, with a secret, a bound token and a call of Graph. */
static void log_holds_no_secret(void)
{
    static struct watch watch;
    static const char secret_part[] = "secret.of";
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_token_request *request = graph_request(0);
    mtlspop_app *app;
    mtlspop_token *token;

    mtlspop_app_options_set_client_secret(options, env("AZURE_CLIENT_SECRET"));
    mtlspop_app_options_set_log(options, MTLSPOP_LOG_VERBOSE, collect, &watch, destroy);
    app = app_of(options);
    token = acquire(app, request);
    CHECK(call_graph(app, token) == 200);
    CHECK(watch.called > 0);
    CHECK(strstr(env("AZURE_CLIENT_SECRET"), secret_part) && !strstr(watch.text, secret_part));
    CHECK(!strstr(watch.text, mtlspop_token_access_token(token)));
    /* Not even the beginning that all JWTs share. */
    CHECK(!strstr(watch.text, "eyJ"));
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    CHECK(watch.destroyed == 1);
}

int main(void)
{
    destroy_comes_once();
    failure(fails, MTLSPOP_E_CALLBACK, "the vault is closed");
    failure(fails_silently, MTLSPOP_E_CALLBACK, "7");
    failure(says_nothing, MTLSPOP_E_CALLBACK, "no assertion");
    no_certificate();
    failure(sets_null, MTLSPOP_E_INVALID_ARGUMENT, "mtlspop_assertion_op_set_assertion: assertion is NULL");
    failure(asks_the_same_app, MTLSPOP_E_CALLBACK, "the assertion callback failed: ");
    log_holds_no_secret();
    return check_result();
}
