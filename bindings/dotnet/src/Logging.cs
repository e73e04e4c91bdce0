// Where log lines go: MSAL's LogCallback and LogLevel.

namespace Mtlspop
{
    /// <summary>How important a line is. The numbers are MSAL's and the library's.</summary>
    public enum LogLevel
    {
        /// <summary>A call failed.</summary>
        Error = Native.LOG_ERROR,

        /// <summary>Something failed, and the call goes on without it.</summary>
        Warning = Native.LOG_WARNING,

        /// <summary>What a person following one call wants to see.</summary>
        Info = Native.LOG_INFO,

        /// <summary>Every step.</summary>
        Verbose = Native.LOG_VERBOSE,
    }

    /// <summary>
    /// Receives one line, on any thread, possibly several at once. Personal data is never in it, so
    /// containsPii is false. Must not call the app.
    /// </summary>
    public delegate void LogCallback(LogLevel level, string message, bool containsPii);
}
