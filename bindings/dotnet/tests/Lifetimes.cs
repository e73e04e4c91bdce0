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
        await Cycle(500);
        long before = Resident();
        await Cycle(2000);
        long grown = Resident() - before;
        Console.WriteLine($"{before} KiB, {grown} KiB more after 2000 cycles");
        True(grown < 4096, $"2000 cycles took {grown} KiB");
    }

    private static async Task Cycle(int times)
    {
        for (int cycle = 0; cycle < times; cycle++)
        {
            using (var app = Identity())
            using (Client("FIC_CLIENT_ID").WithClientAssertion(options => Task.FromResult("jwt")).Build())
            {
                var request = app.AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession();
                using (var result = await request.ExecuteAsync())
                {
                    True(result.BindingCertificate.HasPrivateKey, "it has its key");
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
