/* curl_client.c: the API called by libcurl, with certificate and key handed to it in memory. */
#include "../example.h"

#include <curl/curl.h>

/* A header field that libcurl sends; the value is as secret as the key. */
static struct curl_slist *authorization(const mtlspop_token *token)
{
    char header[16384];

    snprintf(header, sizeof header, "Authorization: %s", mtlspop_token_authorization(token));
    return curl_slist_append(NULL, header);
}

/* Returns the HTTP status, 0 where there was no answer. The answer itself goes to stdout. */
static long call(const mtlspop_token *token, const char *chain, const uint8_t *key, size_t key_size)
{
    struct curl_blob certificate = {(void *)(uintptr_t)chain, strlen(chain), CURL_BLOB_COPY};
    struct curl_blob private_key = {(void *)(uintptr_t)key, key_size, CURL_BLOB_COPY};
    struct curl_slist *headers = authorization(token);
    CURL *curl = curl_easy_init();
    CURLcode code;
    long status = 0;

    curl_easy_setopt(curl, CURLOPT_URL, example_mtls_url());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &private_key);
    if (getenv("SSL_CERT_FILE") != NULL) /* which libcurl leaves to its caller */
        curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    if ((code = curl_easy_perform(curl)) != CURLE_OK)
        fprintf(stderr, "%s: %s\n", example_mtls_url(), curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    printf("\n");
    return status;
}

int main(int argc, char **argv)
{
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();
    mtlspop_token_request *request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_app *app = NULL;
    mtlspop_token *token = NULL;
    mtlspop_certificate *binding = NULL;
    mtlspop_buffer *key = NULL;
    mtlspop_error *error = NULL;
    const uint8_t *bytes;
    size_t size;
    long status;
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "\nAPI_URL: what to call instead of Graph. SSL_CERT_FILE: roots to trust.")) {
        result = EXIT_SUCCESS;
        goto done;
    }
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_new(options, &app, &error) || mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    binding = mtlspop_token_binding_certificate(token);
    if (mtlspop_certificate_export_private_key_pem(binding, &key, &error))
        goto done; /* a key in a TPM stays there: mtlspop_app_send calls with it */
    bytes = mtlspop_buffer_data(key, &size);
    status = call(token, mtlspop_certificate_chain_pem(binding), bytes, size);
    example_print("curl_client", token, binding, (int)status);
    result = status >= 200 && status < 300 ? EXIT_SUCCESS : EXIT_FAILURE;

done:
    example_error(error);
    mtlspop_buffer_free(key);
    mtlspop_certificate_free(binding);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    mtlspop_app_options_free(options);
    return result;
}
