/* memory.c: does a process hold as much after many calls as after a few? To the byte: memory.rs turns off what malloc keeps
 * of freed memory for each thread, which would count as in use.
 *
 * memory DAY TURNS KIND...: in each turn something of every kind, a day after the turn before; the first is the day after DAY. */

#include <malloc.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "apps.h"

#define VAULT "https://devcloud.vault.azure.net/secrets"
#define DAY 86400
/* So many bytes a turn are none: new keys and certificates are not all of one length. */
#define NONE 64

static time_t ahead;

/* The library finds this one before libc's. Clocks that nobody waits by are ahead. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) time->tv_sec += ahead;
    return failed;
}

/* For devcloud, too: memory.rs sees to that. */
static void let_a_day_pass(void)
{
    ahead += DAY;
    puts("a day");
    fflush(stdout);
    while (getchar() != '\n') {}
}

static size_t in_use(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

/* Gets a token, calls an API with it, twice: the second time with the connections of the first. Faults may be in the way. */
static void use(const mtlspop_app *app, int bound, const char *url)
{
    mtlspop_token_request *request = mtlspop_token_request_new(
        strcmp(url, VAULT) == 0 ? "https://vault.azure.net/.default" : "https://graph.microsoft.com/.default");
    mtlspop_http_request *call = mtlspop_http_request_new("GET", url);
    mtlspop_http_response *response = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    int i;

    mtlspop_token_request_set_mtls_proof_of_possession(request, bound);
    for (i = 0; i < 2; i++) {
        if (!mtlspop_app_acquire_token(app, request, &token, &error)) mtlspop_app_send(app, token, call, &response, &error);
        mtlspop_error_free(error);
        mtlspop_http_response_free(response);
        mtlspop_token_free(token);
        error = NULL;
        response = NULL;
        token = NULL;
    }
    mtlspop_http_request_free(call);
    mtlspop_token_request_free(request);
}

static mtlspop_app *secret_app(void)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_client_secret(options, env("AZURE_CLIENT_SECRET"));
    return app_of(options);
}

static void with_a_certificate(const mtlspop_app *app)
{
    use(app, 0, GRAPH);
    use(app, 1, GRAPH);
    use(app, 1, VAULT);
}

static void with_a_secret(const mtlspop_app *app)
{
    use(app, 0, GRAPH);
}

static void with_managed_identity(const mtlspop_app *app)
{
    use(app, 0, GRAPH);
    use(app, 1, GRAPH);
}

struct kind {
    const char *name;
    mtlspop_app *(*make)(void);
    void (*use)(const mtlspop_app *);
    mtlspop_app *app;
};

static struct kind kinds[] = {
    {"certificate", certificate_app, with_a_certificate, NULL},
    {"secret", secret_app, with_a_secret, NULL},
    {"managed", managed_identity_app, with_managed_identity, NULL},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static void *use_all(void *unused)
{
    size_t i;
    for (i = 0; i < KINDS; i++) kinds[i].use(kinds[i].app);
    return unused;
}

static void take_turn(const char *kind)
{
    pthread_t thread;
    pid_t pid;
    size_t i;

    for (i = 0; i < KINDS; i++) {
        if (strcmp(kind, kinds[i].name) == 0) kinds[i].use(kinds[i].app);
    }
    if (strcmp(kind, "app") == 0) {
        for (i = 0; i < KINDS; i++) {
            mtlspop_app *app = kinds[i].make();
            kinds[i].use(app);
            mtlspop_app_free(app);
        }
    }
    if (strcmp(kind, "thread") == 0) {
        CHECK(pthread_create(&thread, NULL, use_all, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    if (strcmp(kind, "fork") == 0) {
        pid = fork();
        if (pid == 0) _exit(0);
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
    /* Whether this finds what it looks for. Tools for leaks see that it is kept. */
    if (strcmp(kind, "keep") == 0) {
        static void *kept;
        void **place = calloc(1, 2 * NONE);
        *place = kept;
        kept = place;
    }
}

int main(int count, char **arguments)
{
    long turns = strtol(arguments[2], NULL, 10), turn, more;
    size_t i, least = 0, early = 0, now;
    int kind;

    ahead = DAY * strtol(arguments[1], NULL, 10);
    for (i = 0; i < KINDS; i++) kinds[i].app = kinds[i].make();
    for (turn = 1; turn <= turns; turn++) {
        let_a_day_pass();
        for (kind = 3; kind < count; kind++) take_turn(arguments[kind]);
        now = in_use();
        /* The least of each third. */
        if ((turn - 1) % (turns / 3) == 0 || now < least) least = now;
        if (turn == turns / 3 * 2) early = least;
    }
    more = (long)(least - early);
    printf("%ld bytes in %ld turns\n", more, turns / 3);
    CHECK(more < NONE * turns / 3);
    for (i = 0; i < KINDS; i++) mtlspop_app_free(kinds[i].app);
    return check_result();
}
