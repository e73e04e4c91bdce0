/*
 * token.c: one bound token of an SN/I app in devcloud's environment, and then as many from the cache as argument 1 says.
 * Prints the peak of the process's memory in KiB (VmHWM). benches/bench and tests/c/instructions.rs run it.
 */
#include <mtlspop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_peak(void)
{
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");

    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            printf("%ld\n", strtol(line + 6, NULL, 10));
    if (status != NULL)
        fclose(status);
}

int main(int argc, char **argv)
{
    long hits = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    char authority[256];
    mtlspop_certificate *certificate = NULL;
    mtlspop_app_options *options = mtlspop_app_options_new_confidential_client(getenv("AZURE_CLIENT_ID"));
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/.default");
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    const char *file = getenv("AZURE_CLIENT_CERTIFICATE_PATH"), *tenant = getenv("AZURE_TENANT_ID");
    int failed = mtlspop_certificate_new_from_file(file, NULL, NULL, &certificate, &error) != 0;

    snprintf(authority, sizeof authority, "https://login.microsoftonline.com/%s", tenant != NULL ? tenant : "");
    mtlspop_app_options_set_authority(options, authority);
    mtlspop_app_options_set_azure_region(options, "eastus");
    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_app_options_set_connect_timeout_ms(options, 120000); /* valgrind is slow */
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    failed = failed || mtlspop_app_new(options, &app, &error);
    for (; !failed && hits >= 0; hits--) {
        mtlspop_token_free(token);
        failed = mtlspop_app_acquire_token(app, request, &token, &error);
    }
    if (failed)
        fprintf(stderr, "%s\n", error != NULL ? mtlspop_error_message(error) : "failed");
    else
        print_peak();
    mtlspop_error_free(error);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    mtlspop_app_options_free(options);
    mtlspop_certificate_free(certificate);
    return failed;
}
