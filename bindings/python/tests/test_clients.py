"""Do the clients people have work with bound tokens, and do they trust nobody more than before?"""

import os
import unittest

import mtlspop
from support import (
    GRAPH,
    ME,
    SCOPES,
    Case,
    certificate,
    client,
    control,
    counter,
    elsewhere,
    env,
    fault,
    identity,
    state,
)

try:
    import azure.core.exceptions
    import httpx
    import requests
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy
    from azure.core.pipeline.transport import RequestsTransport
    from azure.core.rest import HttpRequest

    import mtlspop.azure
    import mtlspop.httpx
    import mtlspop.requests
except ImportError as missing:
    if "mtlspop" in str(missing):
        raise
    raise unittest.SkipTest(f"{missing.name} is not installed: `make test-python` has it") from missing

ECHO = "https://graph.microsoft.com/echo"


def seen(operation="graph"):
    """The requests that the API received."""
    return [request for request in control("/requests") if request["operation"] == operation]


class Both:
    """What is asked of either client."""

    def make(self, app, **settings):
        raise NotImplementedError

    def stores(self, session):
        """The root certificates of each context that the client has made."""
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        self.without_bundles()

    def test_pop(self):
        """Is the API called over mTLS, with tokens of both kinds of app, over connections that are kept?"""
        for app, scopes in ((client(), SCOPES), (identity(), GRAPH)):
            control("/reset", {})
            with self.make(app, scopes=scopes) as session:
                for _ in range(3):
                    self.assertEqual(session.get(ME).status_code, 200)
            sent = seen()
            self.assertEqual(len({request["connection"] for request in sent}), 1)
            x5t = app._acquire(scopes, None, True, {}).binding_certificate.x5t_s256
            self.assertEqual({request["client_certificate"] for request in sent}, {x5t})

    def test_key_vault(self):
        """Is a vault called, which asks for the certificate in a renegotiation, and a large body sent to it?"""
        control("/reset", {})
        vault, app = "https://a.vault.azure.net", identity()
        with self.make(app, scopes="https://vault.azure.net") as session:
            session.headers["x-ms-tokenboundauth"] = "true"
            self.assertEqual(session.get(f"{vault}/secrets/demo").status_code, 200)
            self.assertEqual(session.post(f"{vault}/echo", json="x" * 2_000_000).status_code, 200)
        handshakes = [(sent["handshake"], bool(sent["client_certificate"])) for sent in seen("vault")]
        self.assertEqual(handshakes, [("Renegotiated", True)] * 2)
        self.assertEqual(counter("renegotiations"), 1)

    def test_rejected(self):
        """Is a rejected token not used again, and no other fetched for a minute where that is rejected, too?"""
        for pop in (True, False):
            control("/reset", {})
            with self.make(client(), mtls_proof_of_possession=pop) as session:
                fault(operation="graph", status=401, times=3)
                statuses = [session.get(ME).status_code for _ in range(5)]
            self.assertEqual(statuses, [401, 401, 401, 200, 200])
            sent = [request["headers"]["authorization"] for request in seen()]
            self.assertNotEqual(sent[0], sent[1])
            self.assertEqual(set(sent[1:]), {sent[1]})
            self.assertEqual(counter("token"), 2)

    def test_no_other_token(self):
        """Does a token that one API rejects go on to the others where there is no other, asked for once a minute?"""
        with self.make(client()) as session:
            session.get(ME)
            fault(operation="graph", status=401)
            fault(operation="token", status=400, times=9)
            statuses = [session.get(ME).status_code for _ in range(4)]
        self.assertEqual(statuses, [401, 200, 200, 200])
        self.assertEqual(len({request["headers"]["authorization"] for request in seen()}), 1)
        self.assertEqual(counter("token"), 2)

    def test_bearer(self):
        """Is no certificate presented with a Bearer token?"""
        with self.make(client(), mtls_proof_of_possession=False) as session:
            self.assertEqual(session.get(ME).status_code, 200)
        self.assertEqual([request["client_certificate"] for request in seen()], [None])

    def test_key_elsewhere(self):
        """Does the library make the call where the key cannot leave, with all that belongs to it?"""
        with self.make(client(elsewhere(), send_x5c=True)) as session:
            answer = session.post(ECHO, json={"a": "ä"}, headers={"x-test": "yes"}, timeout=30)
            self.assertEqual(answer.status_code, 200)
            self.assertTrue(answer.json())
        (sent,) = seen()
        self.assertEqual(sent["client_certificate"], certificate().x5t_s256)
        self.assertIn("ä", sent["body"].encode().decode("unicode_escape") + sent["body"])
        headers = {name.lower(): value for name, value in dict(sent["headers"]).items()}
        self.assertEqual((headers["x-test"], headers["content-type"]), ("yes", "application/json"))

    def test_trust_is_not_widened(self):
        """Has no context more roots than it was given, before and after requests?"""
        with self.make(client()) as session:
            session.get(ME)
            self.assertEqual(self.stores(session), [1])
        with self.make(client(), roots=state("ca.pem")) as session:
            session.get(ME)
            self.assertEqual(self.stores(session), [1])

    def test_unknown_server(self):
        """Is a server refused that the roots do not vouch for?"""
        path = self.directory() + "/roots.pem"
        with open(path, "w") as file:
            file.write(certificate().chain_pem)
        with self.make(client(), roots=path) as session:
            with self.assertRaises((requests.exceptions.SSLError, httpx.ConnectError)) as caught:
                session.get(ME)
            self.assertIn("CERTIFICATE_VERIFY_FAILED", str(caught.exception))
        self.assertEqual(seen(), [])

    def test_plain_http(self):
        """Does no token go over plain http?"""
        with self.make(client()) as session:
            self.assertRaises(ValueError, session.get, "http://graph.microsoft.com/")

    def test_redirect(self):
        """Do token and certificate stay behind where a redirect leads to another host, else come along?"""
        for host, expected in (("mtlstb.graph.microsoft.com", False), ("graph.microsoft.com", True)):
            control("/reset", {})
            fault(operation="graph", status=302, headers={"Location": f"https://{host}/v1.0/me"})
            with self.make(client()) as session:
                self.follow(session)
            first, second = seen()
            self.assertIsNotNone(first["client_certificate"])
            names = {name.lower() for name in dict(second["headers"])}
            self.assertEqual(
                ("authorization" in names, second["client_certificate"] is not None), (expected,) * 2
            )

    def test_errors(self):
        """Does a token that cannot be had raise this package's exception?"""
        with self.make(client(env("AZURE_CLIENT_SECRET"))) as session:
            self.assertRaises(mtlspop.InvalidArgumentError, session.get, ME)

    def test_timeout(self):
        """Is a time limit the client's own exception, also where the library makes the call?"""
        for credential in (certificate(), elsewhere()):
            with self.make(client(credential)) as session:
                session.get(ME)
                fault(operation="graph", delay_ms=20000)
                with self.assertRaises((requests.exceptions.Timeout, httpx.TimeoutException)):
                    session.get(ME, timeout=0.2)
            control("/reset", {})


class Requests(Both, Case):
    def make(self, app, scopes=SCOPES, roots=None, **settings):
        session = mtlspop.requests.Session(app, scopes, **settings)
        if roots is not None:
            session.verify = roots
        return session

    def stores(self, session):
        adapters = session.get_adapter(ME)._adapters._values.values()
        return [adapter._context.cert_store_stats()["x509"] for adapter in adapters]

    def follow(self, session):
        session.get(ME)

    def test_no_way_around(self):
        """Are switches refused that would weaken TLS, and a certificate that is not the token's?"""
        session = mtlspop.requests.Session(client(), SCOPES)
        self.assertRaises(ValueError, session.get, ME, verify=False)
        self.assertRaises(ValueError, session.get, ME, cert=env("AZURE_CLIENT_CERTIFICATE_PATH"))

    def test_environment(self):
        """Are the roots of REQUESTS_CA_BUNDLE used in place of the system's?"""
        os.environ["REQUESTS_CA_BUNDLE"] = state("sni-cert.pem")
        with self.assertRaises(requests.exceptions.SSLError):
            mtlspop.requests.Session(client(), SCOPES).get(ME)

    def test_bodies(self):
        """Does a body of any kind reach the API through the library?"""
        session = mtlspop.requests.Session(client(elsewhere(), send_x5c=True), SCOPES)
        with open(state("ca.pem"), "rb") as file:
            for body in ("text", b"bytes", iter([b"par", b"ts"]), file):
                self.assertEqual(session.post(ECHO, data=body).status_code, 200)
        self.assertEqual([request["body"][:5] for request in seen()], ["text", "bytes", "parts", "-----"])


class Httpx(Both, Case):
    def make(self, app, scopes=SCOPES, roots=None, **settings):
        return mtlspop.httpx.Client(app, scopes, cafile=roots, **settings)

    def stores(self, session):
        transports = session._transport._transports._values.values()
        return [transport._pool._ssl_context.cert_store_stats()["x509"] for transport in transports]

    def follow(self, session):
        session.get(ME, follow_redirects=True)

    def test_no_way_around(self):
        """Are settings refused that would not count?"""
        for setting in ({"verify": False}, {"cert": "x"}, {"transport": None}, {"auth": None}):
            self.assertRaises(ValueError, mtlspop.httpx.Client, client(), SCOPES, **setting)


class Azure(Case):
    def test_bearer(self):
        """Do Azure's libraries get Bearer tokens, with their times, of both kinds of app?"""
        for app, scope in ((client(), SCOPES[0]), (identity(), GRAPH + ".default")):
            credential = mtlspop.azure.Credential(app)
            self.assertIsInstance(credential, azure.core.credentials.TokenCredential)
            self.assertIsInstance(credential, azure.core.credentials.SupportsTokenInfo)
            token = credential.get_token(scope, enable_cae=True)
            info = credential.get_token_info(scope, options={"enable_cae": True})
            self.assertEqual((token.token, token.expires_on), (info.token, info.expires_on))
            self.assertEqual(info.token_type, "Bearer")
            self.assertIsInstance(info.expires_on, int)

    def test_pipeline(self):
        """Does azure-core's own pipeline call an API with it, as it does with credentials of azure-identity?"""
        policy = BearerTokenCredentialPolicy(mtlspop.azure.Credential(client()), *SCOPES)
        transport = RequestsTransport(connection_verify=env("SSL_CERT_FILE"))
        with PipelineClient("https://graph.microsoft.com", policies=[policy], transport=transport) as graph:
            for _ in range(2):
                self.assertEqual(graph.send_request(HttpRequest("GET", ME)).status_code, 200)
        self.assertEqual((counter("token"), counter("graph")), (1, 2))

    def test_options(self):
        """Do tenant and claims reach the token service?"""
        credential = mtlspop.azure.Credential(client(azure_region=None))
        credential.get_token(SCOPES[0], claims='{"access_token":{}}', tenant_id="other.onmicrosoft.com")
        request = seen("token")[-1]
        self.assertIn("other.onmicrosoft.com", request["path"])
        self.assertIn("claims=", request["body"])

    def test_pop(self):
        """Is what azure-core cannot carry refused, and not left out?"""
        credential = mtlspop.azure.Credential(client())
        self.assertRaises(ValueError, credential.get_token, SCOPES[0], mtls_proof_of_possession=True)
        self.assertRaises(ValueError, credential.get_token_info, SCOPES[0], options={"pop": {"nonce": "x"}})
        self.assertRaises(ValueError, mtlspop.azure.Credential(identity()).get_token, "a", "b")

    def test_errors(self):
        """Is a refusal the exception that Azure's libraries know, with ours behind it?"""
        with self.assertRaises(azure.core.exceptions.ClientAuthenticationError) as caught:
            mtlspop.azure.Credential(client("wrong")).get_token(SCOPES[0])
        self.assertIsInstance(caught.exception.__cause__, mtlspop.RejectedError)


if __name__ == "__main__":
    unittest.main()
