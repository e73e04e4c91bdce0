/* fork.c: do both sides of a fork work on, with warm connections and a refresh under way, and draw other random bytes? */

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps.h"

static void pause_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Waits for the child. The parent calls on meanwhile: a connection that is idle for long is closed, and
 * how long the child takes is up to the machine. */
static int wait_for(pid_t pid, const mtlspop_app *app, const mtlspop_token *token)
{
    int status = -1;
    pid_t ended;

    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        CHECK(call_graph(app, token) == 200);
        pause_ms(200);
    }
    CHECK(ended == pid);
    return status;
}

/* The certificate with its key, as PKCS#12: the same but for its salts. */
static mtlspop_buffer *exported(const mtlspop_token *token)
{
    mtlspop_certificate *certificate = mtlspop_token_binding_certificate(token);
    mtlspop_buffer *buffer = NULL;
    mtlspop_error *error = NULL;

    CHECK_OK(mtlspop_certificate_export_pkcs12(certificate, "password", MTLSPOP_PKCS12_MODERN, &buffer, &error), error);
    mtlspop_certificate_free(certificate);
    return buffer;
}

/* Whether both sides of a fork that have exported before it export something else after it. */
static void exports_differ(const mtlspop_token *token)
{
    mtlspop_buffer *buffer = exported(token);
    uint8_t theirs[16384];
    const uint8_t *data;
    size_t length;
    ssize_t got, sum = 0;
    int ends[2], status = -1;
    pid_t pid;

    mtlspop_buffer_free(buffer);
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid = fork();
    buffer = exported(token);
    data = mtlspop_buffer_data(buffer, &length);
    if (pid == 0) _exit(write(ends[1], data, length) != (ssize_t)length);
    close(ends[1]);
    while ((got = read(ends[0], theirs + sum, sizeof theirs - (size_t)sum)) > 0) sum += got;
    close(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK((size_t)sum == length && memcmp(data, theirs, length) != 0);
    mtlspop_buffer_free(buffer);
}

/* Must not use what the parent still uses: its cache is empty, its connections are its own. */
static int child(mtlspop_app *app, mtlspop_token_request *request, mtlspop_token *inherited)
{
    mtlspop_token *token;

    alarm(30);
    CHECK(strcmp(mtlspop_token_type(inherited), "mtls_pop") == 0);
    token = acquire(app, request);
    CHECK(mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER);
    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_token_free(inherited);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    fflush(stdout);
    return check_result();
}

int main(void)
{
    mtlspop_app *app = certificate_app();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = acquire(app, request);
    mtlspop_token *again;
    int status;
    pid_t pid;

    alarm(60);
    CHECK(call_graph(app, token) == 200);
    pause_ms(1200);
    /* Past its refresh_in of one second: served, while the app's thread waits for devcloud's answer. */
    again = acquire(app, request);
    CHECK(mtlspop_token_source(again) == MTLSPOP_TOKEN_SOURCE_CACHE);
    CHECK(mtlspop_token_cache_refresh_reason(again) == MTLSPOP_CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED);
    pause_ms(300);

    fflush(stdout);
    pid = fork();
    if (pid == 0) _exit(child(app, request, again));
    CHECK(pid > 0);
    status = wait_for(pid, app, token);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    CHECK(call_graph(app, token) == 200);
    exports_differ(token);
    mtlspop_token_free(again);
    again = acquire(app, request);
    CHECK(mtlspop_token_source(again) == MTLSPOP_TOKEN_SOURCE_CACHE);

    mtlspop_token_free(again);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    return check_result();
}
