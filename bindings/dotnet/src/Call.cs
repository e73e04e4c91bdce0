// One blocking call of the library as a Task: on which thread, with which CancellationToken, and how it
// fails.

using System;
using System.Threading;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>
    /// The call that this thread is inside of. Callbacks of the library run on the same thread.
    /// </summary>
    internal sealed class Call
    {
        [ThreadStatic]
        private static Call s_current;

        private Exception _caught;

        private Call(CancellationToken token)
        {
            Token = token;
        }

        private CancellationToken Token { get; }

        /// <summary>The token of the call that a callback serves.</summary>
        internal static CancellationToken CurrentToken => s_current?.Token ?? CancellationToken.None;

        /// <summary>Keeps what a callback threw, to be the inner exception of what the call throws.</summary>
        internal static void Keep(Exception exception)
        {
            if (s_current != null)
            {
                s_current._caught = exception;
            }
        }

        /// <summary>
        /// Runs body on another thread. One of its own where callbacks may wait for tasks: if calls filled
        /// the pool, those tasks would wait for the calls.
        /// </summary>
        internal static Task<T> RunAsync<T>(bool hasCallbacks, CancellationToken token, Func<T> body)
        {
            var options = TaskCreationOptions.DenyChildAttach
                | (hasCallbacks ? TaskCreationOptions.LongRunning : TaskCreationOptions.None);
            return Task.Factory.StartNew(() => Run(token, body), token, options, TaskScheduler.Default);
        }

        /// <summary>The same with a flag for the library that token raises, for as long as body runs.</summary>
        internal static Task<T> RunAsync<T>(bool hasCallbacks, CancellationToken token, Func<IntPtr, T> body)
        {
            return RunAsync(hasCallbacks, token, () =>
            {
                using (var flag = new CancelFlag(token))
                {
                    return body(flag.Pointer);
                }
            });
        }

        private static T Run<T>(CancellationToken token, Func<T> body)
        {
            Call outer = s_current;
            s_current = new Call(token);
            try
            {
                return body();
            }
            finally
            {
                s_current = outer;
            }
        }

        /// <summary>Throws what an error of the library says, and frees it.</summary>
        internal static void Check(int status, IntPtr error)
        {
            if (status == Native.OK)
            {
                return;
            }
            // Where a service refused, what a callback threw was not the cause: an assertion may have been
            // signed at the second attempt.
            bool ofCallback = status == Native.E_CALLBACK || status == Native.E_KEY_UNAVAILABLE
                || status == Native.E_CANCELLED;
            Exception caught = ofCallback ? s_current?._caught : null;
            MsalException exception = MsalException.Take(status, error, caught);
            CancellationToken token = CurrentToken;
            bool stopped = status == Native.E_CANCELLED || caught is OperationCanceledException;
            if (stopped && token.IsCancellationRequested)
            {
                throw new OperationCanceledException(exception.Message, exception, token);
            }
            throw exception;
        }
    }
}
