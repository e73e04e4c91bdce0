"""Measures what a cached token and the import cost, beside MSAL for Python where that is installed.

    target/debug/devcloud run -- python3 bindings/python/bench.py

MTLSPOP_LIBRARY must name a library that was built for release, unless the package is installed from a wheel.
"""

import json
import os
import subprocess
import sys
import timeit
import urllib.request

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

    show("mtlspop: cached Bearer token", hit_us(bearer, cached, 50000), "us")
    show("mtlspop: the same, and its text", hit_us(text, lambda _: cached(bearer()), 50000), "us")
    show("mtlspop: cached mtls_pop token", hit_us(bound, cached, 50000), "us")
    show("mtlspop: cached mtls_pop token, managed identity", hit_us(managed, cached, 50000), "us")
    show(
        "mtlspop: the same, its header and certificate",
        hit_us(used, lambda _: cached(managed()), 50000),
        "us",
    )
    show("mtlspop: import", import_ms("mtlspop"), "ms")


def theirs():
    try:
        import msal
    except ImportError:
        return print("MSAL for Python is not installed here")
    # devcloud gives client_info to apps, under which MSAL keeps their tokens and does not find them again.
    control({"operation": "token", "set": {"client_info": None}})
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"]
    app = msal.ConfidentialClientApplication(
        os.environ["AZURE_CLIENT_ID"],
        client_credential=os.environ["AZURE_CLIENT_SECRET"],
        authority=f"https://login.microsoftonline.com/{os.environ['AZURE_TENANT_ID']}",
        instance_discovery=False,
    )

    def bearer():
        return app.acquire_token_for_client(SCOPES)

    hit = hit_us(bearer, lambda result: result.get("token_source") == "cache", 5000)
    show(f"MSAL {msal.__version__}: cached Bearer token", hit, "us")
    show(f"MSAL {msal.__version__}: import", import_ms("msal"), "ms")


def control(fault):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body, kind = json.dumps(fault).encode(), {"Content-Type": "application/json"}
    opener.open(urllib.request.Request(os.environ["DEVCLOUD_CONTROL"] + "/faults", body, kind)).close()


if __name__ == "__main__":
    ours()
    theirs()
