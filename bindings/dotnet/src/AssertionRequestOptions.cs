// What a delegate for assertions or certificates is asked, and what it answers.

using System;
using System.Security.Cryptography.X509Certificates;
using System.Threading;

namespace Mtlspop
{
    /// <summary>What the assertion is for.</summary>
    public class AssertionRequestOptions
    {
        internal AssertionRequestOptions(IntPtr operation)
        {
            string capabilities = Interop.Text(Native.mtlspop_assertion_op_client_capabilities(operation));
            ClientID = Interop.Text(Native.mtlspop_assertion_op_client_id(operation));
            TenantId = Interop.Text(Native.mtlspop_assertion_op_tenant_id(operation));
            Authority = Interop.Text(Native.mtlspop_assertion_op_authority(operation));
            TokenEndpoint = Interop.Text(Native.mtlspop_assertion_op_token_endpoint(operation));
            TokenType = Interop.Text(Native.mtlspop_assertion_op_token_type(operation));
            Claims = Interop.Text(Native.mtlspop_assertion_op_claims(operation));
            ClientCapabilities = capabilities?.Split(' ') ?? new string[0];
            ClientAssertionFmiPath = Interop.Text(Native.mtlspop_assertion_op_fmi_path(operation));
            CorrelationId = Guid.Parse(Interop.Text(Native.mtlspop_assertion_op_correlation_id(operation)));
            CancellationToken = Call.CurrentToken;
        }

        /// <summary>The app's client id: iss and sub of most assertions.</summary>
        public string ClientID { get; }

        public string TenantId { get; }

        public string Authority { get; }

        /// <summary>Where the assertion will be sent to.</summary>
        public string TokenEndpoint { get; }

        /// <summary>"Bearer" or "mtls_pop", for which TokenBindingCertificate must be given, too.</summary>
        public string TokenType { get; }

        public string Claims { get; }

        public string[] ClientCapabilities { get; }

        public string ClientAssertionFmiPath { get; }

        public Guid CorrelationId { get; }

        public CancellationToken CancellationToken { get; }
    }

    /// <summary>An assertion, and the certificate that it is bound to.</summary>
    public class ClientSignedAssertion
    {
        /// <summary>A compact JWT.</summary>
        public string Assertion { get; set; }

        /// <summary>Presented in TLS; an mtls_pop token is bound to it. Null for none.</summary>
        public X509Certificate2 TokenBindingCertificate { get; set; }
    }
}

namespace Mtlspop.AppConfig
{
    /// <summary>How a certificate is used.</summary>
    public class CertificateOptions
    {
        /// <summary>Whether assertions carry the certificate, as SN/I registration needs.</summary>
        public bool SendX5C { get; set; }

        /// <summary>Whether it is presented in TLS for Bearer tokens, too.</summary>
        public bool SendCertificateOverMtls { get; set; }
    }
}
