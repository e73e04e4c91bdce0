// What a token says of itself, whichever call gave it.

using System;

namespace Mtlspop
{
    internal sealed class TokenFields
    {
        internal TokenFields(IntPtr token)
        {
            long refresh = Native.mtlspop_token_refresh_on(token);
            AccessToken = Interop.Text(Native.mtlspop_token_access_token(token));
            TokenType = Interop.Text(Native.mtlspop_token_type(token));
            ExpiresOn = Interop.Time(Native.mtlspop_token_expires_on(token));
            RefreshOn = refresh == 0 ? (DateTimeOffset?)null : Interop.Time(refresh);
            TenantId = Interop.Text(Native.mtlspop_token_tenant_id(token));
            Scopes = Interop.Text(Native.mtlspop_token_scopes(token)).Split(' ');
            MtlsBindingStrength = (MtlsBindingStrength)Native.mtlspop_token_binding_strength(token);
            TokenEndpoint = Interop.Text(Native.mtlspop_token_endpoint(token));
            TlsVersion = Interop.Text(Native.mtlspop_token_tls_version(token));
            CertificateRequested = Interop.Maybe(Native.mtlspop_token_certificate_requested(token));
            RegionDetails = new RegionDetails(
                Native.mtlspop_token_region_outcome(token),
                Native.mtlspop_token_region(token),
                Native.mtlspop_token_region_error(token));
            OfHit = new AuthenticationResultMetadata(this, CacheRefreshReason.NotApplicable);
        }

        internal string AccessToken { get; }

        internal string TokenType { get; }

        internal DateTimeOffset ExpiresOn { get; }

        internal DateTimeOffset? RefreshOn { get; }

        internal string TenantId { get; }

        internal string[] Scopes { get; }

        internal MtlsBindingStrength MtlsBindingStrength { get; }

        internal string TokenEndpoint { get; }

        internal string TlsVersion { get; }

        internal bool? CertificateRequested { get; }

        internal RegionDetails RegionDetails { get; }

        /// <summary>What is known of a call that found it in memory.</summary>
        internal AuthenticationResultMetadata OfHit { get; }
    }
}
