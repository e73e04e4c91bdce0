"""Is what docs/FROM_MSAL_PYTHON.md says of MSAL for Python true of the one that is installed?"""

import builtins
import inspect
import re
import unittest

import mtlspop
from mtlspop import _app, _settings
from support import GRAPH, SCOPES, Case, authority, client, env, identity, python, state
from test_readme import FROM_MSAL, samples

try:
    import msal
    import requests
except ImportError as missing:
    raise unittest.SkipTest(f"{missing.name} is not installed: `make test-python` has it") from missing

with open(FROM_MSAL, encoding="utf-8") as file:
    PAGE = file.read()
SPANS = re.findall(r"`([^`\n]+)`", PAGE)
WORDS = {word for span in SPANS for word in re.findall(r"\w+", span)}


def public(kind):
    """The members of MSAL's own, without the numbers of its telemetry."""
    names = {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
    return {name for name in names if not re.fullmatch("(ACQUIRE|GET|REMOVE)_[A-Z_]+", name)}


def parameters(function):
    known = inspect.signature(function).parameters.values()
    return {one.name for one in known if one.kind is not one.VAR_KEYWORD} - {"self"}


class Page(Case):
    def test_theirs(self):
        """Has each member and each parameter that a program for workloads can meet its line?"""
        client, identity = msal.ConfidentialClientApplication, msal.ManagedIdentityClient
        theirs = public(client) | parameters(client) | public(identity) | parameters(identity)
        theirs |= parameters(client.acquire_token_for_client) | parameters(identity.acquire_token_for_client)
        theirs |= parameters(msal.UserAssignedManagedIdentity)
        self.assertGreater(len(theirs), 40)
        self.assertIn(f"MSAL for Python {msal.__version__.rpartition('.')[0]}:", PAGE)
        self.assertEqual(theirs - WORDS, set())

    def test_no_more_theirs(self):
        """Has MSAL what the page says that it has?"""
        named = {span.split("(")[0] for span in SPANS if span.startswith(("msal.", "SerializableTokenCache"))}
        self.assertGreater(len(named), 3)
        for name in named:
            thing = msal
            for part in name[len("msal.") :].split(".") if name.startswith("msal.") else name.split("."):
                thing = getattr(thing, part)
        for name in ("search", "find", "add", "modify", "remove_at", "has_state_changed", "deserialize"):
            self.assertTrue(hasattr(msal.SerializableTokenCache, name), name)

    def test_ours(self):
        """Has this package what the page says that it has?"""
        kinds = {
            "result": mtlspop.TokenResult,
            "response": mtlspop.StreamingResponse,
            "error": mtlspop.MtlsPopError,
            "app": mtlspop.ManagedIdentityClient,
            "cache": mtlspop.TokenCache,
        }
        dotted = re.findall(r"`(result|response|error|app|cache)\.(\w+)", PAGE)
        self.assertGreater(len(dotted), 20)
        for kind, name in dotted:
            self.assertTrue(hasattr(kinds[kind], name), f"{kind}.{name}")
        options = {**_settings.CLIENT, **_settings.IDENTITY, **mtlspop.ConfidentialClientApplication._options}
        known = (
            set(options) | parameters(_app._Application.send) | {"store", "max_entries", "max_bytes", "data"}
        )
        for function in (
            mtlspop.ConfidentialClientApplication,
            mtlspop.ConfidentialClientApplication.acquire_token_for_client,
            mtlspop.UserAssignedManagedIdentity,
        ):
            known |= parameters(function)
        rows = [row.strip("|").split(" | ")[-1] for row in PAGE.splitlines() if row.startswith("| ")]
        given = {name for row in rows for name in re.findall(r"(\w+)=", row)} - {"verify"}
        self.assertGreater(len(given), 20)
        self.assertEqual(given - known, set())
        classes = {name for row in rows for name in re.findall(r"`([A-Z]\w+[a-z])\b", row)}
        classes -= {"Mapping", "Bearer"} | set(dir(builtins))
        self.assertEqual({name for name in classes if not hasattr(mtlspop, name)}, set())


class Same(Case):
    def setUp(self):
        super().setUp()
        # Its HTTP library has a name of its own for the roots.
        self.without_bundles()
        self.session = requests.Session()
        self.session.verify = state("ca.pem")

    def theirs(self, secret):
        return msal.ConfidentialClientApplication(
            env("AZURE_CLIENT_ID"), secret, authority(), http_client=self.session
        )

    def alike(self, theirs, ours, but=()):
        self.assertEqual(set(theirs) - set(ours), set(but))
        for name in set(theirs) & set(ours) - {"access_token"}:
            self.assertIs(type(ours[name]), type(theirs[name]), name)
        for name in ("token_type", "token_source"):
            self.assertEqual(ours[name], theirs[name])
        self.assertAlmostEqual(ours["expires_in"], theirs["expires_in"], delta=30)

    def test_results(self):
        """Has a result each field of MSAL's, with the same name, type and value, but for those that are named?"""
        secret = env("AZURE_CLIENT_SECRET")
        theirs, ours = self.theirs(secret), client(secret)
        for but in ({"ext_expires_in"}, ()):
            self.alike(theirs.acquire_token_for_client(SCOPES), ours.acquire_token_for_client(SCOPES), but)
        theirs = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=self.session)
        with self.subTest("managed identity"):
            for but in ({"resource", "refresh_in"}, ()):
                ours = identity().acquire_token_for_client(resource=GRAPH, force_refresh=bool(but))
                self.alike(theirs.acquire_token_for_client(resource=GRAPH), ours, but)

    def test_errors(self):
        """Does an exception say what the dict says, and has the page a line for each of its fields?"""
        theirs = self.theirs("wrong").acquire_token_for_client(SCOPES)
        self.assertEqual({name for name in theirs if name not in WORDS}, set())
        with self.assertRaises(mtlspop.RejectedError) as caught:
            client("wrong").acquire_token_for_client(SCOPES)
        error = caught.exception
        self.assertEqual((error.code, list(error.aadsts_codes)), (theirs["error"], theirs["error_codes"]))
        self.assertIn(theirs["error_description"].split(".")[0], str(error))

    def test_same_program(self):
        """Does the first sample print the same with MSAL, where only its import is another?"""
        sample = samples(FROM_MSAL)[0]
        ours = python(sample)
        theirs = python(sample.replace("from mtlspop", "from msal"), REQUESTS_CA_BUNDLE=state("ca.pem"))
        self.assertEqual((ours.stdout, ours.stderr), (theirs.stdout, ""), theirs.stderr)

    def test_regions(self):
        """Do MSAL's True and False for the region mean here what they mean there?"""
        found = client(azure_region=msal.ConfidentialClientApplication.ATTEMPT_REGION_DISCOVERY)
        self.assertIs(
            found.acquire_token_for_client(SCOPES).region_outcome, mtlspop.RegionOutcome.AUTODETECT_SUCCESS
        )
        code = (
            "from support import *\n"
            "for region in (None, False):\n"
            "    print(client(azure_region=region).acquire_token_for_client(SCOPES).region)\n"
        )
        output = python(code, MSAL_FORCE_REGION="westeurope")
        self.assertEqual((output.stdout, output.stderr), ("westeurope\nNone\n", ""))

    def test_refresher(self):
        """Does MSAL's AutoRefresher serve here, too?"""
        asked = []

        def assertion():
            asked.append(1)
            with open(env("FIC_ASSERTION_PATH").replace(".jwt", "-unbound.jwt")) as file:
                return file.read().strip()

        credential = {"client_assertion": msal.AutoRefresher(assertion, expires_in=600)}
        app = client(credential, env("FIC_CLIENT_ID"))
        for force in (False, True):
            app.acquire_token_for_client(SCOPES, force_refresh=force)
        self.assertEqual(len(asked), 1)


if __name__ == "__main__":
    unittest.main()
