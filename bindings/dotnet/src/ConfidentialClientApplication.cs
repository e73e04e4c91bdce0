// Confidential clients: an app registration with a certificate, a secret or a federated credential.

using System;
using System.Collections.Generic;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop.AppConfig;

namespace Mtlspop
{
    /// <summary>
    /// An app registration. Make it once and share it. Disposing frees its connections at once.
    /// </summary>
    public interface IConfidentialClientApplication : IDisposable
    {
        /// <summary>Asks for a token, for one resource: "https://graph.microsoft.com/.default".</summary>
        AcquireTokenForClientParameterBuilder AcquireTokenForClient(IEnumerable<string> scopes);
    }

    /// <summary>Settings of a confidential client. Of the credentials, the last one counts.</summary>
    public sealed class ConfidentialClientApplicationBuilder
        : ApplicationBuilder<ConfidentialClientApplicationBuilder>
    {
        private ConfidentialClientApplicationBuilder(byte[] clientId)
            : base(() => Native.mtlspop_app_options_new_confidential_client(clientId))
        {
        }

        /// <summary>Begins with the application (client) id.</summary>
        public static ConfidentialClientApplicationBuilder Create(string clientId)
        {
            Required(clientId, nameof(clientId));
            return new ConfidentialClientApplicationBuilder(Interop.Utf8(clientId));
        }

        /// <summary>Who issues tokens: "https://login.microsoftonline.com/" and the tenant id.</summary>
        public ConfidentialClientApplicationBuilder WithAuthority(string authorityUri)
        {
            byte[] authority = Text(authorityUri, nameof(authorityUri));
            return With(options => Native.mtlspop_app_options_set_authority(options, authority));
        }

        /// <summary>Who issues tokens, of another kind: an OpenID provider, whose token endpoint is discovered.</summary>
        public ConfidentialClientApplicationBuilder WithOidcAuthority(string authorityUri)
        {
            byte[] authority = Text(authorityUri, nameof(authorityUri));
            return With(options => Native.mtlspop_app_options_set_oidc_authority(options, authority));
        }

        /// <summary>The Azure region whose token service is asked; this host's where none is named.</summary>
        public ConfidentialClientApplicationBuilder WithAzureRegion(
            string azureRegion = ConfidentialClientApplication.AttemptRegionDiscovery)
        {
            byte[] region = Text(azureRegion, nameof(azureRegion));
            return With(options => Native.mtlspop_app_options_set_azure_region(options, region));
        }

        /// <summary>Whether hosts that are not known are asked about before they are used.</summary>
        public ConfidentialClientApplicationBuilder WithInstanceDiscovery(bool enableInstanceDiscovery)
        {
            int on = enableInstanceDiscovery ? 1 : 0;
            return With(options => Native.mtlspop_app_options_set_instance_discovery(options, on));
        }

        public ConfidentialClientApplicationBuilder WithCertificate(X509Certificate2 certificate)
        {
            return WithCertificate(certificate, sendX5C: false);
        }

        /// <summary>
        /// A certificate, presented in TLS for mtls_pop, signing an assertion for Bearer. Its issuers are
        /// sent where this host's store has them. A key that cannot be exported signs where it is; it must be
        /// RSA.
        /// </summary>
        public ConfidentialClientApplicationBuilder WithCertificate(
            X509Certificate2 certificate, bool sendX5C)
        {
            CertificateHandle handle = Certificates.Of(certificate);
            return With(options =>
            {
                using (var native = handle.Use())
                {
                    Native.mtlspop_app_options_set_certificate(options, native.Pointer, sendX5C ? 1 : 0);
                }
                // The token's certificate is to be this object, for which it must be there.
                GC.KeepAlive(certificate);
            });
        }

        /// <summary>
        /// A delegate that gives the certificate as it is now: asked once for each network request.
        /// </summary>
        public ConfidentialClientApplicationBuilder WithCertificate(
            Func<AssertionRequestOptions, Task<X509Certificate2>> certificateProvider,
            CertificateOptions certificateOptions)
        {
            Required(certificateProvider, nameof(certificateProvider));
            Required(certificateOptions, nameof(certificateOptions));
            int sendX5C = certificateOptions.SendX5C ? 1 : 0;
            int overMtls = certificateOptions.SendCertificateOverMtls ? 1 : 0;
            Func<AssertionRequestOptions, Task<ClientSignedAssertion>> target = async request =>
                new ClientSignedAssertion
                {
                    TokenBindingCertificate = await certificateProvider(request).ConfigureAwait(false),
                };
            HasCallbacks = true;
            return With(options =>
            {
                Native.mtlspop_app_options_set_certificate_provider(
                    options, Callbacks.Assertion, Callbacks.Root(target), Callbacks.Destroy, sendX5C);
                Native.mtlspop_app_options_set_send_certificate_over_mtls(options, overMtls);
            });
        }

        /// <summary>A client secret: Bearer only.</summary>
        public ConfidentialClientApplicationBuilder WithClientSecret(string clientSecret)
        {
            byte[] secret = Text(clientSecret, nameof(clientSecret));
            return With(options => Native.mtlspop_app_options_set_client_secret(options, secret));
        }

        /// <summary>
        /// A federated credential: a delegate that gives an assertion, and for mtls_pop the certificate that
        /// it is bound to. Asked once for each network request, with the CancellationToken of ExecuteAsync.
        /// </summary>
        public ConfidentialClientApplicationBuilder WithClientAssertion(
            Func<AssertionRequestOptions, CancellationToken, Task<ClientSignedAssertion>>
                clientSignedAssertionProvider)
        {
            Required(clientSignedAssertionProvider, nameof(clientSignedAssertionProvider));
            Func<AssertionRequestOptions, Task<ClientSignedAssertion>> target = request =>
                clientSignedAssertionProvider(request, request.CancellationToken);
            HasCallbacks = true;
            return With(options => Native.mtlspop_app_options_set_client_assertion(
                options, Callbacks.Assertion, Callbacks.Root(target), Callbacks.Destroy));
        }

        /// <summary>The same for Bearer tokens only.</summary>
        public ConfidentialClientApplicationBuilder WithClientAssertion(
            Func<AssertionRequestOptions, Task<string>> clientAssertionAsyncDelegate)
        {
            Required(clientAssertionAsyncDelegate, nameof(clientAssertionAsyncDelegate));
            return WithClientAssertion(async (request, cancellationToken) =>
                new ClientSignedAssertion
                {
                    Assertion = await clientAssertionAsyncDelegate(request).ConfigureAwait(false),
                });
        }

        /// <summary>
        /// A federated token in a file, as Kubernetes' workload identity has it; null: the one that
        /// AZURE_FEDERATED_TOKEN_FILE names. Bearer only. Read for each network request.
        /// </summary>
        public ConfidentialClientApplicationBuilder WithFederatedTokenFile(string path = null)
        {
            byte[] file = Interop.Utf8(path);
            return With(options => Native.mtlspop_app_options_set_federated_token_file(options, file));
        }

        /// <summary>
        /// Whether that file is exchanged by the token proxy of the cluster (AKS identity bindings), where
        /// AZURE_KUBERNETES_TOKEN_PROXY names one: IsAzureProxyEnabled of Azure.Identity.
        /// </summary>
        public ConfidentialClientApplicationBuilder WithAzureProxyEnabled(bool enabled = true)
        {
            int on = enabled ? 1 : 0;
            return With(options => Native.mtlspop_app_options_set_enable_azure_proxy(options, on));
        }

        /// <summary>Keeps its tokens in a cache that other apps, and by its store other processes, have, too.</summary>
        public ConfidentialClientApplicationBuilder WithTokenCache(TokenCache tokenCache)
        {
            Required(tokenCache, nameof(tokenCache));
            HasCallbacks |= tokenCache.HasStore;
            return With(tokenCache.Apply);
        }

        /// <summary>Makes the app; sends nothing.</summary>
        public IConfidentialClientApplication Build()
        {
            return new ConfidentialClientApplication(Make());
        }

        private static byte[] Text(string value, string name)
        {
            Required(value, name);
            return Interop.Utf8(value);
        }
    }

    /// <inheritdoc/>
    public sealed class ConfidentialClientApplication : IConfidentialClientApplication
    {
        /// <summary>For WithAzureRegion: the region of this host.</summary>
        public const string AttemptRegionDiscovery = "TryAutoDetect";

        private readonly App _app;

        internal ConfidentialClientApplication(App app)
        {
            _app = app;
        }

        public AcquireTokenForClientParameterBuilder AcquireTokenForClient(IEnumerable<string> scopes)
        {
            if (scopes == null)
            {
                throw new ArgumentNullException(nameof(scopes));
            }
            return new AcquireTokenForClientParameterBuilder(_app, string.Join(" ", scopes));
        }

        public void Dispose()
        {
            _app.Dispose();
        }
    }
}
