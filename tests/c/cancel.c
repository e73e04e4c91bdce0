/* cancel.c: does a raised flag end a call that waits for a slow service, and one that has not begun? */

#include <pthread.h>

#include "apps.h"

static void *raise_it(void *flag)
{
    mtlspop_cancel_raise(flag);
    return NULL;
}

int main(void)
{
    mtlspop_app *app = certificate_app();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_cancel *flag = mtlspop_cancel_new();
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    pthread_t thread;

    /* The service takes a minute to answer; the caller of this program sees to that. */
    mtlspop_token_request_set_cancel(request, flag);
    CHECK(pthread_create(&thread, NULL, raise_it, flag) == 0);
    CHECK(mtlspop_app_acquire_token(app, request, &token, &error) == MTLSPOP_E_CANCELLED);
    CHECK(token == NULL && error != NULL);
    mtlspop_error_free(error);
    pthread_join(thread, NULL);
    CHECK(mtlspop_app_acquire_token(app, request, &token, NULL) == MTLSPOP_E_CANCELLED);

    mtlspop_cancel_free(flag);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    CHECK(strcmp(mtlspop_status_name(MTLSPOP_E_CANCELLED), "MTLSPOP_E_CANCELLED") == 0);
    CHECK(strcmp(mtlspop_status_name(7), "MTLSPOP_E_UNKNOWN") == 0);
    return check_result();
}
