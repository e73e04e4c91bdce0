/* An HTTP server over TLS 1.2 that asks for a client certificate when it likes, by renegotiating; or otherwise misbehaves.
 *
 *   renegotiating_server MODE cert=PEM key=PEM ca=PEM [OPTION...]
 *
 * MODE is when it asks, and how it behaves:
 *   after      once it has the request, where the connection has not shown a certificate; as is proper
 *   head       once it has the head of the request, while the body is on its way
 *   full       the same, once so much of the body waits to be read that the client cannot send more of it
 *   deaf       the same, and then it says that it sends no more, and reads nothing
 *   refuse     not at all: at that moment it answers with 413, and reads nothing more
 *   body       in the middle of the answer, unless the path is /unasked
 *   leave      after the request, unless the path is /unasked, and then it hangs up
 *   first      in the first handshake, and never again
 *   impatient  after the request, which it answers with 401 without waiting for the certificate
 *   idle       right after the answer, when nothing was asked of it
 *   loop       after the request, again and again
 *   changed    after the request, showing the certificate of other-cert
 *   stall      after the request, and then it does nothing more
 *   drip       after the request, and then it speaks one byte in 100 ms
 *   corrupt    not at all: it finds what follows the head of the request spoilt, and ends with the alert bad_record_mac
 *   never      not at all
 *   tickets    not at all: it speaks TLS 1.3, and after the first answer sends tickets until nobody takes them
 *
 * OPTION:
 *   other-cert=PEM other-key=PEM   for `changed`
 *   sigalgs=LIST   what clients may sign with, as SSL_CTX_set1_client_sigalgs_list takes it
 *   optional       takes clients without a certificate
 *   no-question    renegotiates without asking for one
 *   no-ems         without RFC 7627
 *   may-resume     lets a renegotiation resume the session that is there
 *
 * It prints "port N", then a line for each event: "accepted NAME", with the server name that was asked for; "request PATH
 * N CN", with the length of the body and the name of the certificate that had been shown, or -; "asked"; "renegotiated CN", with
 * "resumed" behind it where it was no full handshake;
 * "answered"; "flooded"; "closed", where the client said so; "failed WHY". The answer is "certificate=CN body=N"; that for /big has
 * 300000 bytes, that in the mode `body` 40000.
 */
#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct connection {
    SSL *ssl;
    int fd;
    int handshakes;
    int dripping;
    int spoiling;
    char received[1 << 24];
    size_t length;
};

static const char *mode, *other_cert, *other_key;
static int optional, no_question;
static SSL_CTX *context;
static BIO_METHOD *method;

static void die(const char *what)
{
    fprintf(stderr, "renegotiating_server: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int is(const char *name)
{
    return strcmp(mode, name) == 0;
}

static void failed(const char *where)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    printf("failed %s: %s\n", where, reason ? reason : "the connection ended");
    ERR_clear_error();
}

/* The socket, as a BIO that can be slow, or spoil what it reads. */
static int socket_read(BIO *bio, char *buffer, int length)
{
    struct connection *connection = BIO_get_data(bio);
    /* OpenSSL sets it after a handshake, and would try again after the end. */
    BIO_clear_retry_flags(bio);
    ssize_t amount = read(connection->fd, buffer, (size_t)length);
    /* Not the header of the record. */
    if (amount > 5 && connection->spoiling)
        buffer[amount - 1] ^= 1;
    return (int)amount;
}

static int socket_write(BIO *bio, const char *bytes, int length)
{
    struct connection *connection = BIO_get_data(bio);
    struct timespec pause = {0, 100 * 1000 * 1000};
    if (!connection->dripping)
        return (int)write(connection->fd, bytes, (size_t)length);
    nanosleep(&pause, NULL);
    return (int)write(connection->fd, bytes, 1);
}

static long socket_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void count_handshakes(const SSL *ssl, int where, int result)
{
    struct connection *connection = SSL_get_app_data(ssl);
    (void)result;
    if (where & SSL_CB_HANDSHAKE_DONE)
        connection->handshakes++;
}

static const char *certificate(struct connection *connection, char *name, int length)
{
    X509 *shown = SSL_get1_peer_certificate(connection->ssl);
    strcpy(name, "-");
    if (shown)
        X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, length);
    X509_free(shown);
    return name;
}

/* Reads once: application data, or a handshake. 0 at the end. */
static int receive(struct connection *connection)
{
    size_t room = sizeof connection->received - 1 - connection->length;
    int amount = SSL_read(connection->ssl, connection->received + connection->length, (int)room);
    int error = SSL_get_error(connection->ssl, amount);
    if (amount > 0) {
        connection->length += (size_t)amount;
        connection->received[connection->length] = '\0';
        return 1;
    }
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 1;
    if (error == SSL_ERROR_ZERO_RETURN)
        printf("closed\n");
    else
        failed("reading");
    return 0;
}

static int ask(struct connection *connection)
{
    int before = connection->handshakes;
    char name[100];
    if (!no_question)
        SSL_set_verify(connection->ssl, SSL_VERIFY_PEER | (optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    if (SSL_renegotiate(connection->ssl) != 1 || SSL_do_handshake(connection->ssl) != 1) {
        failed("asking");
        return 0;
    }
    printf("asked\n");
    if (is("stall"))
        for (;;)
            pause();
    if (is("impatient"))
        return 1;
    if (is("leave"))
        return 0;
    if (is("deaf")) {
        shutdown(connection->fd, SHUT_WR);
        for (;;)
            pause();
    }
    connection->dripping = is("drip");
    /* OpenSSL counts the HelloRequest alone as one. */
    before = connection->handshakes > before ? connection->handshakes : before;
    while (connection->handshakes == before || SSL_renegotiate_pending(connection->ssl))
        if (!receive(connection))
            return 0;
    printf("renegotiated %s%s\n", certificate(connection, name, sizeof name),
           SSL_session_reused(connection->ssl) ? " resumed" : "");
    return 1;
}

static int send_all(struct connection *connection, const char *bytes, size_t length)
{
    if (SSL_write(connection->ssl, bytes, (int)length) == (int)length)
        return 1;
    failed("writing");
    return 0;
}

static int answer(struct connection *connection, const char *path, size_t body)
{
    static char filler[300000];
    char name[100], text[200], head[200];
    size_t length, half;
    const char *what = text;
    memset(filler, 'x', sizeof filler);
    snprintf(text, sizeof text, "certificate=%s body=%zu", certificate(connection, name, sizeof name), body);
    length = strlen(text);
    if (strcmp(path, "/big") == 0 || is("body")) {
        what = filler;
        length = is("body") ? 40000 : sizeof filler;
    }
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
             is("impatient") ? "401 Unauthorized" : "200 OK", length);
    half = is("body") && strcmp(path, "/unasked") != 0 ? length / 2 : 0;
    if (!send_all(connection, head, strlen(head)) || (half && !send_all(connection, what, half)))
        return 0;
    if (half && !ask(connection))
        return 0;
    if (!send_all(connection, what + half, length - half))
        return 0;
    printf("answered\n");
    return 1;
}

/* Tickets for ever; most of the first hundred kilobytes are there when it says so. */
static int flood(struct connection *connection)
{
    for (int i = 0;; i++) {
        if (SSL_new_session_ticket(connection->ssl) != 1 || SSL_do_handshake(connection->ssl) != 1)
            return 0;
        if (i == 500)
            printf("flooded\n");
    }
}

/* Waits until nothing more comes of what comes, and the client has no more room either: with each of these answers, which
 * say nothing, it may find some. */
static int wait_until_full(struct connection *connection)
{
    static const char nothing[] = "HTTP/1.1 102 Processing\r\n\r\n";
    struct timespec pause = {0, 10 * 1000 * 1000};
    int before = -1, now = 0, still = 0;
    for (; still < 20; still = now == before && now > 0 ? still + 1 : 0) {
        before = now;
        nanosleep(&pause, NULL);
        if (ioctl(connection->fd, FIONREAD, &now))
            die("it does not hear how much waits");
    }
    for (int i = 0; i < 50; i++) {
        if (!send_all(connection, nothing, sizeof nothing - 1))
            return 0;
        nanosleep(&pause, NULL);
    }
    return 1;
}

/* One request, 0 where it was the last one. */
static int serve(struct connection *connection)
{
    char path[200] = "", name[100], *end, *field;
    size_t body = 0, head;
    while (!(end = strstr(connection->received, "\r\n\r\n")))
        if (!receive(connection))
            return 0;
    head = (size_t)(end - connection->received) + 4;
    sscanf(connection->received, "%*s %199s", path);
    for (field = connection->received; field < end; field++)
        if (strncasecmp(field, "\r\ncontent-length:", 17) == 0)
            body = (size_t)atol(field + 17);
    if (head + body >= sizeof connection->received)
        die("the request is too long for this server");
    connection->spoiling = is("corrupt");
    if ((is("full") || is("deaf") || is("refuse")) && !wait_until_full(connection))
        return 0;
    if (is("refuse")) {
        static const char refusal[] = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n";
        send_all(connection, refusal, sizeof refusal - 1);
        for (;;)
            pause();
    }
    if ((is("head") || is("full") || is("deaf")) && !ask(connection))
        return 0;
    while (connection->length < head + body)
        if (!receive(connection))
            return 0;
    certificate(connection, name, sizeof name);
    printf("request %s %zu %s\n", path, body, name);
    connection->length -= head + body;
    memmove(connection->received, connection->received + head + body, connection->length + 1);
    if (is("changed") && (SSL_use_certificate_chain_file(connection->ssl, other_cert) != 1 ||
                          SSL_use_PrivateKey_file(connection->ssl, other_key, SSL_FILETYPE_PEM) != 1))
        die("other-cert and other-key do not fit");
    if (is("after") || is("impatient") || is("changed") || is("stall") || is("drip"))
        if (strcmp(name, "-") == 0 && !ask(connection))
            return 0;
    if (is("leave") && strcmp(path, "/unasked") != 0)
        return ask(connection);
    while (is("loop"))
        if (!ask(connection))
            return 0;
    if (!answer(connection, path, body))
        return 0;
    if (is("tickets"))
        return flood(connection);
    return is("idle") ? ask(connection) : 1;
}

static void *converse(void *argument)
{
    struct connection *connection = argument;
    BIO *bio = BIO_new(method);
    BIO_set_data(bio, connection);
    BIO_set_init(bio, 1);
    connection->ssl = SSL_new(context);
    SSL_set_bio(connection->ssl, bio, bio);
    SSL_set_app_data(connection->ssl, connection);
    SSL_set_info_callback(connection->ssl, count_handshakes);
    /* So that a read comes back after a handshake. */
    SSL_clear_mode(connection->ssl, SSL_MODE_AUTO_RETRY);
    if (SSL_accept(connection->ssl) == 1) {
        const char *name = SSL_get_servername(connection->ssl, TLSEXT_NAMETYPE_host_name);
        printf("accepted %s\n", name ? name : "-");
        while (serve(connection))
            ;
        SSL_shutdown(connection->ssl);
    } else {
        failed("accepting");
    }
    ERR_clear_error();
    SSL_free(connection->ssl);
    close(connection->fd);
    free(connection);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    const char *cert = NULL, *key = NULL, *ca = NULL;
    int listener = socket(AF_INET, SOCK_STREAM, 0), little = 8192;
    if (argc < 2)
        die("usage: renegotiating_server MODE cert=PEM key=PEM ca=PEM [OPTION...]");
    mode = argv[1];
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(context, is("tickets") ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"r", 1);
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        value = value ? value + 1 : argv[i];
        if (strncmp(argv[i], "cert=", 5) == 0)
            cert = value;
        else if (strncmp(argv[i], "key=", 4) == 0)
            key = value;
        else if (strncmp(argv[i], "ca=", 3) == 0)
            ca = value;
        else if (strncmp(argv[i], "other-cert=", 11) == 0)
            other_cert = value;
        else if (strncmp(argv[i], "other-key=", 10) == 0)
            other_key = value;
        else if (strncmp(argv[i], "sigalgs=", 8) == 0) {
            if (SSL_CTX_set1_client_sigalgs_list(context, value) != 1)
                die("sigalgs is not a list of signature algorithms");
        } else if (strcmp(argv[i], "optional") == 0)
            optional = 1;
        else if (strcmp(argv[i], "no-question") == 0)
            no_question = 1;
        else if (strcmp(argv[i], "may-resume") == 0)
            SSL_CTX_clear_options(context, SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
        else if (strcmp(argv[i], "no-ems") == 0)
            SSL_CTX_set_options(context, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        else
            die(argv[i]);
    }
    if (!cert || !key || !ca || SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        die("cert, key or ca are missing or do not fit");
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(ca));
    if (is("first"))
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT), NULL);
    method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
    BIO_meth_set_read(method, socket_read);
    BIO_meth_set_write(method, socket_write);
    BIO_meth_set_ctrl(method, socket_ctrl);

    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (is("full") || is("deaf") || is("refuse"))
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16) ||
        getsockname(listener, (struct sockaddr *)&address, &length))
        die("it cannot listen");
    printf("port %d\n", ntohs(address.sin_port));
    for (;;) {
        struct connection *connection = calloc(1, sizeof *connection);
        pthread_t thread;
        connection->fd = accept(listener, NULL, NULL);
        if (connection->fd < 0 || pthread_create(&thread, NULL, converse, connection))
            die("it cannot accept");
        pthread_detach(thread);
    }
}
