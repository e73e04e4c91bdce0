"""Flows of MSAL for Python and of the Azure SDK for Python, in whatever cloud the environment leads to: FLOW..."""

import base64
import json
import logging
import os
import sys

import azure.identity
import msal
import requests
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient
from azure.storage.blob import BlobServiceClient

GRAPH = "https://graph.microsoft.com"
SCOPE = GRAPH + "/.default"
USER_ASSIGNED = "22222222-3333-4444-8555-666666666602"
NAMES = {
    "0b9ec5a1-7c43-4d0e-a2f5-00000000aaaa": "application A",
    "0b9ec5a1-7c43-4d0e-a2f5-00000000bbbb": "application B",
    "0b9ec5a1-7c43-4d0e-a2f5-000000000501": "the system-assigned identity",
    "0b9ec5a1-7c43-4d0e-a2f5-000000000602": "the user-assigned identity",
}


def whose(token):
    part = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return NAMES[claims["oid"]]


def of_msal(result):
    if "access_token" not in result:
        raise RuntimeError(json.dumps(result))
    return whose(result["access_token"])


def app(credential, **more):
    authority = "https://login.microsoftonline.com/" + os.environ["AZURE_TENANT_ID"]
    client_id = os.environ["AZURE_CLIENT_ID"]
    made = msal.ConfidentialClientApplication(client_id, client_credential=credential, authority=authority, **more)
    return of_msal(made.acquire_token_for_client([SCOPE]))


def certificate():
    text = open(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"]).read()
    at = text.index("-----BEGIN PRIVATE")
    return app({"private_key": text[at:], "public_certificate": text[:at]})


def managed(identity):
    client = msal.ManagedIdentityClient(identity, http_client=requests.Session())
    return of_msal(client.acquire_token_for_client(resource=GRAPH))


def credential(made):
    return whose(made.get_token(SCOPE).token)


def secrets():
    client = SecretClient("https://devcloud.vault.azure.net", azure.identity.DefaultAzureCredential())
    client.set_secret("name", "one")
    client.set_secret("name", "two")
    assert client.get_secret("name").value == "two"
    assert [found.name for found in client.list_properties_of_secrets()] == ["demo", "name"]
    versions = list(client.list_properties_of_secret_versions("name"))
    assert {client.get_secret("name", found.version).value for found in versions} == {"one", "two"}
    client.begin_delete_secret("name").wait()
    try:
        client.get_secret("name")
    except ResourceNotFoundError:
        return "set, read, listed, deleted"


def blobs():
    service = BlobServiceClient("https://devcloud.blob.core.windows.net", azure.identity.DefaultAzureCredential())
    box = service.create_container("box")
    box.upload_blob("a/one", b"one")
    box.upload_blob("two", b"two")
    assert [found.name for found in box.list_blobs()] == ["a/one", "two"]
    assert [found.name for found in box.walk_blobs()] == ["a/", "two"]
    assert box.download_blob("two").readall() == b"two"
    assert box.get_blob_client("two").get_blob_properties().size == 3
    box.delete_blob("two")
    if not box.get_blob_client("two").exists():
        return "put, read, listed, deleted"


FLOWS = {
    "MSAL, secret": lambda: app(os.environ["AZURE_CLIENT_SECRET"]),
    "MSAL, secret, region": lambda: app(os.environ["AZURE_CLIENT_SECRET"], azure_region="westus2"),
    "MSAL, certificate and chain": certificate,
    "MSAL, assertion": lambda: app({"client_assertion": open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]).read()}),
    "MSAL, system-assigned": lambda: managed(msal.SystemAssignedManagedIdentity()),
    "MSAL, user-assigned": lambda: managed(msal.UserAssignedManagedIdentity(client_id=USER_ASSIGNED)),
    "EnvironmentCredential": lambda: credential(azure.identity.EnvironmentCredential()),
    "WorkloadIdentityCredential": lambda: credential(azure.identity.WorkloadIdentityCredential()),
    "ManagedIdentityCredential": lambda: credential(azure.identity.ManagedIdentityCredential()),
    "the same, user-assigned": lambda: credential(azure.identity.ManagedIdentityCredential(client_id=USER_ASSIGNED)),
    "DefaultAzureCredential": lambda: credential(azure.identity.DefaultAzureCredential()),
    "SecretClient": secrets,
    "BlobServiceClient": blobs,
}

logging.disable(logging.CRITICAL)
for name in sys.argv[1:]:
    try:
        print(name, "=>", FLOWS[name](), flush=True)
    except Exception as error:
        print(name, "=> refuses:", " ".join(str(error).split()), flush=True)
