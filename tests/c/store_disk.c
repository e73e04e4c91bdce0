/* store_disk.c: does the token come where the disk of the binding store has no room or takes nothing, with a warning in
 * the log that says why? store_disk DIRECTORY TEXT [BYTES]: of the store, what the warning says, or "" for none, and how
 * long a file may be. */

#include <signal.h>
#include <sys/resource.h>

#include "apps.h"

static char said[4096];

static void note(void *userdata, int32_t level, const char *target, const char *message)
{
    (void)userdata;
    if (level > MTLSPOP_LOG_WARNING || strcmp(target, "binding_store") != 0) return;
    /* That there is no machine-id is no news here. */
    if (strstr(message, "machine-id")) return;
    strncat(said, message, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

int main(int count, char **arguments)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token;
    mtlspop_app *app;

    CHECK(count == 3 || count == 4);
    if (count == 4) {
        struct rlimit limit;
        CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
        limit.rlim_cur = (rlim_t)atol(arguments[3]);
        CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    mtlspop_app_options_set_binding_store(options, arguments[1], (const uint8_t *)"sixteen bytes and more", 22);
    mtlspop_app_options_set_log(options, MTLSPOP_LOG_WARNING, note, NULL, NULL);
    app = app_of(options);
    token = acquire(app, request);
    CHECK(call_graph(app, token) == 200);
    if (*arguments[2]) CHECK_CONTAINS(said, arguments[2]);
    else CHECK(!*said);
    printf("%s", said);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    return check_result();
}
