"""Do the hosts of managed identities give what they should, and nothing less?"""

import json
import os
from unittest import mock

from support import GRAPH, Case, counter, env, fault, identity

from mtlspop import (
    InvalidArgumentError,
    InvalidResponseError,
    ManagedIdentityClient,
    ManagedIdentitySource,
    NotSupportedError,
    Strength,
    UserAssignedManagedIdentity,
)

VAULT = "https://vault.azure.net/"


class AzureArc(Case):
    def setUp(self):
        super().setUp()
        arc = env("DEVCLOUD_ARC_ENDPOINT")
        patch = mock.patch.dict(os.environ, IDENTITY_ENDPOINT=arc, IMDS_ENDPOINT=arc)
        patch.start()
        self.addCleanup(patch.stop)

    def test_user_assigned(self):
        """Is a token of Azure Arc's agent given that it says is for the identity asked for, and no other?"""
        user = env("USER_ASSIGNED_CLIENT_ID")
        app = ManagedIdentityClient(UserAssignedManagedIdentity(client_id=user))
        answer = {"access_token": "confirmed", "expires_on": 3600}
        fault(operation="arc", body=json.dumps({**answer, "client_id": user.upper()}))
        fault(operation="arc", body=json.dumps(answer))
        self.assertEqual(app.acquire_token_for_client(resource=GRAPH)["access_token"], "confirmed")
        with self.assertRaises(InvalidResponseError) as caught:
            app.acquire_token_for_client(resource=GRAPH, force_refresh=True)
        self.assertEqual(caught.exception.code, "user_assigned_managed_identity_not_confirmed")


class ImdsV2Switch(Case):
    def test_while_the_program_runs(self):
        """Does a change of os.environ count at once, for bound tokens and for what the host can do?"""
        app = identity()
        bound = {"resource": VAULT, "mtls_proof_of_possession": True}
        with mock.patch.dict(os.environ, MSAL_MI_DISABLE_IMDS_V2="true"):
            with self.assertRaises(NotSupportedError) as caught:
                app.acquire_token_for_client(**bound, force_refresh=True)
            self.assertEqual(caught.exception.code, "imds_v2_disabled")
            can = app.capabilities(timeout=30)
            self.assertEqual(can.source, ManagedIdentitySource.IMDS)
            self.assertEqual(can.max_supported_binding_strength, Strength.NONE)
            self.assertIn("MSAL_MI_DISABLE_IMDS_V2", can.error_reason)
            self.assertEqual(app.acquire_token_for_client(resource=VAULT)["token_type"], "Bearer")
            self.assertEqual((counter("metadata"), counter("token")), (0, 0))
        result = app.acquire_token_for_client(**bound, force_refresh=True)
        self.assertEqual(result["token_type"], "mtls_pop")


class RequestOverMtls(Case):
    def test_bearer(self):
        """Is a token asked for over mTLS a Bearer one of the token service, and refused with a bound one?"""
        app = identity()
        wanted = {"resource": VAULT, "request_over_mtls": True}
        result = app.acquire_token_for_client(**wanted, force_refresh=True)
        self.assertEqual((result["token_type"], result.binding_certificate), ("Bearer", None))
        self.assertIn("mtlsauth", result.endpoint)
        self.assertEqual((counter("imds_token"), counter("token")), (0, 1))
        with self.assertRaises(InvalidArgumentError):
            app.acquire_token_for_client(**wanted, mtls_proof_of_possession=True)
