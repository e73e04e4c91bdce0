"""The plugin of mtlspop for keys in a TPM 2.0: mtlspop.Tpm finds it here."""

import os

PLUGIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmtlspop_tpm.so")
