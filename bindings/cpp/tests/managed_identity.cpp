// managed_identity.cpp: what the hosts of managed identities differ in, and a program decides. An argument says which.

#include "check.hpp"

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

int main(int, char **arguments)
{
    return checked([&] {
        const std::string name = arguments[1];
        if (name == "arc") arc();
        else CHECK(!"a name of a case");
    });
}
