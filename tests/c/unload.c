/* unload.c: may a program that loaded the library with dlopen() close it again, with threads that have used it alive? */

#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <mtlspop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *library;
static int failures;
static pthread_barrier_t used, closed;

static void fail(const char *what)
{
    printf("FAILED %s\n", what);
    failures++;
}

/* A function of the library. */
#define FUNCTION(name) \
    __typeof__(name) *name##_; \
    do { \
        void *address = dlsym(library, #name); \
        memcpy(&name##_, &address, sizeof address); \
        if (!address) fail(#name); \
    } while (0)

/* Gets a token and calls the API, with everything freed afterwards. */
static void use(void)
{
    FUNCTION(mtlspop_app_options_new_managed_identity);
    FUNCTION(mtlspop_app_options_free);
    FUNCTION(mtlspop_app_new);
    FUNCTION(mtlspop_app_free);
    FUNCTION(mtlspop_token_request_new);
    FUNCTION(mtlspop_token_request_set_mtls_proof_of_possession);
    FUNCTION(mtlspop_token_request_free);
    FUNCTION(mtlspop_app_acquire_token);
    FUNCTION(mtlspop_token_free);
    FUNCTION(mtlspop_http_request_new);
    FUNCTION(mtlspop_http_request_free);
    FUNCTION(mtlspop_app_send);
    FUNCTION(mtlspop_http_response_status);
    FUNCTION(mtlspop_http_response_free);
    FUNCTION(mtlspop_error_message);
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity_();
    mtlspop_token_request *request = mtlspop_token_request_new_("https://graph.microsoft.com/");
    mtlspop_http_request *call = mtlspop_http_request_new_("GET", "https://graph.microsoft.com/v1.0/applications");
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;

    mtlspop_token_request_set_mtls_proof_of_possession_(request, 1);
    if (mtlspop_app_new_(options, &app, &error) || mtlspop_app_acquire_token_(app, request, &token, &error)
        || mtlspop_app_send_(app, token, call, &response, &error)) {
        fail(mtlspop_error_message_(error));
    }
    if (mtlspop_http_response_status_(response) != 200) fail("the status");
    mtlspop_http_response_free_(response);
    mtlspop_http_request_free_(call);
    mtlspop_token_free_(token);
    mtlspop_token_request_free_(request);
    mtlspop_app_free_(app);
    mtlspop_app_options_free_(options);
}

/* Uses it, and ends after it was closed. */
static void *outlive(void *nothing)
{
    use();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return nothing;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    int round;

    if (count != 2) return 2;
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    for (round = 0; round < 3; round++) {
        library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            printf("FAILED %s\n", dlerror());
            return 1;
        }
        if (pthread_create(&thread, NULL, outlive, NULL)) return 1;
        pthread_barrier_wait(&used);
        if (dlclose(library)) fail("dlclose");
        pthread_barrier_wait(&closed);
        pthread_join(thread, NULL);
        /* What the library asked to be told of forks must not be called where it was. */
        fflush(stdout);
        if (fork() == 0) _exit(0);
    }
    printf("%d checks failed\n", failures);
    return failures ? 1 : 0;
}
