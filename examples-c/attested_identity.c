/* attested_identity.c: a bound token of a managed identity whose key an attestation service vouches for. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

static const char *base64url(const uint8_t *bytes, size_t length, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    size_t count = 0, n = 0;

    for (; length > 0; length--)
        for (bits = bits << 8 | *bytes++, count += 8; count >= 6; count -= 6)
            text[n++] = digits[bits >> (count - 6) & 63];
    if (count > 0)
        text[n++] = digits[bits << (6 - count) & 63];
    text[n] = '\0';
    return text;
}

/* Proves to devcloud's service that the key is here. A real one wants more: use its client library. */
static int32_t attest(void *userdata, mtlspop_attestation_op *operation)
{
    const char *nonce = mtlspop_attestation_op_correlation_id(operation);
    mtlspop_buffer *signature = NULL;
    char modulus[512], signed_nonce[512], command[4096], token[8192] = "";
    const uint8_t *bytes;
    size_t length;
    FILE *curl;

    (void)userdata;
    if (mtlspop_attestation_op_sign(operation, "PS256", (const uint8_t *)nonce, strlen(nonce), &signature, NULL))
        return mtlspop_attestation_op_set_error(operation, "the key did not sign"), 1;
    bytes = mtlspop_buffer_data(signature, &length);
    base64url(bytes, length, signed_nonce);
    mtlspop_buffer_free(signature);
    /* The modulus of an RSA key of 2048 bits begins at this byte of its public key. */
    base64url(mtlspop_attestation_op_public_key(operation, NULL) + 33, 256, modulus);
    snprintf(command, sizeof command,
             "curl --silent --show-error --fail --data '{\"nonce\":\"%s\",\"alg\":\"PS256\",\"signature\":\"%s\","
             "\"jwk\":{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"AQAB\"}}' '%sattest/keyguard' | cut -d '\"' -f 4",
             nonce, signed_nonce, modulus, mtlspop_attestation_op_endpoint(operation));
    curl = popen(command, "r");
    if (curl == NULL || fscanf(curl, "%8191s", token) != 1)
        mtlspop_attestation_op_set_error(operation, "the service gave no token, see what curl printed");
    if (curl != NULL)
        pclose(curl);
    mtlspop_attestation_op_set_token(operation, token);
    return token[0] == '\0';
}

int main(int argc, char **argv)
{
    mtlspop_app_options *options = NULL;
    mtlspop_app *app = NULL;
    mtlspop_token_request *request = NULL;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;
    int result = EXIT_FAILURE;

    if (example_help(argc, argv, "\nThe system-assigned managed identity. API_URL: what to call."))
        return EXIT_SUCCESS;
    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_attestation(options, attest, NULL, NULL);
    request = mtlspop_token_request_new("https://graph.microsoft.com/");
    mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (mtlspop_app_new(options, &app, &error) || mtlspop_app_acquire_token(app, request, &token, &error))
        goto done;
    result = example_call("attested_identity", app, token, &error);

done:
    example_error(error);
    mtlspop_token_free(token);
    mtlspop_token_request_free(request);
    mtlspop_app_free(app);
    mtlspop_app_options_free(options);
    return result;
}
