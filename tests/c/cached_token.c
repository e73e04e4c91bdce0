/* cached_token.c: can an event loop use tokens without ever waiting, with one worker for what takes time? */

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "apps.h"

/* A worker that may wait tells the loop when it is done. */
struct work {
    const mtlspop_app *app;
    mtlspop_token_request *request;
    int done[2];
};

static void *worker(void *place)
{
    struct work *work = place;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    CHECK_OK(mtlspop_app_acquire_token(work->app, work->request, &token, &error), error);
    mtlspop_token_free(token);
    CHECK(write(work->done[1], "", 1) == 1);
    return NULL;
}

/* What the cache has; NULL where one would have to wait. */
static mtlspop_token *cached(const mtlspop_app *app, const mtlspop_token_request *request)
{
    static char elsewhere;
    mtlspop_token *token = (mtlspop_token *)&elsewhere;
    mtlspop_error *error = (mtlspop_error *)&elsewhere;

    CHECK(mtlspop_app_cached_token(app, request, &token, &error) == MTLSPOP_OK && error == NULL);
    return token;
}

static void a_loop(const mtlspop_app *app)
{
    struct work work = {app, graph_request(1), {-1, -1}};
    struct pollfd ready;
    pthread_t thread;
    mtlspop_token *token;
    char byte;

    CHECK(cached(app, work.request) == NULL);
    CHECK(pipe(work.done) == 0 && pthread_create(&thread, NULL, worker, &work) == 0);
    ready.fd = work.done[0];
    ready.events = POLLIN;
    CHECK(poll(&ready, 1, 60000) == 1 && read(work.done[0], &byte, 1) == 1);
    pthread_join(thread, NULL);
    close(work.done[0]);
    close(work.done[1]);

    token = cached(app, work.request);
    CHECK(token != NULL && mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_CACHE);
    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_token_request_free(work.request);
}

/* A request that is used once, as in a handler that makes its own. */
static void requests_made_for_each_call(const mtlspop_app *app)
{
    int i;

    for (i = 0; i < 3; i++) {
        mtlspop_token_request *request = graph_request(1);
        mtlspop_token *token = cached(app, request);
        CHECK(token != NULL);
        mtlspop_token_free(token);
        mtlspop_token_request_free(request);
    }
}

static void mistakes(const mtlspop_app *app)
{
    mtlspop_token_request *request = mtlspop_token_request_new(" ");
    mtlspop_cancel *cancel = mtlspop_cancel_new();
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    CHECK(mtlspop_app_cached_token(app, request, &token, &error) == MTLSPOP_E_INVALID_ARGUMENT && !token);
    CHECK_CONTAINS(mtlspop_error_message(error), "no scope");
    mtlspop_error_free(error);
    mtlspop_token_request_free(request);

    request = graph_request(1);
    CHECK(mtlspop_app_cached_token(app, request, NULL, NULL) == MTLSPOP_E_INVALID_ARGUMENT);
    mtlspop_token_request_set_force_refresh(request, 1);
    CHECK(cached(app, request) == NULL);
    mtlspop_cancel_raise(cancel);
    mtlspop_token_request_set_cancel(request, cancel);
    CHECK(mtlspop_app_cached_token(app, request, &token, NULL) == MTLSPOP_E_CANCELLED && !token);
    mtlspop_token_request_free(request);
    mtlspop_cancel_free(cancel);
}

int main(void)
{
    mtlspop_app *app = certificate_app();

    a_loop(app);
    requests_made_for_each_call(app);
    mistakes(app);
    mtlspop_app_free(app);
    return check_result();
}
