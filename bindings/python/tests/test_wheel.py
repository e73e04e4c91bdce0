"""Does a wheel bring all that it needs to a machine that has no source tree?"""

import glob
import importlib.util
import os
import subprocess
import sys
import unittest
import venv
import zipfile

from support import SOURCES, Case

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(SOURCES)))
PROGRAM = """
import mtlspop, os
app = mtlspop.ManagedIdentityClient(mtlspop.SystemAssignedManagedIdentity())
graph = "https://graph.microsoft.com/"
result = app.acquire_token_for_client(resource=graph, mtls_proof_of_possession=True)
print(os.path.dirname(mtlspop.__file__), result.token_type, app.send(result, "GET", graph + "v1.0/me").status)
try:
    tpm = mtlspop.Tpm(tcti="device:/nowhere")
    mtlspop.ManagedIdentityClient(mtlspop.SystemAssignedManagedIdentity(), tpm=tpm).acquire_token_for_client(
        resource=graph, mtls_proof_of_possession=True
    )
except mtlspop.NotSupportedError as error:
    print(error.code, "libmtlspop_tpm.so" in str(error))
"""


@unittest.skipUnless(
    (
        importlib.util.find_spec("setuptools.command.bdist_wheel")
        if importlib.util.find_spec("setuptools")
        else None
    ),
    "there is no setuptools that makes wheels: `make test-python` has it",
)
class Wheel(Case):
    def run_(self, *command, **environment):
        output = subprocess.run(
            command,
            cwd=self.directory(),
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        self.assertEqual(output.returncode, 0, output.stdout + output.stderr)
        return output.stdout

    def test_installed(self):
        """Does a program get a token with nothing but the wheel, installed into an empty environment?"""
        out, home = self.directory(), self.directory()
        self.run_(
            ROOT + "/scripts/wheel.sh", LIBRARY=os.environ["MTLSPOP_LIBRARY"], OUT=out, PYTHON=sys.executable
        )
        (wheel,) = glob.glob(out + "/*.whl")
        self.assertRegex(wheel, r"mtlspop-[\d.]+-py3-none-manylinux_2_\d+_\w+\.whl$")
        names = zipfile.ZipFile(wheel).namelist()
        for name in ("py.typed", "_prototypes.py", "requests.py", "libmtlspop.so", "libmtlspop_tpm.so"):
            self.assertIn("mtlspop/" + name, names)
        self.assertTrue(any(name.endswith("LICENSE") for name in names))

        venv.create(home, with_pip=False, symlinks=True)
        python = home + "/bin/python"
        install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel]
        self.run_(sys.executable, *install, PYTHONPATH="")
        printed = self.run_(python, "-c", PROGRAM, MTLSPOP_LIBRARY="/nowhere", PYTHONPATH="").splitlines()
        place, token_type, status = printed[0].split()
        self.assertTrue(place.startswith(home), place)
        self.assertEqual((token_type, status), ("mtls_pop", "200"))
        self.assertEqual(printed[1], "tpm_unavailable False", "the plugin beside the library must be found")


if __name__ == "__main__":
    unittest.main()
