// managed_identity.cpp: what the hosts of managed identities differ in, and a program decides. An argument says which.

#include "check.hpp"

#include <chrono>

using namespace std::chrono_literals;

// An agent of Azure Arc that confirms the identity, and then one that does not.
static void arc()
{
    const mtlspop::app app(mtlspop::app_options::managed_identity().with_user_assigned_client_id(
        env("USER_ASSIGNED_CLIENT_ID")));
    auto request = graph_request(false);
    CHECK(app.acquire_token(request).access_token() == "confirmed");
    CHECK_THROWS(mtlspop::error, app.acquire_token(request.with_force_refresh(true)))
    ([](const mtlspop::error &thrown) { CHECK(thrown.code() == "user_assigned_managed_identity_not_confirmed"); });
}

// Does the variable stop bound tokens while the program runs, with the reason told, and let them go on?
static void imds_v2_switch()
{
    const mtlspop::app app(mtlspop::app_options::managed_identity().with_probe_timeout(60s));
    CHECK(setenv("MSAL_MI_DISABLE_IMDS_V2", "1", 1) == 0);
    CHECK_THROWS(mtlspop::error, app.acquire_token(graph_request(true)))
    ([](const mtlspop::error &thrown) { CHECK(thrown.code() == "imds_v2_disabled"); });
    const auto found = app.managed_identity_capabilities(60s);
    CHECK(found.max_supported_binding_strength() == mtlspop::binding_strength::none);
    CHECK(contains(found.error_reason().value_or(""), "MSAL_MI_DISABLE_IMDS_V2"));
    CHECK(app.acquire_token(graph_request(false)).token_type() == "Bearer");
    CHECK(unsetenv("MSAL_MI_DISABLE_IMDS_V2") == 0);
    CHECK(app.acquire_token(graph_request(true)).token_type() == "mtls_pop");
}

// Is a token asked for over mTLS a Bearer one without a certificate, and refused together with a bound one?
static void over_mtls()
{
    const mtlspop::app app(mtlspop::app_options::managed_identity());
    auto request = graph_request(false);
    const auto token = app.acquire_token(request.with_request_over_mtls());
    CHECK(token.token_type() == "Bearer" && !token.binding_certificate() && contains(token.endpoint(), "mtlsauth"));
    CHECK(app.send(token, mtlspop::http_request("GET", graph)).status() == 200);
    CHECK_THROWS(mtlspop::error, app.acquire_token(request.with_mtls_proof_of_possession()))
    ([](const mtlspop::error &thrown) { CHECK(contains(thrown.what(), "exclude each other")); });
}

int main(int, char **arguments)
{
    return checked([&] {
        const std::string name = arguments[1];
        if (name == "arc") arc();
        else if (name == "switch") imds_v2_switch();
        else if (name == "over mtls") over_mtls();
        else CHECK(!"a name of a case");
    });
}
