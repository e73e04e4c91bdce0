// What the builders of both kinds of app share: settings, kept until the app is made.

using System;
using System.Collections.Generic;

namespace Mtlspop
{
    /// <summary>Settings of an app.</summary>
    public abstract class ApplicationBuilder<T> where T : ApplicationBuilder<T>
    {
        private readonly Func<IntPtr> _options;
        private readonly List<Action<IntPtr>> _settings = new List<Action<IntPtr>>();

        internal ApplicationBuilder(Func<IntPtr> options)
        {
            Interop.Load();
            _options = options;
        }

        /// <summary>Whether calls may wait for code of the caller's.</summary>
        internal bool HasCallbacks { get; set; }

        /// <summary>Where log lines go; nowhere by default. Level is Info unless given.</summary>
        public T WithLogging(LogCallback loggingCallback, LogLevel? logLevel = null)
        {
            Required(loggingCallback, nameof(loggingCallback));
            return With(options => Native.mtlspop_app_options_set_log(
                options,
                (int)(logLevel ?? LogLevel.Info),
                Callbacks.Log,
                Callbacks.Root(loggingCallback),
                Callbacks.Destroy));
        }

        /// <summary>What the app can handle: "cp1" for the claims challenges of APIs.</summary>
        public T WithClientCapabilities(IEnumerable<string> clientCapabilities)
        {
            byte[] capabilities = Interop.Utf8(string.Join(" ", clientCapabilities ?? new string[0]));
            return With(options => Native.mtlspop_app_options_set_client_capabilities(options, capabilities));
        }

        internal T With(Action<IntPtr> setting)
        {
            _settings.Add(setting);
            return (T)this;
        }

        /// <summary>Makes an app, with further settings if there are any.</summary>
        internal AppHandle Make(params Action<IntPtr>[] further)
        {
            using (var options = new AppOptionsHandle(_options()))
            using (var native = options.Use())
            {
                _settings.ForEach(setting => setting(native.Pointer));
                Array.ForEach(further, setting => setting(native.Pointer));
                int status = Native.mtlspop_app_new(native.Pointer, out IntPtr app, out IntPtr error);
                Call.Check(status, error);
                return new AppHandle(app);
            }
        }

        internal static void Required(object value, string name)
        {
            if (value == null)
            {
                throw new ArgumentNullException(name);
            }
        }
    }
}
