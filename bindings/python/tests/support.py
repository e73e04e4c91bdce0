"""What the tests share: the devcloud that they run in, its control port, and applications for it."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from unittest import mock

from mtlspop import (
    Certificate,
    ConfidentialClientApplication,
    ManagedIdentityClient,
    SystemAssignedManagedIdentity,
)

GRAPH = "https://graph.microsoft.com/"
ME = "https://graph.microsoft.com/v1.0/me"
SCOPES = ["https://graph.microsoft.com/.default"]
SOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")


def env(name):
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: run the tests in devcloud, `make test-python` does")
    return value


def state(name):
    """A file of devcloud's."""
    return os.path.join(env("DEVCLOUD_STATE_DIR"), name)


def control(path, body=None):
    """Asks the control port, which no proxy stands before."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        env("DEVCLOUD_CONTROL") + path, data, {"Content-Type": "application/json"}
    )
    with opener.open(request) as response:
        text = response.read()
    return json.loads(text) if text else None


def counter(operation):
    return control("/counters").get(operation, 0)


def fault(**members):
    control("/faults", members)


def authority():
    return f"https://login.microsoftonline.com/{env('AZURE_TENANT_ID')}"


def certificate():
    return Certificate.from_file(env("AZURE_CLIENT_CERTIFICATE_PATH"))


def elsewhere():
    """A certificate whose key does not leave its home."""
    home = certificate()
    return Certificate.with_signer(
        home.chain_pem, lambda request: home.sign(request.algorithm, request.message)
    )


def client(credential=None, client_id=None, **settings):
    """Application A of devcloud, with its certificate unless another credential is given."""
    settings.setdefault("azure_region", "east us")
    settings.setdefault("authority", authority())
    if credential is None:
        credential, settings["send_x5c"] = certificate(), True
    return ConfidentialClientApplication(client_id or env("AZURE_CLIENT_ID"), credential, **settings)


def identity(**settings):
    return ManagedIdentityClient(SystemAssignedManagedIdentity(), **settings)


def federated(callback, **settings):
    """Application B, which has a federated credential."""
    return client(callback, env("FIC_CLIENT_ID"), **settings)


def python(code, **environment):
    """Runs another interpreter, with the modules that this one has."""
    path = os.pathsep.join(entry for entry in (SOURCES, os.path.dirname(__file__)) if entry)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=60,
    )


class Case(unittest.TestCase):
    def setUp(self):
        control("/reset", {})

    def directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return os.path.realpath(directory.name)

    def without_bundles(self):
        """Hides the machine's own roots for requests, which do not know devcloud's."""
        ours = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
        patch = mock.patch.dict(os.environ, ours, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
