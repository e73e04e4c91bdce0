// Prints what a cached token costs, for `make bench`: rows of a name, a value and its unit, in devcloud's environment.

using System;
using System.Diagnostics;
using System.Threading.Tasks;
using Mtlspop;

internal static class Bench
{
    private const int Rounds = 5;
    private static readonly string[] Scopes = { "https://graph.microsoft.com/.default" };

    private static void Main()
    {
        using (var app = ConfidentialClientApplicationBuilder
            .Create(Env("AZURE_CLIENT_ID"))
            .WithAuthority($"https://login.microsoftonline.com/{Env("AZURE_TENANT_ID")}")
            .WithClientSecret(Env("AZURE_CLIENT_SECRET"))
            .Build())
        using (var identity = ManagedIdentityApplicationBuilder.Create(ManagedIdentityId.SystemAssigned).Build())
        {
            Show("cached Bearer token", () => app.AcquireTokenForClient(Scopes).ExecuteAsync());
            Show("cached mtls_pop token, managed identity", () => identity
                .AcquireTokenForManagedIdentity("https://graph.microsoft.com/")
                .WithMtlsProofOfPossession()
                .ExecuteAsync());
        }
        // Not by returning, after which Mono may wait up to a minute for an idle thread of its pool.
        Environment.Exit(0);
    }

    // The best of some rounds, of calls that the cache answers.
    private static void Show(string name, Func<Task<AuthenticationResult>> call)
    {
        const int calls = 20000;
        double best = double.MaxValue;
        bool waited = false;
        for (int round = -1; round < Rounds; round++)
        {
            var watch = Stopwatch.StartNew();
            for (int n = 0; n < calls; n++)
            {
                Task<AuthenticationResult> task = call();
                waited |= round >= 0 && !task.IsCompleted;
                task.GetAwaiter().GetResult();
            }
            // The first one compiles, and gets the token.
            best = round < 0 ? best : Math.Min(best, watch.Elapsed.TotalMilliseconds * 1000 / calls);
        }
        if (call().Result.AuthenticationResultMetadata.TokenSource != TokenSource.Cache)
        {
            throw new Exception("the cache did not answer: there is nothing to measure");
        }
        Console.WriteLine(FormattableString.Invariant($"{name}{(waited ? ", on the pool" : "")} {best:F3} us"));
    }

    private static string Env(string name)
    {
        return Environment.GetEnvironmentVariable(name) ?? throw new Exception($"{name} is not set");
    }
}
