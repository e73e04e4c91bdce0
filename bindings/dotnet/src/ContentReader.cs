// The body of a request as the library wants it: piece by piece, where HttpContent can only write all of itself.

using System;
using System.IO;
using System.Net.Http;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>
    /// Reads an HttpContent, which is written by a task. It gets no further than what was read.
    /// </summary>
    internal sealed class ContentReader
    {
        private readonly HttpContent _content;
        private Exchange _exchange;

        internal ContentReader(HttpContent content)
        {
            _content = content;
        }

        /// <summary>The length, -1 where it is not known.</summary>
        internal long Length => _content.Headers.ContentLength ?? -1;

        /// <summary>Whether it can be sent again: bytes can, of anything else it is not said.</summary>
        internal bool CanRewind => _content is ByteArrayContent;

        /// <summary>Puts the next bytes where there is room for some. 0 is the end.</summary>
        internal int Read(IntPtr room, int capacity, CancellationToken cancellationToken)
        {
            if (_exchange == null)
            {
                _exchange = new Exchange(_content);
            }
            return _exchange.Take(room, capacity, cancellationToken);
        }

        internal void Rewind()
        {
            _exchange?.Stop();
            _exchange = null;
        }

        /// <summary>
        /// Stops the task, should it still write, and waits until it uses the content no more, or for the token: who
        /// sends the content again, or disposes of it, is to be alone with it.
        /// </summary>
        internal async Task StopAsync(CancellationToken cancellationToken)
        {
            if (_exchange == null)
            {
                return;
            }
            Task copy = _exchange.Stop();
            var stopped = new TaskCompletionSource<bool>();
            using (cancellationToken.Register(() => stopped.TrySetResult(true)))
            {
                await Task.WhenAny(copy, stopped.Task).ConfigureAwait(false);
            }
        }

        /// <summary>Where the task writes; each write waits until it was read.</summary>
        private sealed class Exchange : OneWayStream
        {
            private readonly SemaphoreSlim _given = new SemaphoreSlim(0);
            private readonly SemaphoreSlim _taken = new SemaphoreSlim(0);
            private readonly CancellationTokenSource _stop = new CancellationTokenSource();
            private readonly Task _copy;
            private byte[] _bytes;
            private int _start;
            private int _left;
            // Of the reader: whether it has what was given.
            private bool _has;

            internal Exchange(HttpContent content)
            {
                _copy = Task.Run(() => CopyAsync(content));
            }

            private async Task CopyAsync(HttpContent content)
            {
                try
                {
                    await content.CopyToAsync(this).ConfigureAwait(false);
                }
                finally
                {
                    // Of nothing, which is the end.
                    _given.Release();
                }
            }

            internal int Take(IntPtr room, int capacity, CancellationToken cancellationToken)
            {
                if (!_has)
                {
                    _given.Wait(cancellationToken);
                    _has = true;
                }
                if (_left == 0)
                {
                    // What went wrong in the content comes out here.
                    _copy.GetAwaiter().GetResult();
                    return 0;
                }
                int count = Math.Min(capacity, _left);
                Marshal.Copy(_bytes, _start, room, count);
                _start += count;
                _left -= count;
                if (_left == 0)
                {
                    _bytes = null;
                    _has = false;
                    _taken.Release();
                }
                return count;
            }

            /// <summary>The task.</summary>
            internal Task Stop()
            {
                _stop.Cancel();
                // What it throws now is of no interest to anybody.
                _copy.ContinueWith(task => task.Exception, TaskContinuationOptions.OnlyOnFaulted);
                return _copy;
            }

            public override void Write(byte[] buffer, int offset, int count)
            {
                if (Give(buffer, offset, count))
                {
                    _taken.Wait(_stop.Token);
                }
            }

            public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
            {
                return Give(buffer, offset, count) ? _taken.WaitAsync(_stop.Token) : Task.CompletedTask;
            }

            private bool Give(byte[] buffer, int offset, int count)
            {
                _stop.Token.ThrowIfCancellationRequested();
                if (count == 0)
                {
                    return false;
                }
                _bytes = buffer;
                _start = offset;
                _left = count;
                _given.Release();
                return true;
            }

            public override bool CanWrite => true;
        }
    }
}
