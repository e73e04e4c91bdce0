// Managed identities: what this host's metadata service, or another service beside the program, vouches for.

using System;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>
    /// A managed identity. Make it once and share it. Disposing frees its connections at once.
    /// </summary>
    public interface IManagedIdentityApplication : IDisposable
    {
        /// <summary>Asks for a token for a resource: "https://graph.microsoft.com/".</summary>
        AcquireTokenForManagedIdentityParameterBuilder AcquireTokenForManagedIdentity(string resource);

        /// <summary>What this host can do, found out without acquiring anything.</summary>
        Task<ManagedIdentityCapabilities> GetManagedIdentityCapabilitiesAsync(
            CancellationToken cancellationToken = default);
    }

    /// <summary>Settings of a managed identity.</summary>
    public sealed class ManagedIdentityApplicationBuilder
        : ApplicationBuilder<ManagedIdentityApplicationBuilder>
    {
        private TpmOptions _tpm;
        private Func<AttestationRequest, Task<string>> _attestation;

        private ManagedIdentityApplicationBuilder(ManagedIdentityId id)
            : base(Native.mtlspop_app_options_new_managed_identity)
        {
            With(id.Setting);
        }

        public static ManagedIdentityApplicationBuilder Create(ManagedIdentityId managedIdentityId)
        {
            Required(managedIdentityId, nameof(managedIdentityId));
            return new ManagedIdentityApplicationBuilder(managedIdentityId);
        }

        /// <summary>Keeps the keys of bound tokens in a TPM, which they never leave.</summary>
        public ManagedIdentityApplicationBuilder WithTpm(TpmOptions tpm)
        {
            Required(tpm, nameof(tpm));
            _tpm = tpm;
            return this;
        }

        /// <summary>
        /// Who attests keys, where no TPM does, for requests with WithAttestationSupport: a delegate that
        /// gives an attestation service's token for the key.
        /// </summary>
        public ManagedIdentityApplicationBuilder WithAttestation(
            Func<AttestationRequest, Task<string>> attestation)
        {
            Required(attestation, nameof(attestation));
            _attestation = attestation;
            HasCallbacks = true;
            return this;
        }

        /// <summary>
        /// Keeps binding certificates and their keys in a directory (an absolute path), encrypted under a secret,
        /// for the next start and for other processes.
        /// </summary>
        public ManagedIdentityApplicationBuilder WithBindingStore(string directory, byte[] secret)
        {
            Required(directory, nameof(directory));
            Required(secret, nameof(secret));
            byte[] path = Interop.Utf8(directory);
            return With(options => Native.mtlspop_app_options_set_binding_store(
                options, path, secret, Interop.Length(secret)));
        }

        /// <summary>The same without encryption: whoever reads this user's files reads the keys.</summary>
        public ManagedIdentityApplicationBuilder WithUnencryptedBindingStore(string directory)
        {
            Required(directory, nameof(directory));
            byte[] path = Interop.Utf8(directory);
            return With(options => Native.mtlspop_app_options_set_unencrypted_binding_store(options, path));
        }

        /// <summary>Makes the app; sends nothing.</summary>
        public IManagedIdentityApplication Build()
        {
            Func<App> attested = null;
            if (_tpm != null || _attestation != null)
            {
                attested = () => Make(Keys(attested: true), Attestation);
            }
            return new ManagedIdentityApplication(Make(Keys(attested: false)), attested);
        }

        private Action<IntPtr> Keys(bool attested)
        {
            TpmOptions tpm = _tpm;
            return options => tpm?.Apply(options, attested);
        }

        private void Attestation(IntPtr options)
        {
            if (_attestation != null)
            {
                Native.mtlspop_app_options_set_attestation(
                    options, Callbacks.Attestation, Callbacks.Root(_attestation), Callbacks.Destroy);
            }
        }
    }

    /// <inheritdoc/>
    public sealed class ManagedIdentityApplication : IManagedIdentityApplication
    {
        // Of its own, since the library never mixes attested keys with others in one app.
        private readonly Lazy<App> _attested;

        internal ManagedIdentityApplication(App plain, Func<App> attested)
        {
            Plain = plain;
            _attested = attested == null ? null : new Lazy<App>(attested);
        }

        internal App Plain { get; }

        public AcquireTokenForManagedIdentityParameterBuilder AcquireTokenForManagedIdentity(string resource)
        {
            if (string.IsNullOrEmpty(resource))
            {
                throw new ArgumentNullException(nameof(resource));
            }
            return new AcquireTokenForManagedIdentityParameterBuilder(this, resource);
        }

        public Task<ManagedIdentityCapabilities> GetManagedIdentityCapabilitiesAsync(
            CancellationToken cancellationToken = default)
        {
            App app = _attested == null ? Plain : Attested();
            return app.CapabilitiesAsync(cancellationToken);
        }

        internal App Attested()
        {
            if (_attested == null)
            {
                throw MsalException.OfClient(
                    "invalid_argument",
                    "WithAttestationSupport needs to know who attests: set WithTpm or WithAttestation");
            }
            return _attested.Value;
        }

        public void Dispose()
        {
            Plain.Dispose();
            if (_attested?.IsValueCreated == true)
            {
                _attested.Value.Dispose();
            }
        }
    }
}
