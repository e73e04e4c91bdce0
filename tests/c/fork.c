/* fork.c: do both sides of a fork work on, with warm connections and a refresh under way? */

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
    mtlspop_token_free(again);
    again = acquire(app, request);
    CHECK(mtlspop_token_source(again) == MTLSPOP_TOKEN_SOURCE_CACHE);

    mtlspop_token_free(again);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    return check_result();
}
