// One measurement, under the names of MSAL's OpenTelemetry meter.

using System;
using System.Collections.Generic;

namespace Mtlspop
{
    /// <summary>What WithMetrics is told, on any thread that uses the app.</summary>
    public sealed class Metric
    {
        internal Metric(IntPtr native)
        {
            Name = Interop.Text(Native.mtlspop_metric_name(native));
            Kind = (MetricKind)Native.mtlspop_metric_kind(native);
            Unit = Interop.Text(Native.mtlspop_metric_unit(native));
            Value = Native.mtlspop_metric_value(native);
            var tags = new Dictionary<string, string>();
            for (ulong index = 0; index < Native.mtlspop_metric_tag_count(native).ToUInt64(); index++)
            {
                string name = Interop.Text(Native.mtlspop_metric_tag_name(native, (UIntPtr)index));
                tags[name] = Interop.Text(Native.mtlspop_metric_tag_value(native, (UIntPtr)index));
            }
            Tags = tags;
        }

        public string Name { get; }

        public MetricKind Kind { get; }

        /// <summary>The unit of Value; empty for what is only counted.</summary>
        public string Unit { get; }

        public long Value { get; }

        public IReadOnlyDictionary<string, string> Tags { get; }
    }

    public enum MetricKind
    {
        Counter = Native.METRIC_KIND_COUNTER,
        Histogram = Native.METRIC_KIND_HISTOGRAM,
    }
}
