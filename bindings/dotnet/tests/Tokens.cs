// Both kinds of token by the three ways in, and an API called with them.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class Tokens
{
    private static async Task ManagedIdentity()
    {
        using (var app = Identity())
        {
            var bearer = await app.AcquireTokenForManagedIdentity(Resource).ExecuteAsync();
            Equal("Bearer", bearer.TokenType, "token type");
            Equal(null, bearer.BindingCertificate, "certificate of a Bearer token");
            Equal($"Bearer {bearer.AccessToken}", bearer.CreateAuthorizationHeader(), "header");

            var request = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
            var pop = await request.ExecuteAsync();
            Bound(pop);
            True(pop.BindingCertificate.HasPrivateKey, "the key came with the certificate");
            await CallApi(pop);

            var again = await request.ExecuteAsync();
            Equal(TokenSource.Cache, again.AuthenticationResultMetadata.TokenSource, "source");
            Equal(pop.AccessToken, again.AccessToken, "token");
            True(ReferenceEquals(pop.BindingCertificate, again.BindingCertificate), "the same object");
        }
    }

    private static async Task Cached()
    {
        using (var app = SniClient())
        {
            var found = new List<AuthenticationResult>();
            foreach (bool bound in new[] { false, true })
            {
                var request = app.AcquireTokenForClient(Scopes);
                if (bound)
                {
                    request.WithMtlsProofOfPossession();
                }
                Equal(null, request.ExecuteFromCache(), "what an empty cache has");
                AuthenticationResult fetched = await request.ExecuteAsync();
                for (int round = 0; round < 3; round++)
                {
                    int thread = Thread.CurrentThread.ManagedThreadId;
                    Task<AuthenticationResult> task = request.ExecuteAsync();
                    True(task.IsCompleted, "what the cache has is there at once");
                    found.Add(await task);
                    Equal(thread, Thread.CurrentThread.ManagedThreadId, "thread");
                }
                found.Add(request.ExecuteFromCache());
                // A setting that makes no other token of it.
                Guid id = Guid.NewGuid();
                found.Add(request.WithCorrelationId(id).ExecuteFromCache());
                Equal(id, found[4].CorrelationId, "id");
                foreach (AuthenticationResult cached in found)
                {
                    Equal(fetched.AccessToken, cached.AccessToken, "token");
                    Equal(fetched.ExpiresOn, cached.ExpiresOn, "expiry");
                    Equal(string.Join(" ", fetched.Scopes), string.Join(" ", cached.Scopes), "scopes");
                    AuthenticationResultMetadata metadata = cached.AuthenticationResultMetadata;
                    Equal(TokenSource.Cache, metadata.TokenSource, "source");
                    Equal(CacheLevel.L1Cache, metadata.CacheLevel, "level");
                    Equal(CacheRefreshReason.NotApplicable, metadata.CacheRefreshReason, "reason");
                    Equal(0, metadata.DurationTotalInMs, "duration");
                    Equal(fetched.AuthenticationResultMetadata.TokenEndpoint, metadata.TokenEndpoint, "endpoint");
                    Equal(bound, cached.BindingCertificate != null, "certificate");
                }
                Equal(5, found.Select(cached => cached.CorrelationId).Distinct().Count(), "ids");
                True(ReferenceEquals(found[1].AccessToken, found[2].AccessToken), "one string for all");
                found[0].Dispose();
                Equal(found[1].AccessToken, found[0].AccessToken, "token of one that is disposed");
                True(found[0].CorrelationId != Guid.Empty, "its id");
                if (bound)
                {
                    await CallApi(found[1]);
                }
                Equal(null, request.WithForceRefresh(true).ExecuteFromCache(), "what bypasses the cache");
                found.Clear();
            }
            await Throws<MsalClientException>(() => app.AcquireTokenForClient(new string[0]).ExecuteAsync());
            var cancelled = app.AcquireTokenForClient(Scopes).ExecuteAsync(new CancellationToken(true));
            True(cancelled.IsCanceled, "a call that was over before it began");
        }
    }

    private static async Task UserAssigned()
    {
        var names = new[]
        {
            ManagedIdentityId.WithUserAssignedClientId(Env("USER_ASSIGNED_CLIENT_ID")),
            ManagedIdentityId.WithUserAssignedObjectId(Env("USER_ASSIGNED_OBJECT_ID")),
            ManagedIdentityId.WithUserAssignedResourceId(Env("USER_ASSIGNED_RESOURCE_ID")),
        };
        foreach (ManagedIdentityId name in names)
        {
            using (var app = Identity(name))
            {
                var request = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
                Bound(await request.ExecuteAsync());
            }
        }
    }

    private static async Task SubjectNameIssuer()
    {
        var certificate = Certificate("SNI_PFX");
        using (var app = Client().WithCertificate(certificate, sendX5C: true).Build())
        {
            var bearer = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
            Equal("Bearer", bearer.TokenType, "token type");

            var id = Guid.NewGuid();
            var pop = await app.AcquireTokenForClient(Scopes)
                .WithMtlsProofOfPossession()
                .WithCorrelationId(id)
                .ExecuteAsync();
            Bound(pop);
            True(ReferenceEquals(certificate, pop.BindingCertificate), "the very certificate of the app");
            Equal(id, pop.CorrelationId, "correlation id");
            Equal(Env("AZURE_TENANT_ID"), pop.TenantId, "tenant");
            Equal(Scopes[0], pop.Scopes.Single(), "scopes");
            var metadata = pop.AuthenticationResultMetadata;
            Equal(TokenSource.IdentityProvider, metadata.TokenSource, "source");
            Equal(CacheRefreshReason.NoCachedAccessToken, metadata.CacheRefreshReason, "reason");
            Equal("eastus", metadata.RegionDetails.RegionUsed, "region");
            Equal(RegionOutcome.UserProvided, metadata.RegionDetails.RegionOutcome, "region outcome");
            True(metadata.TokenEndpoint.Contains("eastus.mtlsauth.microsoft.com"), metadata.TokenEndpoint);
            Equal("TLSv1.3", metadata.TlsVersion, "TLS");
            Equal(true, metadata.CertificateRequested, "asked for the certificate");
            await CallApi(pop);

            var forced = await app.AcquireTokenForClient(Scopes)
                .WithMtlsProofOfPossession()
                .WithForceRefresh(true)
                .ExecuteAsync();
            True(forced.AccessToken != pop.AccessToken, "a forced refresh is another token");
        }
    }

    /// <summary>The first token is due for replacement after a second.</summary>
    private static async Task EarlyRefresh()
    {
        var told = new TaskCompletionSource<ExecutionResult>();
        var builder = Client().WithCertificate(Certificate("SNI_PFX"), sendX5C: true)
            .OnBackgroundTokenRefreshCompleted(async outcome =>
            {
                await Task.Yield();
                told.SetResult(outcome);
                throw new InvalidOperationException("nobody catches this");
            });
        using (var app = builder.Build())
        {
            var first = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
            // The delegate lives for the library alone.
            builder = null;
            GC.Collect();
            var end = DateTime.UtcNow.AddSeconds(60);
            var reason = CacheRefreshReason.NotApplicable;
            while (reason == CacheRefreshReason.NotApplicable && DateTime.UtcNow < end)
            {
                var next = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
                Equal(first.AccessToken, next.AccessToken, "the token that is still good");
                reason = next.AuthenticationResultMetadata.CacheRefreshReason;
            }
            Equal(CacheRefreshReason.ProactivelyRefreshed, reason, "reason");
            ExecutionResult refreshed = await told.Task;
            True(refreshed.Successful && refreshed.Exception == null, "refreshed");
            True(first.AccessToken != refreshed.Result.AccessToken, "another token");
            Equal(TokenSource.IdentityProvider, refreshed.Result.AuthenticationResultMetadata.TokenSource, "source");
            var served = await app.AcquireTokenForClient(Scopes).ExecuteAsync();
            Equal(refreshed.Result.AccessToken, served.AccessToken, "the token that is served now");

            // The next one is refused.
            told = new TaskCompletionSource<ExecutionResult>();
            while (!told.Task.IsCompleted && DateTime.UtcNow < end)
            {
                await app.AcquireTokenForClient(Scopes).ExecuteAsync();
            }
            refreshed = await told.Task;
            True(!refreshed.Successful && refreshed.Result == null, "refused");
            Equal("invalid_request", refreshed.Exception.ErrorCode, "error code");
            Equal(400, ((MsalServiceException)refreshed.Exception).StatusCode, "status");
        }
    }

    private static async Task Federated()
    {
        var certificate = Certificate("FIC_PFX");
        AssertionRequestOptions asked = null;
        var app = Client("FIC_CLIENT_ID")
            .WithClientAssertion(async (options, cancellationToken) =>
            {
                // Real delegates wait for something.
                await Task.Yield();
                asked = options;
                bool bound = options.TokenType == "mtls_pop";
                return new ClientSignedAssertion
                {
                    Assertion = Assertion(bound),
                    TokenBindingCertificate = bound ? certificate : null,
                };
            })
            .Build();
        using (app)
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
            Equal(Env("FIC_CLIENT_ID"), asked.ClientID, "client id");
            Equal(Env("AZURE_TENANT_ID"), asked.TenantId, "tenant");

            var pop = await app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession().ExecuteAsync();
            Bound(pop);
            True(ReferenceEquals(certificate, pop.BindingCertificate), "the certificate of the assertion");
            True(asked.TokenEndpoint.StartsWith("https://eastus.mtlsauth."), asked.TokenEndpoint);
            await CallApi(pop);
        }
    }

    /// <summary>A delegate that waits goes on in the pool, which waiting calls must not fill.</summary>
    private static async Task Crowd()
    {
        var app = Client("FIC_CLIENT_ID")
            .WithClientAssertion(async options =>
            {
                await Task.Delay(50);
                return Assertion(bound: false);
            })
            .Build();
        using (app)
        {
            var watch = System.Diagnostics.Stopwatch.StartNew();
            var request = app.AcquireTokenForClient(Scopes);
            var results = await Task.WhenAll(Enumerable.Range(0, 200).Select(call => request.ExecuteAsync()));
            True(results.All(result => result.AccessToken == results[0].AccessToken), "the same token");
            True(watch.Elapsed < TimeSpan.FromSeconds(30), $"it took {watch.Elapsed}");
        }
    }

    /// <summary>
    /// Calls the API as the how-to does, and with a handler that acquires the token itself.
    /// </summary>
    private static async Task CallApi(AuthenticationResult result)
    {
        var handler = new MtlsPopHttpMessageHandler();
        handler.ClientCertificates.Add(result.BindingCertificate);
        using (var client = new HttpClient(handler))
        using (var request = new HttpRequestMessage(HttpMethod.Get, Api))
        {
            request.Headers.Add("Authorization", result.CreateAuthorizationHeader());
            using (var response = await client.SendAsync(request))
            {
                Equal(HttpStatusCode.OK, response.StatusCode, "status");
                Equal("application/json", response.Content.Headers.ContentType.MediaType, "content type");
                string body = await response.Content.ReadAsStringAsync();
                True(body.Contains("@odata.context"), body);
            }
        }
        using (var client = new HttpClient(new MtlsPopHttpMessageHandler(token => Task.FromResult(result))))
        using (var response = await client.PostAsync(Api, new StringContent("{}")))
        {
            True(response.RequestMessage.Method == HttpMethod.Post, "the request is in the response");
            var properties = response.RequestMessage.Properties;
            Equal("TLSv1.3", properties[MtlsPopHttpMessageHandler.TlsVersionProperty], "TLS");
            Equal(true, properties[MtlsPopHttpMessageHandler.CertificateRequestedProperty], "asked");
        }
    }

    /// <summary>
    /// A vault asks for the certificate in a renegotiation.
    /// </summary>
    private static async Task KeyVault()
    {
        using (var app = Client().WithCertificate(Certificate("SNI_PFX"), sendX5C: true).Build())
        {
            var request = app.AcquireTokenForClient(new[] { "https://vault.azure.net/.default" })
                .WithMtlsProofOfPossession();
            var handler = new MtlsPopHttpMessageHandler(token => request.ExecuteAsync(token));
            using (var client = new HttpClient(handler))
            using (var response = await client.GetAsync("https://a.vault.azure.net/secrets/demo"))
            {
                Equal(HttpStatusCode.OK, response.StatusCode, "status");
                var properties = response.RequestMessage.Properties;
                Equal("TLSv1.2", properties[MtlsPopHttpMessageHandler.TlsVersionProperty], "TLS");
                Equal(true, properties[MtlsPopHttpMessageHandler.CertificateRequestedProperty], "asked");
            }
        }
    }

    private static void Bound(AuthenticationResult result)
    {
        Equal("mtls_pop", result.TokenType, "token type");
        True(result.ExpiresOn > DateTimeOffset.UtcNow, "it lives");
        string payload = result.AccessToken.Split('.')[1].Replace('-', '+').Replace('_', '/');
        payload = payload.PadRight((payload.Length + 3) / 4 * 4, '=');
        string claims = System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(payload));
        using (var sha = System.Security.Cryptography.SHA256.Create())
        {
            string thumbprint = Convert.ToBase64String(sha.ComputeHash(result.BindingCertificate.RawData));
            thumbprint = thumbprint.TrimEnd('=').Replace('+', '-').Replace('/', '_');
            True(claims.Contains($"\"x5t#S256\":\"{thumbprint}\""), $"{claims} is bound to {thumbprint}");
        }
    }
}
