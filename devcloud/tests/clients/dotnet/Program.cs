// Flows of MSAL.NET, the Azure SDK for .NET and JwtBearer, in whatever cloud the environment leads to: FLOW...

using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Azure.Core;
using Azure.Identity;
using Azure.Security.KeyVault.Secrets;
using Azure.Storage.Blobs;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Identity.Client;
using IdOfMsal = Microsoft.Identity.Client.AppConfig.ManagedIdentityId;

const string Graph = "https://graph.microsoft.com", Scope = Graph + "/.default";
const string UserAssigned = "22222222-3333-4444-8555-666666666602";
var names = new Dictionary<string, string>
{
    ["0b9ec5a1-7c43-4d0e-a2f5-00000000aaaa"] = "application A",
    ["0b9ec5a1-7c43-4d0e-a2f5-00000000bbbb"] = "application B",
    ["0b9ec5a1-7c43-4d0e-a2f5-000000000501"] = "the system-assigned identity",
    ["0b9ec5a1-7c43-4d0e-a2f5-000000000602"] = "the user-assigned identity",
};

string Env(string name) => Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException($"{name} is not set");

string Whose(string token)
{
    var part = token.Split('.')[1].Replace('-', '+').Replace('_', '/');
    var claims = JsonDocument.Parse(Convert.FromBase64String(part + new string('=', (4 - part.Length % 4) % 4)));
    return names[claims.RootElement.GetProperty("oid").GetString()!];
}

ConfidentialClientApplicationBuilder App() => ConfidentialClientApplicationBuilder.Create(Env("AZURE_CLIENT_ID"))
    .WithAuthority("https://login.microsoftonline.com/" + Env("AZURE_TENANT_ID"));

X509Certificate2 Certificate() => X509Certificate2.CreateFromPemFile(Env("AZURE_CLIENT_CERTIFICATE_PATH"));

async Task<string> Get(ConfidentialClientApplicationBuilder app) =>
    Whose((await app.Build().AcquireTokenForClient([Scope]).ExecuteAsync()).AccessToken);

async Task<string> Managed(IdOfMsal id) =>
    Whose((await ManagedIdentityApplicationBuilder.Create(id).Build().AcquireTokenForManagedIdentity(Graph).ExecuteAsync()).AccessToken);

async Task<string> Credential(TokenCredential made) =>
    Whose((await made.GetTokenAsync(new TokenRequestContext([Scope]), default)).Token);

// With a bound token, and an API that looks at the certificate of the connection.
async Task<string> Bound()
{
    var app = App().WithCertificate(Certificate(), true).WithAzureRegion("westus2").Build();
    var result = await app.AcquireTokenForClient([Scope]).WithMtlsProofOfPossession().ExecuteAsync();
    using var handler = new HttpClientHandler();
    handler.ClientCertificates.Add(result.BindingCertificate);
    using var client = new HttpClient(handler);
    client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(result.TokenType, result.AccessToken);
    var answer = await client.GetAsync(Graph + "/v1.0/applications");
    return $"{Whose(result.AccessToken)}, {result.TokenType}, {(int)answer.StatusCode}";
}

async Task<string> Secrets()
{
    var client = new SecretClient(new Uri("https://devcloud.vault.azure.net"), new DefaultAzureCredential());
    await client.SetSecretAsync("name", "one");
    await client.SetSecretAsync("name", "two");
    var value = (await client.GetSecretAsync("name")).Value.Value;
    var (found, versions) = (client.GetPropertiesOfSecrets().Count(), client.GetPropertiesOfSecretVersions("name").Count());
    if (value != "two" || found != 2 || versions != 2) throw new InvalidOperationException($"{value} {found} {versions}");
    await (await client.StartDeleteSecretAsync("name")).WaitForCompletionAsync();
    try { await client.GetSecretAsync("name"); }
    catch (Azure.RequestFailedException error) when (error.Status == 404) { return "set, read, listed, deleted"; }
    return "still there";
}

async Task<string> Blobs()
{
    var service = new BlobServiceClient(new Uri("https://devcloud.blob.core.windows.net"), new DefaultAzureCredential());
    var box = service.GetBlobContainerClient("box");
    await box.CreateIfNotExistsAsync();
    await box.GetBlobClient("a/one").UploadAsync(BinaryData.FromString("one"));
    var two = box.GetBlobClient("two");
    await two.UploadAsync(BinaryData.FromString("two"));
    var text = (await two.DownloadContentAsync()).Value.Content.ToString();
    var (length, found) = ((await two.GetPropertiesAsync()).Value.ContentLength, box.GetBlobs().Count());
    if (text != "two" || length != 3 || found != 2) throw new InvalidOperationException($"{text} {length} {found}");
    await two.DeleteAsync();
    return await two.ExistsAsync() ? "still there" : "put, read, listed, deleted";
}

// A service that validates tokens by what the authority publishes.
async Task<string> Validated()
{
    var builder = WebApplication.CreateBuilder();
    builder.Logging.ClearProviders();
    builder.WebHost.UseUrls("http://127.0.0.1:0");
    builder.Services.AddAuthentication(JwtBearerDefaults.AuthenticationScheme).AddJwtBearer(options =>
    {
        options.Authority = $"https://login.microsoftonline.com/{Env("AZURE_TENANT_ID")}/v2.0";
        options.Audience = "api://orders";
    });
    builder.Services.AddAuthorization();
    await using var app = builder.Build();
    app.UseAuthentication();
    app.UseAuthorization();
    app.MapGet("/", () => "in").RequireAuthorization();
    await app.StartAsync();
    using var client = new HttpClient();
    var without = (int)(await client.GetAsync(app.Urls.First())).StatusCode;
    var token = await new DefaultAzureCredential().GetTokenAsync(new TokenRequestContext(["api://orders/.default"]), default);
    client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token.Token);
    return $"{without} without, {(int)(await client.GetAsync(app.Urls.First())).StatusCode} with a token";
}

var flows = new Dictionary<string, Func<Task<string>>>
{
    ["MSAL, secret"] = () => Get(App().WithClientSecret(Env("AZURE_CLIENT_SECRET"))),
    ["MSAL, secret, region"] = () => Get(App().WithClientSecret(Env("AZURE_CLIENT_SECRET")).WithAzureRegion("westus2")),
    ["MSAL, certificate"] = () => Get(App().WithCertificate(Certificate())),
    ["MSAL, certificate and chain"] = () => Get(App().WithCertificate(Certificate(), true)),
    ["MSAL, mtls_pop"] = Bound,
    ["MSAL, assertion"] = () => Get(App().WithClientAssertion(() => File.ReadAllText(Env("AZURE_FEDERATED_TOKEN_FILE")))),
    ["MSAL, system-assigned"] = () => Managed(IdOfMsal.SystemAssigned),
    ["MSAL, user-assigned"] = () => Managed(IdOfMsal.WithUserAssignedClientId(UserAssigned)),
    ["EnvironmentCredential"] = () => Credential(new EnvironmentCredential()),
    ["WorkloadIdentityCredential"] = () => Credential(new WorkloadIdentityCredential()),
    ["ManagedIdentityCredential"] = () => Credential(new ManagedIdentityCredential(ManagedIdentityId.SystemAssigned)),
    ["the same, user-assigned"] = () =>
        Credential(new ManagedIdentityCredential(ManagedIdentityId.FromUserAssignedClientId(UserAssigned))),
    ["DefaultAzureCredential"] = () => Credential(new DefaultAzureCredential()),
    ["SecretClient"] = Secrets,
    ["BlobServiceClient"] = Blobs,
    ["JwtBearer, the token validated"] = Validated,
};

foreach (var name in args)
{
    string said;
    try { said = await flows[name](); }
    catch (Exception error) { said = "refuses: " + string.Join(' ', error.Message.Split(default(char[]), StringSplitOptions.RemoveEmptyEntries)); }
    Console.WriteLine($"{name} => {said}");
}
