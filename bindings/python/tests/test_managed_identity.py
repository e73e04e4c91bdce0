"""Do the hosts of managed identities give what they should, and nothing less?"""

import json
import os
from unittest import mock

from support import GRAPH, Case, env, fault

from mtlspop import InvalidResponseError, ManagedIdentityClient, UserAssignedManagedIdentity


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
