// One app of the library, and the two things it does: acquire tokens, and call APIs with them.

using System;
using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    internal sealed class App : IDisposable
    {
        private readonly AppHandle _handle;
        private readonly bool _hasCallbacks;

        // A request that is used again finds a cached token faster.
        private readonly ConcurrentDictionary<(string, bool), KeptRequest> _kept =
            new ConcurrentDictionary<(string, bool), KeptRequest>();

        private const int MostKept = 256;

        internal App(AppHandle handle, bool hasCallbacks)
        {
            _handle = handle;
            _hasCallbacks = hasCallbacks;
        }

        /// <summary>What the cache has at once; null where one would have to wait.</summary>
        internal AuthenticationResult Cached(TokenAsk ask)
        {
            KeptRequest kept = Kept(ask);
            using (TokenRequestHandle made = ask.IsPlain ? null : ask.Request())
            using (var request = (made ?? kept.Handle).Use())
            using (var app = _handle.Use())
            {
                int status = Native.mtlspop_app_cached_token(
                    app.Pointer, request.Pointer, out IntPtr found, out IntPtr error);
                Call.Check(status, error);
                return found == IntPtr.Zero ? null : kept.Result(this, found);
            }
        }

        private KeptRequest Kept(TokenAsk ask)
        {
            if (_kept.TryGetValue(ask.Key, out KeptRequest kept))
            {
                return kept;
            }
            if (_kept.Count >= MostKept)
            {
                _kept.Clear();
            }
            return _kept[ask.Key] = new KeptRequest(ask.Plain().Request());
        }

        internal Task<AuthenticationResult> AcquireAsync(TokenAsk ask, CancellationToken token)
        {
            return Call.RunAsync(_hasCallbacks, token, cancel =>
            {
                using (TokenRequestHandle handle = ask.Request())
                using (var request = handle.Use())
                using (var app = _handle.Use())
                {
                    Native.mtlspop_token_request_set_cancel(request.Pointer, cancel);
                    int status = Native.mtlspop_app_acquire_token(
                        app.Pointer, request.Pointer, out IntPtr found, out IntPtr error);
                    Call.Check(status, error);
                    return new AuthenticationResult(this, new TokenHandle(found));
                }
            });
        }

        /// <summary>
        /// Sends what prepare puts into a request; read is given the head of the response and its body, which the
        /// token of the call stops, too.
        /// </summary>
        internal Task<T> SendAsync<T>(
            TokenHandle token,
            Func<HttpRequestHandle> prepare,
            Func<IntPtr, ResponseStream, T> read,
            bool hasBody,
            CancellationToken cancellationToken)
        {
            // A body is a callback like another: its task needs a thread of the pool.
            return Call.RunAsync(_hasCallbacks || hasBody, cancellationToken, () =>
            {
                // Lives as long as the body of the response.
                var flag = new CancelFlag(cancellationToken);
                ResponseStream body = null;
                try
                {
                    using (var handle = prepare())
                    using (var request = handle.Use())
                    using (var native = token.Use())
                    using (var app = _handle.Use())
                    {
                        Native.mtlspop_http_request_set_cancel(request.Pointer, flag.Pointer);
                        int status = Native.mtlspop_app_send_streaming(
                            app.Pointer, native.Pointer, request.Pointer, out IntPtr stream, out IntPtr error);
                        Call.Check(status, error);
                        body = new ResponseStream(new HttpStreamHandle(stream), flag);
                        using (var head = new HttpResponseHandle(Native.mtlspop_http_stream_response(stream)))
                        using (var response = head.Use())
                        {
                            return read(response.Pointer, body);
                        }
                    }
                }
                catch (Exception)
                {
                    body?.Dispose();
                    flag.Dispose();
                    throw;
                }
            });
        }

        internal Task<ManagedIdentityCapabilities> CapabilitiesAsync(CancellationToken token)
        {
            return Call.RunAsync(_hasCallbacks, token, cancel =>
            {
                using (var app = _handle.Use())
                {
                    int status = Native.mtlspop_app_managed_identity_capabilities(
                        app.Pointer, 0, cancel, out IntPtr found, out IntPtr error);
                    Call.Check(status, error);
                    using (var handle = new CapabilitiesHandle(found))
                    using (var capabilities = handle.Use())
                    {
                        return new ManagedIdentityCapabilities(capabilities.Pointer);
                    }
                }
            });
        }

        /// <summary>
        /// The certificate of the last bound token: kept, for the next one mostly has the same.
        /// </summary>
        internal X509Certificate2 Latest { get; set; }

        internal bool IsClosed => _handle.IsClosed;

        public void Dispose()
        {
            _handle.Dispose();
        }
    }
}
