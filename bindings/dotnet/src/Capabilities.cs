// What this host has, asked without a token: who vouches for managed identities, and how well keys can be kept.

using System;

namespace Mtlspop
{
    /// <summary>The answer of GetManagedIdentityCapabilitiesAsync.</summary>
    public sealed class ManagedIdentityCapabilities
    {
        internal ManagedIdentityCapabilities(IntPtr native)
        {
            Source = (ManagedIdentitySource)Native.mtlspop_capabilities_source(native);
            MaxSupportedBindingStrength =
                (MtlsBindingStrength)Native.mtlspop_capabilities_max_supported_binding_strength(native);
            IsMtlsPopSupportedByHost = Native.mtlspop_capabilities_is_mtls_pop_supported_by_host(native) != 0;
            DetectionReason = Interop.Text(Native.mtlspop_capabilities_detection_reason(native));
            ErrorReason = Interop.Text(Native.mtlspop_capabilities_error_reason(native));
        }

        public ManagedIdentitySource Source { get; }

        public MtlsBindingStrength MaxSupportedBindingStrength { get; }

        public bool IsMtlsPopSupportedByHost { get; }

        /// <summary>How the source was found, for a person.</summary>
        public string DetectionReason { get; }

        /// <summary>What went wrong while it was looked for; null if nothing did.</summary>
        public string ErrorReason { get; }
    }

    /// <summary>Who vouches for managed identities on a host.</summary>
    public enum ManagedIdentitySource
    {
        None = Native.SOURCE_NONE,
        AppService = Native.SOURCE_APP_SERVICE,
        AzureArc = Native.SOURCE_AZURE_ARC,
        CloudShell = Native.SOURCE_CLOUD_SHELL,
        Imds = Native.SOURCE_IMDS,
        MachineLearning = Native.SOURCE_MACHINE_LEARNING,
        ServiceFabric = Native.SOURCE_SERVICE_FABRIC,
    }

    /// <summary>How well the key of a bound token is kept; MSAL's KeyGuard is Attested.</summary>
    public enum MtlsBindingStrength
    {
        None = Native.STRENGTH_NONE,
        Software = Native.STRENGTH_SOFTWARE,
        Hardware = Native.STRENGTH_HARDWARE,
        Attested = Native.STRENGTH_ATTESTED,
    }

    /// <summary>What a bound token must have.</summary>
    public sealed class PoPOptions
    {
        /// <summary>A floor, for managed identities: a host that does not reach it is an error.</summary>
        public MtlsBindingStrength MinStrength { get; set; }
    }
}
