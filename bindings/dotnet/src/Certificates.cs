// X509Certificate2 to the library's certificates and back, each once.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Mtlspop
{
    internal static class Certificates
    {
        private static readonly ConditionalWeakTable<X509Certificate2, CertificateHandle> s_handles =
            new ConditionalWeakTable<X509Certificate2, CertificateHandle>();

        // By SHA-256: so that a token's certificate is the very object that the app was given.
        private static readonly Dictionary<string, WeakReference<X509Certificate2>> s_known =
            new Dictionary<string, WeakReference<X509Certificate2>>();

        /// <summary>The library's certificate for one of .NET; lives as long as that.</summary>
        internal static CertificateHandle Of(X509Certificate2 certificate)
        {
            if (certificate == null)
            {
                throw new ArgumentNullException(nameof(certificate));
            }
            return s_handles.GetValue(certificate, Convert);
        }

        /// <summary>
        /// .NET's certificate for one of the library; with its key where that can leave its home.
        /// </summary>
        internal static X509Certificate2 From(CertificateHandle handle)
        {
            using (var native = handle.Use())
            {
                string thumbprint = Thumbprint(native.Pointer);
                lock (s_known)
                {
                    X509Certificate2 certificate = Known(thumbprint);
                    if (certificate == null)
                    {
                        certificate = Export(native.Pointer);
                        Remember(thumbprint, certificate);
                    }
                    return certificate;
                }
            }
        }

        private static CertificateHandle Convert(X509Certificate2 certificate)
        {
            Interop.Load();
            if (!certificate.HasPrivateKey)
            {
                throw MsalException.OfClient(
                    "cert_without_private_key",
                    $"the certificate {certificate.Subject} has no private key: load it with its key");
            }
            byte[] key = Key(certificate);
            CertificateHandle handle = key == null ? WithSigner(certificate) : WithKey(certificate, key);
            using (var native = handle.Use())
            {
                string thumbprint = Thumbprint(native.Pointer);
                lock (s_known)
                {
                    Remember(thumbprint, certificate);
                }
            }
            return handle;
        }

        /// <summary>The private key in PEM; null where it does not leave its home.</summary>
        private static byte[] Key(X509Certificate2 certificate)
        {
            byte[] pfx = null;
            string password = Password();
            try
            {
                pfx = certificate.Export(X509ContentType.Pkcs12, password);
                RSA key = certificate.GetRSAPrivateKey();
                return key == null ? KeyOfPfx(pfx, password) : Pkcs1.Pem(key.ExportParameters(true));
            }
            catch (CryptographicException)
            {
                return null;
            }
            finally
            {
                Array.Clear(pfx ?? new byte[0], 0, pfx?.Length ?? 0);
            }
        }

        private static byte[] KeyOfPfx(byte[] pfx, string password)
        {
            int status = Native.mtlspop_certificate_new_from_pkcs12(
                pfx, Interop.Length(pfx), Interop.Utf8(password), out IntPtr made, out IntPtr error);
            Call.Check(status, error);
            using (var handle = new CertificateHandle(made))
            using (var native = handle.Use())
            {
                status = Native.mtlspop_certificate_export_private_key_pem(
                    native.Pointer, out IntPtr pem, out error);
                Call.Check(status, error);
                return Take(pem);
            }
        }

        private static CertificateHandle WithKey(X509Certificate2 certificate, byte[] key)
        {
            try
            {
                byte[] chain = Encoding.ASCII.GetBytes(Pem(certificate) + Issuers(certificate));
                int status = Native.mtlspop_certificate_new_from_pem(
                    chain,
                    Interop.Length(chain),
                    key,
                    Interop.Length(key),
                    null,
                    out IntPtr made,
                    out IntPtr error);
                Call.Check(status, error);
                return new CertificateHandle(made);
            }
            finally
            {
                Array.Clear(key, 0, key.Length);
            }
        }

        private static CertificateHandle WithSigner(X509Certificate2 certificate)
        {
            RSA key = certificate.GetRSAPrivateKey();
            if (key == null)
            {
                throw MsalException.OfClient(
                    "certificate_not_rsa",
                    $"the key of {certificate.Subject} cannot be exported and is not RSA: use an RSA key");
            }
            byte[] chain = Encoding.ASCII.GetBytes(Pem(certificate) + Issuers(certificate));
            // The key and not the certificate, which would keep itself alive by way of s_handles.
            int status = Native.mtlspop_certificate_new_with_signer(
                chain,
                Interop.Length(chain),
                Callbacks.Sign,
                Callbacks.Root(key),
                Callbacks.Destroy,
                out IntPtr native,
                out IntPtr error);
            Call.Check(status, error);
            return new CertificateHandle(native);
        }

        /// <summary>
        /// The issuers below the root, from this host's stores, as SslStream finds and sends them.
        /// </summary>
        private static string Issuers(X509Certificate2 certificate)
        {
            using (var chain = new X509Chain())
            {
                chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
                chain.ChainPolicy.VerificationFlags = X509VerificationFlags.AllFlags;
                chain.ChainPolicy.UrlRetrievalTimeout = TimeSpan.FromSeconds(5);
                try
                {
                    chain.Build(certificate);
                }
                catch (Exception exception) when (exception is ArgumentException
                    || exception is NotSupportedException)
                {
                    // Mono, for a signature or key it does not know, such as EC. What it found is there, and
                    // the server verifies it.
                }
                var elements = chain.ChainElements.Cast<X509ChainElement>().Skip(1);
                var certificates = elements.Select(element => element.Certificate);
                return string.Concat(certificates.Where(one => one.Subject != one.Issuer).Select(Pem));
            }
        }

        private static string Pem(X509Certificate2 certificate)
        {
            return $"-----BEGIN CERTIFICATE-----\n{Base64(certificate.RawData)}\n-----END CERTIFICATE-----\n";
        }

        /// <summary>Base64 in lines, as PEM has it.</summary>
        internal static string Base64(byte[] bytes)
        {
            string text = System.Convert.ToBase64String(bytes, Base64FormattingOptions.InsertLineBreaks);
            return text.Replace("\r", "");
        }

        private static X509Certificate2 Export(IntPtr native)
        {
            if (Native.mtlspop_certificate_is_exportable(native) != 1)
            {
                return new X509Certificate2(
                    Interop.Bytes(Native.mtlspop_certificate_der(native, out UIntPtr length), length));
            }
            string password = Password();
            // Mono reads nothing newer.
            int format = Interop.IsMono ? Native.PKCS12_LEGACY : Native.PKCS12_MODERN;
            int status = Native.mtlspop_certificate_export_pkcs12(
                native, Interop.Utf8(password), format, out IntPtr buffer, out IntPtr error);
            Call.Check(status, error);
            byte[] pfx = Take(buffer);
            try
            {
                return new X509Certificate2(pfx, password, X509KeyStorageFlags.Exportable);
            }
            finally
            {
                Array.Clear(pfx, 0, pfx.Length);
            }
        }

        /// <summary>The bytes of a buffer, which it frees.</summary>
        internal static byte[] Take(IntPtr buffer)
        {
            using (new BufferHandle(buffer))
            {
                return Interop.Bytes(Native.mtlspop_buffer_data(buffer, out UIntPtr length), length);
            }
        }

        private static string Password()
        {
            var bytes = new byte[24];
            using (var random = RandomNumberGenerator.Create())
            {
                random.GetBytes(bytes);
            }
            return System.Convert.ToBase64String(bytes);
        }

        private static string Thumbprint(IntPtr native)
        {
            return Interop.Text(Native.mtlspop_certificate_sha256_thumbprint(native));
        }

        private static X509Certificate2 Known(string thumbprint)
        {
            if (!s_known.TryGetValue(thumbprint, out var reference)
                || !reference.TryGetTarget(out var certificate))
            {
                return null;
            }
            try
            {
                _ = certificate.Thumbprint;
                return certificate;
            }
            catch (CryptographicException)
            {
                // Whoever had it has disposed it.
                return null;
            }
        }

        private static void Remember(string thumbprint, X509Certificate2 certificate)
        {
            var dead = s_known.Where(one => !one.Value.TryGetTarget(out _)).Select(one => one.Key);
            foreach (string gone in dead.ToList())
            {
                s_known.Remove(gone);
            }
            s_known[thumbprint] = new WeakReference<X509Certificate2>(certificate);
        }
    }
}
