/* What src/sys.rs says of libssl and libcrypto, once more in C: another type is an error of the compiler. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/stack.h>

const SSL_METHOD *TLS_with_buffers_method(void);
SSL_CTX *SSL_CTX_new(const SSL_METHOD *);
void SSL_CTX_free(SSL_CTX *);
int SSL_CTX_set_min_proto_version(SSL_CTX *, uint16_t);
int SSL_CTX_set_max_proto_version(SSL_CTX *, uint16_t);
int SSL_CTX_set_strict_cipher_list(SSL_CTX *, const char *);
int SSL_CTX_set1_group_ids(SSL_CTX *, const uint16_t *, size_t);
int SSL_CTX_set_verify_algorithm_prefs(SSL_CTX *, const uint16_t *, size_t);
int SSL_CTX_set_signing_algorithm_prefs(SSL_CTX *, const uint16_t *, size_t);
int SSL_CTX_set_chain_and_key(SSL_CTX *, CRYPTO_BUFFER *const *, size_t, EVP_PKEY *, const SSL_PRIVATE_KEY_METHOD *);
void SSL_CTX_set_custom_verify(SSL_CTX *, int, enum ssl_verify_result_t (*)(SSL *, uint8_t *));
void SSL_CTX_set_cert_cb(SSL_CTX *, int (*)(SSL *, void *), void *);
int SSL_CTX_set_session_cache_mode(SSL_CTX *, int);
uint32_t SSL_CTX_set_options(SSL_CTX *, uint32_t);
uint32_t SSL_CTX_set_mode(SSL_CTX *, uint32_t);
int SSL_CTX_set_read_ahead(SSL_CTX *, int);
void SSL_CTX_enable_ocsp_stapling(SSL_CTX *);
SSL *SSL_new(SSL_CTX *);
void SSL_free(SSL *);
void SSL_set_bio(SSL *, BIO *, BIO *);
int SSL_set_ex_data(SSL *, int, void *);
void *SSL_get_ex_data(const SSL *, int);
int SSL_set_tlsext_host_name(SSL *, const char *);
void SSL_set_renegotiate_mode(SSL *, enum ssl_renegotiate_mode_t);
void SSL_set_connect_state(SSL *);
int SSL_do_handshake(SSL *);
int SSL_renegotiate(SSL *);
int SSL_total_renegotiations(const SSL *);
int SSL_get_secure_renegotiation_support(const SSL *);
int SSL_get_extms_support(const SSL *);
int SSL_read(SSL *, void *, int);
int SSL_peek(SSL *, void *, int);
int SSL_write(SSL *, const void *, int);
int SSL_shutdown(SSL *);
int SSL_get_error(const SSL *, int);
const STACK_OF(CRYPTO_BUFFER) *SSL_get0_peer_certificates(const SSL *);
void SSL_get0_ocsp_response(const SSL *, const uint8_t **, size_t *);

BIO_METHOD *BIO_meth_new(int, const char *);
void BIO_meth_free(BIO_METHOD *);
int BIO_meth_set_read(BIO_METHOD *, int (*)(BIO *, char *, int));
int BIO_meth_set_write(BIO_METHOD *, int (*)(BIO *, const char *, int));
int BIO_meth_set_ctrl(BIO_METHOD *, long (*)(BIO *, int, long, void *));
BIO *BIO_new(const BIO_METHOD *);
void BIO_set_data(BIO *, void *);
void *BIO_get_data(BIO *);
void BIO_set_init(BIO *, int);
void BIO_set_retry_read(BIO *);
void BIO_set_retry_write(BIO *);
void BIO_clear_retry_flags(BIO *);
CRYPTO_BUFFER *CRYPTO_BUFFER_new(const uint8_t *, size_t, CRYPTO_BUFFER_POOL *);
void CRYPTO_BUFFER_free(CRYPTO_BUFFER *);
const uint8_t *CRYPTO_BUFFER_data(const CRYPTO_BUFFER *);
size_t CRYPTO_BUFFER_len(const CRYPTO_BUFFER *);
size_t OPENSSL_sk_num(const OPENSSL_STACK *);
void *OPENSSL_sk_value(const OPENSSL_STACK *, size_t);
void ERR_clear_error(void);
uint32_t ERR_get_error(void);
const char *ERR_reason_error_string(uint32_t);

enum ssl_private_key_result_t sign(SSL *, uint8_t *, size_t *, size_t, uint16_t, const uint8_t *, size_t);
enum ssl_private_key_result_t decrypt(SSL *, uint8_t *, size_t *, size_t, const uint8_t *, size_t);
enum ssl_private_key_result_t complete(SSL *, uint8_t *, size_t *, size_t);
const SSL_PRIVATE_KEY_METHOD in_this_order = {sign, decrypt, complete};
_Static_assert(sizeof(SSL_PRIVATE_KEY_METHOD) == 3 * sizeof(void (*)(void)), "members of SSL_PRIVATE_KEY_METHOD");
_Static_assert(sizeof(enum ssl_private_key_result_t) == sizeof(int), "enums are int");
_Static_assert(sizeof(enum ssl_verify_result_t) == sizeof(int), "enums are int");
_Static_assert(sizeof(enum ssl_renegotiate_mode_t) == sizeof(int), "enums are int");

#define IS(name, value) _Static_assert((name) == (value), #name)
IS(TLS1_2_VERSION, 0x0303);
IS(SSL_VERIFY_PEER, 1);
IS(SSL_SESS_CACHE_OFF, 0);
IS(SSL_OP_NO_TICKET, 0x4000);
IS(SSL_MODE_ENABLE_PARTIAL_WRITE, 1);
IS(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, 2);
IS(ssl_renegotiate_explicit, 4);
IS(ssl_verify_ok, 0);
IS(ssl_verify_invalid, 1);
IS(ssl_private_key_success, 0);
IS(ssl_private_key_failure, 2);
IS(SSL_ERROR_WANT_READ, 2);
IS(SSL_ERROR_WANT_WRITE, 3);
IS(SSL_ERROR_ZERO_RETURN, 6);
IS(SSL_ERROR_WANT_RENEGOTIATE, 19);
IS(SSL_AD_REASON_OFFSET, 1000);
IS(SSL_AD_INTERNAL_ERROR, 80);
IS(ERR_LIB_SSL, 16);
IS(BIO_TYPE_SOURCE_SINK, 0x400);
IS(BIO_CTRL_FLUSH, 11);
