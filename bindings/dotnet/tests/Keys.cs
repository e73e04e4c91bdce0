// Certificates that a delegate gives, keys that are attested, and keys in a TPM.

using System;
using System.Linq;
using System.Net.Http;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using Mtlspop;
using Mtlspop.AppConfig;
using static Program;

internal static class Keys
{
    /// <summary>Its key has a short integer. The tenant does not know it, but it signs.</summary>
    private static async Task ShortInteger()
    {
        using (var app = Client().WithCertificate(Certificate("SHORT_PFX")).Build())
        {
            var error = await Throws<MsalServiceException>(
                () => app.AcquireTokenForClient(Scopes).ExecuteAsync());
            Equal(700027, error.AadstsCodes.Single(), "AADSTS");
        }
    }

    /// <summary>The certificate comes alone; whoever issued it is in the user's store, or is not.</summary>
    private static async Task Issuer()
    {
        await Bearer(Certificate("LEAF_PFX"));
        var store = new X509Store(StoreName.CertificateAuthority, StoreLocation.CurrentUser);
        store.Open(OpenFlags.ReadWrite);
        store.Add(new X509Certificate2(Env("INTERMEDIATE")));
        store.Close();
        await Bearer(Certificate("LEAF_PFX"));
    }

    private static async Task Bearer(X509Certificate2 certificate)
    {
        using (var app = Client().WithCertificate(certificate, sendX5C: true).Build())
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
        }
    }

    private static async Task Provider()
    {
        var certificate = Certificate("SNI_PFX");
        var options = new CertificateOptions { SendX5C = true };
        using (var app = Client().WithCertificate(request => Task.FromResult(certificate), options).Build())
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
            var pop = await app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession().ExecuteAsync();
            True(ReferenceEquals(certificate, pop.BindingCertificate), "the delegate's certificate");
        }
        using (var app = Client()
            .WithCertificate(request => Task.FromResult<X509Certificate2>(null), options)
            .Build())
        {
            foreach (bool bound in new[] { false, true })
            {
                var request = app.AcquireTokenForClient(Scopes);
                request = bound ? request.WithMtlsProofOfPossession() : request;
                var error = await Throws<MsalClientException>(() => request.ExecuteAsync());
                Equal("mtls_certificate_not_provided", error.ErrorCode, "the delegate gives nothing");
            }
        }
    }

    /// <summary>The host issues certificates for attested keys only.</summary>
    private static async Task Attested()
    {
        AttestationRequest kept = null;
        var app = ManagedIdentityApplicationBuilder
            .Create(ManagedIdentityId.SystemAssigned)
            .WithAttestation(request => Attest(kept = request))
            .Build();
        using (app)
        {
            var request = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
            await Throws<MsalServiceException>(() => request.ExecuteAsync());
            Equal(null, kept, "attested where nobody asked");
            var result = await request.WithAttestationSupport().ExecuteAsync();
            Equal("mtls_pop", result.TokenType, "token type");
            await Throws<ObjectDisposedException>(() => Task.Run(() => kept.Sign("PS256", new byte[1])));
        }
    }

    private static async Task<string> Attest(AttestationRequest request)
    {
        byte[] key = request.PublicKey;
        string nonce = request.CorrelationId.ToString();
        byte[] signature = request.Sign("PS256", Encoding.ASCII.GetBytes(nonce));
        // The modulus of an RSA key of 2048 bits begins at byte 33 of its public key.
        string modulus = Base64Url(key.Skip(33).Take(256).ToArray());
        string body = $"{{\"nonce\":\"{nonce}\",\"alg\":\"PS256\",\"signature\":\"{Base64Url(signature)}\","
            + $"\"jwk\":{{\"kty\":\"RSA\",\"n\":\"{modulus}\",\"e\":\"AQAB\"}}}}";
        // The service asks for no token; the handler is here for its TLS.
        using (var app = SniClient())
        using (var client = new HttpClient(new MtlsPopHttpMessageHandler(
            token => app.AcquireTokenForClient(Scopes).ExecuteAsync(token))))
        {
            var content = new StringContent(body, Encoding.UTF8, "application/json");
            var response = await client.PostAsync(request.Endpoint + "attest/keyguard", content);
            response.EnsureSuccessStatusCode();
            string answer = await response.Content.ReadAsStringAsync();
            return Regex.Match(answer, "\"token\":\\s*\"([^\"]+)\"").Groups[1].Value;
        }
    }

    private static string Base64Url(byte[] bytes)
    {
        return Convert.ToBase64String(bytes).TrimEnd('=').Replace('+', '-').Replace('/', '_');
    }

    /// <summary>
    /// A key in a TPM that vouches for it: never in this process, and still an API is called with it.
    /// </summary>
    private static async Task Tpm()
    {
        var app = ManagedIdentityApplicationBuilder
            .Create(ManagedIdentityId.SystemAssigned)
            .WithTpm(new TpmOptions { Tcti = Env("TCTI"), Auth = new byte[] { 1, 2, 3 } })
            .Build();
        using (app)
        {
            var result = await app.AcquireTokenForManagedIdentity(Resource)
                .WithMtlsProofOfPossession()
                .WithAttestationSupport()
                .ExecuteAsync();
            Equal("mtls_pop", result.TokenType, "token type");
            Equal(MtlsBindingStrength.Attested, result.MtlsBindingStrength, "strength");
            True(!result.BindingCertificate.HasPrivateKey, "the key stays in the TPM");
            var handler = new MtlsPopHttpMessageHandler();
            handler.ClientCertificates.Add(result.BindingCertificate);
            using (var client = new HttpClient(handler))
            {
                client.DefaultRequestHeaders.Add("Authorization", result.CreateAuthorizationHeader());
                (await client.GetAsync(Api)).EnsureSuccessStatusCode();
            }
        }
    }
}
