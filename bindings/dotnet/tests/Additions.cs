// What apps and requests can be told besides, and what is told about a host and by the service.

using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Http;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class Additions
{
    private static async Task Parameters()
    {
        var query = new Dictionary<string, (string, bool)> { ["of_app"] = ("1", false), ["slice"] = ("a b", true) };
        using (var app = Client()
            .WithCertificate(Certificate("SNI_PFX"), sendX5C: true)
            .WithExtraQueryParameters(query)
            .Build())
        using (var result = await app.AcquireTokenForClient(Scopes)
            .WithExtraQueryParameters(new Dictionary<string, (string, bool)> { ["dc"] = ("x", false) })
            .WithExtraHttpHeaders(new Dictionary<string, string> { ["x-demo"] = "header" })
            .WithExtraBodyParameters(new Dictionary<string, string> { ["demo"] = "body" })
            .WithExtraClientAssertionClaims("{\"demo\":2}")
            .WithClaimsFromClient("{\"demo\":1}")
            .WithFmiPath("some/workload")
            .WithCachePartitionKey("tenant", "contoso")
            .ExecuteAsync())
        {
            True(result.AdditionalResponseParameter("xms_devcloud") != null, "client_info is told");
            Equal(null, result.AdditionalResponseParameter("nothing"), "what was not said");
        }
    }

    private static async Task AgentIdentity()
    {
        using (var blueprint = Client("AGENT_BLUEPRINT_CLIENT_ID").WithCertificate(Certificate("SNI_PFX"), sendX5C: true).Build())
        using (var agent = Client("AGENT_IDENTITY_CLIENT_ID").WithClientAssertion(async request =>
        {
            var cloud = KnownCloudMetadata.Default.GetByAuthorityHost(new Uri(request.Authority).Host);
            string audience = cloud[CloudMetadataKeyNames.FederatedCredentialAudience];
            var result = await blueprint.AcquireTokenForClient(new[] { audience + "/.default" })
                .WithFmiPath(request.ClientID)
                .ExecuteAsync(request.CancellationToken);
            return result.AccessToken;
        }).Build())
        using (var result = await agent.AcquireTokenForClient(Scopes).ExecuteAsync())
        {
            Equal("Bearer", result.TokenType, "token type");
        }
    }

    private static async Task Oidc()
    {
        using (var app = ConfidentialClientApplicationBuilder.Create(Env("AZURE_CLIENT_ID"))
            .WithOidcAuthority("https://idp.devcloud.test")
            .WithClientSecret(Env("AZURE_CLIENT_SECRET"))
            .Build())
        using (var result = await app.AcquireTokenForClient(Scopes).ExecuteAsync())
        {
            Equal("https://idp.devcloud.test/oauth2/token", result.AuthenticationResultMetadata.TokenEndpoint,
                "token endpoint");
        }
    }

    private static async Task Renegotiation()
    {
        using (var named = Named("graph.microsoft.com"))
        using (var plain = SniClient())
        {
            await Version(named, null, "TLSv1.2");
            await Version(named, false, "TLSv1.3");
            await Version(plain, true, "TLSv1.2");
            await Version(plain, null, "TLSv1.3");
        }
        var error = await Throws<MsalClientException>(() => Task.Run(() => Named("https://localhost")));
        True(error.Message.Contains("not the name of a host"), error.Message);
    }

    private static IConfidentialClientApplication Named(string host)
    {
        return Client().WithCertificate(Certificate("SNI_PFX"), sendX5C: true).WithRenegotiatingHost(host).Build();
    }

    /// <summary>TLS 1.2 is what a server may ask late in.</summary>
    private static async Task Version(IConfidentialClientApplication app, bool? allow, string version)
    {
        var request = app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession();
        var handler = new MtlsPopHttpMessageHandler(token => request.ExecuteAsync(token)) { AllowRenegotiation = allow };
        using (var client = new HttpClient(handler))
        using (var response = await client.GetAsync("https://graph.microsoft.com/v1.0/me"))
        {
            var properties = response.RequestMessage.Properties;
            Equal(version, properties[MtlsPopHttpMessageHandler.TlsVersionProperty], "TLS");
            Equal(false, properties[MtlsPopHttpMessageHandler.RenegotiationDeclinedProperty], "declined");
        }
    }

    private static async Task TokenFile()
    {
        string key = CloudMetadataKeyNames.FederatedCredentialAudience;
        var cloud = KnownCloudMetadata.Default.GetByAuthorityHost("login.microsoftonline.us");
        Equal("api://AzureADTokenExchangeUSGov", cloud[key], "audience");
        Equal(null, KnownCloudMetadata.Default.GetByAuthorityHost("login.example.com"), "of no cloud");
        Equal(null, KnownCloudMetadata.Default.GetByAuthorityHost(null), "of no host");
        string pod = System.IO.Path.Combine(Env("DEVCLOUD_STATE_DIR"), "identity-binding.jwt");
        using (var app = Client("USER_ASSIGNED_CLIENT_ID").WithFederatedTokenFile(pod).WithAzureProxyEnabled().Build())
        {
            var result = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
            string endpoint = result.AuthenticationResultMetadata.TokenEndpoint;
            True(endpoint.StartsWith(Env("AZURE_KUBERNETES_TOKEN_PROXY") + "/"), endpoint);
        }
        foreach (string path in new[] { null, Env("AZURE_FEDERATED_TOKEN_FILE") })
        {
            using (var app = Client("FIC_CLIENT_ID").WithFederatedTokenFile(path).Build())
            {
                Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
            }
        }
    }

    /// <summary>The roots and the proxy are the app's own: those of the environment are wrong here.</summary>
    private static async Task OwnNetwork()
    {
        using (var app = Client()
            .WithClientSecret(Env("AZURE_CLIENT_SECRET"))
            .WithProxy(Env("PROXY"))
            .WithTrustedRootsFile(Env("ROOTS"))
            .Build())
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
        }
    }

    private static async Task Capabilities()
    {
        using (var app = Identity())
        {
            ManagedIdentityCapabilities found = await app.GetManagedIdentityCapabilitiesAsync();
            Equal(ManagedIdentitySource.Imds, found.Source, "source");
            Equal(MtlsBindingStrength.Software, found.MaxSupportedBindingStrength, "strength");
            True(found.IsMtlsPopSupportedByHost, "mtls_pop");
            True(found.DetectionReason.Contains("IMDSv2") && found.ErrorReason == null, found.DetectionReason);

            var hardware = new PoPOptions { MinStrength = MtlsBindingStrength.Hardware };
            var error = await Throws<MsalException>(() => app.AcquireTokenForManagedIdentity(Resource)
                .WithMtlsProofOfPossession(hardware).ExecuteAsync());
            Equal("min_strength_not_met", error.ErrorCode, "error code");
            var software = new PoPOptions { MinStrength = MtlsBindingStrength.Software };
            var result = await app.AcquireTokenForManagedIdentity(Resource)
                .WithMtlsProofOfPossession(software).ExecuteAsync();
            Equal("mtls_pop", result.TokenType, "token type");
            Equal(MtlsBindingStrength.Software, result.MtlsBindingStrength, "strength of the token");
            result = await app.AcquireTokenForManagedIdentity(Resource).ExecuteAsync();
            Equal(MtlsBindingStrength.None, result.MtlsBindingStrength, "strength of a Bearer token");
        }
    }

    /// <summary>Run twice: the second process has the certificate of the first.</summary>
    private static async Task Stored()
    {
        string directory = Env("STORE");
        using (var app = ManagedIdentityApplicationBuilder.Create(ManagedIdentityId.SystemAssigned)
            .WithBindingStore(directory, Encoding.UTF8.GetBytes("a secret of the test"))
            .Build())
        using (var result = await app
            .AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession().ExecuteAsync())
        {
            True(Directory.GetFiles(directory).Length > 0, "something is stored");
            foreach (string file in Directory.GetFiles(directory))
            {
                True(!File.ReadAllText(file).Contains("PRIVATE KEY-----"), "and no key in the clear");
            }
        }
    }

    /// <summary>Two caches with one store are two processes.</summary>
    private static async Task TokenStore()
    {
        var store = new MemoryStore();
        string first = null;
        foreach (CacheLevel level in new[] { CacheLevel.None, CacheLevel.L2Cache })
        {
            using (var cache = new TokenCache(store, maxEntries: 10))
            using (var app = Sharing(cache).Build())
            {
                var result = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
                Equal(level, result.AuthenticationResultMetadata.CacheLevel, "cache level");
                Equal(first ?? result.AccessToken, result.AccessToken, "token");
                first = result.AccessToken;
                Equal(1L, cache.Entries, "entries");
                Equal(1L, cache.Hits + cache.Misses, "calls");
                True(cache.Bytes > 0 && cache.Evictions == 0, "bytes");
            }
        }
        Equal(1, store.Saved.Count, "partitions");

        store.Fails = true;
        var lines = new List<string>();
        using (var cache = new TokenCache(store))
        using (var app = Sharing(cache).WithLogging((level, line, pii) => lines.Add(line)).Build())
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "without a store");
        }
        True(lines.Exists(line => line.Contains("the delegate threw DivideByZeroException")), string.Join("\n", lines));
        True(!lines.Exists(line => line.Contains("a store that fails")), "what it says may be a secret");
    }

    private static ConfidentialClientApplicationBuilder Sharing(TokenCache cache)
    {
        return Client().WithClientSecret(Env("AZURE_CLIENT_SECRET")).WithTokenCache(cache);
    }

    private sealed class MemoryStore : ITokenCacheStore
    {
        internal readonly Dictionary<string, byte[]> Saved = new Dictionary<string, byte[]>();

        internal bool Fails { private get; set; }

        public async Task<byte[]> LoadAsync(string suggestedCacheKey, CancellationToken cancellationToken)
        {
            await Task.Yield();
            if (Fails)
            {
                throw new DivideByZeroException("a store that fails");
            }
            return Saved.TryGetValue(suggestedCacheKey, out byte[] found) ? found : null;
        }

        public Task SaveAsync(
            string suggestedCacheKey, byte[] data, DateTimeOffset suggestedCacheExpiry, CancellationToken cancellationToken)
        {
            True(suggestedCacheExpiry > DateTimeOffset.UtcNow, "expiry");
            Saved[suggestedCacheKey] = data;
            return Task.CompletedTask;
        }
    }

    private static async Task Metrics()
    {
        var metrics = new List<Metric>();
        using (var app = Client()
            .WithClientSecret(Env("AZURE_CLIENT_SECRET"))
            .WithMetrics(metric =>
            {
                metrics.Add(metric);
                throw new Exception("metrics that fail");
            })
            .Build())
        {
            await app.AcquireTokenForClient(Scopes).ExecuteAsync();
        }
        True(metrics.Exists(metric => metric.Kind == MetricKind.Counter && metric.Value == 1), "a counter");
        True(metrics.Exists(metric => metric.Kind == MetricKind.Histogram && metric.Unit == "ms"), "a histogram");
        True(metrics.TrueForAll(metric => metric.Name.StartsWith("Msal") && metric.Tags.Count > 0), "names and tags");
    }

    /// <summary>A token that an API rejected is not served again; others are.</summary>
    private static async Task Rejected()
    {
        using (var app = SniClient())
        {
            var first = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
            string hash;
            using (var sha = System.Security.Cryptography.SHA256.Create())
            {
                byte[] digest = sha.ComputeHash(Encoding.UTF8.GetBytes(first.AccessToken));
                hash = BitConverter.ToString(digest).Replace("-", "").ToLowerInvariant();
            }
            foreach (TokenSource source in new[] { TokenSource.IdentityProvider, TokenSource.Cache })
            {
                var next = await app.AcquireTokenForClient(Scopes).WithAccessTokenSha256ToRefresh(hash).ExecuteAsync();
                Equal(source, next.AuthenticationResultMetadata.TokenSource, "source");
            }
        }
    }
}
