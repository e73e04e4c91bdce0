// How long things live: delegates, certificates, and what a long life costs.

using System;
using System.IO;
using System.Net.Http;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class Lifetimes
{
    private static async Task Cycles()
    {
        // The metadata service issues one certificate for all, and the cache of the process has the token.
        using (var app = Identity())
        {
            await Cycle(app, 50000);
            long before = Resident();
            await Cycle(app, 100000);
            long grown = Resident() - before;
            Console.WriteLine($"{before} KiB, {grown} KiB more after 100,000 cycles");
            True(grown < 8192, $"100,000 cycles took {grown} KiB");
        }
    }

    /// <summary>Tokens, and with each hundredth what is rarer: errors, apps, delegates, certificates.</summary>
    private static async Task Cycle(IManagedIdentityApplication app, int times)
    {
        for (int cycle = 0; cycle < times; cycle++)
        {
            var request = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
            using (var result = await request.ExecuteAsync())
            {
                Equal("mtls_pop", result.TokenType, "token type");
                if (cycle % 100 == 0)
                {
                    True(result.BindingCertificate.HasPrivateKey, "it has its key");
                }
            }
            if (cycle % 100 == 0)
            {
                await Throws<MsalException>(() => app.AcquireTokenForManagedIdentity("no resource, but words").ExecuteAsync());
                using (Identity())
                using (Client("FIC_CLIENT_ID").WithClientAssertion(options => Task.FromResult("jwt")).Build())
                {
                }
            }
        }
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private static long Resident()
    {
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * 4;
    }

    /// <summary>A handler sends a token whose result nobody holds, as long as its app is there.</summary>
    private static async Task Remembered()
    {
        using (var app = Identity())
        {
            string header = null;
            var handler = new MtlsPopHttpMessageHandler();
            // On another thread, whose stack Mono no longer looks at.
            var thread = new Thread(() =>
            {
                var request = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
                var result = request.ExecuteAsync().GetAwaiter().GetResult();
                header = result.CreateAuthorizationHeader();
                handler.ClientCertificates.Add(result.BindingCertificate);
            });
            thread.Start();
            thread.Join();
            using (var client = new HttpClient(handler))
            {
                client.DefaultRequestHeaders.Add("Authorization", header);
                for (int call = 0; call < 3; call++)
                {
                    Collect();
                    (await client.GetAsync(Api)).EnsureSuccessStatusCode();
                }
            }
        }
    }

    /// <summary>A delegate lives as long as its app, and log lines arrive until then.</summary>
    private static async Task Rooted()
    {
        int lines = 0;
        var app = Logging((level, message, containsPii) =>
        {
            Interlocked.Increment(ref lines);
            throw new Exception("a log that fails");
        }, out WeakReference target);
        Collect();
        Equal("Bearer", (await app.AcquireTokenForClient(Scopes).ExecuteAsync()).TokenType, "token type");
        True(lines > 0, "lines arrived, and their failure failed nothing");
        True(target.IsAlive, "the app keeps its delegate");
        app.Dispose();
        app = null;
        for (int attempt = 0; target.IsAlive && attempt < 50; attempt++)
        {
            await Task.Yield();
            Collect();
        }
        True(!target.IsAlive, "nothing keeps the delegate of an app that is gone");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static IConfidentialClientApplication Logging(LogCallback log, out WeakReference reference)
    {
        // On another thread, whose stack Mono no longer looks at.
        IConfidentialClientApplication app = null;
        WeakReference weak = null;
        var thread = new Thread(() =>
        {
            var source = new Source();
            weak = new WeakReference(source);
            app = Client("FIC_CLIENT_ID")
                .WithLogging(log, LogLevel.Verbose)
                .WithClientAssertion(source.Give)
                .Build();
        });
        thread.Start();
        thread.Join();
        reference = weak;
        return app;
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private sealed class Source
    {
        internal Task<string> Give(AssertionRequestOptions options)
        {
            return Task.FromResult(Assertion(bound: false));
        }
    }
}
