/* judge.h: is it the token that was asked for? By what it says, and by what its API says of it. */

#ifndef JUDGE_H
#define JUDGE_H

#include "figures.h"
#include "tokens.h"
#include "watch.h"

/* Clients do not serve a token in its last five minutes. */
#define MARGIN 300
#define CALLS 4

/* The payload of a JWT as text. */
static inline int decode(const char *token, char *out, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = strchr(token, '.'), *digit;
    uint32_t bits = 0;
    int held = 0;
    size_t length = 0;

    if (!at) return 0;
    for (at++; *at && *at != '.'; at++) {
        digit = strchr(alphabet, *at);
        if (!digit || length + 1 >= size) return 0;
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[length++] = (char)(bits >> held & 255);
        }
    }
    out[length] = '\0';
    return length > 0;
}

/* Does the JSON hold "name":"value"? devcloud writes none with blanks. */
static inline int says(const char *json, const char *name, const char *value)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "\"%s\":\"%s\"", name, value);
    return strstr(json, wanted) != NULL;
}

static inline int64_t number_in(const char *json, const char *name)
{
    char wanted[64];
    const char *at;
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    at = strstr(json, wanted);
    return at ? strtoll(at + strlen(wanted), NULL, 10) : -1;
}

/* Checks a token for a slot, asked for at `asked` (Unix seconds). */
static inline void judge(const struct slot *slot, const mtlspop_token *token, const char *x5t, int64_t asked)
{
    const char *text = mtlspop_token_access_token(token);
    int bound = slot->type == BOUND;
    int64_t expires_on = mtlspop_token_expires_on(token), off;
    char claims[4096];

    if (strcmp(mtlspop_token_type(token), bound ? "mtls_pop" : "Bearer") != 0) {
        violation("%s: the type is %s", slot->name, mtlspop_token_type(token));
    }
    if (!decode(text, claims, sizeof claims)) {
        violation("%s: not a token: %.40s", slot->name, text);
        return;
    }
    if (!says(claims, "aud", slot->audience)) violation("%s: the audience is another: %s", slot->name, claims);
    if (!says(claims, "appid", slot->identity->client_id)) violation("%s: of another client: %s", slot->name, claims);
    if (!says(claims, "tid", slot->tenant)) violation("%s: of another tenant: %s", slot->name, claims);
    if (bound != (strstr(claims, "\"cnf\"") != NULL) || bound != (x5t != NULL)) {
        violation("%s: bound or not, it is the other: %s", slot->name, claims);
    }
    if (bound && x5t && !says(claims, "x5t#S256", x5t)) {
        violation("%s: its certificate is %s, not that of %s", slot->name, x5t, claims);
    }
    off = expires_on - number_in(claims, "exp");
    if (off < -30 || off > 30) violation("%s: it expires %lld s off", slot->name, (long long)off);
    if (mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_CACHE && expires_on - MARGIN <= asked) {
        violation("%s: served from the cache %lld s before its end", slot->name, (long long)(expires_on - asked));
    }
}

/* What went wrong, for the list of codes: "send" or "token", status, code. */
static inline void note_error(const char *what, const mtlspop_error *error)
{
    char code[80];
    snprintf(code, sizeof code, "%s %d %s", what, (int)mtlspop_error_status(error), mtlspop_error_code(error));
    note_code(code);
}

/* Calls the API of a token once. Whether it took it; a token that it refuses is a violation. */
static inline int call_once(struct worker *worker, const struct slot *slot, const mtlspop_token *token, const char *x5t)
{
    mtlspop_http_request *request = mtlspop_http_request_new("GET", slot->url);
    mtlspop_http_response *response = NULL;
    mtlspop_error *error = NULL;
    int64_t start = monotonic_ns();
    int taken = 0;
    char code[80], *body;
    const uint8_t *bytes;
    size_t length = 0;

    mtlspop_http_request_set_timeout_ms(request, TIMEOUT_MS);
    busy(worker, "call", slot->name);
    if (mtlspop_app_send(slot->identity->app, token, request, &response, &error)) {
        idle(worker);
        note_error("send", error);
    } else {
        int32_t status = mtlspop_http_response_status(response);
        idle(worker);
        note_time(CALLED, monotonic_ns() - start);
        bytes = mtlspop_http_response_body(response, &length);
        body = calloc(1, length + 1);
        if (body && bytes) memcpy(body, bytes, length);
        if (status == 200 && body) {
            taken = 1;
            if (!says(body, "appid", slot->identity->client_id)) violation("%s: its API says %s", slot->name, body);
            if (x5t && !says(body, "x5t#S256", x5t)) violation("%s: its API says %s", slot->name, body);
        } else if (status < 500) {
            violation("%s: its API answers %d: %s", slot->name, (int)status, body);
        } else {
            snprintf(code, sizeof code, "send %d", (int)status);
            note_code(code);
        }
        free(body);
    }
    mtlspop_error_free(error);
    mtlspop_http_response_free(response);
    mtlspop_http_request_free(request);
    return taken;
}

/* Calls the API with each token that it has not been called with. */
static inline void call_if_new(struct worker *worker, struct slot *slot, const mtlspop_token *token, const char *x5t)
{
    uint64_t hash = hash_of(mtlspop_token_access_token(token));
    int i;

    if (__atomic_exchange_n(&slot->called, hash, __ATOMIC_ACQ_REL) == hash) return;
    for (i = 0; i < CALLS; i++) {
        if (!call_once(worker, slot, token, x5t)) continue;
        COUNT(checked);
        return;
    }
    __atomic_compare_exchange_n(&slot->called, &hash, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#endif
