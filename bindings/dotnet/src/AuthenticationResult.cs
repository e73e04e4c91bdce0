// A token, and the certificate that it is bound to.

using System;
using System.Collections.Generic;
using System.Security.Cryptography.X509Certificates;

namespace Mtlspop
{
    /// <summary>
    /// A token: a snapshot that later renewals do not change. Disposing wipes the library's copy at once.
    /// </summary>
    public sealed class AuthenticationResult : IDisposable
    {
        private readonly TokenFields _fields;
        private volatile object _correlationId;
        private bool _hasCertificate;
        private X509Certificate2 _certificate;

        internal AuthenticationResult(App app, TokenHandle handle)
        {
            App = app;
            Handle = handle;
            using (var token = handle.Use())
            {
                _fields = new TokenFields(token.Pointer);
                AuthenticationResultMetadata = new AuthenticationResultMetadata(_fields, token.Pointer);
            }
        }

        /// <summary>One that memory had, of a token whose fields are known.</summary>
        internal AuthenticationResult(
            App app, TokenHandle handle, TokenFields fields, CacheRefreshReason reason)
        {
            App = app;
            Handle = handle;
            _fields = fields;
            AuthenticationResultMetadata = reason == CacheRefreshReason.NotApplicable
                ? fields.OfHit : new AuthenticationResultMetadata(fields, reason);
        }

        internal App App { get; }

        internal TokenHandle Handle { get; }

        /// <summary>Whether it can still be sent.</summary>
        internal bool IsUsable => !Handle.IsClosed && !App.IsClosed && ExpiresOn > DateTimeOffset.UtcNow;

        /// <summary>The token itself. A secret: do not log it.</summary>
        public string AccessToken => _fields.AccessToken;

        /// <summary>"Bearer" or "mtls_pop".</summary>
        public string TokenType => _fields.TokenType;

        public DateTimeOffset ExpiresOn => _fields.ExpiresOn;

        /// <summary>The tenant; null where it is not known (Bearer tokens of managed identities).</summary>
        public string TenantId => _fields.TenantId;

        public IEnumerable<string> Scopes => _fields.Scopes;

        public Guid CorrelationId
        {
            get
            {
                if (_correlationId == null)
                {
                    using (var token = Handle.Use())
                    {
                        IntPtr id = Native.mtlspop_token_correlation_id(token.Pointer);
                        _correlationId = Guid.Parse(Interop.Text(id));
                    }
                }
                return (Guid)_correlationId;
            }
        }

        public AuthenticationResultMetadata AuthenticationResultMetadata { get; }

        /// <summary>
        /// The certificate that the token is bound to; null for a Bearer token. The object that the app was
        /// given, or else one with the private key, unless that cannot leave its home (a TPM): then
        /// MtlsPopHttpMessageHandler still calls APIs with it.
        /// </summary>
        public X509Certificate2 BindingCertificate
        {
            get
            {
                lock (Handle)
                {
                    if (!_hasCertificate)
                    {
                        _certificate = Certificate();
                        _hasCertificate = true;
                    }
                    return _certificate;
                }
            }
        }

        /// <summary>How well its key is kept, as this process knows it; None for a Bearer token.</summary>
        public MtlsBindingStrength MtlsBindingStrength => _fields.MtlsBindingStrength;

        /// <summary>
        /// What else the service said, by the name that it gave it: MSAL's AdditionalResponseParameters. JSON
        /// where it is no text, null where it did not say it.
        /// </summary>
        public string AdditionalResponseParameter(string name)
        {
            using (var token = Handle.Use())
            {
                return Interop.Text(Native.mtlspop_token_response_parameter(token.Pointer, Interop.Utf8(name)));
            }
        }

        /// <summary>The value of the Authorization header. A secret.</summary>
        public string CreateAuthorizationHeader()
        {
            return $"{TokenType} {AccessToken}";
        }

        public void Dispose()
        {
            if (!Handle.IsClosed)
            {
                // It can still be asked for.
                _ = CorrelationId;
            }
            Handle.Dispose();
        }

        private X509Certificate2 Certificate()
        {
            using (var token = Handle.Use())
            {
                IntPtr native = Native.mtlspop_token_binding_certificate(token.Pointer);
                if (native == IntPtr.Zero)
                {
                    return null;
                }
                using (var handle = new CertificateHandle(native))
                {
                    X509Certificate2 certificate = App.Latest = Certificates.From(handle);
                    BoundTokens.Add(certificate, this);
                    return certificate;
                }
            }
        }
    }

    /// <summary>Where a token came from.</summary>
    public sealed class AuthenticationResultMetadata
    {
        internal AuthenticationResultMetadata(TokenFields fields, IntPtr token)
            : this(fields, (CacheRefreshReason)Native.mtlspop_token_cache_refresh_reason(token))
        {
            TokenSource = (TokenSource)Native.mtlspop_token_source(token);
            CacheLevel = (CacheLevel)Native.mtlspop_token_cache_level(token);
            DurationTotalInMs = Native.mtlspop_token_duration_total_ms(token);
            DurationInHttpInMs = Native.mtlspop_token_duration_in_http_ms(token);
            DurationInCacheInMs = Native.mtlspop_token_duration_in_cache_ms(token);
        }

        /// <summary>Of a token that memory had, which takes no time.</summary>
        internal AuthenticationResultMetadata(TokenFields fields, CacheRefreshReason reason)
        {
            TokenSource = TokenSource.Cache;
            CacheLevel = CacheLevel.L1Cache;
            CacheRefreshReason = reason;
            TokenEndpoint = fields.TokenEndpoint;
            RefreshOn = fields.RefreshOn;
            TlsVersion = fields.TlsVersion;
            CertificateRequested = fields.CertificateRequested;
            RegionDetails = fields.RegionDetails;
        }

        private AuthenticationResultMetadata(IntPtr error, IntPtr endpoint)
        {
            int outcome = Native.mtlspop_error_region_outcome(error);
            TokenSource = TokenSource.IdentityProvider;
            TokenEndpoint = Interop.Text(endpoint);
            DurationTotalInMs = Native.mtlspop_error_duration_total_ms(error);
            DurationInHttpInMs = Native.mtlspop_error_duration_in_http_ms(error);
            DurationInCacheInMs = Native.mtlspop_error_duration_in_cache_ms(error);
            RegionDetails = outcome < 0 ? null : new RegionDetails(
                outcome, Native.mtlspop_error_region(error), Native.mtlspop_error_region_error(error));
        }

        /// <summary>What is known of a call that failed; null where it asked no endpoint.</summary>
        internal static AuthenticationResultMetadata OfError(IntPtr error)
        {
            IntPtr endpoint = Native.mtlspop_error_token_endpoint(error);
            return endpoint == IntPtr.Zero ? null : new AuthenticationResultMetadata(error, endpoint);
        }

        public TokenSource TokenSource { get; }

        public string TokenEndpoint { get; }

        public DateTimeOffset? RefreshOn { get; }

        public CacheLevel CacheLevel { get; }

        public CacheRefreshReason CacheRefreshReason { get; }

        public long DurationTotalInMs { get; }

        public long DurationInHttpInMs { get; }

        public long DurationInCacheInMs { get; }

        /// <summary>The TLS it was issued over: "TLSv1.3"; null for plain http, and where a store had it.</summary>
        public string TlsVersion { get; }

        /// <summary>Whether the endpoint asked for a client certificate; null where that is not known.</summary>
        public bool? CertificateRequested { get; }

        public RegionDetails RegionDetails { get; }
    }

    /// <summary>The region that was asked.</summary>
    public sealed class RegionDetails
    {
        internal RegionDetails(int outcome, IntPtr used, IntPtr error)
        {
            RegionOutcome = (RegionOutcome)outcome;
            RegionUsed = Interop.Text(used);
            AutoDetectionError = Interop.Text(error);
        }

        public RegionOutcome RegionOutcome { get; }

        public string RegionUsed { get; }

        public string AutoDetectionError { get; }
    }

    public enum TokenSource
    {
        IdentityProvider = Native.TOKEN_SOURCE_IDENTITY_PROVIDER,
        Cache = Native.TOKEN_SOURCE_CACHE,
    }

    public enum CacheLevel
    {
        None = Native.CACHE_LEVEL_NONE,
        L1Cache = Native.CACHE_LEVEL_L1,
        L2Cache = Native.CACHE_LEVEL_L2,
    }

    public enum CacheRefreshReason
    {
        NotApplicable = Native.CACHE_REFRESH_REASON_NOT_APPLICABLE,
        ForceRefreshOrClaims = Native.CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS,
        NoCachedAccessToken = Native.CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN,
        Expired = Native.CACHE_REFRESH_REASON_EXPIRED,
        ProactivelyRefreshed = Native.CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED,
    }

    public enum RegionOutcome
    {
        None = Native.REGION_OUTCOME_NONE,
        AutodetectSuccess = Native.REGION_OUTCOME_AUTODETECT_SUCCESS,
        FallbackToGlobal = Native.REGION_OUTCOME_FALLBACK_TO_GLOBAL,
        UserProvided = Native.REGION_OUTCOME_USER_PROVIDED,
    }
}
