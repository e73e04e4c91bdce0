// What a token is asked for with, in MSAL's words.

using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>What requests of both kinds of app have.</summary>
    public abstract class AcquireTokenParameterBuilder<T> where T : AcquireTokenParameterBuilder<T>
    {
        private static readonly Action<IntPtr>[] s_none = new Action<IntPtr>[0];

        private readonly string _scopesOrResource;
        private bool _bound;
        private List<Action<IntPtr>> _settings;

        internal AcquireTokenParameterBuilder(string scopesOrResource)
        {
            _scopesOrResource = scopesOrResource;
        }

        /// <summary>
        /// Asks for a token that is bound to a certificate. Never answered with a Bearer token.
        /// </summary>
        public T WithMtlsProofOfPossession()
        {
            _bound = true;
            return (T)this;
        }

        /// <summary>The same, with a floor for how well the key is kept.</summary>
        public T WithMtlsProofOfPossession(PoPOptions options)
        {
            int strength = (int)(options ?? throw new ArgumentNullException(nameof(options))).MinStrength;
            With(request => Native.mtlspop_token_request_set_min_strength(request, strength));
            return WithMtlsProofOfPossession();
        }

        /// <summary>Fetches a new token even where a cached one is still good.</summary>
        public T WithForceRefresh(bool forceRefresh)
        {
            int on = forceRefresh ? 1 : 0;
            return With(request => Native.mtlspop_token_request_set_force_refresh(request, on));
        }

        /// <summary>Passes on a claims challenge, as an API or MsalServiceException.Claims gave it.</summary>
        public T WithClaims(string claims)
        {
            byte[] json = Interop.Utf8(claims);
            return With(request => Native.mtlspop_token_request_set_claims(request, json));
        }

        /// <summary>
        /// The id under which the call is found in the service's logs; without one it makes its own.
        /// </summary>
        public T WithCorrelationId(Guid correlationId)
        {
            byte[] id = Interop.Utf8(correlationId.ToString("D"));
            return With(request => Native.mtlspop_token_request_set_correlation_id(request, id));
        }

        /// <summary>Names a token that an API rejected, by its SHA-256 in hex: any other is served from the cache.</summary>
        public T WithAccessTokenSha256ToRefresh(string hash)
        {
            byte[] sha256 = Interop.Utf8(hash);
            return With(request =>
                Native.mtlspop_token_request_set_access_token_hash_to_refresh(request, sha256));
        }

        /// <summary>Query parameters of the token request, and whether each keeps cached tokens apart.</summary>
        public T WithExtraQueryParameters(
            IDictionary<string, (string Value, bool IncludeInCacheKey)> extraQueryParameters)
        {
            foreach (var parameter in extraQueryParameters)
            {
                int inKey = parameter.Value.IncludeInCacheKey ? 1 : 0;
                WithPair(parameter.Key, parameter.Value.Value, (request, name, value) =>
                    Native.mtlspop_token_request_set_extra_query_parameter(request, name, value, inKey));
            }
            return (T)this;
        }

        /// <summary>Header fields of the token request.</summary>
        public T WithExtraHttpHeaders(IDictionary<string, string> extraHttpHeaders)
        {
            return WithPairs(extraHttpHeaders, Native.mtlspop_token_request_set_extra_http_header);
        }

        /// <summary>Keeps cached tokens apart by a value of yours, which is not sent.</summary>
        public T WithCachePartitionKey(string key, string value)
        {
            return WithPair(key, value, Native.mtlspop_token_request_set_cache_partition_key);
        }

        /// <summary>
        /// Gives a token: from the cache where that has a good one, else from the service. What the cache has, it
        /// has at once: the task is completed, and no other thread was needed.
        /// </summary>
        public Task<AuthenticationResult> ExecuteAsync()
        {
            return ExecuteAsync(CancellationToken.None);
        }

        /// <summary>The same; cancellationToken stops the call wherever it waits.</summary>
        public Task<AuthenticationResult> ExecuteAsync(CancellationToken cancellationToken)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return Task.FromCanceled<AuthenticationResult>(cancellationToken);
            }
            try
            {
                App app = App();
                TokenAsk ask = Ask();
                AuthenticationResult cached = app.Cached(ask);
                return cached != null ? Task.FromResult(cached) : app.AcquireAsync(ask, cancellationToken);
            }
            catch (Exception exception)
            {
                return Task.FromException<AuthenticationResult>(exception);
            }
        }

        /// <summary>
        /// Gives what ExecuteAsync would give at once; null where that would have to wait, also for an early
        /// refresh that the app does not do in the background. Sends nothing and never blocks.
        /// </summary>
        public AuthenticationResult ExecuteFromCache()
        {
            return App().Cached(Ask());
        }

        /// <summary>What is set from now on is for a later call.</summary>
        private TokenAsk Ask()
        {
            return new TokenAsk(_scopesOrResource, _bound, _settings?.ToArray() ?? s_none);
        }

        internal abstract App App();

        internal T WithPairs(IDictionary<string, string> pairs, Action<IntPtr, byte[], byte[]> set)
        {
            foreach (var pair in pairs)
            {
                WithPair(pair.Key, pair.Value, set);
            }
            return (T)this;
        }

        internal T WithText(string text, Action<IntPtr, byte[]> set)
        {
            byte[] bytes = Interop.Utf8(text);
            return With(request => set(request, bytes));
        }

        private T WithPair(string name, string value, Action<IntPtr, byte[], byte[]> set)
        {
            (byte[] first, byte[] second) = (Interop.Utf8(name), Interop.Utf8(value));
            return With(request => set(request, first, second));
        }

        internal T With(Action<IntPtr> setting)
        {
            (_settings = _settings ?? new List<Action<IntPtr>>()).Add(setting);
            return (T)this;
        }
    }

    /// <summary>A token for a confidential client.</summary>
    public sealed class AcquireTokenForClientParameterBuilder
        : AcquireTokenParameterBuilder<AcquireTokenForClientParameterBuilder>
    {
        private readonly App _app;

        internal AcquireTokenForClientParameterBuilder(App app, string scopes) : base(scopes)
        {
            _app = app;
        }

        /// <summary>Whether an assertion signed for this request carries the certificate.</summary>
        public AcquireTokenForClientParameterBuilder WithSendX5C(bool withSendX5C)
        {
            int on = withSendX5C ? 1 : 0;
            return With(request => Native.mtlspop_token_request_set_send_x5c(request, on));
        }

        /// <summary>Asks another tenant than the one in the app's authority.</summary>
        public AcquireTokenForClientParameterBuilder WithTenantId(string tenantId)
        {
            byte[] tenant = Interop.Utf8(tenantId);
            return With(request => Native.mtlspop_token_request_set_tenant_id(request, tenant));
        }

        /// <summary>Asks another authority of the same kind and cloud.</summary>
        public AcquireTokenForClientParameterBuilder WithAuthority(string authorityUri)
        {
            return WithText(authorityUri, Native.mtlspop_token_request_set_authority);
        }

        /// <summary>The workload below this app that the token is for.</summary>
        public AcquireTokenForClientParameterBuilder WithFmiPath(string pathSuffix)
        {
            return WithText(pathSuffix, Native.mtlspop_token_request_set_fmi_path);
        }

        /// <summary>The workload that the assertion's delegate is told of.</summary>
        public AcquireTokenForClientParameterBuilder WithFmiPathForClientAssertion(string fmiPath)
        {
            return WithText(fmiPath, Native.mtlspop_token_request_set_client_assertion_fmi_path);
        }

        /// <summary>Claims (JSON) that the client itself wants; they do not bypass the cache.</summary>
        public AcquireTokenForClientParameterBuilder WithClaimsFromClient(string claimsJson)
        {
            return WithText(claimsJson, Native.mtlspop_token_request_set_claims_from_client);
        }

        /// <summary>Claims (JSON) for the assertion that the certificate signs.</summary>
        public AcquireTokenForClientParameterBuilder WithExtraClientAssertionClaims(string claimsJson)
        {
            return WithText(claimsJson, Native.mtlspop_token_request_set_extra_client_assertion_claims);
        }

        /// <summary>Parameters of the token request's body.</summary>
        public AcquireTokenForClientParameterBuilder WithExtraBodyParameters(
            IDictionary<string, string> extraBodyParameters)
        {
            return WithPairs(extraBodyParameters, Native.mtlspop_token_request_set_extra_body_parameter);
        }

        internal override App App()
        {
            return _app;
        }
    }

    /// <summary>A token for a managed identity.</summary>
    public sealed class AcquireTokenForManagedIdentityParameterBuilder
        : AcquireTokenParameterBuilder<AcquireTokenForManagedIdentityParameterBuilder>
    {
        private readonly ManagedIdentityApplication _application;
        private bool _attested;

        internal AcquireTokenForManagedIdentityParameterBuilder(
            ManagedIdentityApplication application, string resource) : base(resource)
        {
            _application = application;
        }

        /// <summary>
        /// Asks for a Bearer token over mTLS, with the certificate that a bound one would be asked for with.
        /// </summary>
        public AcquireTokenForManagedIdentityParameterBuilder WithRequestOverMtls()
        {
            return With(request => Native.mtlspop_token_request_set_request_over_mtls(request, 1));
        }

        /// <summary>
        /// Has the key attested that the token is bound to: by the app's TPM (WithTpm) or its delegate
        /// (WithAttestation). There is no token for a key that is not.
        /// </summary>
        public AcquireTokenForManagedIdentityParameterBuilder WithAttestationSupport()
        {
            _attested = true;
            return this;
        }

        internal override App App()
        {
            return _attested ? _application.Attested() : _application.Plain;
        }
    }
}
