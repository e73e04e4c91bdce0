// callbacks.cpp: does what each kind of callback throws come out of the call that asked, on its thread, and is what
// it held released once? Needs curl, which takes a key to devcloud's attestation service.

#include "check.hpp"

#include <functional>
#include <memory>
#include <optional>

using mtlspop::status;

// An exception of the caller's own, with more than a text.
struct vault_closed : std::runtime_error {
    vault_closed() : std::runtime_error("the vault is closed") {}
    std::thread::id thread = std::this_thread::get_id();
};

// Counts those that live, through what a lambda captures. Move-only, as a lambda may be.
static std::atomic<int> alive{0};
struct watched {
    watched() { ++alive; }
    ~watched() { --alive; }
};

template <class R> static auto throws()
{
    return [held = std::make_unique<watched>()](const auto &...) -> R { throw vault_closed(); };
}

// Fails in both styles with what was thrown.
template <class Throwing, class Trying> static void carried(Throwing throwing, Trying trying)
{
    CHECK_THROWS(vault_closed, throwing())
    ([](const vault_closed &thrown) { CHECK(thrown.thread == std::this_thread::get_id()); });
    const auto result = trying();
    CHECK(result.error().status() == status::callback && contains(result.error().what(), "the vault is closed"));
    CHECK(result.error().cause() != nullptr);
    CHECK_THROWS(vault_closed, result.value())([](const vault_closed &) {});
}

static void acquire_fails(const mtlspop::app_options &options)
{
    const mtlspop::app app(options);
    const auto request = graph_request(true);
    carried([&] { (void)app.acquire_token(request); }, [&] { return app.try_acquire_token(request); });
}

static void each_kind(const std::string &directory)
{
    const auto sni = sni_certificate();
    acquire_fails(client_options().with_client_assertion(throws<std::string>()));
    acquire_fails(client_options().with_certificate_provider(throws<mtlspop::certificate>()));
    acquire_fails(mtlspop::app_options::managed_identity().with_attestation(throws<std::string>()));

    const auto signing = mtlspop::certificate::with_signer(sni.chain_pem(), throws<std::vector<std::uint8_t>>());
    carried([&] { (void)signing.sign("PS256", "x"); }, [&] { return signing.try_sign("PS256", "x"); });
    acquire_fails(client_options().with_certificate(signing));
    auto bearer = client_options();
    const mtlspop::app assertion_signer(bearer.with_certificate(signing));
    carried([&] { (void)assertion_signer.acquire_token(graph_request(false)); },
            [&] { return assertion_signer.try_acquire_token(graph_request(false)); });

    auto options = mtlspop::app_options::managed_identity();
    options.with_binding_store_with_callback(directory, throws<std::string>());
    carried([&] { mtlspop::app app(options); }, [&] { return mtlspop::app::try_new(options); });

    // Not an exception of the standard library, and std::function.
    const std::function<std::string(const mtlspop::assertion_op &)> odd = [](const auto &) -> std::string { throw 7; };
    options = client_options();
    options.with_client_assertion(odd);
    CHECK_THROWS(int, mtlspop::app(options).acquire_token(graph_request(false)))([](int thrown) { CHECK(thrown == 7); });
}

// The library goes on without these.
static void listeners()
{
    std::string warnings;
    mtlspop::token_cache cache;
    cache.with_store([](mtlspop::store_op &) { throw vault_closed(); });
    auto options = client_options();
    options.with_client_secret(env("AZURE_CLIENT_SECRET")).with_token_cache(cache);
    options.with_log(mtlspop::log_level::warning, [&](mtlspop::log_level level, auto, std::string_view message) {
        CHECK(level <= mtlspop::log_level::warning);
        warnings += message;
        throw vault_closed();
    });
    int metrics = 0;
    options.with_metrics([&](const mtlspop::metric &metric) {
        ++metrics;
        CHECK(!metric.name().empty() && !metric.unit().empty() && metric.value() >= 0);
        CHECK(metric.kind() == mtlspop::metric_kind::counter || metric.kind() == mtlspop::metric_kind::histogram);
        CHECK(metric.tag_count() == 0 || !metric.tag_name(0).empty());
        CHECK(metric.tag_value(999).empty());
        throw vault_closed();
    });
    CHECK(mtlspop::app(options).acquire_token(graph_request(false)).token_type() == "Bearer");
    CHECK(contains(warnings, "the vault is closed") && metrics > 0);

    // What a store throws is not why the call fails, when it then fails for a callback that said nothing.
    int asked = 0;
    mtlspop::token_cache empty;
    empty.with_store([&](mtlspop::store_op &) {
        ++asked;
        throw vault_closed();
    });
    options = client_options();
    options.with_token_cache(empty).with_client_assertion([](const auto &) { return std::string(); });
    const auto failed = mtlspop::app(options).try_acquire_token(graph_request(false));
    CHECK(asked > 0);
    CHECK(failed.error().status() == status::callback && !failed.error().cause());
}

// A provider that gives nothing.
static void no_certificate()
{
    auto options = client_options();
    options.with_certificate_provider(
        [](const mtlspop::assertion_op &) { return std::optional<mtlspop::certificate>(); });
    const mtlspop::app app(options);
    for (const bool bound : {false, true}) {
        const auto result = app.try_acquire_token(graph_request(bound));
        CHECK(result.error().status() == status::callback && result.error().code() == "mtls_certificate_not_provided");
    }
}

// A signer that cannot do PSS is asked again, and then nothing was thrown.
static void second_try()
{
    const auto sni = sni_certificate();
    const auto signing = mtlspop::certificate::with_signer(sni.chain_pem(), [&](const mtlspop::sign_op &op) {
        if (op.algorithm() == "PS256") throw vault_closed();
        return sni.sign(op.algorithm(), op.message());
    });
    auto options = client_options();
    options.with_certificate(signing, true);
    CHECK(mtlspop::app(options).acquire_token(graph_request(false)).token_type() == "Bearer");
}

// A call inside a callback: its exceptions are its own, and what leaves the callback is the outer call's.
static void nested()
{
    const auto inner_app = [] {
        auto options = client_options();
        return mtlspop::app(options.with_client_assertion([](const auto &) -> std::string { throw vault_closed(); }));
    };
    auto options = client_options("FIC_CLIENT_ID");
    options.with_client_assertion([&](const mtlspop::assertion_op &op) {
        CHECK_THROWS(vault_closed, inner_app().acquire_token(graph_request(false)))([](const auto &) {});
        CHECK(op.client_id() == env("FIC_CLIENT_ID") && op.tenant_id() == env("AZURE_TENANT_ID"));
        CHECK(contains(op.authority(), "https://login") && contains(op.token_endpoint(), "https://"));
        CHECK(!op.claims() && !op.client_capabilities() && !op.fmi_path() && !op.remaining() && !op.is_cancelled());
        return federated_assertion(op);
    });
    CHECK(mtlspop::app(options).acquire_token(graph_request(true)).token_type() == "mtls_pop");

    options.with_client_assertion([&](const mtlspop::assertion_op &) -> std::string {
        const auto token = inner_app().acquire_token(graph_request(false));
        return std::string(token.access_token());
    });
    CHECK_THROWS(vault_closed, mtlspop::app(options).acquire_token(graph_request(false)))([](const auto &) {});
}

static std::string base64url(mtlspop::bytes_view bytes)
{
    std::string text;
    std::uint32_t bits = 0;
    unsigned count = 0;
    const auto digit = [&](std::uint32_t value) {
        text += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[value & 63];
    };
    for (const std::uint8_t byte : bytes) {
        bits = bits << 8 | byte;
        for (count += 8; count >= 6; count -= 6) digit(bits >> (count - 6));
    }
    if (count) digit(bits << (6 - count));
    return text;
}

static std::string attest(const mtlspop::attestation_op &op)
{
    const std::string nonce(op.correlation_id());
    CHECK(op.client_id().size() == 36 && !op.remaining() && !op.is_cancelled() && op.public_key().size() == 294);
    CHECK(op.try_sign("ES256", "x").error().status() == status::invalid_argument);
    const std::string command =
        "curl --silent --show-error --data '{\"nonce\":\"" + nonce + "\",\"alg\":\"PS256\",\"signature\":\"" +
        base64url(op.sign("PS256", nonce)) + "\",\"jwk\":{\"kty\":\"RSA\",\"n\":\"" +
        base64url({op.public_key().data() + 33, 256}) + "\",\"e\":\"AQAB\"}}' '" + std::string(op.endpoint()) +
        "attest/keyguard?api-version=2020-10-01'";
    std::string answer(8192, '\0');
    FILE *curl = popen(command.c_str(), "r");
    if (!curl) throw std::runtime_error("there is no curl");
    answer.resize(std::fread(answer.data(), 1, answer.size(), curl));
    pclose(curl);
    const std::size_t start = answer.find("\"token\":\"") + 9;
    return answer.substr(start, answer.find('"', start) - start);
}

// A key that is here, behind a lambda, is attested by another.
static void attested_signer()
{
    const auto bound = mtlspop::app(mtlspop::app_options::managed_identity()).acquire_token(graph_request(true));
    const auto key = bound.binding_certificate();
    // The process keeps a key, and with it the signer.
    static const auto holder = mtlspop::certificate::from_file(env("SIGNER_CERTIFICATE"));
    static int asked = 0;
    auto options = mtlspop::app_options::managed_identity();
    options.with_attestation(attest);
    options.with_key_signer(contents(env("OTHER_PUBLIC_KEY")),
                            [](const auto &) -> std::string { throw vault_closed(); });
    acquire_fails(options);
    options.with_key_signer(contents(env("PUBLIC_KEY")), [](const mtlspop::sign_op &op) {
        ++asked;
        return holder.sign(op.algorithm(), op.message());
    });
    const mtlspop::app app(options);
    const auto token = app.acquire_token(graph_request(true));
    CHECK(token.token_type() == "mtls_pop" && asked > 0 && !token.binding_certificate()->is_exportable());
    CHECK(app.send(token, mtlspop::http_request("GET", graph)).status() == 200);
    CHECK(token.binding_certificate()->x5t_s256() != key->x5t_s256());
}

// Destroyed once, by whoever lets go last.
static void released()
{
    const auto callback = [] {
        return [held = std::make_unique<watched>()](const auto &op) { return federated_assertion(op); };
    };
    auto options = client_options("FIC_CLIENT_ID");
    options.with_client_assertion(callback());
    CHECK(alive == 1);
    options.with_client_assertion(callback());
    CHECK(alive == 1);
    {
        const mtlspop::app app(options);
        mtlspop::app_options gone = std::move(options);
        CHECK(alive == 1 && app.acquire_token(graph_request(true)));
    }
    CHECK(alive == 0);
    options.with_client_assertion(callback());
    CHECK(alive == 0);
}

// A certificate that lives longer than its answers: each is a copy, of which the last one frees it, whoever that is.
static void kept_certificates()
{
    static_assert(std::is_nothrow_copy_constructible_v<mtlspop::certificate>);
    static_assert(std::is_nothrow_move_constructible_v<mtlspop::certificate>);
    static_assert(!std::is_copy_constructible_v<mtlspop::token> && !std::is_copy_constructible_v<mtlspop::app>);
    const auto jwt = contents(env("FIC_ASSERTION_PATH"));
    std::optional<mtlspop::certificate> kept = mtlspop::certificate::from_file(env("FIC_CERTIFICATE_PATH"));
    const std::string thumbprint(kept->x5t_s256());
    auto options = client_options("FIC_CLIENT_ID");
    const auto bound_to = [&](const auto &callback) {
        options.with_client_assertion(callback);
        const auto token = mtlspop::app(options).acquire_token(graph_request(true));
        return std::string(token.binding_certificate()->x5t_s256());
    };
    using answer = mtlspop::client_signed_assertion;
    {
        const mtlspop::certificate certificate = *kept;
        CHECK(bound_to([&](const auto &) -> answer { return {jwt, certificate}; }) == thumbprint);
        CHECK(bound_to([&](const auto &) -> answer { return {jwt, kept}; }) == thumbprint);
        const std::string_view borrowed = jwt;
        CHECK(bound_to([&](const auto &) -> answer { return {borrowed, certificate}; }) == thumbprint);
        CHECK(bound_to([&](const auto &) -> answer { return {jwt.c_str(), certificate}; }) == thumbprint);
        const answer whole{jwt, certificate};
        CHECK(bound_to([&](const auto &) { return whole; }) == thumbprint);
        CHECK(bound_to([&](const auto &) -> const answer & { return whole; }) == thumbprint);

        auto other = sni_certificate();
        CHECK(other.x5t_s256() != thumbprint);
        other = certificate;
        auto &same = other;
        other = same;
        CHECK(other.get() == kept->get() && other.x5t_s256() == thumbprint);
        const auto moved = std::move(other);
        CHECK(!other && moved && other.der().empty());
        const auto nothing = other;
        CHECK(!nothing && nothing.try_sign("PS256", "x").error().status() == status::invalid_handle);
    }
    // One of them is left, and still signs.
    CHECK(kept->x5t_s256() == thumbprint && kept->sign("PS256", "x").size() > 0);
    // What is borrowed of one is borrowed of all.
    CHECK(mtlspop::certificate(*kept).der().data() == kept->der().data());
    // And what a callback holds is its own.
    options.with_client_assertion([jwt, certificate = *kept](const auto &) { return answer(jwt, certificate); });
    kept.reset();
    const auto token = mtlspop::app(options).acquire_token(graph_request(true));
    CHECK(token.binding_certificate()->x5t_s256() == thumbprint);

    const auto sni = sni_certificate();
    auto rotating = client_options();
    rotating.with_certificate_provider([&](const auto &) { return sni; }, true);
    CHECK(mtlspop::app(rotating).acquire_token(graph_request(true)).token_type() == "mtls_pop");
    rotating.with_certificate_provider([&](const auto &) -> const mtlspop::certificate & { return sni; }, true);
    CHECK(mtlspop::app(rotating).acquire_token(graph_request(true)).token_type() == "mtls_pop");

    // Threads that copy and drop it.
    std::vector<std::thread> all;
    for (int i = 0; i < 8; ++i) {
        all.emplace_back([&sni] {
            for (int round = 0; round < 1000; ++round) {
                const auto copy = sni;
                if (copy.chain_count() == 0) std::abort();
            }
        });
    }
    for (auto &thread : all) thread.join();
}

// Threads that share an app: each that was asked gets its own exception, each other the text.
static void threads()
{
    const mtlspop::app app(client_options().with_client_assertion(throws<std::string>()));
    const auto request = graph_request(true);
    std::atomic<int> own{0}, told{0};
    std::vector<std::thread> all;
    for (int i = 0; i < 16; ++i) {
        all.emplace_back([&] {
            try {
                (void)app.acquire_token(request);
            } catch (const vault_closed &thrown) {
                own += thrown.thread == std::this_thread::get_id();
            } catch (const mtlspop::error &thrown) {
                told += thrown.status() == status::callback && contains(thrown.what(), "the vault is closed");
            }
        });
    }
    for (auto &thread : all) thread.join();
    CHECK(own >= 1 && own + told == 16);
}

int main(int, char **arguments)
{
    return checked([&] {
        each_kind(arguments[1]);
        CHECK(alive == 0);
        listeners();
        no_certificate();
        second_try();
        nested();
        attested_signer();
        released();
        kept_certificates();
        threads();
        CHECK(alive == 0);
    });
}
