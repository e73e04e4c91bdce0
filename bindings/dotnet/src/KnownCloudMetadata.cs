// What differs by cloud, by authority host: MSAL's KnownCloudMetadata.

using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;

namespace Mtlspop
{
    /// <summary>The names of what <see cref="KnownCloudMetadata"/> knows.</summary>
    public static class CloudMetadataKeyNames
    {
        /// <summary>The audience of federated credentials; its scope has "/.default" behind it.</summary>
        public const string FederatedCredentialAudience = "federated_credential_audience";
    }

    /// <summary>What is known of the clouds of Microsoft Entra.</summary>
    public sealed class KnownCloudMetadata
    {
        private KnownCloudMetadata() { }

        public static KnownCloudMetadata Default { get; } = new KnownCloudMetadata();

        /// <summary>What is known of the cloud of a host, "login.microsoftonline.us"; null where nothing is.</summary>
        public IReadOnlyDictionary<string, string> GetByAuthorityHost(string authorityHost)
        {
            Interop.Load();
            string audience = Interop.Text(Native.mtlspop_federated_credential_audience(Interop.Utf8(authorityHost)));
            if (audience == null)
            {
                return null;
            }
            return new ReadOnlyDictionary<string, string>(
                new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
                {
                    { CloudMetadataKeyNames.FederatedCredentialAudience, audience },
                });
        }
    }
}
