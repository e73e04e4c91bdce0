"""Do certificates tell what they are, leave where they may, and serve Python's own TLS?"""

import base64
import hashlib
import os
import ssl
import subprocess
import unittest
import urllib.request
from datetime import timedelta

import mtlspop
from mtlspop import PKCS12_LEGACY, Certificate
from support import ME, SCOPES, Case, certificate, client, python, state


def openssl(*arguments, data=None):
    output = subprocess.run(["openssl", *arguments], input=data, stdout=subprocess.PIPE, check=True)
    return output.stdout


class Fields(Case):
    def test_fields(self):
        """Is what it says about itself what OpenSSL says?"""
        found = certificate()
        self.assertEqual(found.der, ssl.PEM_cert_to_DER_cert(found.pem))
        self.assertEqual(found.sha256_thumbprint, hashlib.sha256(found.der).hexdigest().upper())
        self.assertEqual(found.sha1_thumbprint, hashlib.sha1(found.der).hexdigest().upper())
        digest = base64.urlsafe_b64encode(hashlib.sha256(found.der).digest()).rstrip(b"=")
        self.assertEqual(found.x5t_s256, digest.decode())
        self.assertEqual(len(found.chain_der), found.chain_pem.count("BEGIN CERTIFICATE"))
        self.assertEqual(found.chain_der[0], found.der)
        self.assertTrue(timedelta() < found.not_after - found.not_before)
        self.assertEqual(found.not_after.utcoffset(), timedelta())
        self.assertIn(
            found.subject.rsplit("=", 1)[1],
            openssl("x509", "-noout", "-subject", data=found.pem.encode()).decode(),
        )

    def test_sign(self):
        """Does OpenSSL accept its signatures?"""
        found, directory = certificate(), self.directory()
        with open(directory + "/signature", "wb") as file:
            file.write(found.sign("RS256", b"message"))
        with open(directory + "/key", "wb") as file:
            file.write(openssl("x509", "-noout", "-pubkey", data=found.pem.encode()))
        verify = ["dgst", "-sha256", "-verify", directory + "/key", "-signature", directory + "/signature"]
        self.assertIn(b"Verified OK", openssl(*verify, data=b"message"))
        self.assertRaises(mtlspop.InvalidArgumentError, found.sign, "ES256", b"message")

    def test_round_trips(self):
        """Does what is exported load again, with its key?"""
        found = certificate()
        key = found.export_private_key()
        copies = [
            Certificate.from_pem(found.chain_pem, key),
            Certificate.from_pem(found.chain_pem.encode() + key),
            Certificate.from_pkcs12(found.export_pkcs12("pass"), "pass"),
            Certificate.from_pkcs12(bytearray(found.export_pkcs12("pass", PKCS12_LEGACY)), b"pass"),
        ]
        for copy in copies:
            self.assertEqual((copy.chain_der, copy.export_private_key()), (found.chain_der, key))

    def test_mistakes(self):
        """Is a mistake an error that says what is wrong?"""
        self.assertRaises(mtlspop.KeyUnavailableError, Certificate.from_file, "/nowhere")
        self.assertRaises(mtlspop.KeyUnavailableError, Certificate.from_pem, certificate().pem)
        self.assertRaises(mtlspop.KeyUnavailableError, Certificate.from_pkcs12, b"\0\0")
        self.assertRaises(ValueError, Certificate.from_file, "a\0b")
        self.assertRaises(TypeError, Certificate, 17)


class Tls(Case):
    def bound(self):
        return client().acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)

    def get(self, context, result):
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        call = urllib.request.Request(ME, headers={"Authorization": result.authorization})
        with opener.open(call, timeout=30) as response:
            return response.status

    def test_context(self):
        """Does Python's own TLS call the API with it?"""
        result = self.bound()
        self.assertEqual(self.get(result.binding_certificate.ssl_context(), result), 200)

    def test_trust_is_not_widened(self):
        """Does the context trust the roots it was given and no others, and verify the server?"""
        result = self.bound()
        context = result.binding_certificate.ssl_context(cafile=state("ca.pem"))
        self.assertEqual(context.cert_store_stats()["x509_ca"], 1)
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, True))
        self.assertEqual(self.get(context, result), 200)
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        result.binding_certificate.load_into(own)
        self.assertEqual(own.cert_store_stats()["x509"], 0)
        with self.assertRaises(OSError) as caught:
            self.get(own, result)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", str(caught.exception))

    def test_no_file(self):
        """Does the key touch no file, and is nothing left open?"""
        before = set(os.listdir("/proc/self/fd"))
        code = (
            "import sys; from support import *\n"
            "opened = []\n"
            "sys.addaudithook(lambda event, args: opened.append(args) if event == 'open' else None)\n"
            "certificate().ssl_context()\n"
            "print([args for args in opened if args[1] is not None and args[1] != 'r' and args[1] != 'rb'])\n"
        )
        self.assertEqual(python(code).stdout, "[]\n")
        certificate().ssl_context()
        self.assertEqual(set(os.listdir("/proc/self/fd")), before)

    def test_chain(self):
        """Are the issuers presented, too?"""
        self.assertGreater(len(certificate().chain_der), 1)
        context = certificate().ssl_context()
        self.assertEqual(self.get(context, self.bound()), 200)


if __name__ == "__main__":
    unittest.main()
