/* small_stack.c: how much of its stack does a call need? Each step runs on a thread of its own, whose stack is painted
 * before and looked at afterwards. small_stack DIRECTORY KIB: of a store, and how much each step may have. */

#include <pthread.h>
#include <sys/mman.h>

#include "apps.h"

#define PAINT 0xa5
/* What a step that needs more than it may have is given, so that it can say how much that was. */
#define ROOM ((size_t)4 << 20)

static const char *directory;

static void load_pem(void)
{
    mtlspop_certificate_free(load(env("AZURE_CLIENT_CERTIFICATE_PATH")));
}

/* Through PKCS#12 and back. */
static void load_pfx(void)
{
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH")), *again = NULL;
    mtlspop_buffer *pfx = NULL;
    mtlspop_error *error = NULL;
    size_t length;
    const uint8_t *bytes;

    CHECK_OK(mtlspop_certificate_export_pkcs12(certificate, "password", MTLSPOP_PKCS12_MODERN, &pfx, &error), error);
    bytes = mtlspop_buffer_data(pfx, &length);
    CHECK_OK(mtlspop_certificate_new_from_pkcs12(bytes, length, "password", &again, &error), error);
    mtlspop_certificate_free(again);
    mtlspop_buffer_free(pfx);
    mtlspop_certificate_free(certificate);
}

/* From nothing to an answer, with every part of it cold. */
static void ask(mtlspop_app *app, int bound)
{
    mtlspop_token_request *request = graph_request(bound);
    mtlspop_token *token = acquire(app, request);

    CHECK(call_graph(app, token) == 200);
    mtlspop_token_free(token);
    token = acquire(app, request);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

static void certificate(void)
{
    ask(certificate_app(), 1);
}

static void federated(void)
{
    ask(federated_app(), 1);
}

static void managed_identity(void)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();

    mtlspop_app_options_set_binding_store(options, directory, (const uint8_t *)"sixteen bytes and more", 22);
    ask(app_of(options), 1);
}

/* An error, with all that is made for it. */
static void refused(void)
{
    mtlspop_app_options *options = client_options("99999999-9999-9999-9999-999999999999");
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = NULL;
    mtlspop_app *app;

    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    app = app_of(options);
    CHECK(mtlspop_app_acquire_token(app, request, &token, NULL) == MTLSPOP_E_REJECTED);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

static void *run(void *step)
{
    void (*body)(void);

    memcpy(&body, &step, sizeof body);
    body();
    return NULL;
}

/* How many bytes of its stack the step has touched, with what libc itself keeps there. */
static size_t depth_of(void (*body)(void))
{
    uint8_t *stack = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;
    void *step;

    CHECK(stack != MAP_FAILED);
    memset(stack, PAINT, ROOM);
    memcpy(&step, &body, sizeof step);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, stack, ROOM) == 0);
    CHECK(pthread_create(&thread, &attributes, run, step) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    while (untouched < ROOM && stack[untouched] == PAINT) untouched++;
    munmap(stack, ROOM);
    return ROOM - untouched;
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*body)(void);
    } steps[] = {
        {"a PEM file", load_pem},       {"a PFX file", load_pfx},
        {"a certificate", certificate}, {"a federated credential", federated},
        {"a refusal", refused},         {"a managed identity with a store", managed_identity},
    };
    size_t i, kib = 0, most = 0;

    CHECK(count == 3);
    directory = arguments[1];
    for (i = 0; i < sizeof steps / sizeof *steps; i++) {
        kib = (depth_of(steps[i].body) + 1023) / 1024;
        printf("%4zu KiB: %s\n", kib, steps[i].name);
        if (kib > most) most = kib;
    }
    CHECK(most <= (size_t)atol(arguments[2]));
    return check_result();
}
