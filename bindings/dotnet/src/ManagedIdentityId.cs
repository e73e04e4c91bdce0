// Which managed identity of this host.

using System;

namespace Mtlspop
{
    /// <summary>The system-assigned identity, or a user-assigned one by one of its names.</summary>
    public sealed class ManagedIdentityId
    {
        private ManagedIdentityId(Action<IntPtr> setting)
        {
            Setting = setting;
        }

        public static ManagedIdentityId SystemAssigned { get; } = new ManagedIdentityId(options => { });

        internal Action<IntPtr> Setting { get; }

        public static ManagedIdentityId WithUserAssignedClientId(string clientId)
        {
            return Named(clientId, nameof(clientId), Native.mtlspop_app_options_set_user_assigned_client_id);
        }

        public static ManagedIdentityId WithUserAssignedObjectId(string objectId)
        {
            return Named(objectId, nameof(objectId), Native.mtlspop_app_options_set_user_assigned_object_id);
        }

        /// <summary>By the ARM resource id: /subscriptions/...</summary>
        public static ManagedIdentityId WithUserAssignedResourceId(string resourceId)
        {
            return Named(
                resourceId, nameof(resourceId), Native.mtlspop_app_options_set_user_assigned_resource_id);
        }

        private static ManagedIdentityId Named(string id, string parameter, Action<IntPtr, byte[]> set)
        {
            if (string.IsNullOrEmpty(id))
            {
                throw new ArgumentNullException(parameter);
            }
            byte[] name = Interop.Utf8(id);
            return new ManagedIdentityId(options => set(options, name));
        }
    }
}
