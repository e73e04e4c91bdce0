/* hsm.h: a private key that only the openssl command line holds, as a signer has one in an HSM. */

#ifndef HSM_H
#define HSM_H

#include "apps.h"
#include "files.h"

/* What the HSM reads and writes: see name_hsm_files(). */
static char hsm_input[1024], hsm_output[1024];

/* What holds the key, and what the tests watch. */
struct hsm {
    const char *key;
    const char *refuses;
    int calls;
    int destroyed;
};

static inline void destroy(void *userdata)
{
    ((struct hsm *)userdata)->destroyed++;
}

/* Signs with OpenSSL: the message as RS256, otherwise the digest. */
static inline int32_t sign(void *userdata, mtlspop_sign_op *operation)
{
    struct hsm *hsm = userdata;
    const char *algorithm = mtlspop_sign_op_algorithm(operation);
    int whole = strcmp(algorithm, "RS256") == 0;
    int pss = strcmp(algorithm, "PS256") == 0;
    const uint8_t *bytes;
    uint8_t signature[2048];
    size_t length = 0;
    char command[4096];

    hsm->calls++;
    if (hsm->refuses && strcmp(hsm->refuses, algorithm) == 0) {
        mtlspop_sign_op_set_error(operation, "this HSM cannot do that");
        return 1;
    }
    CHECK(whole || pss || strcmp(algorithm, "ES256") == 0);
    CHECK(mtlspop_sign_op_digest(operation, &length) != NULL && length == 32);
    bytes = whole ? mtlspop_sign_op_message(operation, &length) : mtlspop_sign_op_digest(operation, NULL);
    write_file(hsm_input, bytes, length);
    if (whole)
        snprintf(command, sizeof command, "openssl dgst -sha256 -sign %s -out %s %s", hsm->key, hsm_output, hsm_input);
    else
        snprintf(command, sizeof command, "openssl pkeyutl -sign -inkey %s -in %s -out %s -pkeyopt digest:sha256%s",
                 hsm->key, hsm_input, hsm_output,
                 pss ? " -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest" : "");
    CHECK(system(command) == 0);
    length = read_file(hsm_output, signature, sizeof signature);
    mtlspop_sign_op_set_signature(operation, signature, length);
    return 0;
}

/* Where the HSM may write. */
static inline void name_hsm_files(const char *directory)
{
    name_file(hsm_input, directory, "input");
    name_file(hsm_output, directory, "output");
}

#endif
