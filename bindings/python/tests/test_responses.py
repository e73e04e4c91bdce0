"""Do results read as MSAL's dicts, and responses as those of requests and httpx?"""

import json
import pickle
import unittest
from collections.abc import Mapping

import mtlspop
from support import ME, SCOPES, Case, client, fault

ECHO = "https://graph.microsoft.com/echo"


class Results(Case):
    def test_mapping(self):
        """Is a result a mapping that a dict can be made from, and is nothing in it that was not said?"""
        result = client().acquire_token_for_client(SCOPES)
        self.assertIsInstance(result, Mapping)
        self.assertEqual(list(result), ["access_token", "token_type", "expires_in", "token_source"])
        self.assertEqual((len(result), dict(**result)["access_token"]), (4, result.access_token))
        self.assertEqual((result["token_type"], result["token_source"]), ("Bearer", "identity_provider"))
        self.assertTrue("access_token" in result and "error" not in result and result)
        self.assertEqual((result.get("error"), result.get("error", 5)), (None, 5))
        for name in ("error", "refresh_on", "scopes", None, 5):
            self.assertRaises(KeyError, lambda: result[name])
        with self.assertRaises(TypeError):
            result["token_type"] = "x"
        self.assertIn(result.access_token, json.dumps(dict(result)))

    def test_refresh_on(self):
        """Is the time for refreshing there where the service said one?"""
        fault(operation="token", set={"refresh_in": 1800})
        result = client().acquire_token_for_client(SCOPES)
        self.assertEqual(result["refresh_on"], int(result.refresh_on.timestamp()))
        self.assertIn("refresh_on", list(result))

    def test_identity(self):
        """Is a result equal to itself and no other, as before it was a mapping?"""
        app = client()
        first, second = (app.acquire_token_for_client(SCOPES) for _ in range(2))
        self.assertEqual(first["access_token"], second["access_token"])
        self.assertTrue(first == first and first != second and first != dict(first))
        self.assertEqual(len({first, second, first}), 2)
        self.assertNotIn(first.access_token, repr(first) + str(first))


class Calls(Case):
    def setUp(self):
        super().setUp()
        self.app = client()
        self.result = self.app.acquire_token_for_client(SCOPES)

    def echo(self, url=ECHO, **call):
        return self.app.send(self.result, "POST", url, **call).json()

    def test_json(self):
        """Is json= sent as JSON, and as another kind of it where that is said?"""
        value = {"a": ["ä", 1, None], "b": {}}
        sent = self.echo(json=value)
        self.assertEqual(
            (json.loads(sent["body"]), sent["headers"]["content-type"]), (value, "application/json")
        )
        for more in (
            {"headers": {"content-type": "application/merge-patch+json"}},
            {"content_type": "application/merge-patch+json"},
        ):
            sent = self.echo(json=[], **more)
            self.assertEqual(
                (sent["body"], sent["headers"]["content-type"]), ("[]", "application/merge-patch+json")
            )
        self.assertEqual(self.echo(body="text", content_type="text/plain")["body"], "text")

    def test_params(self):
        """Is params= in the query as requests and httpx have it, behind what the URL has?"""
        rows = [
            (ECHO, {"a": "b"}, "a=b"),
            (
                ECHO,
                {"$filter": "name eq 'x & y'", "ä": "ö"},
                "%24filter=name%20eq%20%27x%20%26%20y%27&%C3%A4=%C3%B6",
            ),
            (ECHO + "?x=1", [("a", 1), ("a", 2)], "x=1&a=1&a=2"),
            (ECHO + "?x=1#part", {"a": ["b", "c"], "none": None}, "x=1&a=b&a=c"),
            (
                ECHO,
                {"a": ["b", None, True], "c": (n for n in range(2)), "d": [], "e": b"+ /"},
                "a=b&a=True&c=0&c=1&e=%2B%20%2F",
            ),
            (ECHO + "?x=1", {}, "x=1"),
        ]
        for url, params, query in rows:
            self.assertEqual(self.echo(url, params=params)["query"], query)

    def test_status(self):
        """Is a status other than 200 to 299 an exception that has the response?"""
        response = self.app.send(self.result, "GET", ME)
        self.assertTrue(response.ok)
        self.assertIs(response.raise_for_status(), response)
        for status, phrase in ((302, "Found"), (404, "Not Found"), (503, "Service Unavailable"), (599, "")):
            response = self.app.send(self.result, "GET", f"https://graph.microsoft.com/status/{status}")
            self.assertFalse(response.ok)
            with self.assertRaises(mtlspop.HttpStatusError) as caught:
                response.raise_for_status()
            self.assertEqual(str(caught.exception), f"the API answered HTTP {status} {phrase}".rstrip())
            self.assertIs(caught.exception.response, response)
            self.assertNotIsInstance(caught.exception, mtlspop.MtlsPopError)
            copy = pickle.loads(pickle.dumps(caught.exception))
            self.assertEqual((str(copy), copy.response), (str(caught.exception), None))

    def test_never_asked(self):
        """Does the exception say it where a server never asked for the certificate that it misses?"""
        app = client()
        result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        fault(operation="tls_certificate_request", times=2)
        response = app.send(result, "GET", ME, answer_claims_challenge=True)
        self.assertEqual((response.status_code, response.certificate_requested), (401, False))
        with self.assertRaisesRegex(mtlspop.HttpStatusError, r"never asked for the token's certificate \(TLSv1.2\)"):
            response.raise_for_status()
        # What has another reason is not blamed on it.
        fault(operation="graph", status=404)
        response = app.send(result, "GET", ME)
        self.assertEqual((response.status_code, response.certificate_requested), (404, False))
        with self.assertRaisesRegex(mtlspop.HttpStatusError, "HTTP 404 Not Found$"):
            response.raise_for_status()

    def test_renegotiation(self):
        """Is TLS 1.2 spoken, in which a server may ask late, where the app or the call says so?"""
        named = client(renegotiating_hosts=["*.contoso.com", "graph.microsoft.com"])
        result = named.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        rows = [
            (named, {}, "TLSv1.2"),
            (named, {"allow_renegotiation": False}, "TLSv1.3"),
            (self.app, {"allow_renegotiation": True}, "TLSv1.2"),
            (self.app, {}, "TLSv1.3"),
        ]
        for app, call, version in rows:
            response = app.send(result, "GET", ME, **call)
            self.assertEqual((response.status_code, response.tls_version), (200, version))
            self.assertEqual((response.certificate_requested, response.renegotiation_declined), (True, False))
        with self.assertRaisesRegex(ValueError, "not the name of a host"):
            client(renegotiating_hosts="https://localhost")
        with self.assertRaisesRegex(TypeError, "allow_renegotiation"):
            self.app.send(result, "GET", ME, allow_renegotiation="yes")

    def test_body(self):
        """Is text decoded as its Content-Type says, and JSON read whatever that is?"""
        rows = [
            ("text/plain", "ä", "ä"),
            ("text/plain; charset=iso-8859-1", "ä", "\u00c3\u00a4"),
            ('text/plain; charset="ISO-8859-1"; x=y', "ä", "\u00c3\u00a4"),
            ("text/plain; charset=klingon", "ä", "ä"),
            ("text/plain; charset=base64", "ä", "ä"),
            ("text/plain; charset=us-ascii", "aä", "a\ufffd\ufffd"),
            ("application/json", '\ufeff{"a": 1}', '\ufeff{"a": 1}'),
        ]
        for kind, body, text in rows:
            with self.subTest(kind):
                response, raw = self.served(body, kind), body.encode()
                self.assertEqual((response.content, response.body, response.text), (raw, raw, text))
        self.assertEqual(response.json(), {"a": 1})
        self.assertEqual(self.served("1.5", "application/json").json(parse_float=str), "1.5")
        with self.assertRaises(ValueError):
            self.served("<html>", "text/html").json()

    def served(self, body, kind):
        fault(operation="graph", status=200, body=body, headers={"Content-Type": kind})
        return self.app.send(self.result, "GET", ME)

    def test_headers(self):
        """Are headers found by name in any case, and is one that came twice there twice?"""
        headers = self.app.send(self.result, "GET", ME).headers
        self.assertIsInstance(headers, Mapping)
        self.assertEqual(headers["content-TYPE"], headers["Content-Type"])
        self.assertTrue(
            "REQUEST-ID" in headers and "nothing" not in headers and headers.get("nothing") is None
        )
        self.assertRaises(KeyError, lambda: headers["nothing"])
        self.assertEqual([value for _, value in headers.multi_items()], list(headers.values()))
        twice = mtlspop.Headers([("A", "1"), ("Set-Cookie", "x=secret"), ("a", "2")])
        self.assertEqual((dict(twice), len(twice)), ({"A": "1, 2", "Set-Cookie": "x=secret"}, 2))
        self.assertEqual((twice.get_list("a"), twice.get_list("b")), (["1", "2"], []))
        self.assertNotIn("secret", repr(twice))


if __name__ == "__main__":
    unittest.main()
