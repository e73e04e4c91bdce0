"""Do keys in a TPM serve from Python, and stay there? Needs swtpm and the plugin beside the library."""

import os
import shutil
import socket
import subprocess
import time
import unittest

import mtlspop
from mtlspop import Certificate, Strength, Tpm
from support import GRAPH, ME, Case, identity

PLUGIN = os.path.join(os.path.dirname(os.environ.get("MTLSPOP_LIBRARY") or "/"), "libmtlspop_tpm.so")


def free_pair():
    """The first of two neighbouring ports that nobody listens on."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@unittest.skipUnless(shutil.which("swtpm", path=os.environ["PATH"] + ":/usr/sbin"), "swtpm is not installed")
@unittest.skipUnless(os.path.exists(PLUGIN), "there is no libmtlspop_tpm.so beside the library")
class SoftwareTpm(Case):
    def setUp(self):
        super().setUp()
        self.port = free_pair()
        state, path = self.directory(), os.environ["PATH"] + ":/usr/sbin"
        arguments = ["swtpm", "socket", "--tpm2", "--flags", "not-need-init,startup-clear"]
        arguments += ["--tpmstate", f"dir={state}", "--pid", f"file={state}/pid"]
        arguments += ["--server", f"type=tcp,port={self.port}", "--ctrl", f"type=tcp,port={self.port + 1}"]
        swtpm = subprocess.Popen(arguments, env={**os.environ, "PATH": path})
        self.addCleanup(swtpm.wait)
        self.addCleanup(swtpm.kill)
        until = time.monotonic() + 30
        # Only the control port is tried: a connection to the other one would stand before that of the test.
        while not (os.path.exists(f"{state}/pid") and self.listens(self.port + 1)):
            self.assertIsNone(swtpm.poll(), "swtpm has ended")
            self.assertLess(time.monotonic(), until, "swtpm does not answer")

    def listens(self, port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def tpm(self, **settings):
        return Tpm(tcti=f"swtpm:host=127.0.0.1,port={self.port}", plugin=PLUGIN, **settings)

    def token(self, **settings):
        app = identity(**settings)
        return app, app.acquire_token_for_client(
            resource=GRAPH, mtls_proof_of_possession=True, min_strength=Strength.HARDWARE
        )

    def test_identity(self):
        """Does a managed identity get a token for a key in a TPM, attested by it, and call the API?"""
        app, result = self.token(tpm=self.tpm(auth=lambda: b"secret", attestation_pcrs=[0, 7]))
        self.assertIs(app.capabilities().max_supported_binding_strength, Strength.ATTESTED)
        self.assertIs(result.binding_strength, Strength.ATTESTED)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        self.assertFalse(result.binding_certificate.is_exportable)
        self.assertRaises(mtlspop.KeyUnavailableError, result.binding_certificate.ssl_context)

    def test_exported(self):
        """Does a key that was written as a file sign again in the same TPM, and only with its value?"""
        tpm = self.tpm(auth=b"secret")
        _, result = self.token(tpm=tpm)
        certificate = result.binding_certificate
        key = certificate.export_tpm_key()
        self.assertIn(b"TSS2 PRIVATE KEY", key)
        again = Certificate.with_tpm_key(certificate.chain_pem, key, tpm)
        self.assertEqual(len(again.sign("PS256", b"message")), 256)
        with self.assertRaises(mtlspop.MtlsPopError):
            Certificate.with_tpm_key(certificate.chain_pem, key, self.tpm())

    def test_secret_that_fails(self):
        """Is what the callback for the value raises the cause of the error?"""

        def broken():
            raise LookupError

        with self.assertRaises(mtlspop.CallbackError) as caught:
            identity(tpm=self.tpm(auth=broken))
        self.assertIsInstance(caught.exception.__cause__, LookupError)

    def test_no_tpm(self):
        """Is a TPM that is not there an error, and no key in software used in its place?"""
        with self.assertRaises(mtlspop.NotSupportedError):
            self.token(tpm=Tpm(tcti="device:/nowhere", plugin=PLUGIN))


if __name__ == "__main__":
    unittest.main()
