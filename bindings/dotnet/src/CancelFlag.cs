// The library's flag for a call, which a CancellationToken raises.

using System;
using System.Threading;

namespace Mtlspop
{
    internal sealed class CancelFlag : IDisposable
    {
        private readonly CancelHandle _handle = new CancelHandle(Native.mtlspop_cancel_new());
        private readonly CancellationTokenRegistration _registration;

        internal CancelFlag(CancellationToken token)
        {
            Token = token;
            _registration = Register(token);
        }

        internal CancellationToken Token { get; }

        /// <summary>For a request, which makes the flag its own. Of no use once this is disposed of.</summary>
        internal IntPtr Pointer => _handle.DangerousGetHandle();

        /// <summary>Lets another token raise it, too, until the registration is disposed of.</summary>
        internal CancellationTokenRegistration Register(CancellationToken token)
        {
            return token.Register(flag => ((CancelFlag)flag).Raise(), this);
        }

        internal void Raise()
        {
            try
            {
                using (var flag = _handle.Use())
                {
                    Native.mtlspop_cancel_raise(flag.Pointer);
                }
            }
            catch (ObjectDisposedException)
            {
                // What it was for is over.
            }
        }

        public void Dispose()
        {
            _registration.Dispose();
            _handle.Dispose();
        }
    }
}
