// Between C# and the C ABI: text, bytes, and whether the library that was loaded is the right one.

using System;
using System.Runtime.InteropServices;
using System.Text;

namespace Mtlspop
{
    internal static class Interop
    {
        private static readonly Lazy<bool> s_loaded = new Lazy<bool>(CheckVersion);

        internal static readonly bool IsMono = Type.GetType("Mono.Runtime") != null;

        /// <summary>Loads the library; to be called before the first handle of any kind is made.</summary>
        internal static void Load()
        {
            _ = s_loaded.Value;
        }

        /// <summary>UTF-8 with its NUL; null stays null.</summary>
        internal static byte[] Utf8(string text)
        {
            if (text == null)
            {
                return null;
            }
            if (text.IndexOf('\0') >= 0)
            {
                throw new ArgumentException("a text holds a NUL, with which it would end for the library");
            }
            return Encoding.UTF8.GetBytes(text + "\0");
        }

        /// <summary>Yes, no, or not known: 1, 0, -1.</summary>
        internal static bool? Maybe(int answer)
        {
            return answer < 0 ? (bool?)null : answer == 1;
        }

        /// <summary>Copies text that the library lends.</summary>
        internal static string Text(IntPtr text)
        {
            // UTF-8 on all systems that have the library.
            return Marshal.PtrToStringAnsi(text);
        }

        /// <summary>Copies bytes that the library lends.</summary>
        internal static byte[] Bytes(IntPtr data, UIntPtr length)
        {
            var bytes = new byte[data == IntPtr.Zero ? 0 : checked((int)length.ToUInt64())];
            if (bytes.Length > 0)
            {
                Marshal.Copy(data, bytes, 0, bytes.Length);
            }
            return bytes;
        }

        internal static UIntPtr Length(byte[] bytes)
        {
            return (UIntPtr)(uint)bytes.Length;
        }

        internal static DateTimeOffset Time(long seconds)
        {
            return DateTimeOffset.FromUnixTimeSeconds(seconds);
        }

        private static bool CheckVersion()
        {
            int found = Native.mtlspop_abi_version();
            int wanted = Native.ABI_VERSION;
            if (found >> 16 != wanted >> 16 || (found & 0xffff) < (wanted & 0xffff))
            {
                throw new DllNotFoundException(
                    $"libmtlspop {Text(Native.mtlspop_version())} has ABI {found >> 16}.{found & 0xffff}; "
                    + $"this assembly needs {wanted >> 16}.{wanted & 0xffff} or a later minor one: "
                    + $"install libmtlspop {Native.VERSION} or later");
            }
            return true;
        }
    }
}
