"""Are callbacks asked, are they let go of, and does what they raise come out of the call?"""

import base64
import gc
import json
import logging
import queue
import subprocess
import sys
import threading
import time
import unittest
import urllib.request
import weakref

import mtlspop
from mtlspop import BindingStore, CacheRefreshReason, Certificate, KeySigner, ManagedIdentityClient, TokenCache
from mtlspop import TokenSource, UserAssignedManagedIdentity, _callbacks, _errors
from support import GRAPH, ME, SCOPES, Case, certificate, client, counter, env, fault, federated, identity
from support import python, state


class Broken(Exception):
    """What the callbacks of these tests raise; its text is secret."""


def broken(*_):
    raise Broken("secret text")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def attest(request):
    """Proves to devcloud's attestation service that the key is here."""
    nonce = request.correlation_id
    # The modulus of an RSA key of 2048 bits begins at this byte of its public key.
    jwk = {"kty": "RSA", "n": base64url(request.public_key[33 : 33 + 256]), "e": "AQAB"}
    body = {
        "nonce": nonce,
        "alg": "PS256",
        "signature": base64url(request.sign("PS256", nonce.encode())),
        "jwk": jwk,
    }
    call = urllib.request.Request(request.endpoint + "attest/keyguard", json.dumps(body).encode())
    with urllib.request.urlopen(call) as response:
        return json.load(response)["token"]


class MemoryStore:
    def __init__(self):
        self.partitions = {}

    def load(self, key):
        return self.partitions.get(key, (None, None))[0]

    def save(self, key, data, expires_on):
        self.partitions[key] = data, expires_on


class Signer(Case):
    def test_client(self):
        """Does a key that lives elsewhere sign assertions and TLS handshakes, and is it not exported?"""
        home, algorithms = certificate(), []

        def sign(request):
            self.assertEqual(len(request.digest), 32)
            algorithms.append(request.algorithm)
            return home.sign(request.algorithm, request.message)

        elsewhere = Certificate.with_signer(home.chain_pem, sign)
        app = client(elsewhere, send_x5c=True)
        self.assertEqual(app.acquire_token_for_client(SCOPES).token_type, "Bearer")
        result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        self.assertEqual(set(algorithms), {"PS256"})
        self.assertFalse(result.binding_certificate.is_exportable)
        for export in (
            result.binding_certificate.export_private_key,
            lambda: result.binding_certificate.export_pkcs12("x"),
            result.binding_certificate.ssl_context,
            result.binding_certificate.export_tpm_key,
        ):
            self.assertRaises(mtlspop.KeyUnavailableError, export)

    def test_identity(self):
        """Does such a key serve a managed identity?"""
        key = self.directory() + "/key.pem"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
        public = subprocess.run(
            ["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ).stdout

        def sign(request):
            padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
            self.assertEqual(request.algorithm, "PS256")
            command = ["openssl", "dgst", "-sha256", "-sign", key, *padding]
            return subprocess.run(command, input=request.message, check=True, stdout=subprocess.PIPE).stdout

        app = identity(key_signer=KeySigner(public, sign))
        result = app.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        self.assertFalse(result.binding_certificate.is_exportable)

    def test_bad_answers(self):
        """Is an answer that is no signature the error of the call?"""
        app = client(Certificate.with_signer(certificate().chain_pem, lambda request: "text"))
        with self.assertRaises(mtlspop.CallbackError) as caught:
            app.acquire_token_for_client(SCOPES)
        self.assertIsInstance(caught.exception.__cause__, TypeError)
        app = client(Certificate.with_signer(certificate().chain_pem, lambda request: b"wrong"))
        self.assertRaises(mtlspop.KeyUnavailableError, app.acquire_token_for_client, SCOPES)


class Attestation(Case):
    def test_attested(self):
        """Is a key attested by a callback, and its token accepted?"""
        app = identity(attestation=attest)
        result = app.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        self.assertEqual(counter("attest"), 1)


class Store(Case):
    def test_shared(self):
        """Does an app find what another one stored?"""
        store = MemoryStore()
        first = client(token_cache=TokenCache(store=store)).acquire_token_for_client(SCOPES)
        again = client(token_cache=TokenCache(store=store)).acquire_token_for_client(SCOPES)
        self.assertEqual(again.access_token, first.access_token)
        self.assertIs(again.cache_level, mtlspop.CacheLevel.L2)
        ((data, expires_on),) = store.partitions.values()
        self.assertIsInstance(data, bytes)
        self.assertEqual(expires_on, first.expires_on)

    def test_broken(self):
        """Does the call go on without a store that raises, and is that logged with the exception?"""
        store = MemoryStore()
        store.load = broken
        with self.assertLogs("mtlspop", logging.WARNING) as logs:
            result = client(token_cache=TokenCache(store=store)).acquire_token_for_client(SCOPES)
        self.assertEqual(result.token_type, "Bearer")
        self.assertIs(logs.records[0].exc_info[0], Broken)
        self.assertEqual(_errors.raised, {})


class Exceptions(Case):
    def calls(self):
        """One call for each callback that answers a question."""
        signer = client(Certificate.with_signer(certificate().chain_pem, broken))
        # An identity that no other test has attested: this process would have its certificate.
        other = UserAssignedManagedIdentity(client_id=env("USER_ASSIGNED_CLIENT_ID"))
        attested = ManagedIdentityClient(other, attestation=broken)
        public = subprocess.run(
            ["openssl", "x509", "-in", state("sni-cert.pem"), "-noout", "-pubkey"],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        public = base64.b64decode(b"".join(public.splitlines()[1:-1]))
        keyed = identity(key_signer=KeySigner(public, broken))
        pop = {"resource": GRAPH, "mtls_proof_of_possession": True}
        directory = self.directory()
        return {
            "assertion": lambda: federated(broken).acquire_token_for_client(SCOPES),
            "MSAL's assertion": lambda: federated({"client_assertion": broken}).acquire_token_for_client(
                SCOPES
            ),
            "certificate": lambda: client({"certificate": broken}).acquire_token_for_client(SCOPES),
            "signer": lambda: signer.acquire_token_for_client(SCOPES),
            "signer in TLS": lambda: signer.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True),
            "attestation": lambda: attested.acquire_token_for_client(**pop),
            "key signer": lambda: keyed.acquire_token_for_client(**pop),
            "secret": lambda: identity(binding_store=BindingStore(directory + "/store", broken)),
        }

    def test_cause(self):
        """Is what a callback raises the cause of the call's exception, and its text not in the message?"""
        for name, call in self.calls().items():
            with self.subTest(name):
                with self.assertRaises(mtlspop.CallbackError) as caught:
                    call()
                self.assertIsInstance(caught.exception.__cause__, Broken)
                self.assertIn("Broken", str(caught.exception))
                self.assertNotIn("secret text", str(caught.exception))
                self.assertEqual(_errors.raised, {})

    def test_no_certificate(self):
        """Has a certificate callback that gives none one code, whatever type of token it was asked for?"""
        for bound in (False, True):
            with self.assertRaises(mtlspop.CallbackError) as caught:
                client({"certificate": lambda request: None}).acquire_token_for_client(
                    SCOPES, mtls_proof_of_possession=bound
                )
            self.assertEqual(caught.exception.code, "mtls_certificate_not_provided")

    def test_chain(self):
        """Does the cause go through two apps, one asking the other?"""
        inner = federated(broken)
        outer = federated(lambda request: inner.acquire_token_for_client(SCOPES).access_token)
        with self.assertRaises(mtlspop.CallbackError) as caught:
            outer.acquire_token_for_client(SCOPES)
        self.assertIsInstance(caught.exception.__cause__, mtlspop.CallbackError)
        self.assertIsInstance(caught.exception.__cause__.__cause__, Broken)

    def test_interrupt(self):
        """Does Ctrl-C in a callback stay what it is, which `except Exception` does not stop?"""

        def interrupt(*_):
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, federated(interrupt).acquire_token_for_client, SCOPES)
        store = MemoryStore()
        store.save = interrupt
        app = client(token_cache=TokenCache(store=store))
        self.assertRaises(KeyboardInterrupt, app.acquire_token_for_client, SCOPES)
        self.assertEqual(_errors.raised, {})

    def test_other_errors(self):
        """Is an exception that the library overcame not the cause of a later error?"""
        home = certificate()

        def old(request):
            if request.algorithm == "PS256":
                raise Broken
            return home.sign(request.algorithm, request.message)

        app = client(Certificate.with_signer(home.chain_pem, old), send_x5c=True)
        fault(operation="token", status=400, body='{"error":"invalid_scope"}')
        with self.assertRaises(mtlspop.RejectedError) as caught:
            app.acquire_token_for_client(SCOPES)
        self.assertIsNone(caught.exception.__cause__)
        self.assertEqual(app.acquire_token_for_client(SCOPES).token_type, "Bearer")
        self.assertEqual(_errors.raised, {})

    def test_background(self):
        """Is a callback that fails on the library's own thread logged, for nobody is there to catch it?"""
        with open(env("FIC_ASSERTION_PATH").replace(".jwt", "-unbound.jwt")) as file:
            jwt = file.read().strip()
        home = threading.get_ident()

        def assertion(request):
            if threading.get_ident() != home:
                raise Broken("secret text")
            return jwt

        fault(operation="token", set={"refresh_in": 1})
        reasons = []
        with federated(assertion, background_refresh=True) as app:
            until = time.monotonic() + 30
            with self.assertLogs("mtlspop", logging.WARNING) as logs:
                while not logs.records and time.monotonic() < until:
                    result = app.acquire_token_for_client(SCOPES)
                    self.assertEqual(result.token_type, "Bearer")
                    reasons.append(result.cache_refresh_reason)
        self.assertEqual(reasons.count(CacheRefreshReason.PROACTIVELY_REFRESHED), 1, "it says what it began")
        self.assertIs(logs.records[0].exc_info[0], Broken)
        self.assertEqual((_errors.raised, counter("token")), ({}, 1))

    def test_background_refresh(self):
        """Is told how each background refresh ended, with a result to keep, and does what is raised there go nowhere?"""
        told, home = queue.Queue(), threading.get_ident()

        def refreshed(result, error):
            told.put((result, error, threading.get_ident()))
            if result is not None:
                self.assertEqual(app.acquire_token_for_client(SCOPES).access_token, result.access_token)
            raise Broken("nobody catches this")

        def outcome():
            until, refreshing = time.monotonic() + 60, CacheRefreshReason.PROACTIVELY_REFRESHED
            while app.acquire_token_for_client(SCOPES).cache_refresh_reason != refreshing:
                self.assertLess(time.monotonic(), until)
            return told.get(timeout=60)

        unraisable = []
        hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
        self.addCleanup(setattr, sys, "unraisablehook", hook)
        fault(operation="token", set={"refresh_in": 1}, times=2)
        fault(operation="token", status=400, body='{"error":"invalid_request"}')
        app = client(on_background_refresh=refreshed)
        first = app.acquire_token_for_client(SCOPES)
        result, error, thread = outcome()
        self.assertIsNone(error)
        self.assertNotEqual((result.access_token, thread), (first.access_token, home))
        self.assertIs(result.source, TokenSource.IDENTITY_PROVIDER)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        result, error, _ = outcome()
        self.assertIsNone(result)
        self.assertIsInstance(error, mtlspop.RejectedError)
        self.assertEqual((error.code, error.http_status), ("invalid_request", 400))
        app.close()
        self.assertEqual([one.exc_type for one in unraisable], [Broken, Broken])
        self.assertEqual(_errors.raised, {})
        with self.assertRaises(ValueError) as caught:
            client(on_background_refresh=print, background_refresh=False)
        self.assertIn("switch that on", str(caught.exception))

    def test_freed_last(self):
        """Is what the library calls to let go still there when the interpreter has emptied the modules?"""
        code = (
            "from mtlspop import _body, _callbacks, _prototypes as c\n"
            "from mtlspop._library import lib\n"
            "request = lib.mtlspop_http_request_new(b'GET', b'https://localhost/')\n"
            "_body.give(request, None, iter([b'x']), None)\n"
            "del _callbacks._destroy, _callbacks.registered\n"
            "others = [c.Destroy(lambda _: print('called another')) for _ in range(100)]\n"
            "del request\n"
            "print('freed')\n"
        )
        output = python(code)
        self.assertEqual((output.returncode, output.stdout, output.stderr), (0, "freed\n", ""))

    def test_listeners(self):
        """Do calls go on where logging or metrics raise, and is that reported?"""
        code = (
            "from support import *\n"
            "def broken(metric): raise OSError('a metric that fails')\n"
            "print(client(metrics=broken).acquire_token_for_client(SCOPES).token_type)\n"
        )
        output = python(code)
        self.assertEqual(output.stdout, "Bearer\n")
        self.assertIn("OSError: a metric that fails", output.stderr)


class Lifetimes(Case):
    def test_kept(self):
        """Is a callback alive as long as it may be asked, though nobody else holds it?"""

        class Workload:
            def __call__(self, request):
                with open(env("FIC_ASSERTION_PATH").replace(".jwt", "-unbound.jwt")) as file:
                    return file.read().strip()

        workload = Workload()
        seen = weakref.ref(workload)
        app = federated(workload)
        del workload
        gc.collect()
        app.acquire_token_for_client(SCOPES)
        app.acquire_token_for_client(SCOPES, force_refresh=True)
        app.close()
        self.assertIsNone(seen(), "what a closed app was given must go with it")

    def test_registry(self):
        """Is nothing kept, whether calls succeed, fail or are never made?"""
        before = len(_callbacks.registered)
        federated(broken).close()
        self.assertRaises(mtlspop.MtlsPopError, federated, broken, authority="http://example.org")
        self.assertRaises(mtlspop.MtlsPopError, Certificate.with_signer, b"no certificate", broken)
        logger = logging.getLogger("test")
        logger.setLevel(logging.DEBUG)
        client(logger=logger, metrics=broken, token_cache=TokenCache(store=MemoryStore())).close()
        gc.collect()
        self.assertEqual(len(_callbacks.registered), before)


class Listening(Case):
    def test_logging(self):
        """Do log lines reach the logger, those of its level and no secrets?"""
        for level in (logging.INFO, logging.DEBUG):
            with self.assertLogs("test.lines", level) as logs:
                result = client(logger=logging.getLogger("test.lines")).acquire_token_for_client(SCOPES)
            levels = {record.levelno for record in logs.records}
            self.assertIn(level, levels)
            self.assertGreaterEqual(min(levels), level)
            self.assertNotIn(result.access_token, "".join(logs.output))

    def test_metrics(self):
        """Do measurements come under MSAL's names?"""
        metrics = []
        client(metrics=metrics.append).acquire_token_for_client(SCOPES)
        (success,) = [metric for metric in metrics if metric.name == "MsalSuccess"]
        self.assertEqual((success.kind, success.unit, success.value), ("counter", "1", 1))
        self.assertIn("histogram", {metric.kind for metric in metrics})
        self.assertTrue(all(isinstance(value, str) for value in success.tags.values()) and success.tags)

    def test_exit(self):
        """Does a program end in peace while an app still logs in the background?"""
        code = (
            "import logging; from support import *\n"
            "logging.basicConfig(level=logging.DEBUG, filename='/dev/null')\n"
            "fault(operation='token', set={'refresh_in': 1, 'expires_in': 3600}, times=99)\n"
            "app = client(logger=logging.getLogger('x'))\n"
            "for _ in range(3): app.acquire_token_for_client(SCOPES)\n"
        )
        output = python(code)
        self.assertEqual((output.returncode, output.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
