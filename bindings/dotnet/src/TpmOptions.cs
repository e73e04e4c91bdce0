// A TPM 2.0 that keeps the keys of a managed identity: this host's, unless a setting says another.

using System;

namespace Mtlspop
{
    /// <summary>How the TPM is reached, and what its keys need. Read when the app is made.</summary>
    public sealed class TpmOptions
    {
        /// <summary>
        /// As the TPM's own tools take it: "device:/dev/tpmrm0". Null: TPM2TOOLS_TCTI, TCTI, or that.
        /// </summary>
        public string Tcti { get; set; }

        /// <summary>An absolute path to libmtlspop_tpm.so. Null: the directory of the library.</summary>
        public string Plugin { get; set; }

        /// <summary>The authorisation value of the keys, 1 to 32 bytes. Null for none.</summary>
        public byte[] Auth { get; set; }

        /// <summary>The PCRs that WithAttestationSupport has quoted.</summary>
        public byte[] AttestationPcrs { get; set; } = { 0, 1, 2, 3, 4, 5, 6, 7 };

        internal void Apply(IntPtr options, bool attested)
        {
            using (var handle = new TpmOptionsHandle(Native.mtlspop_tpm_options_new()))
            using (var tpm = handle.Use())
            {
                if (Tcti != null)
                {
                    Native.mtlspop_tpm_options_set_tcti(tpm.Pointer, Interop.Utf8(Tcti));
                }
                if (Plugin != null)
                {
                    Native.mtlspop_tpm_options_set_plugin(tpm.Pointer, Interop.Utf8(Plugin));
                }
                if (Auth != null)
                {
                    Native.mtlspop_tpm_options_set_auth(tpm.Pointer, Auth, Interop.Length(Auth));
                }
                if (attested)
                {
                    byte[] pcrs = AttestationPcrs ?? new byte[0];
                    Native.mtlspop_tpm_options_set_attestation(tpm.Pointer, pcrs, Interop.Length(pcrs));
                }
                Native.mtlspop_app_options_set_tpm(options, tpm.Pointer);
            }
        }
    }
}
