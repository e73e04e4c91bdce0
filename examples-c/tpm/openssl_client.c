/* openssl_client.c: the API called with OpenSSL's own TLS and a key in a TPM. Nothing of mtlspop is in here. */
#include <openssl/err.h>
#include <openssl/http.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST "mtlstb.graph.microsoft.com"
/* Of the TPM only what uses its key. */
#define PROPERTIES "?tpm2.signature"

static int failed(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return ERR_print_errors_fp(stderr), EXIT_FAILURE;
}

/* A connection to HOST, through the proxy of HTTPS_PROXY (http://host:port) where there is one. */
static BIO *connection(void)
{
    const char *proxy = getenv("HTTPS_PROXY");
    char address[256] = HOST ":443";
    BIO *tcp;

    if (proxy != NULL) /* after http:// */
        snprintf(address, sizeof address, "%.*s", (int)strcspn(proxy + 7, "/"), proxy + 7);
    if (BIO_do_connect(tcp = BIO_new_connect(address)) != 1)
        return NULL;
    return proxy == NULL || OSSL_HTTP_proxy_connect(tcp, HOST, "443", NULL, NULL, 30, NULL, NULL) == 1 ? tcp : NULL;
}

int main(int argc, char **argv)
{
    char path[3][4096], authorization[8192] = "", request[9000], answer[1024];
    SSL_CTX *context;
    SSL *tls;
    BIO *tcp;
    FILE *file;
    int length, status = 0;

    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        printf("usage: %s <directory of tpm_identity> [1.2]\n1.2: TLS 1.2 instead of 1.3. "
               "TPM2OPENSSL_TCTI: the TPM, HTTPS_PROXY, SSL_CERT_FILE.\n", argv[0]);
        return argc < 2;
    }
    snprintf(path[0], sizeof path[0], "%s/cert.pem", argv[1]);
    snprintf(path[1], sizeof path[1], "%s/tpm-key.pem", argv[1]);
    snprintf(path[2], sizeof path[2], "%s/authorization.txt", argv[1]);
    if ((file = fopen(path[2], "rb")) == NULL || fread(authorization, 1, sizeof authorization - 1, file) == 0)
        return failed("authorization.txt cannot be read");
    fclose(file);

    if (OSSL_PROVIDER_load(NULL, "default") == NULL || OSSL_PROVIDER_load(NULL, "tpm2") == NULL)
        return failed("OpenSSL has no TPM provider (Debian: tpm2-openssl)");
    context = SSL_CTX_new_ex(NULL, PROPERTIES, TLS_client_method());
    if (!SSL_CTX_set_max_proto_version(context, argc > 2 ? TLS1_2_VERSION : TLS1_3_VERSION) ||
        !SSL_CTX_set_default_verify_paths(context) || SSL_CTX_use_certificate_chain_file(context, path[0]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, path[1], SSL_FILETYPE_PEM) != 1)
        return failed("the certificate or its key cannot be used");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    tls = SSL_new(context);
    if ((tcp = connection()) == NULL || !SSL_set_tlsext_host_name(tls, HOST) || !SSL_set1_host(tls, HOST))
        return failed("no connection to " HOST);
    SSL_set_bio(tls, tcp, tcp);
    if (SSL_connect(tls) != 1)
        return failed("no TLS with " HOST);
    length = snprintf(request, sizeof request, "GET /v1.0/applications HTTP/1.1\r\nHost: " HOST "\r\nAuthorization: %s\r\n"
                                               "Connection: close\r\n\r\n", authorization);
    if (SSL_write(tls, request, length) != length || (length = SSL_read(tls, answer, sizeof answer - 1)) <= 0)
        return failed("no answer from " HOST);
    answer[length] = '\0';
    sscanf(answer, "HTTP/1.1 %d", &status);
    printf("flow=openssl_client tls=%s status=%d\n", SSL_get_version(tls), status);
    SSL_free(tls);
    SSL_CTX_free(context);
    return status == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}
