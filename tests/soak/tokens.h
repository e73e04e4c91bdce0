/* tokens.h: the ten apps, and all the tokens that they are asked for. */

#ifndef TOKENS_H
#define TOKENS_H

#include <sys/stat.h>

#include "../c/apps.h"
#include "figures.h"
#include "store.h"

#define APPS 10
#define MOST_SLOTS 512
#define TIMEOUT_MS 30000

enum type { BEARER = 1, BOUND = 2, BEARER_OVER_MTLS = 4 };

/* One identity. */
struct identity {
    const char *name;
    const char *client_id;
    mtlspop_app *app;
    int managed;
    /* Where its slots begin, and how many there are. */
    int first, count;
};

/* One token of it: what is asked for, and what is known. */
struct slot {
    const struct identity *identity;
    mtlspop_token_request *request;
    enum type type;
    const char *scope, *audience, *url, *tenant, *partition;
    char name[160];
    /* Until when the longest-lived token that was given for it is served, in seconds. */
    int64_t good_until;
    /* Of the certificate that one was bound to. */
    uint64_t certificate;
    /* The last one that its API was called with. */
    uint64_t called;
};

static struct identity identities[APPS];
static struct slot slots[MOST_SLOTS];
static int identity_count, slot_count;

static const char *const scopes[2] = {"https://graph.microsoft.com/.default", "https://vault.azure.net/.default"};
static const char *const audiences[2] = {"https://graph.microsoft.com", "https://vault.azure.net"};
/* Paths at which devcloud tells of the token that it was given. */
static const char *const urls[2] = {GRAPH, "https://devcloud.vault.azure.net/token"};
static const char *const partitions[3] = {NULL, "blue", "green"};

static inline uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

/* A request for the token of a slot, by itself. */
static inline mtlspop_token_request *request_for(const struct slot *slot)
{
    mtlspop_token_request *request = mtlspop_token_request_new(slot->scope);

    mtlspop_token_request_set_timeout_ms(request, TIMEOUT_MS);
    if (slot->type == BOUND) mtlspop_token_request_set_mtls_proof_of_possession(request, 1);
    if (slot->type == BEARER_OVER_MTLS) mtlspop_token_request_set_request_over_mtls(request, 1);
    if (!slot->identity->managed) mtlspop_token_request_set_tenant_id(request, slot->tenant);
    if (slot->partition) mtlspop_token_request_set_cache_partition_key(request, "colour", slot->partition);
    return request;
}

static inline void add_slot(const struct identity *identity, enum type type, int api, const char *tenant, int partition)
{
    static const char *const types[5] = {"", "Bearer", "mtls_pop", "", "Bearer over mTLS"};
    struct slot *slot = &slots[slot_count++];

    if (slot_count > MOST_SLOTS) exit(2);
    slot->identity = identity;
    slot->type = type;
    slot->scope = scopes[api];
    slot->audience = audiences[api];
    slot->url = urls[api];
    slot->tenant = tenant;
    slot->partition = partitions[partition];
    snprintf(slot->name, sizeof slot->name, "%s, %s for %s in %.8s %s", identity->name, types[type], audiences[api] + 8,
             tenant, partition ? partitions[partition] : "");
    slot->request = request_for(slot);
}

/* The app of these settings, and its tokens: of some types, in some tenants, for both APIs, each in some partitions. */
static inline void add(const char *name, const char *client_id, mtlspop_app_options *options, int types, int tenants,
                       int partition_count)
{
    static const char *const tenant_names[3] = {"AZURE_TENANT_ID", "SOAK_SECOND_TENANT", "SOAK_THIRD_TENANT"};
    struct identity *identity = &identities[identity_count++];
    int type, tenant, api, partition;

    identity->name = name;
    identity->client_id = client_id;
    identity->managed = tenants == 0;
    identity->first = slot_count;
    identity->app = app_of(options);
    if (!identity->app) exit(2);
    for (type = BEARER; type <= BEARER_OVER_MTLS; type *= 2) {
        for (tenant = 0; (types & type) && (tenant < tenants || tenant == 0); tenant++) {
            for (api = 0; api < 2; api++) {
                for (partition = 0; partition < partition_count; partition++) {
                    add_slot(identity, type, api, env(tenant_names[tenant]), partition);
                }
            }
        }
    }
    identity->count = slot_count - identity->first;
}

static inline void told(void *userdata, mtlspop_token *token, mtlspop_error *error)
{
    (void)userdata;
    if (token) COUNT(refreshed);
    else COUNT(not_refreshed);
    mtlspop_token_free(token);
    mtlspop_error_free(error);
}

static inline mtlspop_app_options *options_with_certificate(const char *path)
{
    mtlspop_app_options *options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_certificate *certificate = load(path);

    mtlspop_app_options_set_certificate(options, certificate, 1);
    mtlspop_certificate_free(certificate);
    return options;
}

/* A host with another source of managed identities is made by its environment, while the app is. */
static inline void add_on_host(const char *host, const char *name, const char *client_id, mtlspop_app_options *options)
{
    static const char *const variables[5] = {"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT", "MSI_SECRET",
                                             "DEFAULT_IDENTITY_CLIENT_ID"};
    char variable[128];
    int i;

    for (i = 0; i < 5; i++) {
        snprintf(variable, sizeof variable, "%s_%s", host, variables[i]);
        if (getenv(variable)) setenv(variables[i], getenv(variable), 1);
    }
    add(name, client_id, options, BEARER, 0, 1);
    for (i = 0; i < 5; i++) unsetenv(variables[i]);
}

static inline char *directory_of(const char *name)
{
    static char paths[4][1024];
    static int count;
    char *path = paths[count++];

    snprintf(path, 1024, "%s/%s", env("SOAK_DIRECTORY"), name);
    mkdir(path, 0700);
    return path;
}

static inline void add_clients(void)
{
    mtlspop_token_cache *cache = mtlspop_token_cache_new();
    mtlspop_app_options *options = options_with_certificate(env("AZURE_CLIENT_CERTIFICATE_PATH"));

    mtlspop_token_cache_set_max_entries(cache, (size_t)number_of("SOAK_MAX_ENTRIES", 1000));
    mtlspop_app_options_set_token_cache(options, cache);
    mtlspop_token_cache_free(cache);
    mtlspop_app_options_set_azure_region(options, env("AZURE_REGION"));
    add("SN/I in a region", env("AZURE_CLIENT_ID"), options, BEARER | BOUND, 3, 3);

    cache = mtlspop_token_cache_new();
    mtlspop_token_cache_set_store(cache, stored, directory_of("tokens"), NULL);
    options = options_with_certificate(env("AZURE_CLIENT_CERTIFICATE_PATH"));
    mtlspop_app_options_set_token_cache(options, cache);
    add("SN/I with a token store", env("AZURE_CLIENT_ID"), options, BEARER | BOUND, 3, 2);
    options = client_options(env("AZURE_CLIENT_ID"));
    mtlspop_app_options_set_client_secret(options, env("AZURE_CLIENT_SECRET"));
    mtlspop_app_options_set_token_cache(options, cache);
    add("secret with the same store", env("AZURE_CLIENT_ID"), options, BEARER, 3, 3);
    mtlspop_token_cache_free(cache);

    options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_app_options_set_client_assertion(options, federated_assertion, NULL, NULL);
    mtlspop_app_options_set_background_refresh(options, 1);
    mtlspop_app_options_set_background_refresh_callback(options, told, NULL, NULL);
    add("FIC by a callback", env("FIC_CLIENT_ID"), options, BEARER | BOUND, 3, 2);

    options = client_options(env("FIC_CLIENT_ID"));
    mtlspop_app_options_set_federated_token_file(options, env("AZURE_FEDERATED_TOKEN_FILE"));
    add("FIC from a file", env("FIC_CLIENT_ID"), options, BEARER, 3, 2);

    options = options_with_certificate(env("SOAK_EC_CERTIFICATE"));
    mtlspop_app_options_set_background_refresh(options, 0);
    add("SN/I with an EC key", env("AZURE_CLIENT_ID"), options, BOUND, 3, 3);
}

static inline void add_managed_identities(void)
{
    static const char secret[] = "sixteen bytes and more";
    mtlspop_app_options *options = mtlspop_app_options_new_managed_identity();

    mtlspop_app_options_set_background_refresh(options, 0);
    add("system-assigned", env("SOAK_SYSTEM_ASSIGNED"), options, BEARER | BOUND, 0, 1);

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_user_assigned_client_id(options, env("USER_ASSIGNED_CLIENT_ID"));
    mtlspop_app_options_set_binding_store(options, directory_of("bindings"), (const uint8_t *)secret, sizeof secret);
    mtlspop_app_options_set_background_refresh_callback(options, told, NULL, NULL);
    add("user-assigned with a store", env("USER_ASSIGNED_CLIENT_ID"), options, BEARER | BOUND | BEARER_OVER_MTLS, 0, 1);

    options = mtlspop_app_options_new_managed_identity();
    mtlspop_app_options_set_user_assigned_object_id(options, env("USER_ASSIGNED_OBJECT_ID"));
    add_on_host("APP_SERVICE", "App Service", env("USER_ASSIGNED_CLIENT_ID"), options);
    options = mtlspop_app_options_new_managed_identity();
    add_on_host("MACHINE_LEARNING", "Machine Learning", env("SOAK_SYSTEM_ASSIGNED"), options);
}

static inline void make_apps(void)
{
    add_clients();
    add_managed_identities();
    if (check_failures || identity_count != APPS) exit(2);
}

static inline void free_apps(void)
{
    int i;
    for (i = 0; i < slot_count; i++) mtlspop_token_request_free(slots[i].request);
    for (i = 0; i < identity_count; i++) mtlspop_app_free(identities[i].app);
}

#endif
