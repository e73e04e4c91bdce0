/* streaming.c: do bodies of any size go both ways, from a callback, a file and a pipe; and does every mistake with them
 * get its error, in every state of a stream? */

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps.h"

#define ROOT "https://graph.microsoft.com"
#define LENGTH 3000000

/* A body, and what became of it. */
struct body {
    size_t length;
    size_t position;
    size_t fail_at;
    int reads;
    int rewinds;
    int destroyed;
    int too_much;
};

static mtlspop_app *app;
static mtlspop_token *token;

static void destroy(void *userdata)
{
    ((struct body *)userdata)->destroyed++;
}

static int32_t give(void *userdata, mtlspop_body_op *operation)
{
    struct body *body = userdata;
    size_t capacity = 0, i;
    uint8_t *buffer = mtlspop_body_op_buffer(operation, &capacity);

    if (mtlspop_body_op_kind(operation) == MTLSPOP_BODY_REWIND) {
        CHECK(buffer == NULL && capacity == 0);
        body->rewinds++;
        body->position = 0;
        return 0;
    }
    CHECK(mtlspop_body_op_kind(operation) == MTLSPOP_BODY_READ && buffer && capacity > 0);
    body->reads++;
    if (body->fail_at && body->position >= body->fail_at) {
        mtlspop_body_op_set_error(operation, "the tape is torn");
        return 7;
    }
    if (body->too_much) {
        mtlspop_body_op_set_length(operation, capacity + 1);
        return 0;
    }
    if (capacity > body->length - body->position) capacity = body->length - body->position;
    for (i = 0; i < capacity; i++) buffer[i] = (uint8_t)((body->position + i) % 251);
    body->position += capacity;
    mtlspop_body_op_set_length(operation, capacity);
    return 0;
}

static mtlspop_http_request *request_for(const char *method, const char *path)
{
    char url[256];
    snprintf(url, sizeof url, ROOT "%s", path);
    return mtlspop_http_request_new(method, url);
}

static mtlspop_http_request *upload(struct body *body, int64_t announced, int32_t can_rewind)
{
    mtlspop_http_request *request = request_for("PUT", "/upload");
    mtlspop_http_request_set_body_callback(request, "application/octet-stream", announced, can_rewind, give, body,
                                           destroy);
    return request;
}

/* Sends, and gives the status of the call; checks what an error says. */
static mtlspop_status send_it(const mtlspop_http_request *request, const char *answer)
{
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_app_send(app, token, request, &response, &error);
    char body[1024] = "";
    size_t length = 0;

    if (status == MTLSPOP_OK) {
        const uint8_t *bytes = mtlspop_http_response_body(response, &length);
        memcpy(body, bytes, length < sizeof body ? length : sizeof body - 1);
    }
    CHECK((status == MTLSPOP_OK) == (response != NULL));
    CHECK_CONTAINS(status == MTLSPOP_OK ? body : mtlspop_error_message(error), answer);
    mtlspop_error_free(error);
    mtlspop_http_response_free(response);
    return status;
}

static mtlspop_http_stream *open_it(const mtlspop_http_request *request)
{
    mtlspop_http_stream *stream = NULL;
    mtlspop_error *error = NULL;
    CHECK_OK(mtlspop_app_send_streaming(app, token, request, &stream, &error), error);
    return stream;
}

static mtlspop_http_stream *download(const char *path, int64_t timeout, mtlspop_cancel *flag)
{
    mtlspop_http_request *request = request_for("GET", path);
    mtlspop_http_stream *stream;

    if (timeout) mtlspop_http_request_set_read_timeout_ms(request, timeout);
    if (flag) mtlspop_http_request_set_cancel(request, flag);
    stream = open_it(request);
    mtlspop_http_request_free(request);
    return stream;
}

/* Reads one piece, and gives the status; checks what an error says. */
static mtlspop_status read_it(mtlspop_http_stream *stream, size_t *length, const char *message)
{
    static uint8_t buffer[50000];
    mtlspop_error *error = NULL;
    mtlspop_status status = mtlspop_http_stream_read(stream, buffer, sizeof buffer, length, &error);

    if (status != MTLSPOP_OK) {
        CHECK(*length == 0);
        CHECK_CONTAINS(mtlspop_error_message(error), message);
    }
    mtlspop_error_free(error);
    return status;
}

/* Is the whole body read, with the facts before it? */
static void downloads(void)
{
    static const char *paths[] = {"/stream/3000000", "/stream/3000000?chunked", "/stream/0"};
    size_t i, k, length, total;
    uint8_t buffer[10007];

    for (i = 0; i < 3; i++) {
        mtlspop_http_stream *stream = download(paths[i], 0, NULL);
        mtlspop_http_response *response = mtlspop_http_stream_response(stream);
        mtlspop_error *error = NULL;

        CHECK(mtlspop_http_response_status(response) == 200 && mtlspop_http_response_claims(response) == NULL);
        CHECK(mtlspop_http_response_body(response, &length) != NULL && length == 0);
        CHECK(strcmp(mtlspop_http_response_tls_version(response), "TLSv1.3") == 0);
        CHECK(mtlspop_http_response_certificate_requested(response) == 1);
        CHECK((mtlspop_http_response_header(response, "Content-Length") == NULL) == (i == 1));
        total = 0;
        do {
            CHECK_OK(mtlspop_http_stream_read(stream, buffer, sizeof buffer, &length, &error), error);
            for (k = 0; k < length; k++)
                if (buffer[k] != (total + k) % 251) break;
            CHECK(k == length);
            total += length;
        } while (length > 0);
        CHECK(total == (i < 2 ? LENGTH : 0));
        CHECK(read_it(stream, &length, "") == MTLSPOP_OK && length == 0);
        mtlspop_http_stream_free(stream);
        /* It has a life of its own. */
        CHECK(mtlspop_http_response_status(response) == 200);
        mtlspop_http_response_free(response);
    }
}

/* Does the body of a callback arrive, with its length and without; again where it can be rewound, and only there? */
static void callbacks(void)
{
    static struct body once = {LENGTH, 0, 0, 0, 0, 0, 0}, often = {LENGTH, 0, 0, 0, 0, 0, 0};
    mtlspop_http_request *request = upload(&once, -1, 0);
    mtlspop_http_stream *stream;
    size_t length;

    CHECK(send_it(request, "\"length\":3000000") == MTLSPOP_OK);
    CHECK(send_it(request, "make a new request") == MTLSPOP_E_INVALID_ARGUMENT);
    CHECK(once.destroyed == 0 && once.rewinds == 0);
    mtlspop_http_request_free(request);
    CHECK(once.destroyed == 1);

    request = upload(&often, LENGTH, 1);
    CHECK(send_it(request, "\"length\":3000000") == MTLSPOP_OK);
    stream = open_it(request);
    CHECK(read_it(stream, &length, "") == MTLSPOP_OK && length > 0);
    mtlspop_http_stream_free(stream);
    CHECK(often.rewinds == 1);
    /* Another body takes its place. */
    mtlspop_http_request_set_body(request, "text/plain", (const uint8_t *)"abc", 3);
    CHECK(often.destroyed == 1);
    CHECK(send_it(request, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == MTLSPOP_OK);
    mtlspop_http_request_free(request);
}

/* Is each way in which a callback can fail told, and its pointer released? */
static void failures(void)
{
    static const struct {
        struct body body;
        int64_t announced;
        mtlspop_status status;
        const char *message;
    } rows[] = {
        {{LENGTH, 0, LENGTH / 2, 0, 0, 0, 0}, -1, MTLSPOP_E_CALLBACK, "the body callback failed: the tape is torn"},
        {{LENGTH, 0, LENGTH / 2, 0, 0, 0, 0}, LENGTH, MTLSPOP_E_CALLBACK, "the tape is torn"},
        {{10, 0, 0, 0, 0, 0, 1}, -1, MTLSPOP_E_INVALID_ARGUMENT, "mtlspop_body_op_set_length: length is"},
        {{10, 0, 0, 0, 0, 0, 0}, 11, MTLSPOP_E_INVALID_ARGUMENT, "ended after 10 of 11 bytes"},
        {{10, 0, 0, 0, 0, 0, 0}, 9, MTLSPOP_E_INVALID_ARGUMENT, "longer than the 9 bytes announced"},
        {{10, 0, 0, 0, 0, 0, 0}, -2, MTLSPOP_E_INVALID_ARGUMENT,
         "mtlspop_http_request_set_body_callback: length is -2, expected -1 or more"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct body body = rows[i].body;
        mtlspop_http_request *request = upload(&body, rows[i].announced, 0);
        CHECK(send_it(request, rows[i].message) == rows[i].status);
        mtlspop_http_request_free(request);
        CHECK(body.destroyed == 1);
    }
    for (i = 0; i < 2; i++) {
        struct body body = {10, 0, 0, 0, 0, 0, 0};
        mtlspop_http_request *request = request_for("PUT", "/upload");
        mtlspop_http_request_set_body_callback(request, NULL, 10, i ? 2 : 0, i ? give : NULL, &body, destroy);
        CHECK(body.destroyed == 1);
        CHECK(send_it(request, i ? "can_rewind is 2, expected 0 or 1" : "callback is NULL") ==
              MTLSPOP_E_INVALID_ARGUMENT);
        mtlspop_http_request_free(request);
    }
}

/* Writes into a pipe, slowly enough to be waited for. */
static void *fill(void *pipe)
{
    char block[10000];
    int i, fd = *(int *)pipe;

    memset(block, 'x', sizeof block);
    for (i = 0; i < 30; i++) CHECK(write(fd, block, sizeof block) == sizeof block);
    close(fd);
    return NULL;
}

/* Are a file and a pipe sent, a part of them too; and is what is no file told? */
static void descriptors(void)
{
    mtlspop_http_request *request = request_for("PUT", "/upload");
    FILE *file = tmpfile();
    pthread_t thread;
    int ends[2];

    CHECK(file && fputs("___abcxyz", file) > 0 && fflush(file) == 0 && lseek(fileno(file), 3, SEEK_SET) == 3);
    mtlspop_http_request_set_body_fd(request, "text/plain", fileno(file), 3);
    CHECK(lseek(fileno(file), 0, SEEK_CUR) == 3);
    fclose(file);
    CHECK(send_it(request, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == MTLSPOP_OK);
    CHECK(send_it(request, "\"length\":3,") == MTLSPOP_OK);

    CHECK(pipe(ends) == 0);
    mtlspop_http_request_set_body_fd(request, NULL, ends[0], -1);
    close(ends[0]);
    CHECK(pthread_create(&thread, NULL, fill, &ends[1]) == 0);
    CHECK(send_it(request, "\"length\":300000,") == MTLSPOP_OK);
    pthread_join(thread, NULL);
    CHECK(send_it(request, "cannot be rewound") == MTLSPOP_E_INVALID_ARGUMENT);

    CHECK(pipe(ends) == 0);
    mtlspop_http_request_set_body_fd(request, NULL, ends[0], -1);
    mtlspop_http_request_set_timeout_ms(request, 3000);
    CHECK(send_it(request, "the body of the request was not there within") == MTLSPOP_E_TIMEOUT);
    close(ends[0]);
    mtlspop_http_request_set_body_fd(request, NULL, ends[1], -1);
    close(ends[1]);
    CHECK(send_it(request, "mtlspop_http_request_set_body_fd: the file descriptor of the body is not open for reading") ==
          MTLSPOP_E_INVALID_ARGUMENT);
    mtlspop_http_request_free(request);

    request = request_for("PUT", "/upload");
    mtlspop_http_request_set_body_fd(request, NULL, 9999, -1);
    CHECK(send_it(request, "cannot be used: Bad file descriptor") == MTLSPOP_E_INVALID_ARGUMENT);
    mtlspop_http_request_free(request);
    request = request_for("PUT", "/upload");
    mtlspop_http_request_set_body_fd(request, NULL, -1, -1);
    CHECK(send_it(request, "fd is -1, which is no file descriptor") == MTLSPOP_E_INVALID_ARGUMENT);
    mtlspop_http_request_free(request);
}

/* Is a challenge answered without the body that was not asked for yet; and given where the body is gone? */
static void challenges(void)
{
    static const char *paths[] = {"/claims-challenge/upload", "/claims-challenge/upload-first"};
    int i;

    for (i = 0; i < 2; i++) {
        struct body body = {LENGTH, 0, 0, 0, 0, 0, 0};
        mtlspop_http_request *request = request_for("PUT", paths[i]);
        mtlspop_token_request *again = graph_request(1);
        mtlspop_http_stream *stream;
        mtlspop_http_response *response;

        mtlspop_http_request_set_body_callback(request, NULL, LENGTH, 0, give, &body, destroy);
        mtlspop_http_request_set_token_request(request, again);
        mtlspop_token_request_free(again);
        stream = open_it(request);
        response = mtlspop_http_stream_response(stream);
        CHECK(mtlspop_http_response_status(response) == (i ? 401 : 200));
        CHECK((mtlspop_http_response_claims(response) != NULL) == (i == 1));
        mtlspop_http_response_free(response);
        mtlspop_http_stream_free(stream);
        mtlspop_http_request_free(request);
        CHECK(body.destroyed == 1 && body.rewinds == 0 && body.position == LENGTH);
    }
}

/* Is what cannot be read told, and does a stream live on when its app is gone? */
static void mistakes(void)
{
    mtlspop_http_stream *stream = download("/stream/100000000", 0, NULL);
    mtlspop_error *error = NULL;
    uint8_t buffer[10];
    size_t length = 5;

    CHECK(mtlspop_http_stream_read(stream, NULL, 10, &length, &error) == MTLSPOP_E_INVALID_ARGUMENT && length == 0);
    CHECK_CONTAINS(mtlspop_error_message(error), "buffer is NULL");
    mtlspop_error_free(error);
    CHECK(mtlspop_http_stream_read(stream, buffer, 0, &length, &error) == MTLSPOP_E_INVALID_ARGUMENT);
    CHECK_CONTAINS(mtlspop_error_message(error), "capacity is 0");
    mtlspop_error_free(error);
    CHECK(mtlspop_http_stream_read(stream, buffer, 10, NULL, NULL) == MTLSPOP_E_INVALID_ARGUMENT);
    CHECK(mtlspop_http_stream_read(NULL, buffer, 10, &length, NULL) == MTLSPOP_E_INVALID_HANDLE);
    CHECK(mtlspop_http_stream_read((mtlspop_http_stream *)(void *)app, buffer, 10, &length, NULL) ==
          MTLSPOP_E_INVALID_HANDLE);
    CHECK(mtlspop_http_stream_response(NULL) == NULL);
    /* None of that has hurt it. */
    CHECK(read_it(stream, &length, "") == MTLSPOP_OK && length > 0);
    mtlspop_http_stream_free(stream);
}

static void pause_ms(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static void *raise_it(void *flag)
{
    pause_ms(300);
    mtlspop_cancel_raise(flag);
    return NULL;
}

static void *read_on(void *stream)
{
    size_t length;
    CHECK(read_it(stream, &length, "the call was cancelled") == MTLSPOP_E_CANCELLED);
    return NULL;
}

/* Does a flag end a read that waits, on whatever thread; is a second reader told; and does a read end by itself? */
static void waiting(void)
{
    mtlspop_cancel *flag = mtlspop_cancel_new();
    mtlspop_http_stream *stream = download("/stall", 0, flag);
    mtlspop_http_response *response;
    pthread_t reader, raiser;
    size_t length;

    CHECK(pthread_create(&reader, NULL, read_on, stream) == 0);
    pause_ms(200);
    CHECK(pthread_create(&raiser, NULL, raise_it, flag) == 0);
    CHECK(read_it(stream, &length, "another thread is reading this stream") == MTLSPOP_E_INVALID_ARGUMENT);
    response = mtlspop_http_stream_response(stream);
    CHECK(mtlspop_http_response_status(response) == 200);
    mtlspop_http_response_free(response);
    pthread_join(reader, NULL);
    pthread_join(raiser, NULL);
    CHECK(read_it(stream, &length, "the call was cancelled") == MTLSPOP_E_CANCELLED);
    mtlspop_http_stream_free(stream);
    mtlspop_cancel_free(flag);

    stream = download("/stall", 500, NULL);
    CHECK(read_it(stream, &length, "within the read timeout of 500 ms") == MTLSPOP_E_TIMEOUT);
    CHECK(read_it(stream, &length, "within the read timeout of 500 ms") == MTLSPOP_E_TIMEOUT);
    mtlspop_http_stream_free(stream);
}

/* Does a child get an error, and the parent its bytes, whatever the child does with the stream? */
static void forked(void)
{
    mtlspop_http_stream *stream = download("/stream/3000000", 0, NULL);
    size_t length, total = 0;
    int status = -1;
    pid_t pid;

    CHECK(read_it(stream, &length, "") == MTLSPOP_OK);
    total += length;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        mtlspop_http_response *response = mtlspop_http_stream_response(stream);
        alarm(30);
        CHECK(read_it(stream, &length, "belongs to the process that was forked") == MTLSPOP_E_INVALID_ARGUMENT);
        CHECK(mtlspop_http_response_status(response) == 200);
        mtlspop_http_response_free(response);
        mtlspop_http_stream_free(stream);
        fflush(stdout);
        _exit(check_result());
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    do {
        CHECK(read_it(stream, &length, "") == MTLSPOP_OK);
        total += length;
    } while (length > 0);
    CHECK(total == LENGTH);
    mtlspop_http_stream_free(stream);
}

int main(int argc, char **argv)
{
    mtlspop_token_request *request = graph_request(1);
    mtlspop_http_stream *last;
    size_t length, total = 0;

    app = certificate_app();
    token = acquire(app, request);
    downloads();
    callbacks();
    failures();
    descriptors();
    challenges();
    mistakes();
    waiting();
    if (argc > 1 && strcmp(argv[1], "fork") == 0) forked();

    last = download("/stream/3000000", 0, NULL);
    mtlspop_app_free(app);
    mtlspop_token_free(token);
    do {
        CHECK(read_it(last, &length, "") == MTLSPOP_OK);
        total += length;
    } while (length > 0);
    CHECK(total == LENGTH);
    mtlspop_http_stream_free(last);
    mtlspop_token_request_free(request);
    return check_result();
}
