/* misuse.c: what happens to bugs of the caller that the header calls undefined? Best effort, so it is only
 * run without sanitizers: misuse double_free | wrong_type | freed_app. The caller looks at how it ended. */

#include "apps.h"

static int is(const char *argument, const char *name)
{
    return argument && strcmp(argument, name) == 0;
}

int main(int count, char **arguments)
{
    const char *mistake = count > 1 ? arguments[1] : NULL;
    mtlspop_app *app = managed_identity_app();
    mtlspop_token_request *request = graph_request(0);

    if (is(mistake, "double_free")) {
        mtlspop_app *freed = app;
        mtlspop_app_free(app);
        mtlspop_app_free(freed);
    } else if (is(mistake, "wrong_type")) {
        mtlspop_token_free((mtlspop_token *)request);
    } else if (is(mistake, "freed_app")) {
        mtlspop_app *freed = app;
        mtlspop_token *token = NULL;
        mtlspop_error *error = NULL;
        mtlspop_app_free(app);
        CHECK(mtlspop_app_acquire_token(freed, request, &token, &error) == MTLSPOP_E_INVALID_HANDLE);
        printf("%s\n", mtlspop_error_message(error));
        mtlspop_error_free(error);
    }
    return check_result();
}
