"""Are tokens acquired, with every kind of credential, and is everything told about them?"""

import base64
import copy
import hashlib
import json
import os
import pickle
import shutil
import tempfile
import unittest
import unittest.mock
from datetime import datetime, timedelta, timezone

import mtlspop
from mtlspop import (
    CacheLevel,
    CacheRefreshReason,
    Certificate,
    ClientSignedAssertion,
    ConfidentialClientApplication,
    ManagedIdentityClient,
    ManagedIdentitySource,
    RegionOutcome,
    Strength,
    TokenCache,
    TokenSource,
    UserAssignedManagedIdentity,
)
from support import GRAPH, ME, SCOPES, Case, authority, certificate, client, control, counter, env, federated
from support import identity, state


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


class ManagedIdentity(Case):
    def test_bearer(self):
        """Does a managed identity get a Bearer token, which binds nothing?"""
        result = identity().acquire_token_for_client(resource=GRAPH)
        self.assertEqual((result.token_type, result.binding_certificate), ("Bearer", None))
        self.assertIs(result.binding_strength, Strength.NONE)
        self.assertEqual(result.authorization, f"Bearer {result.access_token}")

    def test_pop(self):
        """Is a bound token bound to the certificate that comes with it, and does the API accept both?"""
        app = identity()
        result = app.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)
        self.assertEqual(result.token_type, "mtls_pop")
        self.assertIs(result.binding_strength, Strength.SOFTWARE)
        self.assertEqual(claims(result.access_token)["cnf"]["x5t#S256"], result.binding_certificate.x5t_s256)
        self.assertEqual(app.send(result, "GET", ME).status, 200)

    def test_user_assigned(self):
        """Is the identity used that is named, by each of its names?"""
        for name in ("client_id", "object_id", "resource_id"):
            named = UserAssignedManagedIdentity(**{name: env(f"USER_ASSIGNED_{name.upper()}")})
            result = ManagedIdentityClient(named).acquire_token_for_client(
                resource=GRAPH, mtls_proof_of_possession=True, force_refresh=True
            )
            self.assertEqual(claims(result.access_token)["appid"], env("USER_ASSIGNED_CLIENT_ID"), name)

    def test_one_name(self):
        """Is an identity without a name, or with two, refused before anything is asked?"""
        self.assertRaises(ValueError, UserAssignedManagedIdentity)
        self.assertRaises(ValueError, UserAssignedManagedIdentity, client_id="a", object_id="b")
        self.assertRaises(TypeError, ManagedIdentityClient, "system")

    def test_capabilities(self):
        """Does the host tell what it can do?"""
        can = identity().capabilities(timeout=30)
        self.assertEqual((can.source, can.is_mtls_pop_supported_by_host), (ManagedIdentitySource.IMDS, True))
        self.assertEqual((can.max_supported_binding_strength, can.error_reason), (Strength.SOFTWARE, None))
        self.assertTrue(can.detection_reason)

    def test_min_strength(self):
        """Is a floor that the host does not reach an error, on the request and on the app?"""
        with self.assertRaises(mtlspop.NotSupportedError) as caught:
            identity().acquire_token_for_client(
                resource="https://vault.azure.net/",
                mtls_proof_of_possession=True,
                min_strength=Strength.HARDWARE,
            )
        self.assertEqual(caught.exception.code, "min_strength_not_met")
        with self.assertRaises(mtlspop.NotSupportedError):
            identity(min_strength=Strength.ATTESTED).acquire_token_for_client(
                resource="https://vault.azure.net/", mtls_proof_of_possession=True
            )

    def test_binding_store(self):
        """Does the second start of a program find the certificate of the first, with its secret?"""
        from support import python

        code = (
            "from support import *; from mtlspop import *\n"
            f"app = identity(binding_store=BindingStore({self.directory()!r} + '/store', SECRET))\n"
            "result = app.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)\n"
            "print(result.binding_certificate.sha256_thumbprint)\n"
        )
        secrets = ["b'a secret of the tests'", "lambda: b'a secret of the tests'"]
        printed = [python(code.replace("SECRET", secret)) for secret in secrets]
        self.assertEqual([output.stderr for output in printed], ["", ""])
        self.assertEqual(printed[0].stdout, printed[1].stdout)
        self.assertEqual(counter("issuecredential"), 1)


class Client(Case):
    def test_bearer(self):
        """Does a certificate get a Bearer token, and is all told about it that is known?"""
        result = client().acquire_token_for_client(SCOPES)
        now = datetime.now(timezone.utc)
        self.assertEqual(
            (result.token_type, result.scopes, result.tenant_id), ("Bearer", SCOPES, env("AZURE_TENANT_ID"))
        )
        self.assertTrue(now < result.expires_on < now + timedelta(days=2), result.expires_on)
        self.assertAlmostEqual(result.expires_in, (result.expires_on - now).total_seconds(), delta=2)
        self.assertIs(result.source, TokenSource.IDENTITY_PROVIDER)
        self.assertEqual((result.region, result.region_error), ("eastus", None))
        self.assertIs(result.region_outcome, RegionOutcome.USER_PROVIDED)
        self.assertIn("eastus.", result.endpoint)
        self.assertEqual((result.tls_version, result.certificate_requested), ("TLSv1.3", False))
        self.assertIs(result.cache_level, CacheLevel.NONE)
        self.assertIs(result.cache_refresh_reason, CacheRefreshReason.NO_CACHED_ACCESS_TOKEN)
        self.assertGreaterEqual(result.duration_total_ms, result.duration_in_http_ms)
        self.assertEqual(result.duration_in_cache_ms, 0)
        self.assertEqual(len(result.correlation_id), 36)
        self.assertIsNone(result.response_parameter("nothing_of_this_name"))

    def test_cached(self):
        """Is there an answer from the cache alone, None where one would have to wait, and nothing sent for it?"""
        app = client()
        for pop in (False, True):
            self.assertIsNone(app.cached_token_for_client(SCOPES, mtls_proof_of_possession=pop))
            fetched = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=pop)
            cached = app.cached_token_for_client(SCOPES, mtls_proof_of_possession=pop)
            self.assertEqual(cached.access_token, fetched.access_token)
            self.assertIs(cached.source, TokenSource.CACHE)
            self.assertTrue(cached)
        self.assertIsNone(app.cached_token_for_client(SCOPES, force_refresh=True))
        self.assertIsNone(app.cached_token_for_client(SCOPES, '{"access_token":{"x":null}}'))
        with self.assertRaises(mtlspop.InvalidArgumentError):
            app.cached_token_for_client([])
        self.assertEqual(counter("token"), 2)
        managed = identity()
        self.assertIsNone(managed.cached_token_for_client(resource="https://nobody.asked.for.this/"))

    def test_pop(self):
        """Is a bound token bound to the app's own certificate, and does the API accept it?"""
        app = client()
        result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        self.assertEqual(result.token_type, "mtls_pop")
        self.assertEqual(result.binding_certificate.sha256_thumbprint, certificate().sha256_thumbprint)
        self.assertEqual(app.send(result, "GET", ME).status, 200)

    def test_cache(self):
        """Does the cache answer the second call, for Bearer and mtls_pop apart, and not where it must not?"""
        app = client()
        for pop in (False, True):
            first = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=pop)
            second = app.acquire_token_for_client(SCOPES[0], mtls_proof_of_possession=pop)
            self.assertEqual(first.access_token, second.access_token)
            self.assertEqual((second.source, second.cache_level), (TokenSource.CACHE, CacheLevel.L1))
        forced = app.acquire_token_for_client(SCOPES, force_refresh=True)
        self.assertIs(forced.source, TokenSource.IDENTITY_PROVIDER)
        self.assertEqual(counter("token"), 3)
        cache = app.token_cache
        self.assertEqual((cache.hits, cache.misses, cache.entries), (2, 3, 2))
        digest = hashlib.sha256(forced.access_token.encode()).hexdigest()
        replaced = app.acquire_token_for_client(SCOPES, access_token_sha256_to_refresh=digest)
        self.assertNotEqual(replaced.access_token, forced.access_token)

    def test_claims_challenge(self):
        """Is a 401 that asks for claims read for the caller, and answered where send is told to?"""
        challenged = "https://graph.microsoft.com/claims-challenge"
        app = client()
        for pop in (False, True):
            result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=pop)
            response = app.send(result, "GET", challenged)
            self.assertEqual(response.status, 401)
            asked = json.loads(response.claims)
            self.assertEqual(asked["access_token"]["acrs"], {"essential": True, "value": "c1"})
            met = app.acquire_token_for_client(
                SCOPES, claims_challenge=response.claims, mtls_proof_of_possession=pop
            )
            self.assertEqual(app.send(met, "GET", challenged).status, 200)
            before = counter("token")
            response = app.send(result, "GET", challenged, answer_claims_challenge=True)
            self.assertEqual((response.status, response.claims), (200, None))
            self.assertEqual((response.tls_version, response.certificate_requested), ("TLSv1.3", True))
            self.assertEqual(counter("token"), before + 1)

    def test_options(self):
        """Does each option of a request reach the token service?"""
        client().acquire_token_for_client(
            SCOPES,
            '{"access_token":{"nbf":{"essential":true}}}',
            correlation_id="0b2d9a1c-6f5e-4d3c-8b7a-1e2f3a4b5c6d",
            extra_query_parameters={"dc": "a b"},
            extra_body_parameters={"field": "ä"},
            extra_http_headers={"x-test": "yes"},
            fmi_path="some/path",
            timeout=30,
        )
        request = [request for request in control("/requests") if request["operation"] == "token"][0]
        self.assertIn("dc=a%20b", request["query"].replace("+", "%20"))
        self.assertIn("field=%C3%A4", request["body"])
        self.assertIn("fmi_path=some%2Fpath", request["body"])
        self.assertIn("nbf", request["body"])
        headers = {name.lower(): value for name, value in dict(request["headers"]).items()}
        self.assertEqual(headers["x-test"], "yes")
        self.assertEqual(headers["client-request-id"], "0b2d9a1c-6f5e-4d3c-8b7a-1e2f3a4b5c6d")

    def test_unknown_options(self):
        """Is a misspelt option an error, and not forgotten?"""
        with self.assertRaisesRegex(TypeError, "mtls_pop"):
            client().acquire_token_for_client(SCOPES, mtls_pop=True)
        with self.assertRaisesRegex(TypeError, "prox.*proxy"):
            client(prox="none")
        with self.assertRaisesRegex(TypeError, "tenant_id"):
            identity().acquire_token_for_client(resource=GRAPH, tenant_id="x")

    def test_values(self):
        """Are values refused that C would cut short, or take for something else?"""
        app = client()
        for options in ({"timeout": 0}, {"timeout": -1}, {"timeout": 1e40}, {"tenant_id": "a\0b"}):
            with self.assertRaises((ValueError, OverflowError), msg=options):
                app.acquire_token_for_client(SCOPES, **options)
        self.assertRaises(TypeError, app.acquire_token_for_client, [b"bytes"])
        self.assertRaises(ValueError, TokenCache, max_entries=-1)

    def test_shared_cache(self):
        """Do two apps share tokens where they are given one cache, and not otherwise?"""
        cache = TokenCache(max_entries=10, max_bytes=1 << 20)
        client(token_cache=cache).acquire_token_for_client(SCOPES)
        result = client(token_cache=cache).acquire_token_for_client(SCOPES)
        self.assertIs(result.source, TokenSource.CACHE)
        self.assertIs(client().acquire_token_for_client(SCOPES).source, TokenSource.IDENTITY_PROVIDER)
        self.assertEqual((cache.entries, cache.evictions), (1, 0))
        self.assertGreater(cache.bytes, 0)

    def test_trusted_roots(self):
        """Are the roots used that the app is given, from memory or a file, and no others?"""
        with open(state("ca.pem"), "rb") as file:
            pem = file.read()
        for roots in (pem, state("ca.pem")):
            client(trusted_roots=roots).acquire_token_for_client(SCOPES)
        with self.assertRaises(mtlspop.NetworkError):
            client(trusted_roots=certificate().pem.encode()).acquire_token_for_client(SCOPES)

    def test_closed(self):
        """Is a closed app an error, and do its results stay?"""
        with client() as app:
            result = app.acquire_token_for_client(SCOPES)
        self.assertTrue(result.access_token)
        self.assertRaises(mtlspop.InvalidHandleError, app.acquire_token_for_client, SCOPES)
        self.assertRaises(mtlspop.InvalidHandleError, app.send, result, "GET", ME)

    def test_no_copies(self):
        """Does nothing that is freed once get into a pickle or a deep copy, and is a shallow copy as good?"""
        app = client()
        result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        for thing in (app, result, result.binding_certificate, TokenCache(), mtlspop.Cancel()):
            self.assertRaises(TypeError, copy.deepcopy, thing)
            self.assertRaises(TypeError, pickle.dumps, thing)
        again = copy.copy(result)
        del result
        self.assertEqual(app.send(again, "GET", ME).status, 200)

    def test_no_secret_in_repr(self):
        """Does a token that is printed by mistake keep its secret?"""
        result = client().acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        for shown in (
            repr(result),
            repr(result.binding_certificate),
            repr(client(env("AZURE_CLIENT_SECRET"))),
        ):
            self.assertNotIn(result.access_token, shown)
            self.assertNotIn(env("AZURE_CLIENT_SECRET"), shown)


class Credentials(Case):
    def token(self, credential, pop=False, **settings):
        app = client(credential, **settings)
        return app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=pop)

    def test_secret(self):
        """Does a secret get Bearer tokens, and never something that passes for a bound one?"""
        self.assertEqual(self.token(env("AZURE_CLIENT_SECRET")).token_type, "Bearer")
        self.assertRaises(mtlspop.InvalidArgumentError, self.token, env("AZURE_CLIENT_SECRET"), pop=True)

    def test_azure_proxy(self):
        """Is a pod's token exchanged by the token proxy of its cluster?"""
        file = {"federated_token_file": os.path.join(env("DEVCLOUD_STATE_DIR"), "identity-binding.jwt")}
        result = self.token(file, client_id=env("USER_ASSIGNED_CLIENT_ID"), enable_azure_proxy=True)
        self.assertTrue(result.endpoint.startswith(env("AZURE_KUBERNETES_TOKEN_PROXY") + "/"), result.endpoint)
        self.assertRaises(ValueError, self.token, env("AZURE_CLIENT_SECRET"), enable_azure_proxy=True)

    def test_azure_proxy_in_a_child(self):
        """Does a forked child believe whom its parent began with, while the authorities rotate and their file is empty?"""
        with tempfile.TemporaryDirectory() as directory:
            rotating = os.path.join(directory, "ca.pem")
            shutil.copy(env("AZURE_KUBERNETES_CA_FILE"), rotating)
            file = {"federated_token_file": os.path.join(env("DEVCLOUD_STATE_DIR"), "identity-binding.jwt")}
            with unittest.mock.patch.dict(os.environ, {"AZURE_KUBERNETES_CA_FILE": rotating}):
                app = client(file, client_id=env("USER_ASSIGNED_CLIENT_ID"), enable_azure_proxy=True)
            app.acquire_token_for_client(SCOPES)
            os.truncate(rotating, 0)
            child = os.fork()
            if child == 0:
                try:
                    app.acquire_token_for_client(SCOPES, force_refresh=True)
                    os._exit(0)
                finally:
                    os._exit(1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_two_legs(self):
        """Is a token for the audience of the cloud another app's credential?"""
        first = client()

        def exchange(request):
            audience = mtlspop.federated_credential_audience(request.authority)
            return first.acquire_token_for_client([audience + "/.default"]).access_token

        second = client(exchange, client_id=env("FIC_CLIENT_ID"))
        self.assertEqual(second.acquire_token_for_client(SCOPES).token_type, "Bearer")
        government = mtlspop.federated_credential_audience("login.microsoftonline.us")
        self.assertEqual(government, "api://AzureADTokenExchangeUSGov")
        self.assertIsNone(mtlspop.federated_credential_audience("login.example.com"))
        self.assertRaises(TypeError, mtlspop.federated_credential_audience, None)

    def test_msal_forms(self):
        """Do MSAL's dicts work, with their passphrases?"""
        with open(state("sni-key.pem")) as key, open(state("sni-cert.pem")) as public:
            pem = {"private_key": key.read(), "public_certificate": public.read(), "thumbprint": "ignored"}
        self.assertEqual(self.token(pem).token_type, "Bearer")
        path = self.directory() + "/sni.pfx"
        with open(path, "wb") as file:
            file.write(certificate().export_pkcs12("pass"))
        pfx = {"private_key_pfx_path": path, "passphrase": "pass", "public_certificate": True}
        self.assertEqual(self.token(pfx, pop=True).token_type, "mtls_pop")
        with self.assertRaises(mtlspop.KeyUnavailableError):
            self.token({**pfx, "passphrase": "wrong"})

    def test_forms_that_are_none(self):
        """Is a dict refused whose keys are not understood?"""
        self.assertRaises(ValueError, client, {})
        self.assertRaises(ValueError, client, {"private_key": "x", "thumbprint": "y"})
        self.assertRaises(ValueError, client, {"client_assertion": "x", "certificate": lambda _: None})
        self.assertRaises(ValueError, client, {"client_assertion": "x", "passphrase": "y"})

    def test_no_credential(self):
        """Is an app without a credential refused by the library, which names what is missing?"""
        with self.assertRaises(mtlspop.InvalidArgumentError) as caught:
            ConfidentialClientApplication(env("AZURE_CLIENT_ID"), authority=authority())
        self.assertIn("redential", str(caught.exception))

    def test_client_assertion(self):
        """Do a constant assertion, and MSAL's callable without arguments, get Bearer tokens?"""
        jwt = control("/assertions", {})["assertion"]
        for form in (jwt, lambda: jwt):
            result = federated({"client_assertion": form}).acquire_token_for_client(SCOPES)
            self.assertEqual(result.token_type, "Bearer")

    def test_federated_token_file(self):
        """Is Kubernetes' file read, from the environment or from a path?"""
        for path in (None, env("AZURE_FEDERATED_TOKEN_FILE")):
            result = federated({"federated_token_file": path}).acquire_token_for_client(SCOPES)
            self.assertEqual(result.token_type, "Bearer")

    def test_federated_pop(self):
        """Is a token bound to the certificate that came with the assertion, asked for once?"""
        binding = Certificate.from_file(env("FIC_CERTIFICATE_PATH"))
        with open(env("FIC_ASSERTION_PATH")) as file:
            jwt = file.read().strip()
        asked = []

        def callback(request):
            asked.append((request.client_id, request.tenant_id, request.token_type, request.token_endpoint))
            self.assertEqual(request.authority, authority() + "/")
            self.assertEqual((request.claims, request.fmi_path, request.is_cancelled), (None, None, False))
            self.assertEqual((request.client_capabilities, len(request.correlation_id)), (["cp1"], 36))
            self.assertTrue(0 < request.remaining <= 30)
            asked.append(request)
            return ClientSignedAssertion(jwt, binding)

        app = federated(callback, client_capabilities=["cp1"])
        for _ in range(2):
            result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True, timeout=30)
        self.assertEqual(result.binding_certificate.der, binding.der)
        self.assertEqual(claims(result.access_token)["cnf"]["x5t#S256"], binding.x5t_s256)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        question, request = asked
        self.assertEqual(question[:3], (env("FIC_CLIENT_ID"), env("AZURE_TENANT_ID"), "mtls_pop"))
        self.assertIn("mtlsauth", question[3])
        self.assertIsNone(request.client_id, "a question that is over must not be read any more")

    def test_certificate_provider(self):
        """Is the certificate used that a function gives?"""
        result = self.token({"certificate": lambda request: certificate()}, pop=True)
        self.assertEqual(result.binding_certificate.der, certificate().der)


if __name__ == "__main__":
    unittest.main()
