"""A running cloud, over its control port."""

import contextlib
import json
import os
import shutil
import subprocess
import sysconfig
import urllib.error
import urllib.parse
import urllib.request

# No proxy of the environment: a test has set that to the cloud's.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Cloud:
    """A cloud, or what of it is about one tenant.

    `env` is what a program's environment has to have, and `unset` names what must not be in it; `tenant` is the id of the
    tenant, or None for all of the cloud.
    """

    def __init__(self, control, env, unset, tenant=None):
        self.control = control
        self.env = env
        self.unset = unset
        self.tenant = tenant

    def for_test(self, host="all", source=None):
        """This cloud with a tenant of its own, as a host sees it: see `devcloud run --help` for `--as` and `--source`."""
        tenant = self._ask("/tenants", {})["id"]
        cloud = self.seen_by(host, source)
        if "AZURE_TENANT_ID" in cloud.env:
            cloud.env["AZURE_TENANT_ID"] = tenant
        cloud.tenant = tenant
        return cloud

    def seen_by(self, host="all", source=None):
        """All of this cloud, as a host sees it."""
        env = self._ask("/env", query={"as": host, **({"source": source} if source else {})})
        return Cloud(self.control, env["set"], env["unset"])

    def fault(self, operation, **members):
        """Has the next request of an operation fail; members are those of a fault, as devcloud's README has them.

        In a tenant of a test's own it strikes nobody else. Operations whose requests tell no tenant, as those of IMDS, want
        `tenant=None`, and strike whoever comes first.
        """
        members.setdefault("tenant", self.tenant)
        self._ask("/faults", {"operation": operation, **members})

    def clear_faults(self):
        """Takes back all faults to come, of every test."""
        self._ask("/faults", method="DELETE")

    def requests(self, **which):
        """What was received, oldest first: a dict each. `client_id` keeps to one client."""
        return self._ask("/requests", query=self._theirs(which))

    def counters(self, **which):
        """How many requests of each operation there were."""
        return self._ask("/counters", query=self._theirs(which))

    def advance(self, seconds):
        """Lets time pass in the cloud, for every test: tokens and certificates grow old."""
        return self._ask("/clock", {"advance_seconds": seconds})["now"]

    def assertion(self, **members):
        """A federated assertion: `subject`, `audience`, `expires_in`, `bound_to`."""
        return self._ask("/assertions", members)["assertion"]

    def _theirs(self, which):
        return {**({"tenant": self.tenant} if self.tenant else {}), **which}

    def _ask(self, path, body=None, query=None, method=None):
        url = self.control + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)
        try:
            with _OPENER.open(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None


@contextlib.contextmanager
def start(*options):
    """Runs `devcloud serve` with these options, and ends it."""
    command = [program(), "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"devcloud did not start: see {' '.join(command)}")
        ready = json.loads(line)
        try:
            yield Cloud(ready["control"], ready["env"], [])
        finally:
            process.terminate()


def program():
    """The program: DEVCLOUD, the one that was installed with this package, or the one on the path."""
    installed = os.path.join(sysconfig.get_path("scripts"), "devcloud")
    found = os.environ.get("DEVCLOUD") or shutil.which(installed) or shutil.which("devcloud")
    if not found:
        raise FileNotFoundError("the program devcloud is not installed: pip install mtlspop-devcloud has it")
    return found
