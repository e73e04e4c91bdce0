// What one call asks for, and the requests of the library for it: made for the call, or kept.

using System;

namespace Mtlspop
{
    internal struct TokenAsk
    {
        private readonly string _scopesOrResource;
        private readonly bool _bound;
        private readonly Action<IntPtr>[] _settings;

        internal TokenAsk(string scopesOrResource, bool bound, Action<IntPtr>[] settings)
        {
            _scopesOrResource = scopesOrResource;
            _bound = bound;
            _settings = settings;
        }

        /// <summary>Whether it says nothing but its key.</summary>
        internal bool IsPlain => _settings.Length == 0;

        internal (string, bool) Key => (_scopesOrResource, _bound);

        internal TokenAsk Plain()
        {
            return new TokenAsk(_scopesOrResource, _bound, new Action<IntPtr>[0]);
        }

        internal TokenRequestHandle Request()
        {
            IntPtr made = Native.mtlspop_token_request_new(Interop.Utf8(_scopesOrResource));
            var handle = new TokenRequestHandle(made);
            using (var request = handle.Use())
            {
                Native.mtlspop_token_request_set_mtls_proof_of_possession(request.Pointer, _bound ? 1 : 0);
                foreach (Action<IntPtr> setting in _settings)
                {
                    setting(request.Pointer);
                }
            }
            return handle;
        }
    }

    /// <summary>
    /// A plain request, which is used again, and what the token says that was found last for its scopes.
    /// </summary>
    internal sealed class KeptRequest
    {
        private volatile CachedFields _latest;

        internal KeptRequest(TokenRequestHandle handle)
        {
            Handle = handle;
        }

        internal TokenRequestHandle Handle { get; }

        /// <summary>For a token that was found in memory: mostly the one of the last time.</summary>
        internal AuthenticationResult Result(App app, IntPtr found)
        {
            var handle = new TokenHandle(found);
            CachedFields latest = _latest;
            if (latest == null || !latest.AreOf(found))
            {
                _latest = latest = new CachedFields(handle);
            }
            var reason = (CacheRefreshReason)Native.mtlspop_token_cache_refresh_reason(found);
            return new AuthenticationResult(app, handle, latest.Fields, reason);
        }
    }

    /// <summary>
    /// The fields of a token, known by the address of its text. They keep it alive, whoever disposes of it: so no other
    /// token can have that address meanwhile.
    /// </summary>
    internal sealed class CachedFields
    {
        private readonly TokenHandle _handle;
        private readonly IntPtr _address;

        internal CachedFields(TokenHandle handle)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            _handle = handle;
            IntPtr token = handle.DangerousGetHandle();
            _address = Native.mtlspop_token_access_token(token);
            Fields = new TokenFields(token);
        }

        ~CachedFields()
        {
            _handle?.DangerousRelease();
        }

        internal TokenFields Fields { get; }

        internal bool AreOf(IntPtr token)
        {
            return Native.mtlspop_token_access_token(token) == _address;
        }
    }
}
