// What the hosts of managed identities differ in, and a program decides.

using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class ManagedIdentities
{
    // An agent of Azure Arc that confirms the identity, and then one that does not.
    private static async Task AzureArc()
    {
        using (var app = Identity(ManagedIdentityId.WithUserAssignedClientId(Env("USER_ASSIGNED_CLIENT_ID"))))
        {
            var request = app.AcquireTokenForManagedIdentity(Resource);
            Equal("confirmed", (await request.ExecuteAsync()).AccessToken, "token");
            var refused = await Throws<MsalServiceException>(() => request.WithForceRefresh(true).ExecuteAsync());
            Equal("user_assigned_managed_identity_not_confirmed", refused.ErrorCode, "code");
        }
    }
}
