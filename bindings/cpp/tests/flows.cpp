// flows.cpp: do all three ways in give Bearer and bound tokens that Graph takes, and is everything there to be read?
// flows DIRECTORY: for a binding store.

#include "check.hpp"

#include <array>
#include <chrono>
#include <future>
#include <map>
#include <stdexcept>

using namespace std::chrono_literals;

static void flow(const mtlspop::app &app, bool bound)
{
    const auto request = graph_request(bound);
    CHECK(!app.cached_token(request));
    const mtlspop::token token = app.acquire_token(request);
    const std::optional<mtlspop::token> cached = app.cached_token(request);
    CHECK(cached && cached->access_token() == token.access_token());
    const auto wrong = app.try_cached_token(mtlspop::token_request(" "));
    CHECK(!wrong && wrong.error().status() == mtlspop::status::invalid_argument);
    const mtlspop::token again = app.acquire_token(request);

    CHECK(token.source() == mtlspop::token_source::identity_provider);
    CHECK(again.source() == mtlspop::token_source::cache && again.cache_level() == mtlspop::cache_level::l1);
    CHECK(token.cache_refresh_reason() == mtlspop::cache_refresh_reason::no_cached_access_token);
    CHECK(token.access_token() == again.access_token());
    CHECK(token.token_type() == (bound ? "mtls_pop" : "Bearer"));
    using strength = mtlspop::binding_strength;
    CHECK(token.binding_strength() == (bound ? strength::software : strength::none));
    CHECK(token.authorization() == std::string(token.token_type()) + " " + std::string(token.access_token()));
    CHECK(token.expires_on() > std::chrono::system_clock::now() + 5min);
    CHECK(token.correlation_id().size() == 36 && token.correlation_id() != again.correlation_id());
    CHECK(contains(token.endpoint(), "/oauth2/"));
    CHECK(token.duration_total() >= token.duration_in_http() && token.duration_in_cache() == 0ms);

    const auto certificate = token.binding_certificate();
    CHECK(certificate.has_value() == bound);
    if (certificate) {
        CHECK(certificate->x5t_s256().size() == 43 && certificate->not_after() > certificate->not_before());
    }

    const auto response = app.send(again, mtlspop::http_request("GET", graph));
    CHECK(response.status() == 200);
    CHECK(contains(*response.header("content-type"), "json") && !response.header("x-none"));
    CHECK(response.header_count() > 0 && !response.header_name(0).empty() && !response.header_value(0).empty());
    CHECK(response.body().size() > 2 && response.body()[0] == '{' && response.body().text().back() == '}');
    CHECK(!response.claims());
    CHECK(response.tls_version() == "TLSv1.3" && response.certificate_requested());
    if (token.endpoint().substr(0, 8) == "https://") {
        CHECK(again.tls_version() == "TLSv1.3" && again.certificate_requested() == bound);
    } else {
        CHECK(!again.tls_version() && !again.certificate_requested());
    }
}

// Its first token is due for replacement after a second: does the call say so that has the next one fetched, and is
// told what came of it; and does what the callback throws go nowhere?
static void early_refresh()
{
    auto options = client_options();
    options.with_certificate(sni_certificate(), true);
    std::promise<mtlspop::result<mtlspop::token>> refreshed;
    auto outcome = refreshed.get_future();
    options.with_background_refresh_callback(
        [refreshed = std::move(refreshed)](mtlspop::result<mtlspop::token> told) mutable {
            refreshed.set_value(std::move(told));
            throw std::runtime_error("nobody catches this");
        });
    const mtlspop::app app(options);
    const auto request = graph_request(false);
    const auto first = app.acquire_token(request);
    const auto end = std::chrono::steady_clock::now() + 60s;
    auto reason = mtlspop::cache_refresh_reason::not_applicable;
    while (reason == mtlspop::cache_refresh_reason::not_applicable && std::chrono::steady_clock::now() < end) {
        const auto token = app.acquire_token(request);
        CHECK(token.source() == mtlspop::token_source::cache && token.access_token() == first.access_token());
        reason = token.cache_refresh_reason();
    }
    CHECK(reason == mtlspop::cache_refresh_reason::proactively_refreshed);
    const auto told = outcome.get();
    CHECK(told && told->access_token() != first.access_token());
    CHECK(told->source() == mtlspop::token_source::identity_provider);
    CHECK(app.acquire_token(request).access_token() == told->access_token());
}

static void region()
{
    const mtlspop::app app = certificate_app();
    const auto token = app.acquire_token(graph_request(true));
    CHECK(token.region() == "eastus" && token.region_outcome() == mtlspop::region_outcome::user_provided);
    CHECK(!token.region_error() && !token.refresh_on() && token.tenant_id() == env("AZURE_TENANT_ID"));
    CHECK(!token.response_parameter("nothing") && contains(token.scopes(), "graph.microsoft.com"));
    CHECK(app.token_cache().entries() == 1 && app.token_cache().misses() == 1 && app.token_cache().bytes() > 0);
}

static void challenge()
{
    const mtlspop::app app = certificate_app();
    auto request = graph_request(true);
    const auto token = app.acquire_token(request);
    mtlspop::http_request call("GET", "https://graph.microsoft.com/claims-challenge");

    const auto challenged = app.send(token, call);
    CHECK(challenged.status() == 401 && contains(*challenged.claims(), "\"acrs\""));
    CHECK(app.send(token, call.with_token_request(request)).status() == 200);
    CHECK(app.send(token, call.with_token_request(nullptr)).status() == 401);
    const auto met = app.acquire_token(request.with_claims(challenged.claims()));
    CHECK(app.send(met, call).status() == 200);
}

// Is a vault called, which asks for the certificate in a renegotiation?
static void key_vault()
{
    const mtlspop::app app = certificate_app();
    auto request = mtlspop::token_request("https://vault.azure.net/.default");
    const auto token = app.acquire_token(request.with_mtls_proof_of_possession(true));
    const auto response = app.send(token, mtlspop::http_request("GET", "https://a.vault.azure.net/secrets/demo"));

    CHECK(response.status() == 200 && response.tls_version() == "TLSv1.2" && response.certificate_requested());
}

// Is TLS 1.2 spoken, in which a server may ask late, where the app or the request says so?
static void renegotiation()
{
    auto options = client_options();
    options.with_certificate(sni_certificate(), true).add_renegotiating_host("graph.microsoft.com");
    const mtlspop::app named(options);
    const mtlspop::app app = certificate_app();
    const auto token = app.acquire_token(graph_request(true));
    mtlspop::http_request call("GET", graph);
    const auto in_tls12 = [](const mtlspop::http_response &response) {
        CHECK(response.status() == 200 && response.tls_version() == "TLSv1.2");
        CHECK(response.certificate_requested() && !response.renegotiation_declined());
    };
    in_tls12(named.send(token, call));
    in_tls12(app.send(token, call.with_allow_renegotiation(true)));
    CHECK(named.send(token, call.with_allow_renegotiation(false)).tls_version() == "TLSv1.3");
    options.add_renegotiating_host("https://localhost");
    CHECK_THROWS(mtlspop::error, mtlspop::app{options})
    ([](const mtlspop::error &thrown) { CHECK(contains(thrown.what(), "not the name of a host")); });
}

// What can a certificate do, also one whose key is behind a lambda?
static void certificates()
{
    const std::string path = env("AZURE_CLIENT_CERTIFICATE_PATH");
    const auto file = mtlspop::certificate::from_file(path);
    CHECK(file.chain_count() >= 2 && file.chain_der(0).size() == file.der().size());
    CHECK(file.chain_der(99).data() == nullptr && file.sha1_thumbprint().size() == 40);
    CHECK(file.sha256_thumbprint().size() == 64 && contains(file.subject(), "CN="));
    CHECK(contains(file.chain_pem(), file.pem()) && file.is_exportable());
    CHECK(file.sign("PS256", "a message").size() == 256);

    const auto pem = mtlspop::certificate::from_pem(contents(path));
    const mtlspop::buffer pfx = pem.export_pkcs12("password");
    CHECK(mtlspop::certificate::from_pkcs12(pfx, "password").x5t_s256() == file.x5t_s256());
    CHECK(pem.export_pkcs12("password", mtlspop::pkcs12_format::legacy).size() > 1000);
    const mtlspop::buffer key = pem.export_private_key_pem();
    CHECK(contains(key.text(), "-----BEGIN PRIVATE KEY-----"));
    CHECK(mtlspop::certificate::from_pem(file.pem(), key).x5t_s256() == file.x5t_s256());
    CHECK(mtlspop::certificate::from_pem(file.pem(), key, std::nullopt).x5t_s256() == file.x5t_s256());

    int asked = 0;
    const auto signing = mtlspop::certificate::with_signer(file.chain_pem(), [&](const mtlspop::sign_op &op) {
        ++asked;
        CHECK(op.message().size() > 0 && op.digest().size() == 32);
        return file.sign(op.algorithm(), op.message());
    });
    CHECK(!signing.is_exportable() && signing.sign("RS256", "a message").size() == 256 && asked == 1);
    auto options = client_options();
    options.with_certificate(signing, true);
    const mtlspop::app app(options);
    for (const bool bound : {false, true}) {
        const auto token = app.acquire_token(graph_request(bound));
        CHECK(app.send(token, mtlspop::http_request("GET", graph)).status() == 200);
    }
    CHECK(asked >= 3);

    options = client_options();
    options.with_certificate_provider([file](const mtlspop::assertion_op &) { return file; }, true);
    CHECK(mtlspop::app(options).acquire_token(graph_request(true)).token_type() == "mtls_pop");
    options.with_certificate_provider([](const mtlspop::assertion_op &) { return sni_certificate(); }, true);
    CHECK(mtlspop::app(options).acquire_token(graph_request(false)).token_type() == "Bearer");
}

// Is a pod's token exchanged by the token proxy of its cluster?
static void azure_proxy()
{
    auto options = client_options("USER_ASSIGNED_CLIENT_ID");
    options.with_federated_token_file(env("DEVCLOUD_STATE_DIR") + "/identity-binding.jwt").with_enable_azure_proxy();
    const auto token = mtlspop::app(options).acquire_token(graph_request(false));
    CHECK(contains(token.endpoint(), env("AZURE_KUBERNETES_TOKEN_PROXY")));
}

// Does an agent identity get tokens by what its blueprint's token says of it?
static void agent_identity()
{
    auto options = client_options("AGENT_BLUEPRINT_CLIENT_ID");
    options.with_certificate(sni_certificate(), true);
    const mtlspop::app blueprint(options);
    options = client_options("AGENT_IDENTITY_CLIENT_ID");
    options.with_client_assertion([&](const mtlspop::assertion_op &op) -> mtlspop::client_signed_assertion {
        const auto audience = mtlspop::federated_credential_audience(op.authority()).value();
        mtlspop::token_request exchange(std::string(audience) + "/.default");
        return blueprint.acquire_token(exchange.with_fmi_path(op.client_id())).access_token();
    });
    const mtlspop::app agent(options);
    const auto token = agent.acquire_token(graph_request(false));
    CHECK(agent.send(token, mtlspop::http_request("GET", graph)).status() == 200);
}

static void host()
{
    auto options = mtlspop::app_options::managed_identity();
    options.with_probe_timeout(60s);
    const mtlspop::app app(options);
    const auto found = app.managed_identity_capabilities(60s);
    CHECK(found.source() == mtlspop::managed_identity_source::imds && found.is_mtls_pop_supported_by_host());
    CHECK(found.max_supported_binding_strength() == mtlspop::binding_strength::software);
    CHECK(contains(found.detection_reason(), "IMDSv2") && !found.error_reason());
    auto request = graph_request(true);
    CHECK_THROWS(mtlspop::error, app.acquire_token(request.with_min_strength(mtlspop::binding_strength::hardware)))
    ([](const mtlspop::error &thrown) { CHECK(thrown.code() == "min_strength_not_met"); });
}

// Does a token find its way through a store, and a certificate through another?
static void stores(const std::string &directory)
{
    std::map<std::string, std::string> kept;
    for (const auto source : {mtlspop::token_source::identity_provider, mtlspop::token_source::cache}) {
        mtlspop::token_cache cache;
        cache.with_max_entries(10).with_max_bytes(1 << 20).with_store([&](mtlspop::store_op &op) {
            const std::string key(op.partition_key());
            if (op.kind() == mtlspop::store_kind::save) {
                CHECK(op.expires_on() > std::chrono::system_clock::now());
                kept[key] = op.data().text();
            } else if (kept.count(key)) {
                op.set_data(kept[key]);
            }
        });
        auto options = client_options();
        options.with_client_secret(env("AZURE_CLIENT_SECRET")).with_token_cache(cache);
        CHECK(mtlspop::app(options).acquire_token(graph_request(false)).source() == source);
        CHECK(cache.entries() == 1 && cache.evictions() == 0 && cache.hits() + cache.misses() == 1);
    }

    std::string thumbprints[2];
    for (auto &thumbprint : thumbprints) {
        auto options = mtlspop::app_options::managed_identity();
        options.with_binding_store_with_callback(directory, [] { return std::string("sixteen bytes and more"); });
        const auto token = mtlspop::app(options).acquire_token(graph_request(true));
        thumbprint = token.binding_certificate()->x5t_s256();
    }
    CHECK(thumbprints[0] == thumbprints[1]);
}

int main(int, char **arguments)
{
    return checked([&] {
        early_refresh();
        host();
        stores(arguments[1]);
        for (const bool bound : {false, true}) {
            flow(mtlspop::app(mtlspop::app_options::managed_identity().with_user_assigned_client_id(
                     env("USER_ASSIGNED_CLIENT_ID"))), bound);
            flow(certificate_app(), bound);
            flow(federated_app(), bound);
        }
        region();
        challenge();
        key_vault();
        renegotiation();
        certificates();
        azure_proxy();
        agent_identity();
    });
}
