// How a refresh ended that nobody waited for, and who is told.

using System;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>A token, or why there is none.</summary>
    public sealed class ExecutionResult
    {
        internal ExecutionResult(AuthenticationResult result, MsalException exception)
        {
            Result = result;
            Exception = exception;
        }

        public bool Successful => Exception == null;

        /// <summary>The new token; null where there is none.</summary>
        public AuthenticationResult Result { get; }

        /// <summary>Why there is none; null where there is one.</summary>
        public MsalException Exception { get; }
    }

    /// <summary>A delegate, and the app of the tokens that it is given. It does not keep that alive.</summary>
    internal sealed class BackgroundRefresh
    {
        private readonly Func<ExecutionResult, Task> _told;
        private readonly WeakReference<App> _app = new WeakReference<App>(null);

        internal BackgroundRefresh(Func<ExecutionResult, Task> told)
        {
            _told = told;
        }

        internal App App
        {
            set { _app.SetTarget(value); }
        }

        internal void Apply(IntPtr options)
        {
            // MSAL refreshes in the background whatever other delegates an app has.
            Native.mtlspop_app_options_set_background_refresh(options, 1);
            Native.mtlspop_app_options_set_background_refresh_callback(
                options, Callbacks.Refreshed, Callbacks.Root(this), Callbacks.Destroy);
        }

        internal void Tell(IntPtr token, IntPtr error)
        {
            ExecutionResult outcome;
            if (error != IntPtr.Zero)
            {
                int status = Native.mtlspop_error_status(error);
                outcome = new ExecutionResult(null, MsalException.Take(status, error, null));
            }
            else
            {
                var handle = new TokenHandle(token);
                if (!_app.TryGetTarget(out App app))
                {
                    handle.Dispose();
                    return;
                }
                outcome = new ExecutionResult(new AuthenticationResult(app, handle), null);
            }
            _told(outcome)?.GetAwaiter().GetResult();
        }
    }
}
