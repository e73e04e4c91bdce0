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
        private readonly string _scopesOrResource;
        private readonly List<Action<IntPtr>> _settings = new List<Action<IntPtr>>();

        internal AcquireTokenParameterBuilder(string scopesOrResource)
        {
            _scopesOrResource = scopesOrResource;
        }

        /// <summary>
        /// Asks for a token that is bound to a certificate. Never answered with a Bearer token.
        /// </summary>
        public T WithMtlsProofOfPossession()
        {
            return With(request => Native.mtlspop_token_request_set_mtls_proof_of_possession(request, 1));
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

        /// <summary>Gives a token: from the cache where that has a good one, else from the service.</summary>
        public Task<AuthenticationResult> ExecuteAsync()
        {
            return ExecuteAsync(CancellationToken.None);
        }

        /// <summary>The same; cancellationToken stops the call wherever it waits.</summary>
        public async Task<AuthenticationResult> ExecuteAsync(CancellationToken cancellationToken)
        {
            // What is set from now on is for a later call.
            Action<IntPtr>[] settings = _settings.ToArray();
            return await App()
                .AcquireAsync(_scopesOrResource, settings, cancellationToken)
                .ConfigureAwait(false);
        }

        internal abstract App App();

        internal T With(Action<IntPtr> setting)
        {
            _settings.Add(setting);
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
