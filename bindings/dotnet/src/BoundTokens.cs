// Which tokens are bound to a certificate: so that a handler that is given only that knows whose they are.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;

namespace Mtlspop
{
    internal static class BoundTokens
    {
        // A token can be sent as long as its certificate is there and it lives, as with HttpClientHandler.
        private static readonly ConditionalWeakTable<X509Certificate2, List<AuthenticationResult>> s_kept =
            new ConditionalWeakTable<X509Certificate2, List<AuthenticationResult>>();

        // By thumbprint, for two objects may hold the same certificate.
        private static readonly Dictionary<string, List<WeakReference<AuthenticationResult>>> s_results =
            new Dictionary<string, List<WeakReference<AuthenticationResult>>>(
                StringComparer.OrdinalIgnoreCase);

        private static int s_count;
        private static int s_limit = 64;

        internal static void Add(X509Certificate2 certificate, AuthenticationResult result)
        {
            lock (s_results)
            {
                List<AuthenticationResult> kept = s_kept.GetOrCreateValue(certificate);
                kept.RemoveAll(one => !one.IsUsable);
                if (kept.Any(one => one.AccessToken == result.AccessToken))
                {
                    return;
                }
                kept.Add(result);
                if (++s_count > s_limit)
                {
                    Prune();
                }
                string thumbprint = certificate.Thumbprint;
                if (!s_results.TryGetValue(thumbprint, out var results))
                {
                    s_results[thumbprint] = results = new List<WeakReference<AuthenticationResult>>();
                }
                results.Add(new WeakReference<AuthenticationResult>(result));
            }
        }

        /// <summary>The result with this token; null where there is none.</summary>
        internal static AuthenticationResult Find(string thumbprint, string tokenType, string accessToken)
        {
            lock (s_results)
            {
                if (!s_results.TryGetValue(thumbprint, out var results))
                {
                    return null;
                }
                for (int index = results.Count - 1; index >= 0; index--)
                {
                    bool lives = results[index].TryGetTarget(out AuthenticationResult result);
                    if (lives && result.IsUsable && result.AccessToken == accessToken
                        && string.Equals(result.TokenType, tokenType, StringComparison.OrdinalIgnoreCase))
                    {
                        return result;
                    }
                }
                return null;
            }
        }

        private static void Prune()
        {
            s_count = 1;
            foreach (string thumbprint in s_results.Keys.ToList())
            {
                List<WeakReference<AuthenticationResult>> results = s_results[thumbprint];
                results.RemoveAll(one => !one.TryGetTarget(out _));
                s_count += results.Count;
                if (results.Count == 0)
                {
                    s_results.Remove(thumbprint);
                }
            }
            s_limit = Math.Max(64, 2 * s_count);
        }
    }
}
