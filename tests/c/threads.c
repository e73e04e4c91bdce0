/* threads.c: do 50 threads on a cold app share one request? The caller counts what was received. */

#include <pthread.h>

#include "apps.h"

#define THREADS 50

static const mtlspop_app *app;
static const mtlspop_token_request *request;
static mtlspop_token *tokens[THREADS];
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int open_now;

static void *ask(void *place)
{
    pthread_mutex_lock(&gate);
    while (!open_now) pthread_cond_wait(&opened, &gate);
    pthread_mutex_unlock(&gate);
    mtlspop_app_acquire_token(app, request, place, NULL);
    return NULL;
}

int main(int count, char **arguments)
{
    int managed = count > 1 && strcmp(arguments[1], "managed_identity") == 0;
    mtlspop_app *shared_app = managed ? managed_identity_app() : certificate_app();
    mtlspop_token_request *shared_request = graph_request(1);
    pthread_t threads[THREADS];
    int i;

    app = shared_app;
    request = shared_request;
    for (i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, ask, &tokens[i]) == 0);
    pthread_mutex_lock(&gate);
    open_now = 1;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&gate);
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);

    for (i = 0; i < THREADS; i++) {
        CHECK(tokens[i] != NULL);
        if (tokens[i] && tokens[0]) {
            CHECK(strcmp(mtlspop_token_access_token(tokens[i]), mtlspop_token_access_token(tokens[0])) == 0);
        }
    }
    for (i = 0; i < THREADS; i++) mtlspop_token_free(tokens[i]);
    mtlspop_token_request_free(shared_request);
    mtlspop_app_free(shared_app);
    return check_result();
}
