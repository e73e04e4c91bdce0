// The body of a response as a Stream: what nobody reads stays with the server.

using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>
    /// Reads as the body comes. Disposed of before its end it closes its connection. The token of the request
    /// stops reads, too.
    /// </summary>
    internal sealed class ResponseStream : OneWayStream
    {
        private readonly HttpStreamHandle _handle;
        private readonly CancelFlag _flag;

        internal ResponseStream(HttpStreamHandle handle, CancelFlag flag)
        {
            _handle = handle;
            _flag = flag;
        }

        public override int Read(byte[] buffer, int offset, int count)
        {
            return Read(buffer, offset, count, CancellationToken.None);
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        {
            return Task.Run(() => Read(buffer, offset, count, cancellationToken), cancellationToken);
        }

        private int Read(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        {
            // Checks what it is given.
            var room = new ArraySegment<byte>(buffer, offset, count);
            using (var native = _handle.Use())
            {
                if (room.Count == 0)
                {
                    return 0;
                }
                GCHandle pin = GCHandle.Alloc(buffer, GCHandleType.Pinned);
                try
                {
                    using (_flag.Register(cancellationToken))
                    {
                        int status = Native.mtlspop_http_stream_read(
                            native.Pointer,
                            pin.AddrOfPinnedObject() + offset,
                            (UIntPtr)(uint)count,
                            out UIntPtr length,
                            out IntPtr error);
                        Check(status, error, cancellationToken);
                        return (int)length;
                    }
                }
                finally
                {
                    pin.Free();
                }
            }
        }

        private void Check(int status, IntPtr error, CancellationToken cancellationToken)
        {
            if (status == Native.OK)
            {
                return;
            }
            MsalException exception = MsalException.Take(status, error, null);
            foreach (CancellationToken token in new[] { cancellationToken, _flag.Token })
            {
                if (status == Native.E_CANCELLED && token.IsCancellationRequested)
                {
                    throw new OperationCanceledException(exception.Message, exception, token);
                }
            }
            throw new IOException(exception.Message, exception);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && !_handle.IsClosed)
            {
                // A read that another thread waits in ends now, and the stream with it.
                _flag.Raise();
                _handle.Dispose();
                _flag.Dispose();
            }
            base.Dispose(disposing);
        }

        public override bool CanRead => !_handle.IsClosed;
    }
}
