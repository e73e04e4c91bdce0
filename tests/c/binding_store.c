/* binding_store.c: does a program that starts again find its certificate in the store it gave, and is a bad store
 * an error of mtlspop_app_new()? binding_store DIRECTORY: of the store. */

#include "apps.h"

static int asked, destroyed;

static int32_t secret(void *userdata, mtlspop_secret_op *operation)
{
    asked++;
    CHECK(strcmp(userdata, "secret") == 0);
    mtlspop_secret_op_set_secret(operation, (const uint8_t *)"sixteen bytes and more", 22);
    return 0;
}

static int32_t fails(void *userdata, mtlspop_secret_op *operation)
{
    (void)userdata;
    mtlspop_secret_op_set_error(operation, "the vault is closed");
    return 1;
}

static int32_t says_nothing(void *userdata, mtlspop_secret_op *operation)
{
    (void)userdata;
    (void)operation;
    return 0;
}

static int32_t says_little(void *userdata, mtlspop_secret_op *operation)
{
    (void)userdata;
    mtlspop_secret_op_set_secret(operation, (const uint8_t *)"short", 5);
    return 0;
}

static void destroy(void *userdata)
{
    (void)userdata;
    destroyed++;
}

/* Makes an app with these settings, which must fail. */
static void refused(mtlspop_app_options *options, mtlspop_status expected, const char *text)
{
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;

    CHECK(mtlspop_app_new(options, &app, &error) == expected && app == NULL);
    CHECK(strstr(mtlspop_error_message(error), text) != NULL);
    mtlspop_error_free(error);
    mtlspop_app_options_free(options);
}

static void bad_stores(const char *directory)
{
    const uint8_t bytes[32] = {0};
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();

    mtlspop_app_options_set_unencrypted_binding_store(options, "not/absolute");
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "absolute");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store(options, directory, bytes, 15);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "16 bytes");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store(options, directory, NULL, 32);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "secret");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store(options, NULL, bytes, 32);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "directory is NULL");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store_with_callback(options, directory, NULL, NULL, destroy);
    CHECK(destroyed == 1);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "callback is NULL");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store_with_callback(options, directory, fails, NULL, destroy);
    refused(options, MTLSPOP_E_CALLBACK, "the vault is closed");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store_with_callback(options, directory, says_nothing, NULL, destroy);
    refused(options, MTLSPOP_E_CALLBACK, "set no secret");
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_binding_store_with_callback(options, directory, says_little, NULL, destroy);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "16 bytes");
    CHECK(destroyed == 4);
    options = mtlspop_app_options_new_confidential_client("client");
    mtlspop_app_options_set_unencrypted_binding_store(options, directory);
    refused(options, MTLSPOP_E_INVALID_ARGUMENT, "binding store");
}

int main(int argc, char **argv)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_app *app;

    CHECK(argc == 2);
    bad_stores(argv[1]);
    mtlspop_app_options_set_binding_store_with_callback(options, argv[1], secret, "secret", destroy);
    app = app_of(options);
    mtlspop_token_free(acquire(app, request));
    CHECK(asked == 1 && destroyed == 4);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    CHECK(destroyed == 5);
    return check_result();
}
