// One SafeHandle per type of the library: freed once, and not while a call on another thread uses it.

using System;
using System.Runtime.InteropServices;

namespace Mtlspop
{
    internal abstract class NativeHandle : SafeHandle
    {
        protected NativeHandle(IntPtr handle) : base(IntPtr.Zero, ownsHandle: true)
        {
            SetHandle(handle);
        }

        public override bool IsInvalid => handle == IntPtr.Zero;

        /// <summary>The handle for a call, which cannot be freed before that is over.</summary>
        internal Use Use()
        {
            return new Use(this);
        }
    }

    internal struct Use : IDisposable
    {
        private readonly NativeHandle _handle;

        internal Use(NativeHandle handle)
        {
            bool added = false;
            handle.DangerousAddRef(ref added);
            _handle = handle;
        }

        internal IntPtr Pointer => _handle.DangerousGetHandle();

        public void Dispose()
        {
            _handle.DangerousRelease();
        }
    }

    internal sealed class AppHandle : NativeHandle
    {
        internal AppHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_app_free(handle);
            return true;
        }
    }

    internal sealed class AppOptionsHandle : NativeHandle
    {
        internal AppOptionsHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_app_options_free(handle);
            return true;
        }
    }

    internal sealed class BufferHandle : NativeHandle
    {
        internal BufferHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_buffer_free(handle);
            return true;
        }
    }

    internal sealed class CancelHandle : NativeHandle
    {
        internal CancelHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_cancel_free(handle);
            return true;
        }
    }

    internal sealed class CapabilitiesHandle : NativeHandle
    {
        internal CapabilitiesHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_capabilities_free(handle);
            return true;
        }
    }

    internal sealed class CertificateHandle : NativeHandle
    {
        internal CertificateHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_certificate_free(handle);
            return true;
        }
    }

    internal sealed class HttpRequestHandle : NativeHandle
    {
        internal HttpRequestHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_http_request_free(handle);
            return true;
        }
    }

    internal sealed class HttpResponseHandle : NativeHandle
    {
        internal HttpResponseHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_http_response_free(handle);
            return true;
        }
    }

    internal sealed class HttpStreamHandle : NativeHandle
    {
        internal HttpStreamHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_http_stream_free(handle);
            return true;
        }
    }

    internal sealed class TokenCacheHandle : NativeHandle
    {
        internal TokenCacheHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_token_cache_free(handle);
            return true;
        }
    }

    internal sealed class TokenHandle : NativeHandle
    {
        internal TokenHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_token_free(handle);
            return true;
        }
    }

    internal sealed class TokenRequestHandle : NativeHandle
    {
        internal TokenRequestHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_token_request_free(handle);
            return true;
        }
    }

    internal sealed class TpmOptionsHandle : NativeHandle
    {
        internal TpmOptionsHandle(IntPtr handle) : base(handle) { }

        protected override bool ReleaseHandle()
        {
            Native.mtlspop_tpm_options_free(handle);
            return true;
        }
    }
}
