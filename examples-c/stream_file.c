/* stream_file.c: a file of any size to an API, or from it, with a bound token of a managed identity. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <fcntl.h>
#include <unistd.h>

/* What is not read yet stays with the server; a body that breaks off is an error, never a shorter file. */
static int save(mtlspop_http_stream *stream, int file, mtlspop_error **error)
{
    static uint8_t buffer[64 * 1024];
    size_t length;

    do {
        if (mtlspop_http_stream_read(stream, buffer, sizeof buffer, &length, error))
            return -1;
        if (write(file, buffer, length) != (ssize_t)length)
            return perror("write"), -1;
    } while (length > 0);
    return 0;
}

int main(int argc, char **argv)
{
    int put = argc == 4 && strcmp(argv[1], "put") == 0, result = EXIT_FAILURE;
    mtlspop_app_options *options = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_http_request *call = NULL;
    mtlspop_http_response *response = NULL;
    mtlspop_http_stream *stream = NULL;
    mtlspop_certificate *binding = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    mtlspop_app *app = NULL;
    int file = -1;

    if (example_help(argc, argv, "put|get FILE URL\nSends the file to the API at URL, or writes what that gives."))
        return EXIT_SUCCESS;
    if (argc != 4 || (!put && strcmp(argv[1], "get") != 0))
        return fprintf(stderr, "%s: put or get, FILE and URL are needed (see --help)\n", argv[0]), EXIT_FAILURE;
    if (put && (file = open(argv[2], O_RDONLY)) < 0)
        return perror(argv[2]), EXIT_FAILURE;
    options = mtlspop_app_options_new_managed_identity();
    request = mtlspop_token_request_new("https://graph.microsoft.com");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_new(options, &app, &error) || mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    binding = mtlspop_token_binding_certificate(token);
    call = mtlspop_http_request_new(put ? "PUT" : "GET", argv[3]);
    /* A 401 is answered once with another token; the server is asked before it gets the file. */
    mtlspop_http_request_set_token_request(call, request);
    mtlspop_http_request_set_timeout_ms(call, 3600 * 1000);
    if (put)
        mtlspop_http_request_set_body_fd(call, "application/octet-stream", file, -1);
    if (mtlspop_app_send_streaming(app, token, call, &stream, &error))
        goto done;
    response = mtlspop_http_stream_response(stream);
    /* What is there stays until there is something in its place: an error is for stderr. */
    if (!put && mtlspop_http_response_status(response) == 200
        && (file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600)) < 0)
        perror(argv[2]);
    else if (save(stream, put || file < 0 ? STDERR_FILENO : file, &error) == 0)
        result = example_result("stream_file", token, binding, response);

done:
    example_error(error);
    if (file >= 0 && close(file) != 0)
        result = EXIT_FAILURE;
    mtlspop_http_response_free(response);
    mtlspop_http_stream_free(stream);
    mtlspop_http_request_free(call);
    mtlspop_certificate_free(binding);
    mtlspop_token_free(token);
    mtlspop_app_free(app);
    mtlspop_token_request_free(request);
    mtlspop_app_options_free(options);
    return result;
}
