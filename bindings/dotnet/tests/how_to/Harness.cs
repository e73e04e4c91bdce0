// Runs the samples of the how-to: what these leave to their reader, and whether they get what they should.

using System;
using System.IO;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop;

internal static partial class Samples
{
    private static int s_checked;

    private static void Main()
    {
        // Not by returning, after which Mono may wait up to a minute for an idle thread of its pool.
        Environment.Exit(RunAll());
    }

    private static int RunAll()
    {
        try
        {
            Run().GetAwaiter().GetResult();
            return s_checked == 4 ? 0 : 1;
        }
        catch (Exception exception)
        {
            Console.Error.WriteLine(exception);
            return 1;
        }
    }

    private static async Task Run()
    {
        string identity = Env("USER_ASSIGNED_CLIENT_ID");
        string client = Env("AZURE_CLIENT_ID"), tenant = Env("AZURE_TENANT_ID");
        await Sample0(identity, client, tenant);
        await Sample1(identity, client, tenant);
        await Sample2(identity, client, tenant);
        await Sample3(identity, client, tenant);
        await AcquireTokenWithFicAndMtlsPopAsync(
            Env("FIC_CLIENT_ID"), tenant, Load("FIC_PFX"), CancellationToken.None);
    }

    private static void Check(string promised, AuthenticationResult result)
    {
        if (result.TokenType != promised || (result.BindingCertificate != null) != (promised == "mtls_pop"))
        {
            throw new Exception($"expected {promised}, found {result.TokenType}");
        }
        s_checked++;
    }

    private static X509Certificate2 LoadSnICertificate()
    {
        return Load("SNI_PFX");
    }

    private static string CreateFicJwt(AssertionRequestOptions options)
    {
        return File.ReadAllText(Env("FIC_ASSERTION_PATH")).Trim();
    }

    private static X509Certificate2 Load(string variable)
    {
        return new X509Certificate2(Env(variable), "pfx", X509KeyStorageFlags.Exportable);
    }

    private static string Env(string name)
    {
        return Environment.GetEnvironmentVariable(name) ?? throw new Exception($"{name} is not set");
    }
}
