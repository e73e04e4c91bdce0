/* signals.c: does a call do its work while signals interrupt every wait of its thread, with handlers that do not ask
 * for system calls to be restarted? signals DIRECTORY: of a store. */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "apps.h"

#define UPLOAD "https://graph.microsoft.com/upload"
#define LENGTH 300000

static volatile sig_atomic_t interrupted;
static pthread_t worker;
static int done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int number)
{
    (void)number;
    interrupted++;
}

static int is_done(void)
{
    int value;

    pthread_mutex_lock(&lock);
    value = done;
    pthread_mutex_unlock(&lock);
    return value;
}

/* Some thousand signals a second, at no regular time. */
static void *disturb(void *nothing)
{
    unsigned seed = 1;

    while (!is_done()) {
        struct timespec moment = {0, 0};
        seed = seed * 1103515245 + 12345;
        moment.tv_nsec = 20000 + (long)(seed >> 16 & 0x3ff) * 300;
        nanosleep(&moment, NULL);
        pthread_kill(worker, SIGUSR1);
    }
    return nothing;
}

/* Fills a pipe in small pieces, so that its reader has to wait. */
static void *fill(void *end)
{
    static const char piece[3000] = "piece";
    int sent;

    for (sent = 0; sent < LENGTH; sent += (int)sizeof piece) {
        struct timespec moment = {0, 500000};
        CHECK(write(*(int *)end, piece, sizeof piece) == (ssize_t)sizeof piece);
        nanosleep(&moment, NULL);
    }
    close(*(int *)end);
    return NULL;
}

/* A body from a pipe, and an answer that is read piece by piece. */
static void stream(const mtlspop_app *app, const mtlspop_token *token)
{
    mtlspop_http_request *request = mtlspop_http_request_new("PUT", UPLOAD);
    mtlspop_http_stream *stream = NULL;
    mtlspop_http_response *response;
    mtlspop_error *error = NULL;
    uint8_t buffer[100];
    size_t length = 0;
    pthread_t filler;
    int ends[2];

    CHECK(pipe(ends) == 0);
    CHECK(pthread_create(&filler, NULL, fill, &ends[1]) == 0);
    mtlspop_http_request_set_body_fd(request, "application/octet-stream", ends[0], -1);
    CHECK_OK(mtlspop_app_send_streaming(app, token, request, &stream, &error), error);
    do {
        CHECK_OK(mtlspop_http_stream_read(stream, buffer, sizeof buffer, &length, &error), error);
    } while (length > 0);
    response = mtlspop_http_stream_response(stream);
    CHECK(mtlspop_http_response_status(response) == 200);
    mtlspop_http_response_free(response);
    mtlspop_http_stream_free(stream);
    mtlspop_http_request_free(request);
    pthread_join(filler, NULL);
    close(ends[0]);
}

static void use(mtlspop_app *app)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = acquire(app, request);

    CHECK(call_graph(app, token) == 200);
    stream(app, token);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

static void *work(void *directory)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_cancel *flag = mtlspop_cancel_new();

    mtlspop_app_options_set_binding_store(options, directory, (const uint8_t *)"sixteen bytes and more", 22);
    use(app_of(options));
    use(certificate_app());
    use(federated_app());
    mtlspop_cancel_free(flag);
    pthread_mutex_lock(&lock);
    done = 1;
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int count, char **arguments)
{
    struct sigaction action;
    sigset_t signals;
    pthread_t disturber;

    CHECK(count == 2);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(pthread_create(&worker, NULL, work, arguments[1]) == 0);
    CHECK(pthread_create(&disturber, NULL, disturb, NULL) == 0);
    /* The other threads of this program are not what is tested. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_join(disturber, NULL);
    pthread_join(worker, NULL);
    printf("%ld signals\n", (long)interrupted);
    CHECK(interrupted > 100);
    return check_result();
}
