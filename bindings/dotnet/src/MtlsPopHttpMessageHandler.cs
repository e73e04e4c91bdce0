// HttpClient over the library's own mTLS: for keys that cannot leave their home, and where HttpClientHandler
// presents no certificates (Mono).

using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>
    /// Sends requests with a token, over mTLS with the certificate that it is bound to. Connections are kept
    /// per certificate. Redirects are responses. The time limit is HttpClient's Timeout. Bodies stream both ways: content
    /// is sent as it is written, and with HttpCompletionOption.ResponseHeadersRead the response is read as it comes.
    /// </summary>
    public sealed class MtlsPopHttpMessageHandler : HttpMessageHandler
    {
        private static readonly HashSet<string> s_ofTheLibrary =
            new HashSet<string>(StringComparer.OrdinalIgnoreCase)
            {
                "Authorization", "Host", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection",
                "Expect",
            };

        private readonly Func<CancellationToken, Task<AuthenticationResult>> _acquire;

        /// <summary>
        /// In place of an HttpClientHandler: the token is in the request's Authorization header, and must be
        /// one whose BindingCertificate is in ClientCertificates.
        /// </summary>
        public MtlsPopHttpMessageHandler()
        {
        }

        /// <summary>
        /// Acquires the token for each request: cached ones cost little, and none is too old.
        /// </summary>
        public MtlsPopHttpMessageHandler(Func<CancellationToken, Task<AuthenticationResult>> acquire)
        {
            _acquire = acquire ?? throw new ArgumentNullException(nameof(acquire));
        }

        /// <summary>
        /// The name under which RequestMessage.Properties of a response has the version of TLS: "TLSv1.3".
        /// </summary>
        public const string TlsVersionProperty = "Mtlspop.TlsVersion";

        /// <summary>
        /// The name under which RequestMessage.Properties of a response says whether the server asked for the
        /// certificate, a bool. If not, the token came without it: another one would not help.
        /// </summary>
        public const string CertificateRequestedProperty = "Mtlspop.CertificateRequested";

        /// <summary>
        /// The name under which RequestMessage.Properties of a response says whether the server asked for the
        /// certificate in a TLS renegotiation and was declined, a bool: see AllowRenegotiation.
        /// </summary>
        public const string RenegotiationDeclinedProperty = "Mtlspop.RenegotiationDeclined";

        /// <summary>
        /// Whether a server may ask for the certificate of a bound token in a TLS renegotiation. Where it is null, Key
        /// Vault, Managed HSM and the hosts of WithRenegotiatingHost may.
        /// </summary>
        public bool? AllowRenegotiation { get; set; }

        public X509CertificateCollection ClientCertificates { get; } = new X509CertificateCollection();

        protected override async Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request, CancellationToken cancellationToken)
        {
            try
            {
                AuthenticationResult result = _acquire == null
                    ? Find(request.Headers.Authorization)
                    : await _acquire(cancellationToken).ConfigureAwait(false);
                var body = request.Content == null ? null : new ContentReader(request.Content);
                try
                {
                    return await result.App
                        .SendAsync(
                            result.Handle,
                            () => Prepare(request, body, AllowRenegotiation),
                            (head, stream) => Read(head, stream, request),
                            body != null,
                            cancellationToken)
                        .ConfigureAwait(false);
                }
                finally
                {
                    if (body != null)
                    {
                        await body.StopAsync(cancellationToken).ConfigureAwait(false);
                    }
                }
            }
            catch (MsalException exception)
            {
                throw new HttpRequestException(exception.Message, exception);
            }
        }

        private AuthenticationResult Find(AuthenticationHeaderValue authorization)
        {
            foreach (X509Certificate certificate in ClientCertificates)
            {
                string thumbprint = certificate.GetCertHashString();
                AuthenticationResult result =
                    BoundTokens.Find(thumbprint, authorization?.Scheme, authorization?.Parameter);
                if (result != null)
                {
                    return result;
                }
            }
            throw new InvalidOperationException(
                "the Authorization header holds no token that is bound to one of ClientCertificates: put "
                + "AuthenticationResult.BindingCertificate there, and that result's token into the header");
        }

        private static HttpRequestHandle Prepare(
            HttpRequestMessage request, ContentReader body, bool? allowRenegotiation)
        {
            var handle = new HttpRequestHandle(Native.mtlspop_http_request_new(
                Interop.Utf8(request.Method.Method), Interop.Utf8(request.RequestUri.AbsoluteUri)));
            using (var native = handle.Use())
            {
                Add(native.Pointer, request.Headers);
                if (body != null)
                {
                    Add(native.Pointer, request.Content.Headers);
                    byte[] type = Interop.Utf8(request.Content.Headers.ContentType?.ToString());
                    Native.mtlspop_http_request_set_body_callback(
                        native.Pointer, type, body.Length, body.CanRewind ? 1 : 0, Callbacks.Body, Callbacks.Root(body),
                        Callbacks.Destroy);
                }
                Native.mtlspop_http_request_set_timeout_ms(native.Pointer, int.MaxValue);
                if (allowRenegotiation.HasValue)
                {
                    Native.mtlspop_http_request_set_allow_renegotiation(
                        native.Pointer, allowRenegotiation.Value ? 1 : 0);
                }
                Native.mtlspop_http_request_set_read_timeout_ms(native.Pointer, int.MaxValue);
            }
            return handle;
        }

        private static void Add(IntPtr request, HttpHeaders headers)
        {
            foreach (KeyValuePair<string, IEnumerable<string>> header in headers)
            {
                if (!s_ofTheLibrary.Contains(header.Key))
                {
                    bool agent = header.Key.Equals("User-Agent", StringComparison.OrdinalIgnoreCase);
                    byte[] value = Interop.Utf8(string.Join(agent ? " " : ", ", header.Value));
                    Native.mtlspop_http_request_add_header(request, Interop.Utf8(header.Key), value);
                }
            }
        }

        private static HttpResponseMessage Read(IntPtr native, ResponseStream body, HttpRequestMessage request)
        {
            request.Properties[TlsVersionProperty] =
                Interop.Text(Native.mtlspop_http_response_tls_version(native));
            request.Properties[CertificateRequestedProperty] =
                Interop.Maybe(Native.mtlspop_http_response_certificate_requested(native));
            request.Properties[RenegotiationDeclinedProperty] =
                Interop.Maybe(Native.mtlspop_http_response_renegotiation_declined(native));
            var response = new HttpResponseMessage((HttpStatusCode)Native.mtlspop_http_response_status(native))
            {
                Content = new StreamContent(body),
                RequestMessage = request,
            };
            ulong count = Native.mtlspop_http_response_header_count(native).ToUInt64();
            for (uint index = 0; index < count; index++)
            {
                var at = (UIntPtr)index;
                string name = Interop.Text(Native.mtlspop_http_response_header_name(native, at));
                string value = Interop.Text(Native.mtlspop_http_response_header_value(native, at));
                if (!response.Headers.TryAddWithoutValidation(name, value))
                {
                    response.Content.Headers.TryAddWithoutValidation(name, value);
                }
            }
            return response;
        }
    }
}
