/* descriptors.c: is it said clearly that a process has no file descriptor left, at once, and does everything work again
 * when it has some, with nothing lost? descriptors DIRECTORY: of a store. */

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "apps.h"

#define LIMIT 20

/* Takes all descriptors but `left`; gives how many it took. */
static int take(int *taken, int left)
{
    int count = 0, fd;

    while ((fd = open("/dev/null", O_RDONLY)) >= 0) taken[count++] = fd;
    while (left-- > 0 && count > 0) close(taken[--count]);
    return count;
}

static void give_back(const int *taken, int count)
{
    while (count > 0) close(taken[--count]);
}

static double seconds(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Does not get a token with so many descriptors left, or does. */
static int try_with(const mtlspop_app *app, const mtlspop_token_request *request, int left)
{
    int taken[LIMIT], count = take(taken, left);
    double started = seconds(CLOCK_PROCESS_CPUTIME_ID);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_app_acquire_token(app, request, &token, &error);

    give_back(taken, count);
    CHECK((status == MTLSPOP_OK) == (token != NULL));
    if (status != MTLSPOP_OK) {
        printf("%d left: %s: %s\n", left, mtlspop_status_name(status), mtlspop_error_message(error));
        CHECK_CONTAINS(mtlspop_error_message(error), "Too many open files");
        CHECK(mtlspop_error_is_retryable(error));
    }
    CHECK(seconds(CLOCK_PROCESS_CPUTIME_ID) - started < 5);
    mtlspop_error_free(error);
    mtlspop_token_free(token);
    return status == MTLSPOP_OK;
}

static void recovers(mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token;
    int left, taken[LIMIT], count;

    CHECK(!try_with(app, request, 0));
    for (left = 1; left < 8 && !try_with(app, request, left); left++) {}
    CHECK(left < 8);
    /* What is cached needs none, and a call says what is missing. */
    count = take(taken, 0);
    token = acquire(app, request);
    CHECK(mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_CACHE);
    give_back(taken, count);
    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

/* Which host this is must not be unknown for as long as an app lives, as it cannot be read when that is made. */
static mtlspop_app *app_with_store(const char *directory)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    int taken[LIMIT], count = take(taken, 0);
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;

    mtlspop_app_options_set_binding_store(options, directory, (const uint8_t *)"sixteen bytes and more", 22);
    CHECK(mtlspop_app_new(options, &app, &error) == MTLSPOP_E_KEY_UNAVAILABLE);
    CHECK_CONTAINS(mtlspop_error_message(error), "machine-id cannot be read now");
    CHECK(mtlspop_error_is_retryable(error));
    mtlspop_error_free(error);
    give_back(taken, count);
    return app_of(options);
}

/* What is made of files is no wrong file, where none can be opened. */
static void files_pass(void)
{
    static const uint8_t pem[] = "no matter what";
    mtlspop_tpm_options *tpm = mtlspop_tpm_options_new();
    int taken[LIMIT], count = take(taken, 0), call;
    mtlspop_certificate *certificate = NULL;

    for (call = 0; call < 2; call++) {
        mtlspop_error *error = NULL;
        mtlspop_status status =
            call == 0 ? mtlspop_certificate_new_from_file(env("AZURE_CLIENT_CERTIFICATE_PATH"), NULL, NULL, &certificate, &error)
                      : mtlspop_certificate_new_with_tpm_key(pem, sizeof pem, pem, sizeof pem, tpm, &certificate, &error);
        printf("%s: %s\n", mtlspop_status_name(status), mtlspop_error_message(error));
        CHECK(status == (call == 0 ? MTLSPOP_E_KEY_UNAVAILABLE : MTLSPOP_E_NOT_SUPPORTED));
        CHECK_CONTAINS(mtlspop_error_message(error), "Too many open files");
        CHECK(mtlspop_error_is_retryable(error));
        mtlspop_error_free(error);
    }
    give_back(taken, count);
    mtlspop_tpm_options_free(tpm);
    mtlspop_certificate_free(load(env("AZURE_CLIENT_CERTIFICATE_PATH")));
}

int main(int count, char **arguments)
{
    struct rlimit limit;

    CHECK(count == 2);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = LIMIT;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    files_pass();
    recovers(certificate_app());
    recovers(app_with_store(arguments[1]));
    return check_result();
}
