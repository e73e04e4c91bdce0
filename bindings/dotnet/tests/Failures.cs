// What goes wrong: exceptions and their fields, cancellation, and what a program's own code throws.

using System;
using System.Linq;
using System.Net.Http;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class Failures
{
    /// <summary>
    /// Expects in turn: an app that the tenant does not know, interaction_required, 429, no answer.
    /// </summary>
    private static async Task Fields()
    {
        var unknown = ConfidentialClientApplicationBuilder
            .Create("99999999-0000-4000-8000-000000000000")
            .WithAuthority($"https://login.microsoftonline.com/{Env("AZURE_TENANT_ID")}")
            .WithClientSecret("wrong")
            .Build();
        using (unknown)
        {
            var error = await Throws<MsalServiceException>(
                () => unknown.AcquireTokenForClient(Scopes).ExecuteAsync());
            Equal("unauthorized_client", error.ErrorCode, "code");
            Equal(400, error.StatusCode, "status");
            Equal(700016, error.AadstsCodes.Single(), "AADSTS");
            Guid.Parse(error.CorrelationId);
            True(error.Message.StartsWith("AADSTS700016: "), error.Message);
            True(!error.IsRetryable && error.Claims == null && error.RetryAfter == null, "nothing else");
            var reached = error.AuthenticationResultMetadata;
            True(reached.TokenEndpoint.EndsWith("/oauth2/v2.0/token"), reached.TokenEndpoint);
            Equal(RegionOutcome.None, reached.RegionDetails.RegionOutcome, "region outcome");
            True(reached.DurationTotalInMs >= reached.DurationInHttpInMs, "durations");
        }
        using (var app = SniClient())
        {
            var request = app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession();
            Func<Task> acquire = () => request.ExecuteAsync();

            var required = await Throws<MsalUiRequiredException>(acquire);
            Equal("interaction_required", required.ErrorCode, "code");
            Equal("basic_action", required.SubError, "suberror");
            Equal("{\"access_token\":{}}", required.Claims, "claims");

            // Of another client: who is asked to wait is not sent to the service.
            Func<AssertionRequestOptions, Task<string>> assertion =
                options => Task.FromResult(Assertion(bound: false));
            using (var federated = Client("FIC_CLIENT_ID").WithClientAssertion(assertion).Build())
            {
                var throttled = await Throws<MsalThrottledServiceException>(
                        () => federated.AcquireTokenForClient(Scopes).ExecuteAsync());
                Equal(429, throttled.StatusCode, "status");
                Equal(TimeSpan.FromSeconds(7), throttled.RetryAfter.Value, "retry after");
                True(throttled.IsRetryable, "it can be tried again");
            }

            var unanswered = await Throws<MsalServiceException>(acquire);
            Equal(0, unanswered.StatusCode, "status where there was no answer");
            True(unanswered.IsRetryable, "it can be tried again");
        }
    }

    private static async Task Mistakes()
    {
        var error = await Throws<MsalClientException>(() => Task.Run(() => Client().Build()));
        Equal("Client_Credentials_Required_In_Confidential_Client_Application", error.ErrorCode, "code");
        True(error.AuthenticationResultMetadata == null, "nobody was asked");

        var bare = new X509Certificate2(Certificate("SNI_PFX").RawData);
        error = await Throws<MsalClientException>(() => Task.Run(() => Client().WithCertificate(bare, true)));
        Equal("cert_without_private_key", error.ErrorCode, "code");

        using (var app = Client().WithClientSecret(Env("AZURE_CLIENT_SECRET")).Build())
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
            await Throws<MsalClientException>(
                () => app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession().ExecuteAsync());
            await Throws<MsalClientException>(
                () => app.AcquireTokenForClient(Scopes).WithClaims("no JSON").ExecuteAsync());
            await Throws<ArgumentException>(
                () => Task.Run(() => app.AcquireTokenForClient(Scopes).WithTenantId("a\0b")));
        }
        using (var app = Identity())
        {
            error = await Throws<MsalClientException>(
                () => app.AcquireTokenForManagedIdentity(Resource).WithAttestationSupport().ExecuteAsync());
            True(error.Message.Contains("WithTpm"), error.Message);
        }
        var disposed = SniClient();
        disposed.Dispose();
        await Throws<ObjectDisposedException>(() => disposed.AcquireTokenForClient(Scopes).ExecuteAsync());
    }

    /// <summary>The token endpoint takes a minute: each way to stop must end the call at once.</summary>
    private static async Task Cancelled()
    {
        using (var app = SniClient())
        {
            var before = app.AcquireTokenForClient(Scopes).ExecuteAsync(new CancellationToken(true));
            await Throws<OperationCanceledException>(() => before);
            True(before.IsCanceled, "the task is cancelled");
        }
        using (var stop = new CancellationTokenSource())
        {
            var app = Client("FIC_CLIENT_ID")
                .WithClientAssertion((options, token) =>
                {
                    Equal(stop.Token, token, "the token of the call");
                    stop.CancelAfter(100);
                    return Task.FromResult(new ClientSignedAssertion { Assertion = Assertion(bound: false) });
                })
                .Build();
            using (app)
            {
                var during = app.AcquireTokenForClient(Scopes).ExecuteAsync(stop.Token);
                var error = await Throws<OperationCanceledException>(() => during);
                Equal(stop.Token, error.CancellationToken, "whose token it was");
                True(during.IsCanceled, "the task is cancelled");
            }
        }
        using (var stop = new CancellationTokenSource())
        {
            var app = Client("FIC_CLIENT_ID")
                .WithClientAssertion(async (options, token) =>
                {
                    stop.CancelAfter(100);
                    await Task.Delay(Timeout.Infinite, token);
                    return null;
                })
                .Build();
            using (app)
            {
                await Throws<OperationCanceledException>(
                    () => app.AcquireTokenForClient(Scopes).ExecuteAsync(stop.Token));
            }
        }
    }

    private static async Task Thrown()
    {
        var closed = new InvalidOperationException("the vault is closed\non Sundays");
        var apps = new[]
        {
            Client("FIC_CLIENT_ID").WithClientAssertion((options, token) => throw closed).Build(),
            Client("FIC_CLIENT_ID").WithClientAssertion(async (options, token) =>
            {
                await Task.Yield();
                throw closed;
            }).Build(),
        };
        foreach (var app in apps)
        {
            var error = await Throws<MsalClientException>(
                () => app.AcquireTokenForClient(Scopes).ExecuteAsync());
            Equal("client_assertion_callback_failed", error.ErrorCode, "code");
            True(ReferenceEquals(closed, error.InnerException), "what the delegate threw");
            True(error.Message.EndsWith("the delegate threw InvalidOperationException"), error.Message);
            True(error.ToString().Contains("the vault is closed"), "the inner exception tells more");
            app.Dispose();
        }
        using (var app = Client("FIC_CLIENT_ID").WithClientAssertion((options, token) => null).Build())
        {
            var error = await Throws<MsalClientException>(
                () => app.AcquireTokenForClient(Scopes).ExecuteAsync());
            Equal("invalid_client_assertion", error.ErrorCode, "code where the delegate gives nothing");
        }
    }

    /// <summary>A key that cannot be exported signs where it is; what it cannot do is told.</summary>
    private static async Task Signer()
    {
        var certificate = new Locked(Env("SNI_PFX"));
        using (var app = Client().WithCertificate(certificate, sendX5C: true).Build())
        {
            Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
            var bound = app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession();
            if (IsMono)
            {
                // TLS 1.3 takes nothing but PSS, which Mono has not.
                var error = await Throws<MsalException>(() => bound.ExecuteAsync());
                True(error.InnerException is CryptographicException, error.ToString());
                return;
            }
            using (var client = new HttpClient(new MtlsPopHttpMessageHandler(token => bound.ExecuteAsync(token))))
            {
                (await client.GetAsync(Api)).EnsureSuccessStatusCode();
            }
        }
    }

    private static async Task Handler()
    {
        using (var app = SniClient())
        using (var result = await Pop(app))
        {
            var handler = new MtlsPopHttpMessageHandler();
            using (var client = new HttpClient(handler))
            {
                Func<Task> call = async () =>
                {
                    using (var request = new HttpRequestMessage(HttpMethod.Post, Api))
                    {
                        request.Headers.Add("Authorization", result.CreateAuthorizationHeader());
                        request.Headers.UserAgent.ParseAdd("program/1.0 (test)");
                        request.Headers.Add("X-Demo", new[] { "a", "b" });
                        request.Content = new StringContent("ü");
                        await client.SendAsync(request);
                    }
                };
                await Throws<InvalidOperationException>(call);
                handler.ClientCertificates.Add(result.BindingCertificate);
                await call();

                var plain = await Throws<HttpRequestException>(async () =>
                {
                    using (var request = new HttpRequestMessage(HttpMethod.Get, Api.Replace("https", "http")))
                    {
                        request.Headers.Add("Authorization", result.CreateAuthorizationHeader());
                        await client.SendAsync(request);
                    }
                });
                True(plain.InnerException is MsalClientException, plain.ToString());

                result.Dispose();
                await Throws<InvalidOperationException>(call);
            }
        }
    }

    private static Task<AuthenticationResult> Pop(IConfidentialClientApplication app)
    {
        return app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession().ExecuteAsync();
    }

    /// <summary>With a library of another version.</summary>
    private static async Task OtherVersion()
    {
        var error = await Throws<DllNotFoundException>(() => Task.Run(() => Client()));
        True(error.Message.Contains("libmtlspop 9.9.9 has ABI 1.9; this assembly needs 0."), error.Message);
    }

    /// <summary>A certificate whose key stays where it is.</summary>
    private sealed class Locked : X509Certificate2
    {
        internal Locked(string file) : base(file, "pfx")
        {
        }

        public override byte[] Export(X509ContentType contentType, string password)
        {
            throw new CryptographicException("the key is not exportable");
        }
    }
}
