"""What a team's tests look like with devcloud's plugin for pytest: of azure-identity, its retries and its failures."""

import base64
import json
import os

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, DefaultAzureCredential

SCOPE = "https://graph.microsoft.com/.default"


def claims(token):
    part = token.token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.devcloud("secret")
@pytest.mark.parametrize("number", range(4))
def test_a_failure_that_passes(devcloud, number):
    devcloud.fault("token", status=503, times=number)
    token = DefaultAzureCredential().get_token(SCOPE)
    assert claims(token)["tid"] == devcloud.tenant == os.environ["AZURE_TENANT_ID"]
    assert devcloud.counters()["token"] == number + 1
    assert {request["tenant"] for request in devcloud.requests()} == {devcloud.tenant}


@pytest.mark.devcloud("secret")
def test_a_failure_that_stays(devcloud):
    devcloud.fault("token", status=400, body={"error": "invalid_grant", "error_description": "AADSTS65001: no consent"}, times=9)
    credential = ClientSecretCredential(devcloud.tenant, os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"])
    with pytest.raises(ClientAuthenticationError, match="AADSTS65001"):
        credential.get_token(SCOPE)


@pytest.mark.devcloud("workload")
def test_a_pod(devcloud):
    assert claims(DefaultAzureCredential().get_token(SCOPE))["appid"] == os.environ["AZURE_CLIENT_ID"]


@pytest.mark.devcloud("managed-identity", source="app-service")
def test_a_web_app(devcloud):
    devcloud.fault("app_service", status=500)
    assert claims(DefaultAzureCredential().get_token(SCOPE))["idtyp"] == "app"
    assert devcloud.counters()["app_service"] >= 2


def test_a_word_on_what_is_wrong(devcloud):
    with pytest.raises(ValueError, match="unknown operation"):
        devcloud.fault("tokens")
