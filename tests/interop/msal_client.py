"""Acquires one Bearer token with MSAL for Python, as a service would; the test gives the settings in JSON."""

import json
import sys

import msal

settings = json.loads(sys.argv[1])
credential = settings.get("secret")
if credential is None:
    with open(settings["key"]) as key, open(settings["certificate"]) as certificate:
        credential = {"private_key": key.read(), "public_certificate": certificate.read()}

app = msal.ConfidentialClientApplication(
    settings["client_id"],
    authority=settings["authority"],
    client_credential=credential,
    azure_region=settings["region"],
)
answer = app.acquire_token_for_client([settings["scope"]])
if "access_token" not in answer:
    sys.exit(f"MSAL got no token: {answer}")
