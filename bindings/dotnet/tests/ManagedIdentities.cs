// What the hosts of managed identities differ in, and a program decides.

using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class ManagedIdentities
{
    // With MSAL_MI_DISABLE_IMDS_V2: are there Bearer tokens only, with the reason told?
    private static async Task ImdsV2Disabled()
    {
        using (var app = Identity())
        {
            var bearer = app.AcquireTokenForManagedIdentity(Resource);
            Equal("Bearer", (await bearer.ExecuteAsync()).TokenType, "token type");
            var bound = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
            var refused = await Throws<MsalClientException>(() => bound.ExecuteAsync());
            Equal("imds_v2_disabled", refused.ErrorCode, "code");
            var found = await app.GetManagedIdentityCapabilitiesAsync();
            Equal(MtlsBindingStrength.None, found.MaxSupportedBindingStrength, "strength");
            True(found.ErrorReason.Contains("MSAL_MI_DISABLE_IMDS_V2"), found.ErrorReason);
        }
    }

    // Is a token asked for over mTLS a Bearer one without a certificate, and refused together with a bound one?
    private static async Task RequestOverMtls()
    {
        using (var app = Identity())
        {
            var request = app.AcquireTokenForManagedIdentity(Resource).WithRequestOverMtls();
            var bearer = await request.ExecuteAsync();
            Equal("Bearer", bearer.TokenType, "token type");
            Equal(null, bearer.BindingCertificate, "certificate");
            True(bearer.AuthenticationResultMetadata.TokenEndpoint.Contains("mtlsauth"), "endpoint");
            request.WithMtlsProofOfPossession();
            var refused = await Throws<MsalClientException>(() => request.ExecuteAsync());
            True(refused.Message.Contains("exclude each other"), refused.Message);
        }
    }

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
