"""Is it said what was expected and met, where something else is given, or returned by a callback?"""

import inspect
import logging
import unittest

import mtlspop
from mtlspop import (
    BindingStore,
    Cancel,
    Certificate,
    ClientSignedAssertion,
    KeySigner,
    ManagedIdentityClient,
    TokenCache,
    Tpm,
    UserAssignedManagedIdentity,
)
from support import GRAPH, ME, SCOPES, Case, certificate, client, env, federated, identity, python


class Arguments(Case):
    def refused(self, name, got, function, *arguments, **keywords):
        with self.subTest(name, got=got):
            with self.assertRaises(TypeError) as caught:
                function(*arguments, **keywords)
            self.assertRegex(str(caught.exception), rf"^{name} must be .+, not {got}$")

    def test_requests(self):
        """Of a request for a token?"""
        app, host = client(), identity()
        acquire, identify = app.acquire_token_for_client, host.acquire_token_for_client
        self.refused("scopes", "NoneType", acquire, None)
        self.refused("each of scopes", "bytes", acquire, [b"x"])
        self.refused("each of scopes", "list", acquire, [SCOPES])
        self.refused("resource", "int", identify, resource=5)
        self.refused("mtls_proof_of_possession", "str", acquire, SCOPES, mtls_proof_of_possession="no")
        self.refused("mtls_proof_of_possession", "list", acquire, SCOPES, mtls_proof_of_possession=[])
        self.refused("claims_challenge", "dict", acquire, SCOPES, {"access_token": {}})
        texts = ("correlation_id", "tenant_id", "authority", "fmi_path", "claims_from_client")
        for name in (*texts, "client_assertion_fmi_path", "extra_client_assertion_claims"):
            self.refused(name, "dict", acquire, SCOPES, **{name: {}})
        for name in ("force_refresh", "send_x5c"):
            self.refused(name, "str", acquire, SCOPES, **{name: "False"})
        self.refused("timeout", "str", acquire, SCOPES, timeout="5")
        self.refused("min_strength", "str", identify, resource=GRAPH, min_strength="hardware")
        self.refused("cancel", "Event", acquire, SCOPES, cancel=__import__("threading").Event())
        pairs = (
            "extra_query_parameters",
            "extra_body_parameters",
            "extra_http_headers",
            "cache_partition_keys",
        )
        for name in pairs:
            self.refused(name, "str", acquire, SCOPES, **{name: "a=b"})
            self.refused(rf"{name}\['a'\]", "int", acquire, SCOPES, **{name: {"a": 1}})
            self.refused(f"each name in {name}", "int", acquire, SCOPES, **{name: {1: "a"}})

    def test_settings(self):
        """Of an app?"""
        self.refused("client_id", "int", client, client_id=5)
        self.refused("authority", "list", client, authority=[])
        self.refused("azure_region", "int", client, azure_region=5)
        self.refused("send_x5c", "str", client, certificate(), send_x5c="yes")
        self.refused("client_credential", "int", client, 17)
        for member in ("client_assertion", "certificate", "federated_token_file"):
            self.refused(rf"client_credential\['{member}'\]", "int", client, {member: 5})
        wrong = {
            "oidc_authority": 1,
            "client_capabilities": 1,
            "background_refresh": "no",
            "on_background_refresh": 1,
            "instance_discovery": "no",
            "connect_timeout": "1",
            "proxy": 1,
            "trusted_roots": 1,
            "logger": print,
            "metrics": 1,
            "token_cache": {},
            "send_certificate_over_mtls": "no",
        }
        for name, value in wrong.items():
            self.refused(name, type(value).__name__, client, **{name: value})
        wrong = {
            "attestation": 1,
            "binding_store": "/x",
            "tpm": True,
            "key_signer": print,
            "probe_timeout": "1",
        }
        for name, value in wrong.items():
            self.refused(name, type(value).__name__, identity, **{name: value})
        self.refused("managed_identity", "dict", ManagedIdentityClient, {"ManagedIdentityIdType": "ClientId"})
        self.refused("client_id", "int", ManagedIdentityClient, UserAssignedManagedIdentity(client_id=5))

    def test_parts(self):
        """Of what apps are made from, and of certificates?"""
        self.refused("store", "dict", TokenCache, store={})
        self.refused("max_entries", "str", TokenCache, max_entries="1")
        self.refused("directory", "int", BindingStore, 5, b"secret")
        self.refused("secret", "str", BindingStore, "/x", "secret")
        self.refused("public_key", "str", KeySigner, "key", print)
        self.refused("sign", "bytes", KeySigner, b"key", b"signature")
        self.refused("auth", "str", Tpm, auth="auth")
        self.refused("attestation_pcrs", "int", Tpm, attestation_pcrs=5)
        self.refused("file", "int", Certificate.from_file, 5)
        self.refused("password", "int", Certificate.from_file, "x", password=5)
        self.refused("certificate", "Certificate", Certificate.from_pem, certificate())
        self.refused("pfx", "str", Certificate.from_pkcs12, "x")
        self.refused("sign", "str", Certificate.with_signer, certificate().pem, "x")
        self.refused("tpm", "NoneType", Certificate.with_tpm_key, certificate().pem, "x", None)
        self.refused("message", "str", certificate().sign, "PS256", "x")
        self.refused("algorithm", "int", certificate().sign, 256, b"x")

    def test_calls(self):
        """Of a call to an API?"""
        app = client()
        result = app.acquire_token_for_client(SCOPES)
        self.refused("result", "str", app.send, result.access_token, "GET", ME)
        self.refused("result", "dict", app.send, dict(result), "GET", ME)
        self.refused("method", "int", app.send, result, 5, ME)
        self.refused("url", "NoneType", app.send, result, "GET", None)
        self.refused("url", "int", app.send, result, "GET", 5, params={"a": "b"})
        self.refused("headers", "str", app.send, result, "GET", ME, "a: b")
        self.refused(r"headers\['a'\]", "int", app.send, result, "GET", ME, {"a": 1})
        self.refused(r"headers\['Content-Type'\]", "int", app.send, result, "GET", ME, {"Content-Type": 1})
        self.refused("body", "dict", app.send, result, "POST", ME, body={})
        self.refused("params", "str", app.send, result, "GET", ME, params="a=b")
        for name in ("headers", "params"):
            for pair in ("ab", 5, ("a", "b", "c")):
                got = type(pair).__name__
                self.refused(f"each of {name}", got, app.send, result, "GET", ME, **{name: [pair]})
        self.refused("timeout", "tuple", app.send, result, "GET", ME, timeout=(1, 2))
        self.refused("max_response_bytes", "float", app.send, result, "GET", ME, max_response_bytes=1e6)
        self.refused("cancel", "bool", app.send, result, "GET", ME, cancel=True)
        self.assertRaisesRegex(ValueError, "body or json", app.send, result, "POST", ME, body=b"", json={})
        self.assertRaises(TypeError, app.send, result, "POST", ME, json=object())
        self.assertRaises(ValueError, app.send, result, "POST", ME, json=float("nan"))
        self.assertTrue(app.send(result, "GET", ME, cancel=Cancel(), timeout=30).ok)

    def test_no_values(self):
        """Is what was given by mistake not in the message, for it may be a secret?"""
        for function in (lambda: client(b"very secret"), lambda: BindingStore("/x", "very secret")):
            try:
                function()
            except (TypeError, mtlspop.MtlsPopError) as error:
                self.assertNotIn("very secret", str(error))


class Answers(Case):
    def fails(self, call, *said):
        with self.assertRaises(mtlspop.CallbackError) as caught:
            call()
        for words in said:
            self.assertIn(words, str(caught.exception))
        return caught.exception

    def test_assertions(self):
        """Of assertion callbacks, in each of their forms?"""
        result = client().acquire_token_for_client(SCOPES)
        wanted = "what the assertion callback returns must be a str or a ClientSignedAssertion, not "
        answers = {
            "NoneType": None,
            "tuple": ("jwt",),
            "TokenResult": result,
            "int": ClientSignedAssertion(5),
        }
        for got, answer in answers.items():
            for form in (lambda request: answer, {"client_assertion": lambda: answer}):
                app = federated(form)
                error = self.fails(lambda: app.acquire_token_for_client(SCOPES), wanted + got)
                self.assertIsInstance(error.__cause__, TypeError)
        for answer in (("jwt", "cert"), ClientSignedAssertion("jwt", "cert")):
            app = federated(lambda request: answer)
            said = "the certificate in what the assertion callback returns must be a Certificate, not str"
            self.fails(lambda: app.acquire_token_for_client(SCOPES), said)

    def test_certificates(self):
        """Of certificate callbacks; and is none the library's own error?"""
        app = client({"certificate": lambda request: env("AZURE_CLIENT_CERTIFICATE_PATH")})
        said = "what the certificate callback returns must be a Certificate, not str"
        self.fails(lambda: app.acquire_token_for_client(SCOPES), said)
        app = client({"certificate": lambda request: None})
        error = self.fails(lambda: app.acquire_token_for_client(SCOPES), "certificate callback")
        self.assertIsNone(error.__cause__)

    def test_others(self):
        """Of signers, attestation and secrets?"""
        app = client(Certificate.with_signer(certificate().chain_pem, lambda request: None))
        said = "what the signer returns must be bytes, not NoneType"
        self.fails(lambda: app.acquire_token_for_client(SCOPES), said)
        other = UserAssignedManagedIdentity(client_id=env("USER_ASSIGNED_CLIENT_ID"))
        app = ManagedIdentityClient(other, attestation=lambda request: {"token": "x"})
        acquire = lambda: app.acquire_token_for_client(
            resource=GRAPH, mtls_proof_of_possession=True
        )  # noqa: E731
        self.fails(acquire, "what the attestation callback returns must be a str, not dict")
        store = BindingStore(self.directory() + "/store", lambda: "text")
        self.fails(
            lambda: identity(binding_store=store), "what the secret callback returns must be bytes, not str"
        )

    def test_store(self):
        """Of a store, which is logged, for the call goes on without it?"""

        class Store:
            def load(self, key):
                return "text"

            def save(self, key, data, expires_on):
                pass

        with self.assertLogs("mtlspop", logging.WARNING) as logs:
            client(token_cache=TokenCache(store=Store())).acquire_token_for_client(SCOPES)
        said = "what load() of the store returns must be bytes or None, not str"
        self.assertEqual(str(logs.records[0].exc_info[1]), said)

    def test_no_values(self):
        """Is what a callback returned by mistake not in the message, for it may be a secret?"""
        app = federated(lambda request: ["very secret"])
        error = self.fails(lambda: app.acquire_token_for_client(SCOPES))
        self.assertNotIn("very secret", str(error) + str(error.__cause__))


class Completion(Case):
    def test_module(self):
        """Does dir() have all names, those that come late as well, and do they have their documentation?"""
        # In an interpreter of its own: this one has them already.
        output = python("import mtlspop; print(*set(mtlspop.__all__) - set(dir(mtlspop)))")
        self.assertEqual((output.stdout, output.stderr), ("\n", ""))
        self.assertIn("Strength", dir(mtlspop))
        for name in mtlspop.__all__:
            thing = getattr(mtlspop, name)
            if inspect.isclass(thing):
                self.assertTrue(thing.__doc__, name)


if __name__ == "__main__":
    unittest.main()
