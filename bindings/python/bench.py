"""Measures what a cached token and the import cost, or what they cost in MSAL for Python.

    target/debug/devcloud run -- python3 bindings/python/bench.py ours|msal

MTLSPOP_LIBRARY must name a library that was built for release, unless the package is installed from a wheel.
"""

import os
import subprocess
import sys
import tempfile
import time
import timeit

IMPORT = "import time; a = time.perf_counter(); import {}; print((time.perf_counter() - a) * 1000)"
SCOPES = ["https://graph.microsoft.com/.default"]
GRAPH = "https://graph.microsoft.com/"


def import_ms(module):
    """The median of 21 interpreters that have imported nothing else, not even site."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-S", "-c", IMPORT.format(module)]
    run = lambda: subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)  # noqa: E731
    run()
    return sorted(float(run().stdout) for _ in range(21))[10]


# A token that another process stored is in the file of argument 1.
STORED = """
import time; begun = time.perf_counter()
import mtlspop, os, sys
class File:
    def load(self, key):
        with open(sys.argv[1], "rb") as file: return file.read()
    def save(self, key, data, expires_on):
        with open(sys.argv[1], "wb") as file: file.write(data)
app = mtlspop.ConfidentialClientApplication(
    os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
    "https://login.microsoftonline.com/" + os.environ["AZURE_TENANT_ID"],
    token_cache=mtlspop.TokenCache(store=File()))
result = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
print((time.perf_counter() - begun) * 1000, result.source is mtlspop.TokenSource.CACHE)
"""
STORED_MSAL = """
import time; begun = time.perf_counter()
import msal, os, sys
cache = msal.SerializableTokenCache()
with open(sys.argv[1]) as file: cache.deserialize(file.read())
app = msal.ConfidentialClientApplication(
    os.environ["AZURE_CLIENT_ID"], client_credential=os.environ["AZURE_CLIENT_SECRET"],
    authority="https://login.microsoftonline.com/" + os.environ["AZURE_TENANT_ID"],
    instance_discovery=False, token_cache=cache)
result = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
took = (time.perf_counter() - begun) * 1000
if cache.has_state_changed:
    with open(sys.argv[1], "w") as file: file.write(cache.serialize())
print(took, result.get("token_source") == "cache")
"""


def stored_ms(code):
    """The median of 21 interpreters that import, load one token from a file and are given it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.NamedTemporaryFile("w+") as file:
        command = [sys.executable, "-S", "-c", code, file.name]

        def run():
            output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
            took, cached = output.split()
            return float(took), cached == b"True"

        run()
        rounds = [run() for _ in range(21)]
    if not all(cached for _, cached in rounds):
        raise SystemExit("the stored token was not found: there is nothing to measure")
    return sorted(took for took, _ in rounds)[10]


def hit_us(call, is_cached, number):
    """The best of 5 rounds, of calls that the cache answers: anything else would measure the network."""
    call()
    for _ in range(3):
        if not is_cached(call()):
            raise SystemExit("the cache did not answer: there is nothing to measure")
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


def show(what, value, unit):
    print(f"{what:58} {value:9.2f} {unit}")


def ours():
    import mtlspop

    credential = mtlspop.Certificate.from_file(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"])
    authority = f"https://login.microsoftonline.com/{os.environ['AZURE_TENANT_ID']}"
    client_id = os.environ["AZURE_CLIENT_ID"]
    app = mtlspop.ConfidentialClientApplication(client_id, credential, authority, send_x5c=True)
    identity = mtlspop.ManagedIdentityClient(mtlspop.SystemAssignedManagedIdentity())

    def bearer():
        return app.acquire_token_for_client(SCOPES)

    def bound():
        return app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)

    def managed():
        return identity.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)

    def text():
        return bearer().access_token

    def used():
        result = managed()
        return result.authorization, result.binding_certificate

    def cached(result):
        return result.source == mtlspop.TokenSource.CACHE

    show("cached Bearer token", hit_us(bearer, cached, 50000), "us")
    show("cached Bearer token, and its text", hit_us(text, lambda _: cached(bearer()), 50000), "us")
    show("cached mtls_pop token", hit_us(bound, cached, 50000), "us")
    show("cached mtls_pop token, managed identity", hit_us(managed, cached, 50000), "us")
    name = "cached mtls_pop token, managed identity, header and certificate"
    show(name, hit_us(used, lambda _: cached(managed()), 50000), "us")
    show("import", import_ms("mtlspop"), "ms")
    show("import and a stored token, new interpreter", stored_ms(STORED), "ms")


def cold_ms(make):
    """The median of 21 tokens, each of a new app."""

    def one():
        begun = time.perf_counter()
        if "access_token" not in make().acquire_token_for_client(SCOPES):
            raise SystemExit("no token: there is nothing to measure")
        return (time.perf_counter() - begun) * 1000

    one()
    return sorted(one() for _ in range(21))[10]


def theirs():
    import msal

    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"]
    with open(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"]) as file:
        pem = file.read()
    certificate = {"private_key": pem, "public_certificate": pem}

    def new(credential=certificate):
        return msal.ConfidentialClientApplication(
            os.environ["AZURE_CLIENT_ID"],
            client_credential=credential,
            authority=f"https://login.microsoftonline.com/{os.environ['AZURE_TENANT_ID']}",
            instance_discovery=False,
        )

    app = new(os.environ["AZURE_CLIENT_SECRET"])

    def bearer():
        return app.acquire_token_for_client(SCOPES)

    show("cached Bearer token", hit_us(bearer, lambda result: result.get("token_source") == "cache", 5000), "us")
    show("import", import_ms("msal"), "ms")
    show("import and a stored token, new interpreter", stored_ms(STORED_MSAL), "ms")
    show("cold Bearer token, certificate", cold_ms(new), "ms")


if __name__ == "__main__":
    theirs() if sys.argv[1:] == ["msal"] else ours()
