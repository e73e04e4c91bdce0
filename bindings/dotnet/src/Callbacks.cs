// What the library calls back: kept alive until it lets go, and no exception crosses C.

using System;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Threading.Tasks;

namespace Mtlspop
{
    internal static class Callbacks
    {
        // Held by these fields, since the library keeps their addresses.
        internal static readonly Native.Destroy Destroy = Release;
        internal static readonly Native.AssertionCallback Assertion = OnAssertion;
        internal static readonly Native.AttestationCallback Attestation = OnAttestation;
        internal static readonly Native.SignCallback Sign = OnSign;
        internal static readonly Native.BodyCallback Body = OnBody;
        internal static readonly Native.StoreCallback Store = OnStore;
        internal static readonly Native.LogCallback Log = OnLog;
        internal static readonly Native.MetricsCallback Metrics = OnMetric;
        internal static readonly Native.BackgroundRefreshCallback Refreshed = OnRefreshed;

        /// <summary>The userdata for a target, which lives until Destroy.</summary>
        internal static IntPtr Root(object target)
        {
            return GCHandle.ToIntPtr(GCHandle.Alloc(target));
        }

        private static void Release(IntPtr userdata)
        {
            GCHandle.FromIntPtr(userdata).Free();
        }

        private static T Target<T>(IntPtr userdata)
        {
            return (T)GCHandle.FromIntPtr(userdata).Target;
        }

        private static int OnAssertion(IntPtr userdata, IntPtr operation)
        {
            return Answer(operation, Native.mtlspop_assertion_op_set_error, () =>
            {
                var target = Target<Func<AssertionRequestOptions, Task<ClientSignedAssertion>>>(userdata);
                ClientSignedAssertion answer = Wait(target(new AssertionRequestOptions(operation)));
                if (answer?.Assertion != null)
                {
                    byte[] assertion = Interop.Utf8(answer.Assertion);
                    Native.mtlspop_assertion_op_set_assertion(operation, assertion);
                }
                if (answer?.TokenBindingCertificate != null)
                {
                    using (var certificate = Certificates.Of(answer.TokenBindingCertificate).Use())
                    {
                        Native.mtlspop_assertion_op_set_certificate(operation, certificate.Pointer);
                    }
                }
            });
        }

        private static int OnAttestation(IntPtr userdata, IntPtr operation)
        {
            return Answer(operation, Native.mtlspop_attestation_op_set_error, () =>
            {
                var target = Target<Func<AttestationRequest, Task<string>>>(userdata);
                var request = new AttestationRequest(operation);
                try
                {
                    byte[] token = Interop.Utf8(Wait(target(request)));
                    if (token != null)
                    {
                        Native.mtlspop_attestation_op_set_token(operation, token);
                    }
                }
                finally
                {
                    request.End();
                }
            });
        }

        private static int OnSign(IntPtr userdata, IntPtr operation)
        {
            return Answer(operation, Native.mtlspop_sign_op_set_error, () =>
            {
                string algorithm = Interop.Text(Native.mtlspop_sign_op_algorithm(operation));
                IntPtr data = Native.mtlspop_sign_op_message(operation, out UIntPtr length);
                byte[] message = Interop.Bytes(data, length);
                var hash = new HashAlgorithmName("SHA" + algorithm.Substring(2));
                var padding = algorithm[0] == 'P' ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1;
                byte[] signature;
                RSA key = Target<RSA>(userdata);
                // Several threads may come at once, and .NET promises nothing about that.
                lock (key)
                {
                    signature = key.SignData(message, hash, padding);
                }
                Native.mtlspop_sign_op_set_signature(operation, signature, Interop.Length(signature));
            });
        }

        private static int OnBody(IntPtr userdata, IntPtr operation)
        {
            return Answer(operation, Native.mtlspop_body_op_set_error, () =>
            {
                var target = Target<ContentReader>(userdata);
                if (Native.mtlspop_body_op_kind(operation) == Native.BODY_REWIND)
                {
                    target.Rewind();
                    return;
                }
                IntPtr room = Native.mtlspop_body_op_buffer(operation, out UIntPtr capacity);
                int most = (int)Math.Min(capacity.ToUInt64(), int.MaxValue);
                int count = target.Read(room, most, Call.CurrentToken);
                Native.mtlspop_body_op_set_length(operation, (UIntPtr)(uint)count);
            });
        }

        /// <summary>Unlike the others it fails no call, so that there is nothing to keep for one.</summary>
        private static int OnStore(IntPtr userdata, IntPtr operation)
        {
            try
            {
                var target = Target<ITokenCacheStore>(userdata);
                string key = Interop.Text(Native.mtlspop_store_op_partition_key(operation));
                if (Native.mtlspop_store_op_kind(operation) == Native.STORE_LOAD)
                {
                    byte[] found = Wait(target.LoadAsync(key, Call.CurrentToken));
                    if (found != null)
                    {
                        Native.mtlspop_store_op_set_data(operation, found, Interop.Length(found));
                    }
                    return 0;
                }
                IntPtr data = Native.mtlspop_store_op_data(operation, out UIntPtr length);
                DateTimeOffset expiry = Interop.Time(Native.mtlspop_store_op_expires_on(operation));
                byte[] bytes = Interop.Bytes(data, length);
                target.SaveAsync(key, bytes, expiry, Call.CurrentToken)?.GetAwaiter().GetResult();
                return 0;
            }
            catch (Exception exception)
            {
                Native.mtlspop_store_op_set_error(operation, Line(exception));
                return 1;
            }
        }

        private static void OnLog(IntPtr userdata, int level, IntPtr target, IntPtr message)
        {
            try
            {
                string line = $"[{Interop.Text(target)}] {Interop.Text(message)}";
                Target<LogCallback>(userdata)((LogLevel)level, line, containsPii: false);
            }
            catch (Exception)
            {
                // A log that fails must not fail the call, and has nowhere to say so.
            }
        }

        private static void OnMetric(IntPtr userdata, IntPtr metric)
        {
            try
            {
                Target<Action<Metric>>(userdata)(new Metric(metric));
            }
            catch (Exception)
            {
                // As above.
            }
        }

        private static void OnRefreshed(IntPtr userdata, IntPtr token, IntPtr error)
        {
            try
            {
                Target<BackgroundRefresh>(userdata).Tell(token, error);
            }
            catch (Exception)
            {
                // As above.
            }
        }

        private static int Answer(IntPtr operation, Action<IntPtr, byte[]> setError, Action body)
        {
            try
            {
                body();
                return 0;
            }
            catch (Exception exception)
            {
                Call.Keep(exception);
                setError(operation, Line(exception));
                return 1;
            }
        }

        /// <summary>Goes into messages and logs: an exception of somebody else's may have a secret in its text.</summary>
        private static byte[] Line(Exception exception)
        {
            string name = exception.GetType().Name;
            string text = exception is MsalException ? $"{name}: {exception.Message}" : $"the delegate threw {name}";
            return Interop.Utf8(text.Replace('\0', ' ').Replace('\r', ' ').Replace('\n', ' '));
        }

        private static T Wait<T>(Task<T> task)
        {
            return task == null ? default : task.GetAwaiter().GetResult();
        }
    }
}
