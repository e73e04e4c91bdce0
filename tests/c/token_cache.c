/* token_cache.c: do apps share a cache that both are given, and processes a store? */

#include "apps.h"

/* A store with room for two partitions. */
struct store {
    char keys[2][256];
    uint8_t data[2][65536];
    size_t lengths[2];
    int64_t expires_on;
    int loads, saves, destroyed, broken;
};

static int32_t answer(void *userdata, mtlspop_store_op *operation)
{
    struct store *store = userdata;
    const char *key = mtlspop_store_op_partition_key(operation);
    int save = mtlspop_store_op_kind(operation) == MTLSPOP_STORE_SAVE;
    size_t length, slot;
    const uint8_t *data = mtlspop_store_op_data(operation, &length);

    if (store->broken) {
        mtlspop_store_op_set_error(operation, "the store is down");
        return 1;
    }
    if (save) store->saves++;
    else store->loads++;
    for (slot = 0; slot < 2 && *store->keys[slot] && strcmp(store->keys[slot], key) != 0; slot++) {}
    CHECK(slot < 2 && strlen(key) < 256);
    if (save) {
        CHECK(length > 0 && length <= sizeof store->data[slot]);
        strcpy(store->keys[slot], key);
        memcpy(store->data[slot], data, length);
        store->lengths[slot] = length;
        store->expires_on = mtlspop_store_op_expires_on(operation);
    } else {
        CHECK(length == 0 && mtlspop_store_op_expires_on(operation) == 0);
        if (store->lengths[slot]) mtlspop_store_op_set_data(operation, store->data[slot], store->lengths[slot]);
    }
    return 0;
}

static void destroy(void *userdata)
{
    struct store *store = userdata;
    store->destroyed++;
}

static mtlspop_app *app_with(const mtlspop_token_cache *cache)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = load(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    mtlspop_app_options_set_token_cache(options, cache);
    return app_of(options);
}

/* Two apps, one cache; limits and statistics. */
static void shared(void)
{
    mtlspop_token_cache *cache = mtlspop_token_cache_new(), *same;
    mtlspop_token_request *request = graph_request(1), *other = graph_request(0);
    mtlspop_app *one, *two;
    mtlspop_token *token;

    mtlspop_token_cache_set_max_bytes(cache, 1 << 20);
    mtlspop_token_cache_set_max_entries(cache, 1);
    one = app_with(cache);
    two = app_with(cache);
    mtlspop_token_free(acquire(one, request));
    token = acquire(two, request);
    CHECK(mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_CACHE);
    CHECK(mtlspop_token_cache_level(token) == MTLSPOP_CACHE_LEVEL_L1);
    mtlspop_token_free(token);
    CHECK(mtlspop_token_cache_entries(cache) == 1 && mtlspop_token_cache_bytes(cache) > 1000);
    CHECK(mtlspop_token_cache_hits(cache) == 1 && mtlspop_token_cache_misses(cache) == 1);
    mtlspop_token_free(acquire(one, other));
    CHECK(mtlspop_token_cache_entries(cache) == 1 && mtlspop_token_cache_evictions(cache) == 1);
    same = mtlspop_app_token_cache(two);
    CHECK(mtlspop_token_cache_misses(same) == 2);
    mtlspop_token_cache_free(same);
    mtlspop_token_cache_free(cache);
    mtlspop_app_free(one);
    mtlspop_app_free(two);
    mtlspop_token_request_free(request);
    mtlspop_token_request_free(other);
}

/* Two caches, as two processes have them, and one store. */
static void stored(void)
{
    static struct store store;
    mtlspop_token_request *requests[2];
    mtlspop_token_cache *cache;
    mtlspop_app *app;
    mtlspop_token *token;
    int process, type;

    requests[0] = graph_request(0);
    requests[1] = graph_request(1);
    for (process = 0; process < 2; process++) {
        cache = mtlspop_token_cache_new();
        mtlspop_token_cache_set_store(cache, answer, &store, destroy);
        app = app_with(cache);
        mtlspop_token_cache_free(cache);
        for (type = 0; type < 2; type++) {
            token = acquire(app, requests[type]);
            CHECK(mtlspop_token_cache_level(token)
                  == (process == 0 ? MTLSPOP_CACHE_LEVEL_NONE : MTLSPOP_CACHE_LEVEL_L2));
            CHECK(call_graph(app, token) == 200);
            CHECK(store.expires_on == mtlspop_token_expires_on(token) || type == 0);
            mtlspop_token_free(token);
        }
        mtlspop_app_free(app);
        CHECK(store.destroyed == process + 1);
    }
    CHECK(store.saves == 2 && store.loads == 6);

    store.broken = 1;
    cache = mtlspop_token_cache_new();
    mtlspop_token_cache_set_store(cache, answer, &store, destroy);
    app = app_with(cache);
    mtlspop_token_cache_free(cache);
    mtlspop_token_free(acquire(app, requests[1]));
    mtlspop_app_free(app);
    CHECK(store.destroyed == 3);
    mtlspop_token_request_free(requests[0]);
    mtlspop_token_request_free(requests[1]);
}

/* What is wrong with a cache is said by the call that uses it. */
static void misused(void)
{
    mtlspop_token_cache *cache = mtlspop_token_cache_new();
    mtlspop_app_options *options = client_options("client");
    mtlspop_app *app = NULL;
    mtlspop_error *error = NULL;

    mtlspop_token_cache_set_store(cache, NULL, NULL, NULL);
    mtlspop_app_options_set_client_secret(options, "secret");
    mtlspop_app_options_set_token_cache(options, cache);
    CHECK(mtlspop_app_new(options, &app, &error) == MTLSPOP_E_INVALID_ARGUMENT && !app);
    CHECK_CONTAINS(mtlspop_error_message(error), "mtlspop_token_cache_set_store: callback is NULL");
    CHECK(mtlspop_token_cache_hits(cache) == -1 && mtlspop_token_cache_entries(NULL) == -1);
    mtlspop_error_free(error);
    mtlspop_app_options_free(options);
    mtlspop_token_cache_free(cache);
}

int main(void)
{
    shared();
    stored();
    misused();
    return check_result();
}
