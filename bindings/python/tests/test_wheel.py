"""Do the wheels bring all that they need to a machine that has no source tree, and claim nothing else?"""

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
import mtlspop
app = mtlspop.ManagedIdentityClient(mtlspop.SystemAssignedManagedIdentity())
graph = "https://graph.microsoft.com/"
result = app.acquire_token_for_client(resource=graph, mtls_proof_of_possession=True)
print(mtlspop.library_path(), result.token_type, app.send(result, "GET", graph + "v1.0/me").status)
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
        """Does a program get a token with nothing but the wheels, installed into an empty environment, and so the
        command; is the plugin in one of its own; and does auditwheel say of the platforms what they claim?
        """
        out, home = self.directory(), self.directory()
        built = os.path.dirname(os.environ["MTLSPOP_LIBRARY"])
        self.run_(
            ROOT + "/scripts/wheel.sh",
            ARCHIVE=built + "/libmtlspop.a",
            PLUGIN=built + "/libmtlspop_tpm.so",
            PROGRAM=built + "/mtlspop",
            CLOUD=built + "/devcloud",
            OUT=out,
            PYTHON=sys.executable,
        )
        wheel, command, cloud, plugin = sorted(glob.glob(out + "/*.whl"))
        self.assertRegex(wheel, r"mtlspop-[\d.]+-py3-none-manylinux_2_\d+_\w+\.whl$")
        self.assertRegex(command, r"mtlspop_cli-[\d.]+-py3-none-manylinux_2_\d+_\w+\.whl$")
        self.assertRegex(cloud, r"mtlspop_devcloud-[\d.]+-py3-none-linux_\w+\.whl$")
        self.assertRegex(plugin, r"mtlspop_tpm-[\d.]+-py3-none-linux_\w+\.whl$")
        names = zipfile.ZipFile(wheel).namelist()
        for name in ("py.typed", "_prototypes.py", "requests.py", "libmtlspop.so"):
            self.assertIn("mtlspop/" + name, names)
        self.assertNotIn("mtlspop/libmtlspop_tpm.so", names)
        (script,) = [name for name in zipfile.ZipFile(command).namelist() if name.endswith("/mtlspop")]
        self.assertRegex(script, r"^mtlspop_cli-[\d.]+\.data/scripts/mtlspop$")
        for each in (wheel, command, cloud, plugin):
            tag = each[: -len(".whl")].split("-")[-1]
            if importlib.util.find_spec("auditwheel"):
                said = self.run_(sys.executable, "-m", "auditwheel", "show", each)
                self.assertIn(f'the following platform tag: "{tag}"', " ".join(said.split()))
            archive = zipfile.ZipFile(each)
            self.assertTrue(any(name.endswith("LICENSE") for name in archive.namelist()))
            (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
            for field in (b"Author: The mtlspop developers", b"Project-URL: ", b"License: MIT"):
                self.assertIn(field, archive.read(metadata))

        venv.create(home, with_pip=False, symlinks=True)
        python = home + "/bin/python"
        install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
        self.run_(sys.executable, *install, wheel, PYTHONPATH="")

        def program(library):
            return self.run_(python, "-c", PROGRAM, PYTHONPATH="", MTLSPOP_LIBRARY=library).split()

        place, token_type, status, code, missing = program("")
        self.assertTrue(place.startswith(home) and place.endswith("/mtlspop/libmtlspop.so"), place)
        self.assertEqual((token_type, status), ("mtls_pop", "200"))
        self.assertEqual((code, missing), ("tpm_unavailable", "True"), "there is no plugin yet")

        self.run_(sys.executable, *install, plugin, PYTHONPATH="")
        self.assertEqual(program("")[3:], ["tpm_unavailable", "False"])
        self.run_(sys.executable, *install, command, PYTHONPATH="")
        name, version = self.run_(home + "/bin/mtlspop", "--version").split()
        self.assertEqual((name, version), ("mtlspop", os.path.basename(command).split("-")[1]))
        token = ["token", "--managed-identity", "--resource", "https://graph.microsoft.com", "--output", "token"]
        self.assertRegex(self.run_(home + "/bin/mtlspop", *token), r"^eyJ\S+\n$")

        self.run_(sys.executable, *install, cloud, PYTHONPATH="")
        asked = "import mtlspop_devcloud; print(mtlspop_devcloud.program())"
        self.assertEqual(self.run_(python, "-c", asked, PYTHONPATH="").strip(), home + "/bin/devcloud")
        self.assertIn("devcloud", self.run_(home + "/bin/devcloud", "--version"))
        entries = [name for name in zipfile.ZipFile(cloud).namelist() if name.endswith("entry_points.txt")]
        self.assertIn(b"[pytest11]\ndevcloud = mtlspop_devcloud.plugin", zipfile.ZipFile(cloud).read(entries[0]))

        # A library that is named is the one that counts, with the plugin beside it.
        place, _, _, code, missing = program(built + "/libmtlspop.so")
        self.assertEqual((place, missing), (built + "/libmtlspop.so", "False"))


if __name__ == "__main__":
    unittest.main()
