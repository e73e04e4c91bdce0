"""Calls Graph and Key Vault through mtlspop proxy with requests, on one connection."""

import os

import requests

session = requests.Session()
# Nothing of the environment: the proxy is reached directly.
session.trust_env = False
session.headers["X-Mtlspop-Secret"] = os.environ["SECRET"]
url = os.environ["URL"]
answers = [
    session.get(f"{url}/graph/v1.0/me"),
    session.get(f"{url}/vault/secrets/demo", params={"api-version": "7.4"}),
    session.post(f"{url}/graph/echo", json={"name": "value"}),
    session.put(f"{url}/graph/echo", data=iter([b"in ", b"chunks"])),
]
print(*(answer.status_code for answer in answers))
