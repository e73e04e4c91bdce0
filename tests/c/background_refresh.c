/* background_refresh.c: is each background refresh told, with what the callback then owns, also in a forked child? */

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps.h"

/* What the callback and main() tell each other. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int succeeded, failed, destroyed;
static mtlspop_app *to_free;
static pthread_t told_on;

static int read_now(const int *number)
{
    int value;

    pthread_mutex_lock(&lock);
    value = *number;
    pthread_mutex_unlock(&lock);
    return value;
}

static void count(int *number)
{
    pthread_mutex_lock(&lock);
    ++*number;
    pthread_mutex_unlock(&lock);
}

static void pause_shortly(void)
{
    struct timespec moment = {0, 20 * 1000 * 1000};
    nanosleep(&moment, NULL);
}

static void destroy(void *userdata)
{
    CHECK(userdata == &destroyed);
    count(&destroyed);
}

static void told(void *userdata, mtlspop_token *token, mtlspop_error *error)
{
    CHECK(userdata == &destroyed && (token == NULL) != (error == NULL));
    told_on = pthread_self();
    if (token) {
        CHECK(strcmp(mtlspop_token_type(token), "mtls_pop") == 0 && mtlspop_token_expires_on(token) > 1700000000);
        CHECK(mtlspop_token_cache_refresh_reason(token) == MTLSPOP_CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED);
        CHECK(mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER);
        CHECK_CONTAINS(mtlspop_token_scopes(token), "graph.microsoft.com");
        if (to_free) {
            CHECK(call_graph(to_free, token) == 200);
            mtlspop_app_free(to_free);
        }
    } else {
        CHECK(mtlspop_error_status(error) == MTLSPOP_E_REJECTED && mtlspop_error_http_status(error) == 400);
        CHECK(strcmp(mtlspop_error_code(error), "invalid_request") == 0);
        CHECK(mtlspop_error_correlation_id(error) != NULL);
    }
    mtlspop_token_free(token);
    mtlspop_error_free(error);
    count(token ? &succeeded : &failed);
}

static mtlspop_app_options *options_with(mtlspop_background_refresh_callback callback)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));

    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    mtlspop_app_options_set_background_refresh_callback(options, callback, &destroyed, destroy);
    return options;
}

/* Asks for tokens, which are due for replacement after a second, until something was told. */
static void until(const mtlspop_app *app, const int *number, int wanted)
{
    mtlspop_token_request *request = graph_request(1);

    do {
        mtlspop_token_free(acquire(app, request));
        pause_shortly();
    } while (read_now(number) < wanted);
    mtlspop_token_request_free(request);
}

static void refused(mtlspop_app_options *options, const char *part)
{
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;

    CHECK(mtlspop_app_new(options, &app, &error) == MTLSPOP_E_INVALID_ARGUMENT && app == NULL);
    CHECK_CONTAINS(mtlspop_error_message(error), part);
    mtlspop_error_free(error);
    mtlspop_app_options_free(options);
}

/* The thread of the parent did not come along. */
static int child(mtlspop_app *app)
{
    alarm(60);
    until(app, &succeeded, 2);
    mtlspop_app_free(app);
    CHECK(destroyed == 3);
    fflush(stdout);
    return check_result();
}

/* Asks until the refresh has begun in which the callback frees the app, and does not touch that any more. */
static void freed_by_the_callback(void)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app = app_of(options_with(told));
    int32_t reason;

    mtlspop_token_free(acquire(app, request));
    to_free = app;
    do {
        mtlspop_token *token = acquire(app, request);
        reason = mtlspop_token_cache_refresh_reason(token);
        mtlspop_token_free(token);
        if (reason == MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE) pause_shortly();
    } while (reason == MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE);
    mtlspop_token_request_free(request);
    while (read_now(&destroyed) < 4) pause_shortly();
    CHECK(read_now(&succeeded) == 2);
}

int main(void)
{
    mtlspop_app_options *options;
    mtlspop_app *app;
    int status = -1;
    pid_t pid;

    alarm(110);
    refused(options_with(NULL), "callback is NULL");
    CHECK(destroyed == 1);
    options = options_with(told);
    mtlspop_app_options_set_background_refresh(options, 0);
    refused(options, "switch that on");
    CHECK(destroyed == 2 && succeeded == 0);

    app = app_of(options_with(told));
    until(app, &succeeded, 1);
    CHECK(!pthread_equal(told_on, pthread_self()));
    fflush(stdout);
    pid = fork();
    if (pid == 0) _exit(child(app));
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    until(app, &failed, 1);
    mtlspop_app_free(app);
    CHECK(destroyed == 3 && succeeded == 1);

    freed_by_the_callback();
    return check_result();
}
