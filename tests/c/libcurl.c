/* libcurl.c: calls nginx, which requires a client certificate, with libcurl and with mtlspop_app_send. */

#include "apps.h"
#include <curl/curl.h>
#include <stdint.h>

/* What nginx said of the connection. */
struct answer {
    char text[16384];
    size_t length;
};

static size_t keep(char *data, size_t size, size_t count, void *userdata)
{
    struct answer *answer = userdata;
    size_t room = sizeof answer->text - 1 - answer->length;
    size_t length = size * count < room ? size * count : room;
    memcpy(answer->text + answer->length, data, length);
    answer->length += length;
    return size * count;
}

/* Without a certificate or with one, chain and key in memory: no file is written. Returns the HTTP status. */
static long call_with_libcurl(const char *url, const mtlspop_token *token,
                              const mtlspop_certificate *certificate, struct answer *answer)
{
    mtlspop_buffer *key = NULL;
    mtlspop_error *error = NULL;
    struct curl_blob chain_blob = {0}, key_blob = {0};
    struct curl_slist *headers = NULL;
    char header[16384];
    long status = 0;
    CURL *curl = curl_easy_init();
    CURLcode code;

    snprintf(header, sizeof header, "Authorization: %s", mtlspop_token_authorization(token));
    headers = curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_CAINFO, env("SSL_CERT_FILE"));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (certificate) {
        CHECK_OK(mtlspop_certificate_export_private_key_pem(certificate, &key, &error), error);
        chain_blob.data = (void *)(uintptr_t)mtlspop_certificate_chain_pem(certificate);
        chain_blob.len = strlen(chain_blob.data);
        key_blob.data = (void *)(uintptr_t)mtlspop_buffer_data(key, &key_blob.len);
        curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &chain_blob);
        curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key_blob);
    }
    code = curl_easy_perform(curl);
    if (code != CURLE_OK) printf("%s: %s\n", url, curl_easy_strerror(code));
    CHECK(code == CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    mtlspop_buffer_free(key);
    return status;
}

/* nginx writes the SHA-1 of a certificate in lower case, the library in upper case. */
static void check_answer(const char *text, const char *protocol, const mtlspop_token *token,
                         const mtlspop_certificate *certificate)
{
    char part[16384];
    char *digit;

    snprintf(part, sizeof part, "\"fingerprint\": \"%s\"", mtlspop_certificate_sha1_thumbprint(certificate));
    for (digit = strchr(part, ':'); *digit; digit++)
        if (*digit >= 'A' && *digit <= 'F') *digit = (char)(*digit + 'a' - 'A');
    CHECK_CONTAINS(text, part);
    snprintf(part, sizeof part, "\"protocol\": \"%s\"", protocol);
    CHECK_CONTAINS(text, part);
    snprintf(part, sizeof part, "\"authorization\": \"mtls_pop %s\"", mtlspop_token_access_token(token));
    CHECK_CONTAINS(text, part);
}

static void call(mtlspop_app *app, const char *url, const char *protocol)
{
    mtlspop_token_request *wanted = graph_request(1);
    mtlspop_token *token = acquire(app, wanted);
    mtlspop_certificate *certificate = mtlspop_token_binding_certificate(token);
    mtlspop_http_request *request = mtlspop_http_request_new("GET", url);
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    struct answer answer = {{0}, 0}, without = {{0}, 0}, own = {{0}, 0};
    const uint8_t *body;

    CHECK(call_with_libcurl(url, token, certificate, &answer) == 200);
    check_answer(answer.text, protocol, token, certificate);
    CHECK(call_with_libcurl(url, token, NULL, &without) == 400);

    CHECK_OK(mtlspop_app_send(app, token, request, &response, &error), error);
    CHECK(mtlspop_http_response_status(response) == 200);
    body = mtlspop_http_response_body(response, &own.length);
    snprintf(own.text, sizeof own.text, "%.*s", (int)own.length, body ? (const char *)body : "");
    check_answer(own.text, protocol, token, certificate);

    mtlspop_http_response_free(response);
    mtlspop_http_request_free(request);
    mtlspop_certificate_free(certificate);
    mtlspop_token_free(token);
    mtlspop_token_request_free(wanted);
}

int main(void)
{
    mtlspop_app *(*const ways[])(void) = {managed_identity_app, certificate_app, federated_app};
    size_t i;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (i = 0; i < sizeof ways / sizeof *ways; i++) {
        mtlspop_app *app = ways[i]();
        call(app, env("NGINX_URL"), "TLSv1.3");
        call(app, env("NGINX_TLS12_URL"), "TLSv1.2");
        mtlspop_app_free(app);
    }
    curl_global_cleanup();
    return check_result();
}
