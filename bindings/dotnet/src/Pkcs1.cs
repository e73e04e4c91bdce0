// An RSA key as PEM: netstandard2.0 has nothing that writes one, and Mono's PFX holds integers with
// superfluous zeros for one key in a hundred, which is no DER.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Mtlspop
{
    internal static class Pkcs1
    {
        /// <summary>RSAPrivateKey of RFC 8017, appendix A.1.2.</summary>
        internal static byte[] Pem(RSAParameters key)
        {
            byte[][] parts =
            {
                new byte[1], key.Modulus, key.Exponent, key.D, key.P, key.Q, key.DP, key.DQ, key.InverseQ,
            };
            byte[] der = Value(0x30, parts.SelectMany(part => Integer(part)).ToArray());
            string body = Certificates.Base64(der);
            foreach (byte[] part in new[] { der, key.D, key.P, key.Q, key.DP, key.DQ, key.InverseQ })
            {
                Array.Clear(part, 0, part.Length);
            }
            return Encoding.ASCII.GetBytes(
                $"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n");
        }

        /// <summary>The shortest form, with a zero where the first bit would make it negative.</summary>
        private static byte[] Integer(byte[] number)
        {
            IEnumerable<byte> digits = number.SkipWhile(digit => digit == 0);
            byte first = digits.FirstOrDefault();
            bool needsZero = first == 0 || first >= 0x80;
            return Value(0x02, needsZero ? new byte[1].Concat(digits).ToArray() : digits.ToArray());
        }

        private static byte[] Value(byte tag, byte[] content)
        {
            var head = new List<byte> { tag };
            if (content.Length < 0x80)
            {
                head.Add((byte)content.Length);
            }
            else if (content.Length < 0x100)
            {
                head.AddRange(new byte[] { 0x81, (byte)content.Length });
            }
            else
            {
                head.AddRange(new byte[] { 0x82, (byte)(content.Length >> 8), (byte)content.Length });
            }
            return head.Concat(content).ToArray();
        }
    }
}
