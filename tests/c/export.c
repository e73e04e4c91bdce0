/* export.c: writes a bound token, its certificate and its key for other programs to use: export DIRECTORY. */

#include "apps.h"

static void write_file(const char *directory, const char *name, const void *bytes, size_t length)
{
    char path[1024];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "wb");
    CHECK(file && fwrite(bytes, 1, length, file) == length);
    if (file) fclose(file);
}

static void write_text(const char *directory, const char *name, const char *text)
{
    CHECK(text != NULL);
    if (text) write_file(directory, name, text, strlen(text));
}

static void write_buffer(const char *directory, const char *name, mtlspop_buffer *buffer)
{
    size_t length = 0;
    const uint8_t *bytes = mtlspop_buffer_data(buffer, &length);
    CHECK(bytes != NULL);
    if (bytes) write_file(directory, name, bytes, length);
    mtlspop_buffer_free(buffer);
}

int main(int count, char **arguments)
{
    const char *directory = count > 1 ? arguments[1] : ".";
    mtlspop_app *app = managed_identity_app();
    mtlspop_token_request *request = graph_request(1);
    mtlspop_token *token = acquire(app, request);
    mtlspop_certificate *certificate = mtlspop_token_binding_certificate(token);
    mtlspop_buffer *buffer = NULL;
    mtlspop_error *error = NULL;
    char header[16384];

    /* What was received outlives what gave it. */
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);

    snprintf(header, sizeof header, "Authorization: %s", mtlspop_token_authorization(token));
    write_text(directory, "header", header);
    mtlspop_token_free(token);

    CHECK(mtlspop_certificate_is_exportable(certificate));
    write_text(directory, "thumbprint", mtlspop_certificate_sha1_thumbprint(certificate));
    write_text(directory, "chain.pem", mtlspop_certificate_chain_pem(certificate));
    CHECK_OK(mtlspop_certificate_export_private_key_pem(certificate, &buffer, &error), error);
    write_buffer(directory, "key.pem", buffer);
    CHECK_OK(mtlspop_certificate_export_pkcs12(certificate, "password", MTLSPOP_PKCS12_MODERN, &buffer,
                                               &error),
             error);
    write_buffer(directory, "modern.pfx", buffer);
    CHECK_OK(mtlspop_certificate_export_pkcs12(certificate, "password", MTLSPOP_PKCS12_LEGACY, &buffer,
                                               &error),
             error);
    write_buffer(directory, "legacy.pfx", buffer);
    mtlspop_certificate_free(certificate);
    return check_result();
}
