// errors.cpp: do both styles tell everything, and are mistakes errors?

#include "check.hpp"

#include <utility>

using mtlspop::status;

static mtlspop::app secret_app(const char *secret)
{
    auto options = client_options();
    options.with_client_secret(secret);
    return mtlspop::app(options);
}

static void refused_secret(const mtlspop::error &error, const char *correlation_id)
{
    CHECK(error.status() == status::rejected && error.code() == "invalid_client" && error.http_status() == 401);
    CHECK(error.aadsts_codes() == std::vector<std::int32_t>{7000215});
    CHECK(contains(error.message(), "AADSTS7000215") && error.message() == error.what());
    CHECK(error.correlation_id() == correlation_id && !error.is_retryable());
    CHECK(!error.claims() && !error.sub_error() && !error.retry_after() && !error.cause());
    CHECK(contains(error.token_endpoint().value(), "/oauth2/v2.0/token") && !error.region() && !error.region_error());
    CHECK(error.region_outcome() == mtlspop::region_outcome::none && error.duration_in_cache().count() == 0);
    CHECK(error.duration_total() >= error.duration_in_http());
}

// The caller of this program sees to it that the service then wants claims, and last fewer requests.
static void fields()
{
    const char *id = "01234567-89ab-4cde-8f01-23456789abcd";
    const mtlspop::app app = secret_app("wrong");
    auto request = graph_request(false);
    request.with_correlation_id(id);

    auto result = app.try_acquire_token(request);
    CHECK(!result && !result.has_value());
    refused_secret(result.error(), id);
    CHECK_THROWS(mtlspop::error, app.acquire_token(request))([&](const auto &thrown) { refused_secret(thrown, id); });
    CHECK_THROWS(mtlspop::error, std::move(result).value())([&](const auto &thrown) { refused_secret(thrown, id); });

    const mtlspop::app good = secret_app(env("AZURE_CLIENT_SECRET").c_str());
    CHECK_THROWS(mtlspop::error, good.acquire_token(request))([&](const mtlspop::error &thrown) {
        const mtlspop::error copy = thrown;
        CHECK(copy.status() == status::interaction_required && contains(*copy.claims(), "acrs"));
        CHECK(copy.sub_error() == "basic_action" && copy.what() == thrown.what());
        CHECK(mtlspop::status_name(copy.status()) == "MTLSPOP_E_INTERACTION_REQUIRED");
    });
    // Scopes that nothing else here wants: the pause holds for the process.
    const auto throttled = good.try_acquire_token(mtlspop::token_request("https://vault.azure.net/.default"));
    CHECK(throttled.error().status() == status::throttled && throttled.error().is_retryable());
    CHECK(throttled.error().retry_after() == std::chrono::seconds(77));
}

static void expect(const mtlspop::app_options &options, status number, const char *part)
{
    const auto result = mtlspop::app::try_new(options);
    CHECK(!result && result.error().status() == number && contains(result.error().what(), part));
    CHECK_THROWS(mtlspop::error, mtlspop::app{options})([&](const auto &thrown) { CHECK(thrown.status() == number); });
}

static void mistakes()
{
    expect(mtlspop::app_options::managed_identity().with_proxy("nonsense://"), status::invalid_argument, "proxy");
    expect(mtlspop::app_options::confidential_client(nullptr), status::invalid_argument, "client_id is NULL");
    // C would have cut these, and the shorter secret been taken.
    const std::string cut("secret\0more", 11);
    expect(client_options().with_client_secret(cut), status::invalid_argument, "secret");
    expect(client_options().with_client_secret(std::string_view(cut)), status::invalid_argument, "secret");
    CHECK(mtlspop::certificate::try_from_file("/nowhere").error().status() == status::key_unavailable);
    CHECK(mtlspop::certificate::try_from_pem(mtlspop::bytes_view()).error().status() == status::invalid_argument);
    CHECK(sni_certificate().try_sign("ES256", "x").error().status() == status::invalid_argument);
    CHECK(sni_certificate().try_export_tpm_key_pem().error().status() == status::key_unavailable);
}

static void moved_from()
{
    mtlspop::app app = secret_app(env("AZURE_CLIENT_SECRET").c_str());
    mtlspop::app other = std::move(app);
    auto request = graph_request(false);
    CHECK(!app && other);
    const auto failed = app.try_acquire_token(request);
    CHECK(failed.error().status() == status::invalid_handle && contains(failed.error().what(), "app"));
    CHECK_THROWS(mtlspop::error, app.acquire_token(request))
    ([](const auto &thrown) { CHECK(thrown.status() == status::invalid_handle); });

    auto unused = std::move(request);
    request.with_claims("{}").with_force_refresh();
    CHECK(other.try_acquire_token(request).error().status() == status::invalid_handle);
    request = std::move(unused);

    mtlspop::token token = other.acquire_token(request);
    mtlspop::token moved = std::move(token);
    CHECK(token.access_token().empty() && !token.binding_certificate() && !token.tenant_id());
    CHECK(!moved.access_token().empty() && moved.token_type() == "Bearer");
    mtlspop::certificate certificate = sni_certificate();
    const mtlspop::certificate kept = std::move(certificate);
    CHECK(certificate.der().empty() && certificate.chain_count() == 0 && !certificate.is_exportable());
    CHECK(certificate.try_export_private_key_pem().error().status() == status::invalid_handle);

    // To C and back.
    mtlspop_token *raw = moved.release();
    CHECK(!moved && moved.get() == nullptr);
    CHECK(mtlspop::token(raw).token_type() == "Bearer");
}

static void versions()
{
    CHECK(mtlspop::federated_credential_audience("login.microsoftonline.us") == "api://AzureADTokenExchangeUSGov");
    CHECK(!mtlspop::federated_credential_audience("login.example.com"));
    mtlspop::check_abi();
    CHECK(mtlspop::try_check_abi().has_value() && mtlspop::version() == MTLSPOP_VERSION);
    static_assert(mtlspop::detail::abi_fits(65536 + 4, 65536 + 4) && mtlspop::detail::abi_fits(65536 + 5, 65536 + 4));
    static_assert(!mtlspop::detail::abi_fits(65536 + 3, 65536 + 4) && !mtlspop::detail::abi_fits(4, 65536 + 4));
    static_assert(!mtlspop::detail::abi_fits(2 * 65536 + 4, 65536 + 4));
    const mtlspop::error own(status::not_supported, "abi_mismatch", "text");
    CHECK(own.code() == "abi_mismatch" && own.message() == "text" && own.http_status() == 0 && !own.claims());
    CHECK(own.aadsts_codes().empty() && !own.retry_after() && !own.is_retryable());
    CHECK(!own.token_endpoint() && !own.region_outcome() && own.duration_total().count() == 0);
    CHECK(mtlspop::error(MTLSPOP_E_NETWORK, nullptr).message() == "MTLSPOP_E_NETWORK");
}

int main()
{
    return checked([] {
        fields();
        mistakes();
        moved_from();
        versions();
    });
}
