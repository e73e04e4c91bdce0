"""Are errors exceptions, each of its class and with all that is known?"""

import builtins
import pickle
import unittest

import mtlspop
from mtlspop import _errors, _prototypes
from support import SCOPES, Case, client, env, fault, python


class Errors(Case):
    def test_every_field(self):
        """Does an exception say all that the server said?"""
        body = (
            '{"error":"invalid_grant","suberror":"basic_action","error_codes":[50076,50079],'
            '"error_description":"AADSTS50076: more is needed.","claims":"{\\"access_token\\":{}}",'
            '"correlation_id":"0b2d9a1c-6f5e-4d3c-8b7a-1e2f3a4b5c6d"}'
        )
        fault(operation="token", status=400, body=body)
        with self.assertRaises(mtlspop.InteractionRequiredError) as caught:
            client().acquire_token_for_client(SCOPES)
        error = caught.exception
        self.assertEqual((error.status, error.code), (_prototypes.E_INTERACTION_REQUIRED, "invalid_grant"))
        self.assertEqual((error.http_status, error.aadsts_codes), (400, (50076, 50079)))
        self.assertEqual((error.sub_error, error.claims), ("basic_action", '{"access_token":{}}'))
        self.assertEqual(len(error.correlation_id), 36)
        self.assertEqual((error.retry_after, error.is_retryable), (None, False))
        self.assertIn("AADSTS50076", str(error))
        self.assertEqual(error.message, str(error))

    def test_throttled(self):
        """Is it said how long to wait?"""
        fault(operation="token", status=429, headers={"Retry-After": "7"}, times=9)
        with self.assertRaises(mtlspop.ThrottledError) as caught:
            # Scopes that no other test wants: the pause holds for the process.
            client().acquire_token_for_client("https://vault.azure.net/.default")
        self.assertEqual((caught.exception.retry_after, caught.exception.is_retryable), (7, True))

    def test_how_far_it_came(self):
        """Is it said which endpoint was asked, in which region, and what that took?"""
        with self.assertRaises(mtlspop.RejectedError) as caught:
            client("wrong", azure_region="east us").acquire_token_for_client(SCOPES)
        error = caught.exception
        self.assertTrue(error.token_endpoint.startswith("https://eastus.login.microsoft.com/"))
        self.assertEqual(
            (error.region, error.region_outcome, error.region_error),
            ("eastus", mtlspop.RegionOutcome.USER_PROVIDED, None),
        )
        self.assertTrue(error.duration_total_ms >= error.duration_in_http_ms >= 0 == error.duration_in_cache_ms)
        with self.assertRaises(ValueError) as caught:
            client(authority="http://example.org")
        self.assertEqual((caught.exception.token_endpoint, caught.exception.region_outcome), (None, None))

    def test_rejected(self):
        """Does a wrong secret say so, in Entra's number?"""
        with self.assertRaises(mtlspop.RejectedError) as caught:
            client("wrong").acquire_token_for_client(SCOPES)
        self.assertEqual(
            (caught.exception.code, caught.exception.aadsts_codes), ("invalid_client", (7000215,))
        )

    def test_invalid_argument(self):
        """Is a wrong parameter Python's ValueError, too?"""
        with self.assertRaises(ValueError) as caught:
            client(authority="http://example.org")
        self.assertIsInstance(caught.exception, mtlspop.InvalidArgumentError)

    def test_timeout(self):
        """Is a time limit Python's TimeoutError, too?"""
        fault(operation="token", delay_ms=20000)
        with self.assertRaises(builtins.TimeoutError) as caught:
            client().acquire_token_for_client(SCOPES, timeout=0.2)
        self.assertIsInstance(caught.exception, mtlspop.TimeoutError)
        self.assertTrue(caught.exception.is_retryable)

    def test_network(self):
        """Is an unreachable proxy an error of the network?"""
        with self.assertRaises(mtlspop.NetworkError):
            client(proxy="http://127.0.0.1:1").acquire_token_for_client(SCOPES, timeout=5)

    def test_not_supported(self):
        """Is a bound token from a host that has none refused, and not replaced by Bearer?"""
        code = (
            "from support import *; import mtlspop\n"
            "try: identity().acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)\n"
            "except mtlspop.NotSupportedError as error: print(error.code)\n"
        )
        where = {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": "secret"}
        output = python(code, **where)
        self.assertEqual((output.stdout.count("\n"), output.stderr), (1, ""))

    def test_every_status_has_a_class(self):
        """Has each status of the header its own exception?"""
        statuses = {value for name, value in vars(_prototypes).items() if name.startswith("E_")}
        self.assertEqual(set(_errors.CLASSES), statuses)
        self.assertEqual(len(set(_errors.CLASSES.values())), len(statuses))
        for kind in _errors.CLASSES.values():
            self.assertTrue(issubclass(kind, mtlspop.MtlsPopError))
            self.assertIs(getattr(mtlspop, kind.__name__), kind)

    def test_pickle(self):
        """Does an exception come through to another process?"""
        with self.assertRaises(mtlspop.RejectedError) as caught:
            client("wrong").acquire_token_for_client(SCOPES)
        copy = pickle.loads(pickle.dumps(caught.exception))
        self.assertEqual((type(copy), str(copy)), (mtlspop.RejectedError, str(caught.exception)))
        self.assertEqual(vars(copy), vars(caught.exception))

    def test_secrets(self):
        """Does no message have the secret in it?"""
        with self.assertRaises(mtlspop.MtlsPopError) as caught:
            client(env("AZURE_CLIENT_SECRET"), client_id="unknown").acquire_token_for_client(SCOPES)
        self.assertNotIn(env("AZURE_CLIENT_SECRET"), repr(vars(caught.exception)) + str(caught.exception))


if __name__ == "__main__":
    unittest.main()
