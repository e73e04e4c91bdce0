// nginx, which requires a client certificate: does it see the one that a token is bound to, from every client of .NET?

using System;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class Counterparts
{
    private static async Task Nginx()
    {
        using (var identity = Identity())
        using (var client = SniClient())
        using (var managed = await identity
            .AcquireTokenForManagedIdentity(Resource).WithMtlsProofOfPossession().ExecuteAsync())
        using (var confidential = await client
            .AcquireTokenForClient(Scopes).WithMtlsProofOfPossession().ExecuteAsync())
        {
            foreach (var result in new[] { managed, confidential })
            {
                foreach (string variable in new[] { "NGINX_URL", "NGINX_TLS12_URL" })
                {
                    await Each(result, Env(variable), variable == "NGINX_URL" ? "TLSv1.3" : "TLSv1.2");
                }
            }
        }
    }

    /// <summary>Mono's own clients end at TLS 1.2, and its HttpClientHandler presents no certificate.</summary>
    private static async Task Each(AuthenticationResult result, string url, string protocol)
    {
        string ofPlatform = IsMono ? "TLSv1.2" : protocol;
        Check(result, ofPlatform, Request(result, url), "HttpWebRequest");
        Check(result, ofPlatform, await Stream(result, url), "SslStream");
        using (var handler = new MtlsPopHttpMessageHandler())
        {
            handler.ClientCertificates.Add(result.BindingCertificate);
            Check(result, protocol, await Client(handler, result, url), "MtlsPopHttpMessageHandler");
        }
        if (IsMono)
        {
            return;
        }
        using (var handler = new HttpClientHandler())
        using (var without = new HttpClientHandler())
        {
            handler.ClientCertificates.Add(result.BindingCertificate);
            Check(result, protocol, await Client(handler, result, url), "HttpClientHandler");
            using (var client = new HttpClient(without))
            {
                Equal(HttpStatusCode.BadRequest, (await client.GetAsync(url)).StatusCode, "without a certificate");
            }
        }
    }

    private static void Check(AuthenticationResult result, string protocol, string answer, string client)
    {
        string fingerprint = result.BindingCertificate.Thumbprint.ToLowerInvariant();
        string[] parts =
        {
            $"\"fingerprint\": \"{fingerprint}\"",
            $"\"protocol\": \"{protocol}\"",
            $"\"authorization\": \"mtls_pop {result.AccessToken}\"",
        };
        foreach (string part in parts)
        {
            True(answer.Contains(part), $"{client}: {part} is in {answer}");
        }
    }

    private static async Task<string> Client(HttpMessageHandler handler, AuthenticationResult result, string url)
    {
        using (var client = new HttpClient(handler, disposeHandler: false))
        {
            client.DefaultRequestHeaders.Add("Authorization", result.CreateAuthorizationHeader());
            return await client.GetStringAsync(url);
        }
    }

    private static string Request(AuthenticationResult result, string url)
    {
        var request = (HttpWebRequest)WebRequest.Create(url);
        request.ClientCertificates.Add(result.BindingCertificate);
        // Or Mono sends it on a connection that was made with another certificate.
        request.ConnectionGroupName = result.BindingCertificate.Thumbprint;
        request.Headers["Authorization"] = result.CreateAuthorizationHeader();
        request.ServerCertificateValidationCallback = IsDevclouds;
        using (var response = request.GetResponse())
        using (var reader = new StreamReader(response.GetResponseStream()))
        {
            return reader.ReadToEnd();
        }
    }

    private static async Task<string> Stream(AuthenticationResult result, string url)
    {
        var address = new Uri(url);
        var certificates = new X509Certificate2Collection(result.BindingCertificate);
        using (var tcp = new TcpClient(address.Host, address.Port))
        using (var stream = new SslStream(
            tcp.GetStream(), false, IsDevclouds, (sender, host, local, remote, issuers) => local[0]))
        {
            await stream.AuthenticateAsClientAsync(address.Host, certificates, IsMono ? SslProtocols.Tls12 : SslProtocols.None, false);
            string header = result.CreateAuthorizationHeader();
            byte[] text = Encoding.ASCII.GetBytes(
                $"GET / HTTP/1.1\r\nHost: {address.Host}\r\nAuthorization: {header}\r\nConnection: close\r\n\r\n");
            await stream.WriteAsync(text, 0, text.Length);
            using (var reader = new StreamReader(stream))
            {
                return await reader.ReadToEndAsync();
            }
        }
    }

    /// <summary>Mono reads no SSL_CERT_FILE: the issuer is compared by hand.</summary>
    private static bool IsDevclouds(object sender, X509Certificate server, X509Chain chain, SslPolicyErrors errors)
    {
        if (!IsMono)
        {
            return errors == SslPolicyErrors.None;
        }
        using (var root = new X509Certificate2(Env("SSL_CERT_FILE")))
        {
            return server.Issuer == root.Subject;
        }
    }

    /// <summary>A certificate with an EC key, which Mono has not.</summary>
    private static async Task Elliptic()
    {
        using (var app = Program.Client().WithCertificate(Certificate("EC_PFX"), sendX5C: true).Build())
        using (var result = await app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession().ExecuteAsync())
        using (var handler = new HttpClientHandler())
        using (var client = new HttpClient(handler))
        {
            handler.ClientCertificates.Add(result.BindingCertificate);
            client.DefaultRequestHeaders.Add("Authorization", result.CreateAuthorizationHeader());
            (await client.GetAsync(Api)).EnsureSuccessStatusCode();
        }
    }
}
