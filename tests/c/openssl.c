/* openssl.c: a program that has an OpenSSL of its own, and libmtlspop.a beside it: each speaks TLS, in turn. */

#include "apps.h"
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

static SSL_CTX *server_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();

    CHECK(context && key && certificate);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_set_pubkey(certificate, key);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    CHECK(SSL_CTX_use_certificate(context, certificate) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

/* A handshake of OpenSSL with itself, and five bytes. */
static void speak_openssl(int version)
{
    SSL_CTX *contexts[2];
    SSL *server, *client;
    BIO *ends[2];
    char said[6] = "";

    contexts[0] = server_context();
    contexts[1] = SSL_CTX_new(TLS_client_method());
    CHECK(SSL_CTX_set_max_proto_version(contexts[1], version) == 1);
    server = SSL_new(contexts[0]);
    client = SSL_new(contexts[1]);
    CHECK(BIO_new_bio_pair(&ends[0], 0, &ends[1], 0) == 1);
    SSL_set_bio(server, ends[0], ends[0]);
    SSL_set_bio(client, ends[1], ends[1]);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    while (SSL_do_handshake(client) != 1 || SSL_do_handshake(server) != 1)
        CHECK(SSL_do_handshake(server) == 1 || SSL_get_error(server, -1) == SSL_ERROR_WANT_READ);
    CHECK(SSL_version(client) == version);
    CHECK(SSL_write(client, "hello", 5) == 5 && SSL_read(server, said, 5) == 5);
    CHECK(strcmp(said, "hello") == 0);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(contexts[0]);
    SSL_CTX_free(contexts[1]);
}

/* A vault asks for the certificate by renegotiation, which the library's own libssl does. */
static void call_a_vault(void)
{
    mtlspop_app *app = managed_identity_app();
    mtlspop_token_request *request = mtlspop_token_request_new("https://vault.azure.net");
    mtlspop_http_request *call =
        mtlspop_http_request_new("GET", "https://demo.vault.azure.net/secrets/demo?api-version=7.4");
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    mtlspop_token *token;

    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    token = acquire(app, request);
    CHECK(strcmp(mtlspop_token_type(token), "mtls_pop") == 0);
    mtlspop_http_request_add_header(call, "x-ms-tokenboundauth", "true");
    CHECK_OK(mtlspop_app_send(app, token, call, &response, &error), error);
    CHECK(mtlspop_http_response_status(response) == 200);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(call);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
}

int main(void)
{
    speak_openssl(TLS1_2_VERSION);
    call_a_vault();
    speak_openssl(TLS1_3_VERSION);
    return check_result();
}
