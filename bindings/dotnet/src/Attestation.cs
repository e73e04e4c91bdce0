// A key that is to be attested, by a delegate of the program's.

using System;
using System.Threading;

namespace Mtlspop
{
    /// <summary>The key, the service, and who asks. Signs during the delegate only.</summary>
    public sealed class AttestationRequest
    {
        private readonly object _gate = new object();
        private IntPtr _operation;

        internal AttestationRequest(IntPtr operation)
        {
            IntPtr key = Native.mtlspop_attestation_op_public_key(operation, out UIntPtr length);
            _operation = operation;
            Endpoint = Interop.Text(Native.mtlspop_attestation_op_endpoint(operation));
            ClientId = Interop.Text(Native.mtlspop_attestation_op_client_id(operation));
            CorrelationId = Guid.Parse(Interop.Text(Native.mtlspop_attestation_op_correlation_id(operation)));
            PublicKey = Interop.Bytes(key, length);
            CancellationToken = Call.CurrentToken;
        }

        /// <summary>The attestation service that the host names.</summary>
        public string Endpoint { get; }

        /// <summary>The client id of the managed identity.</summary>
        public string ClientId { get; }

        /// <summary>A SubjectPublicKeyInfo in DER.</summary>
        public byte[] PublicKey { get; }

        public Guid CorrelationId { get; }

        public CancellationToken CancellationToken { get; }

        /// <summary>
        /// Signs with the key: proof to the service that it is here. "PS256", "RS256" and so on.
        /// </summary>
        public byte[] Sign(string algorithm, byte[] message)
        {
            if (message == null)
            {
                throw new ArgumentNullException(nameof(message));
            }
            lock (_gate)
            {
                if (_operation == IntPtr.Zero)
                {
                    throw new ObjectDisposedException(
                        nameof(AttestationRequest), "the delegate has returned");
                }
                int status = Native.mtlspop_attestation_op_sign(
                    _operation,
                    Interop.Utf8(algorithm),
                    message,
                    Interop.Length(message),
                    out IntPtr signature,
                    out IntPtr error);
                Call.Check(status, error);
                return Certificates.Take(signature);
            }
        }

        internal void End()
        {
            lock (_gate)
            {
                _operation = IntPtr.Zero;
            }
        }
    }
}
