// Bodies that stream: contents as they are written, responses as they come.

using System;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Mtlspop;
using static Program;

internal static class Streams
{
    private const string Host = "https://graph.microsoft.com";
    private const long Large = 128L << 20;

    private static async Task Both()
    {
        using (var app = SniClient())
        using (var client = Client(app))
        {
            await Download(client, "", 1 << 20);
            await Download(client, "?chunked", 1 << 20);
            foreach (long? announced in new long?[] { 1 << 20, null })
            {
                await Upload(client, new Pattern(1 << 20, announced), 1 << 20);
                await Upload(client, new StreamContent(new PatternStream(1 << 20)), 1 << 20);
            }
            await Upload(client, new ByteArrayContent(Bytes(70000)), 70000);
            await Upload(client, new ByteArrayContent(new byte[0]), 0);

            // With everything in place, neither takes more memory for a longer body.
            long before = Peak();
            await Download(client, "", Large);
            await Upload(client, new Pattern(Large, Large), Large);
            long grown = Peak() - before;
            True(grown < Large / 1024 / 2, $"{grown} KiB more for bodies of {Large} bytes");
        }
    }

    private static async Task Broken()
    {
        using (var app = SniClient())
        using (var client = Client(app))
        {
            // What the content throws is found below what HttpClient throws.
            Exception thrown = await Throws<HttpRequestException>(
                () => client.PostAsync(Host + "/upload", new Pattern(1 << 20, null) { FailsAt = 1 << 19 }));
            while (thrown != null && !(thrown is InvalidDataException))
            {
                thrown = thrown.InnerException;
            }
            Equal("no more of the pattern", thrown?.Message, "what the content threw");
            var wrong = await Throws<HttpRequestException>(
                () => client.PostAsync(Host + "/upload", new Pattern(1000, 1001)));
            True(wrong.Message.Contains("1001"), wrong.Message);
            await Upload(client, new Pattern(1000, 1000), 1000);

            // Who catches it may use the content at once: nobody else does so any more.
            var slow = new Slow(4096);
            await Throws<HttpRequestException>(() => client.PostAsync(Host + "/upload", slow));
            True(slow.Ended, "the content was still in use after the call");
            // Unless it does not stop with its call.
            using (var source = new CancellationTokenSource(500))
            {
                var stuck = new Slow(1) { Forever = true };
                await Throws<Exception>(() => client.PostAsync(Host + "/upload", stuck, source.Token));
            }
        }
    }

    private static async Task Stopped()
    {
        using (var app = SniClient())
        using (var client = Client(app))
        using (var source = new CancellationTokenSource())
        {
            using (var response = await client.GetAsync(Host + "/stall", HttpCompletionOption.ResponseHeadersRead))
            {
                Equal(HttpStatusCode.OK, response.StatusCode, "status");
                Stream stream = await response.Content.ReadAsStreamAsync();
                Task<int> read = stream.ReadAsync(new byte[10], 0, 10, source.Token);
                source.Cancel();
                await Throws<OperationCanceledException>(() => read);
            }
            // Disposing ends a read that waits on another thread.
            using (var response = await client.GetAsync(Host + "/stall", HttpCompletionOption.ResponseHeadersRead))
            {
                Stream stream = await response.Content.ReadAsStreamAsync();
                Task<int> read = stream.ReadAsync(new byte[10], 0, 10);
                stream.Dispose();
                await Throws<Exception>(() => read);
                await Throws<ObjectDisposedException>(() => stream.ReadAsync(new byte[10], 0, 10));
            }
            // HttpClient's own limit holds until the end of a body that it reads.
            using (var hasty = Client(app))
            {
                hasty.Timeout = TimeSpan.FromSeconds(1);
                await Throws<Exception>(() => hasty.GetAsync(Host + "/stall"));
            }
        }
    }

    private static HttpClient Client(IConfidentialClientApplication app)
    {
        var request = app.AcquireTokenForClient(Scopes).WithMtlsProofOfPossession();
        return new HttpClient(new MtlsPopHttpMessageHandler(token => request.ExecuteAsync(token)));
    }

    private static async Task Download(HttpClient client, string query, long length)
    {
        string url = $"{Host}/stream/{length}{query}";
        using (var response = await client.GetAsync(url, HttpCompletionOption.ResponseHeadersRead))
        {
            Equal(HttpStatusCode.OK, response.StatusCode, "status");
            Equal(query == "" ? (long?)length : null, response.Content.Headers.ContentLength, "length");
            using (Stream body = await response.Content.ReadAsStreamAsync())
            using (var expected = new PatternStream(length))
            {
                Equal(Hash(expected), Hash(body), "what came");
                Equal(0, await body.ReadAsync(new byte[1], 0, 1), "after the end");
            }
        }
    }

    private static async Task Upload(HttpClient client, HttpContent content, long length)
    {
        using (var response = await client.PostAsync(Host + "/upload", content))
        using (var sent = new PatternStream(length))
        {
            string said = await response.Content.ReadAsStringAsync();
            True(said.Contains($"\"length\":{length}") && said.Contains(Hash(sent)), said);
        }
    }

    private static string Hash(Stream stream)
    {
        using (var sha = SHA256.Create())
        {
            return BitConverter.ToString(sha.ComputeHash(stream)).Replace("-", "").ToLowerInvariant();
        }
    }

    /// <summary>The most memory that this process has had, in KiB.</summary>
    private static long Peak()
    {
        foreach (string line in File.ReadAllLines("/proc/self/status"))
        {
            if (line.StartsWith("VmHWM:"))
            {
                return long.Parse(line.Substring(6).Replace("kB", "").Trim());
            }
        }
        throw new Exception("no VmHWM");
    }

    private static byte[] Bytes(int length)
    {
        var bytes = new byte[length];
        using (var pattern = new PatternStream(length))
        {
            pattern.Read(bytes, 0, length);
        }
        return bytes;
    }

    /// <summary>A content that writes itself.</summary>
    private sealed class Pattern : HttpContent
    {
        private readonly long _length;
        private readonly long? _announced;

        internal Pattern(long length, long? announced)
        {
            _length = length;
            _announced = announced;
        }

        internal long FailsAt { get; set; } = long.MaxValue;

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext context)
        {
            using (var pattern = new PatternStream(_length))
            {
                var buffer = new byte[10007];
                long sent = 0;
                for (int count; (count = pattern.Read(buffer, 0, buffer.Length)) > 0; sent += count)
                {
                    if (sent > FailsAt)
                    {
                        throw new InvalidDataException("no more of the pattern");
                    }
                    if (sent % 2 == 0)
                    {
                        await stream.WriteAsync(buffer, 0, count);
                    }
                    else
                    {
                        stream.Write(buffer, 0, count);
                    }
                }
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _announced ?? 0;
            return _announced != null;
        }
    }

    /// <summary>One byte more than it says; and it takes its time to end, or does not.</summary>
    private sealed class Slow : HttpContent
    {
        private readonly int _length;

        internal Slow(int length)
        {
            _length = length;
        }

        internal bool Ended { get; private set; }

        internal bool Forever { get; set; }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext context)
        {
            try
            {
                await stream.WriteAsync(new byte[_length + 1], 0, _length + 1);
            }
            finally
            {
                await Task.Delay(Forever ? Timeout.Infinite : 300);
                Ended = true;
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _length;
            return true;
        }
    }

    /// <summary>The bytes that devcloud gives: i % 251.</summary>
    private sealed class PatternStream : Stream
    {
        private readonly long _length;
        private long _position;

        internal PatternStream(long length)
        {
            _length = length;
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            count = (int)Math.Min(count, _length - _position);
            for (int at = 0; at < count; at++)
            {
                buffer[offset + at] = (byte)((_position + at) % 251);
            }
            _position += count;
            return count;
        }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin)
        {
            throw new NotSupportedException();
        }

        public override void SetLength(long value)
        {
            throw new NotSupportedException();
        }

        public override void Write(byte[] buffer, int offset, int count)
        {
            throw new NotSupportedException();
        }
    }
}
