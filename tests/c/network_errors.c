/* network_errors.c: what does a call say when the network or the service fails?
 *
 * network_errors STATUS [TIMEOUT_MS] asks for a bound token, expects the status, and prints
 * `status | code | http status | retryable | message`. The caller arranges the failure. */

#include "apps.h"

int main(int count, char **arguments)
{
    mtlspop_status expected = count > 1 ? atoi(arguments[1]) : MTLSPOP_OK;
    mtlspop_app *app = certificate_app();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_status status;

    if (count > 2) mtlspop_token_request_set_timeout_ms(request, atol(arguments[2]));
    status = mtlspop_app_acquire_token(app, request, &token, &error);
    CHECK(status == expected);
    CHECK((token != NULL) == (status == MTLSPOP_OK));
    CHECK((error != NULL) == (status != MTLSPOP_OK));
    if (error) {
        CHECK(mtlspop_error_status(error) == status);
        CHECK(strlen(mtlspop_error_correlation_id(error)) == 36);
        printf("%d | %s | %d | %d | %s\n", (int)status, mtlspop_error_code(error),
               (int)mtlspop_error_http_status(error), (int)mtlspop_error_is_retryable(error),
               mtlspop_error_message(error));
    }
    mtlspop_error_free(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    return check_result();
}
