// Runs the test that argument 0 names, in devcloud's environment. What the tests share is here, too.

using System;
using System.IO;
using System.Reflection;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Tasks;
using Mtlspop;

internal static class Program
{
    internal const string Resource = "https://graph.microsoft.com/";
    internal const string Api = "https://graph.microsoft.com/v1.0/me";
    internal static readonly bool IsMono = Type.GetType("Mono.Runtime") != null;
    internal static readonly string[] Scopes = { "https://graph.microsoft.com/.default" };

    private static void Main(string[] arguments)
    {
        // Not by returning, after which Mono may wait up to a minute for an idle thread of its pool.
        Environment.Exit(Run(arguments));
    }

    private static int Run(string[] arguments)
    {
        try
        {
            foreach (Type type in typeof(Program).Assembly.GetTypes())
            {
                MethodInfo test = type.GetMethod(arguments[0], BindingFlags.Static | BindingFlags.NonPublic);
                if (test != null)
                {
                    ((Task)test.Invoke(null, new object[0])).GetAwaiter().GetResult();
                    return 0;
                }
            }
            Console.Error.WriteLine($"there is no test {arguments[0]}");
        }
        catch (Exception exception)
        {
            Console.Error.WriteLine(exception);
        }
        return 1;
    }

    internal static string Env(string name)
    {
        return Environment.GetEnvironmentVariable(name) ?? throw new Exception($"{name} is not set");
    }

    internal static X509Certificate2 Certificate(string variable)
    {
        return new X509Certificate2(Env(variable), "pfx", X509KeyStorageFlags.Exportable);
    }

    internal static IManagedIdentityApplication Identity(ManagedIdentityId id = null)
    {
        return ManagedIdentityApplicationBuilder.Create(id ?? ManagedIdentityId.SystemAssigned).Build();
    }

    internal static ConfidentialClientApplicationBuilder Client(string variable = "AZURE_CLIENT_ID")
    {
        return ConfidentialClientApplicationBuilder
            .Create(Env(variable))
            .WithAuthority($"https://login.microsoftonline.com/{Env("AZURE_TENANT_ID")}")
            .WithAzureRegion("east us");
    }

    internal static IConfidentialClientApplication SniClient()
    {
        return Client().WithCertificate(Certificate("SNI_PFX"), sendX5C: true).Build();
    }

    internal static string Assertion(bool bound)
    {
        return File.ReadAllText(Env(bound ? "FIC_ASSERTION_PATH" : "AZURE_FEDERATED_TOKEN_FILE")).Trim();
    }

    internal static void Equal<T>(T expected, T found, string what)
    {
        if (!Equals(expected, found))
        {
            throw new Exception($"{what}: expected {expected}, found {found}");
        }
    }

    internal static void True(bool holds, string what)
    {
        if (!holds)
        {
            throw new Exception($"not true: {what}");
        }
    }

    internal static async Task<T> Throws<T>(Func<Task> body) where T : Exception
    {
        try
        {
            await body();
        }
        catch (T exception)
        {
            return exception;
        }
        throw new Exception($"nothing threw {typeof(T).Name}");
    }
}
