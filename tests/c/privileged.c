/* privileged.c: whom does a program believe that has more rights than whoever started it? privileged PROXY 0|1, in the
 * environment of somebody who would like to read along: SSL_CERT_FILE vouches for their server, IMDS is no URL. */

#include <string.h>
#include <sys/auxv.h>

#include "apps.h"

int main(int count, char **arguments)
{
    const char *proxy = count > 2 ? arguments[1] : "";
    int privileged = count > 2 && strcmp(arguments[2], "1") == 0;
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();

    CHECK((getauxval(AT_SECURE) != 0) == privileged);

    int32_t status = mtlspop_app_new(options, &app, &error);
    CHECK((status == MTLSPOP_OK) == privileged);
    if (error) CHECK(strstr(mtlspop_error_message(error), "AZURE_POD_IDENTITY_AUTHORITY_HOST"));
    mtlspop_error_free(error);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);

    options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_client_secret(options, env("AZURE_CLIENT_SECRET"));
    mtlspop_app_options_set_proxy(options, proxy);
    app = app_of(options);
    mtlspop_token_request *request = graph_request(0);
    status = mtlspop_app_acquire_token(app, request, &token, &error);
    if (privileged) {
        CHECK(status == MTLSPOP_E_NETWORK && strcmp(mtlspop_error_code(error), "tls_error") == 0);
    } else {
        CHECK_OK(status, error);
    }
    if (error) printf("%s\n", mtlspop_error_message(error));
    mtlspop_error_free(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    return check_result();
}
