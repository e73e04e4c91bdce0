"""Does a server that is not ours, nginx with required client certificates, see what the clients present?"""

import asyncio
import http.client
import json
import ssl
import unittest
import urllib.error
import urllib.parse
import urllib.request

import mtlspop
from support import GRAPH, SCOPES, Case, certificate, client, elsewhere, env, identity

try:
    import httpx
    import requests

    import mtlspop.httpx
    import mtlspop.requests
except ImportError as missing:
    if "mtlspop" in str(missing):
        raise
    raise unittest.SkipTest(f"{missing.name} is not installed: `make test-python` has it") from missing

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def with_urllib(result, url, context):
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    call = urllib.request.Request(url, headers={"Authorization": result.authorization})
    with opener.open(call, timeout=30) as response:
        return json.load(response)


def with_http_client(result, url, context):
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(place.hostname, place.port, context=context, timeout=30)
    try:
        connection.request("GET", "/", headers={"Authorization": result.authorization})
        return json.load(connection.getresponse())
    finally:
        connection.close()


def with_httpx(result, url, context):
    with httpx.Client(verify=context) as plain:
        return plain.get(url, headers={"Authorization": result.authorization}).raise_for_status().json()


def with_async_httpx(result, url, context):
    async def get():
        async with httpx.AsyncClient(verify=context) as plain:
            answer = await plain.get(url, headers={"Authorization": result.authorization})
            return answer.raise_for_status().json()

    return asyncio.run(get())


def with_asyncio(result, url, context):
    """As aiohttp does it, too: TLS of the event loop, with the context it was given."""

    async def get():
        place = urllib.parse.urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, ssl=context)
        head = f"GET / HTTP/1.0\r\nHost: {place.netloc}\r\nAuthorization: {result.authorization}\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        return json.loads(answer.split(b"\r\n\r\n", 1)[1])

    return asyncio.run(get())


CONTEXT = (with_urllib, with_http_client, with_httpx, with_async_httpx, with_asyncio)


def acquire(app):
    """A bound token of either kind of app."""
    if isinstance(app, mtlspop.ManagedIdentityClient):
        return app.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)
    return app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)


class Nginx(Case):
    def setUp(self):
        super().setUp()
        self.without_bundles()
        self.urls = {"TLSv1.2": env("NGINX_TLS12_URL") + "/", "TLSv1.3": env("NGINX_URL") + "/"}

    def saw(self, answer, result, protocol):
        """The certificate of the token, its whole Authorization header, and this version of TLS."""
        self.assertEqual(answer["fingerprint"].upper(), result.binding_certificate.sha1_thumbprint)
        self.assertEqual(answer["authorization"], f"mtls_pop {result.access_token}")
        self.assertEqual(answer["protocol"], protocol)

    def test_contexts(self):
        """Do clients that take a context present the certificate, of either app, in the TLS they choose?"""
        for app in (client(), identity()):
            result = acquire(app)
            for protocol, version in VERSIONS.items():
                for call in CONTEXT:
                    with self.subTest(call.__name__, app=type(app).__name__, protocol=protocol):
                        context = result.binding_certificate.ssl_context()
                        context.minimum_version = context.maximum_version = version
                        self.saw(call(result, self.urls["TLSv1.3"], context), result, protocol)

    def test_sessions(self):
        """Does nginx see the same from the session and the client of this package, in either TLS?"""
        for app, scopes in ((client(), SCOPES), (identity(), GRAPH)):
            result = acquire(app)
            for protocol, url in self.urls.items():
                for kind in (mtlspop.requests.Session, mtlspop.httpx.Client):
                    with self.subTest(kind.__module__, app=type(app).__name__, protocol=protocol):
                        with kind(app, scopes) as session:
                            self.saw(session.get(url).json(), result, protocol)

    def test_through_the_library(self):
        """And from app.send(), and from both where the key cannot leave and the library makes the call?"""
        for app in (client(), client(elsewhere(), send_x5c=True), identity()):
            result = acquire(app)
            for protocol, url in self.urls.items():
                with self.subTest("send", app=type(app).__name__, protocol=protocol):
                    self.saw(app.send(result, "GET", url).json(), result, protocol)
        app = client(elsewhere(), send_x5c=True)
        result = acquire(app)
        for protocol, url in self.urls.items():
            for kind in (mtlspop.requests.Session, mtlspop.httpx.Client):
                with self.subTest(kind.__module__, protocol=protocol), kind(app, SCOPES) as session:
                    self.saw(session.get(url).json(), result, protocol)

    def test_exported_files(self):
        """Does a client that wants files take the exported chain and key?"""
        for app in (client(), identity()):
            result, place = acquire(app), self.directory()
            with open(place + "/chain.pem", "w") as chain, open(place + "/key.pem", "wb") as key:
                chain.write(result.binding_certificate.chain_pem)
                key.write(result.binding_certificate.export_private_key())
            answer = requests.get(
                self.urls["TLSv1.3"],
                headers={"Authorization": result.authorization},
                cert=(place + "/chain.pem", place + "/key.pem"),
                verify=env("SSL_CERT_FILE"),
            )
            self.saw(answer.json(), result, "TLSv1.3")

    def test_no_certificate(self):
        """Is a client refused that presents none, so that the other tests show something?"""
        for protocol, url in self.urls.items():
            result = acquire(client())
            with self.subTest(protocol), self.assertRaises(urllib.error.HTTPError) as caught:
                with_urllib(result, url, ssl.create_default_context())
            self.assertEqual(caught.exception.code, 400)
            caught.exception.close()
            for kind in (mtlspop.requests.Session, mtlspop.httpx.Client):
                with kind(client(), SCOPES, mtls_proof_of_possession=False) as session:
                    self.assertEqual(session.get(url).status_code, 400)
            app = client()
            self.assertEqual(app.send(app.acquire_token_for_client(SCOPES), "GET", url).status, 400)

    def test_another_certificate(self):
        """Is one refused that nobody vouches for?"""
        place = self.directory()
        other = self.self_signed(place)
        with self.assertRaises(urllib.error.HTTPError) as caught:
            with_urllib(acquire(client()), self.urls["TLSv1.3"], other.ssl_context())
        self.assertEqual(caught.exception.code, 400)
        caught.exception.close()
        self.assertNotEqual(other.der, certificate().der)

    def self_signed(self, place):
        import subprocess

        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other"]
        command += ["-keyout", place + "/key.pem", "-out", place + "/certificate.pem"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return mtlspop.Certificate.from_file(place + "/certificate.pem", place + "/key.pem")


if __name__ == "__main__":
    unittest.main()
