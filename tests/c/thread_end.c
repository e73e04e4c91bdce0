/* thread_end.c: does a thread end well that used the library, with a call under way on another, and may its thread
 * locals use and free what is of the library when they end? thread_end COUNT: of threads. */

#include <pthread.h>

#include "apps.h"

#define MOST 6

/* What a thread keeps. Its destructor runs when those of the library's own thread locals have run. */
struct kept {
    mtlspop_app *app;
    mtlspop_token_request *request;
    mtlspop_token *token;
};

static pthread_key_t key;
static mtlspop_app *shared;
static mtlspop_token_request *request;
static int ended;

static void at_the_end(void *value)
{
    struct kept *kept = value;
    mtlspop_token_request *other = graph_request(0);
    mtlspop_token *token = acquire(kept->app, kept->request);

    /* One that is cached, one that is not, and a call. */
    mtlspop_token_free(acquire(kept->app, other));
    CHECK(call_graph(kept->app, token) == 200);
    mtlspop_token_free(token);
    mtlspop_token_free(kept->token);
    mtlspop_token_request_free(other);
    mtlspop_token_request_free(kept->request);
    mtlspop_app_free(kept->app);
    free(kept);
    __sync_fetch_and_add(&ended, 1);
}

static void *one_of_many(void *early)
{
    struct kept *kept = calloc(1, sizeof *kept);

    /* Set before the library is used for the first time, or after it. */
    if (early) pthread_setspecific(key, kept);
    kept->app = certificate_app();
    kept->request = graph_request(1);
    kept->token = acquire(kept->app, kept->request);
    CHECK(call_graph(kept->app, kept->token) == 200);
    if (!early) pthread_setspecific(key, kept);
    pthread_exit(NULL);
}

static void *slow(void *place)
{
    *(mtlspop_token **)place = acquire(shared, request);
    return NULL;
}

/* Frees, as the last one, what another thread made and uses no more. */
static void *let_go(void *app)
{
    mtlspop_app_free(app);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t first, threads[MOST];
    mtlspop_token *token = NULL;
    int i, count = argc == 2 ? atoi(argv[1]) : 0;

    CHECK(count > 0 && count <= MOST);
    shared = certificate_app();
    request = graph_request(1);
    CHECK(pthread_key_create(&key, at_the_end) == 0);
    /* The service takes a while for its first answer; the caller of this program sees to that. */
    CHECK(pthread_create(&first, NULL, slow, &token) == 0);
    for (i = 0; i < count; i++) CHECK(pthread_create(&threads[i], NULL, one_of_many, i % 2 ? &key : NULL) == 0);
    for (i = 0; i < count; i++) pthread_join(threads[i], NULL);
    CHECK(ended == count);
    pthread_join(first, NULL);
    CHECK(token != NULL);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    CHECK(pthread_create(&first, NULL, let_go, shared) == 0);
    pthread_join(first, NULL);
    return check_result();
}
