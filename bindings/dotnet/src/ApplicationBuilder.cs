// What the builders of both kinds of app share: settings, kept until the app is made.

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Mtlspop
{
    /// <summary>Settings of an app.</summary>
    public abstract class ApplicationBuilder<T> where T : ApplicationBuilder<T>
    {
        private readonly Func<IntPtr> _options;
        private readonly List<Action<IntPtr>> _settings = new List<Action<IntPtr>>();
        private Func<ExecutionResult, Task> _refreshed;

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

        /// <summary>Who is told of each call's measurements. It must not use the app.</summary>
        public T WithMetrics(Action<Metric> metrics)
        {
            Required(metrics, nameof(metrics));
            return With(options => Native.mtlspop_app_options_set_metrics(
                options, Callbacks.Metrics, Callbacks.Root(metrics), Callbacks.Destroy));
        }

        /// <summary>
        /// Who is told how each refresh of a token ended that no call waited for; on a thread of the library's. Other
        /// delegates of the app are called there, too, when a token is refreshed. It may use the app.
        /// </summary>
        public T OnBackgroundTokenRefreshCompleted(Func<ExecutionResult, Task> onBackgroundTokenRefreshCompleted)
        {
            Required(onBackgroundTokenRefreshCompleted, nameof(onBackgroundTokenRefreshCompleted));
            _refreshed = onBackgroundTokenRefreshCompleted;
            return (T)this;
        }

        /// <summary>What the app can handle: "cp1" for the claims challenges of APIs.</summary>
        public T WithClientCapabilities(IEnumerable<string> clientCapabilities)
        {
            byte[] capabilities = Interop.Utf8(string.Join(" ", clientCapabilities ?? new string[0]));
            return With(options => Native.mtlspop_app_options_set_client_capabilities(options, capabilities));
        }

        /// <summary>Query parameters of each token request, and whether each keeps cached tokens apart.</summary>
        public T WithExtraQueryParameters(
            IDictionary<string, (string Value, bool IncludeInCacheKey)> extraQueryParameters)
        {
            Required(extraQueryParameters, nameof(extraQueryParameters));
            foreach (var parameter in extraQueryParameters)
            {
                byte[] name = Interop.Utf8(parameter.Key);
                byte[] value = Interop.Utf8(parameter.Value.Value);
                int inKey = parameter.Value.IncludeInCacheKey ? 1 : 0;
                With(options =>
                    Native.mtlspop_app_options_set_extra_query_parameter(options, name, value, inKey));
            }
            return (T)this;
        }

        /// <summary>"http://host:port", or "none"; without it the environment counts as for curl.</summary>
        public T WithProxy(string proxy)
        {
            Required(proxy, nameof(proxy));
            byte[] text = Interop.Utf8(proxy);
            return With(options => Native.mtlspop_app_options_set_proxy(options, text));
        }

        /// <summary>
        /// Adds a host that may ask for the certificate of a bound token in a TLS renegotiation: "vault.contoso.com",
        /// or "*.contoso.com" for all below a name. Key Vault and Managed HSM need not be named.
        /// </summary>
        public T WithRenegotiatingHost(string host)
        {
            Required(host, nameof(host));
            byte[] text = Interop.Utf8(host);
            return With(options => Native.mtlspop_app_options_add_renegotiating_host(options, text));
        }

        /// <summary>A PEM file with the roots to trust, instead of the system's.</summary>
        public T WithTrustedRootsFile(string path)
        {
            Required(path, nameof(path));
            byte[] text = Interop.Utf8(path);
            return With(options => Native.mtlspop_app_options_set_trusted_roots_file(options, text));
        }

        internal T With(Action<IntPtr> setting)
        {
            _settings.Add(setting);
            return (T)this;
        }

        /// <summary>Makes an app, with further settings if there are any.</summary>
        internal App Make(params Action<IntPtr>[] further)
        {
            BackgroundRefresh refreshed = _refreshed == null ? null : new BackgroundRefresh(_refreshed);
            using (var options = new AppOptionsHandle(_options()))
            using (var native = options.Use())
            {
                _settings.ForEach(setting => setting(native.Pointer));
                Array.ForEach(further, setting => setting(native.Pointer));
                refreshed?.Apply(native.Pointer);
                int status = Native.mtlspop_app_new(native.Pointer, out IntPtr handle, out IntPtr error);
                Call.Check(status, error);
                var app = new App(new AppHandle(handle), HasCallbacks);
                if (refreshed != null)
                {
                    refreshed.App = app;
                }
                return app;
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
