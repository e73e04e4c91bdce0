// A cache of tokens that apps share, and the store behind it that processes share.

using System;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>
    /// Where tokens are kept for other processes. What is stored holds tokens: protect it. What it throws is
    /// logged, and the call goes on without it.
    /// </summary>
    public interface ITokenCacheStore
    {
        /// <summary>What was saved last under a key; null for nothing.</summary>
        Task<byte[]> LoadAsync(string suggestedCacheKey, CancellationToken cancellationToken);

        /// <summary>Replaces what is under a key; it is of no use after its expiry.</summary>
        Task SaveAsync(
            string suggestedCacheKey,
            byte[] data,
            DateTimeOffset suggestedCacheExpiry,
            CancellationToken cancellationToken);
    }

    /// <summary>Tokens of confidential clients, for WithTokenCache. Any number of apps may have it.</summary>
    public sealed class TokenCache : IDisposable
    {
        private readonly TokenCacheHandle _handle;

        /// <summary>With limits (null: 50,000 tokens), and with a store behind it if there is one.</summary>
        public TokenCache(ITokenCacheStore store = null, int? maxEntries = null, int? maxBytes = null)
        {
            Interop.Load();
            _handle = new TokenCacheHandle(Native.mtlspop_token_cache_new());
            HasStore = store != null;
            using (var cache = _handle.Use())
            {
                if (maxEntries.HasValue)
                {
                    Native.mtlspop_token_cache_set_max_entries(cache.Pointer, Size(maxEntries.Value));
                }
                if (maxBytes.HasValue)
                {
                    Native.mtlspop_token_cache_set_max_bytes(cache.Pointer, Size(maxBytes.Value));
                }
                if (store != null)
                {
                    Native.mtlspop_token_cache_set_store(
                        cache.Pointer, Callbacks.Store, Callbacks.Root(store), Callbacks.Destroy);
                }
            }
        }

        internal bool HasStore { get; }

        /// <summary>Calls that got their token without asking the token service.</summary>
        public long Hits => Read(Native.mtlspop_token_cache_hits);

        /// <summary>Calls that asked the token service, or failed.</summary>
        public long Misses => Read(Native.mtlspop_token_cache_misses);

        /// <summary>Tokens that went because a limit was reached.</summary>
        public long Evictions => Read(Native.mtlspop_token_cache_evictions);

        /// <summary>Tokens that it holds, expired ones included.</summary>
        public long Entries => Read(Native.mtlspop_token_cache_entries);

        /// <summary>The memory that they take, about.</summary>
        public long Bytes => Read(Native.mtlspop_token_cache_bytes);

        /// <summary>Apps that have it keep it.</summary>
        public void Dispose()
        {
            _handle.Dispose();
        }

        internal void Apply(IntPtr options)
        {
            using (var cache = _handle.Use())
            {
                Native.mtlspop_app_options_set_token_cache(options, cache.Pointer);
            }
        }

        private long Read(Func<IntPtr, long> what)
        {
            using (var cache = _handle.Use())
            {
                return what(cache.Pointer);
            }
        }

        private static UIntPtr Size(int value)
        {
            return value < 0 ? throw new ArgumentOutOfRangeException(nameof(value)) : (UIntPtr)(uint)value;
        }
    }
}
