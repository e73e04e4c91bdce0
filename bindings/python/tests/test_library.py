"""Is the library found, is a wrong one refused, and are its types as the header says?"""

import ctypes
import os
import shutil
import subprocess
import sys
import unittest

import mtlspop
from mtlspop import _enums, _prototypes
from mtlspop._library import lib
from support import SOURCES, Case, python

IMPORT = "import mtlspop; print(mtlspop.__version__)"


class Loading(Case):
    def test_environment(self):
        """Is the library loaded that MTLSPOP_LIBRARY names, and is it said how where there is none?"""
        output = python(IMPORT, MTLSPOP_LIBRARY="/nowhere/libmtlspop.so")
        self.assertIn("ImportError: mtlspop cannot load its library, /nowhere/libmtlspop.so", output.stderr)
        self.assertIn("Install the wheel", output.stderr)

    def test_loader(self):
        """Is the dynamic loader asked where nothing else is said?"""
        directory = self.directory()
        os.symlink(os.environ["MTLSPOP_LIBRARY"], directory + "/libmtlspop.so.0")
        code = IMPORT + "; print(mtlspop.library_path())"
        output = python(code, MTLSPOP_LIBRARY="", LD_LIBRARY_PATH=directory)
        expected = f"{_prototypes.VERSION}\n{directory}/libmtlspop.so.0\n"
        self.assertEqual((output.stdout, output.stderr), (expected, ""))

    def test_beside(self):
        """Is the library beside the package loaded, as in a wheel, and does MTLSPOP_LIBRARY come before it?"""
        directory, code = self.directory(), "import mtlspop; print(mtlspop.library_path())"
        shutil.copytree(os.path.join(SOURCES, "mtlspop"), directory + "/mtlspop")
        beside = shutil.copy(os.environ["MTLSPOP_LIBRARY"], directory + "/mtlspop/libmtlspop.so")
        output = python(code, MTLSPOP_LIBRARY="", PYTHONPATH=directory)
        self.assertEqual((output.stdout, output.stderr), (beside + "\n", ""))
        named = os.path.relpath(os.environ["MTLSPOP_LIBRARY"])
        output = python("import os; " + code.replace("print", "os.chdir('/'); print"), MTLSPOP_LIBRARY=named)
        self.assertEqual((output.stdout, output.stderr), (os.path.abspath(named) + "\n", ""))
        output = python(code, MTLSPOP_LIBRARY="/nowhere/x.so", PYTHONPATH=directory)
        self.assertIn("cannot load its library, /nowhere/x.so", output.stderr)

    def test_abi(self):
        """Is a library refused with an older ABI or another major version, and a newer minor one taken?"""
        versions = {_prototypes.ABI_VERSION - 1: False, _prototypes.ABI_VERSION + 65536: False}
        versions[_prototypes.ABI_VERSION + 1] = True
        directory = self.directory()
        for version, taken in versions.items():
            library = f"{directory}/{version}.so"
            others = [name for name in _prototypes.FUNCTIONS if name != "mtlspop_abi_version"]
            source = f"int mtlspop_abi_version(void) {{ return {version}; }}" + "".join(
                f" void {name}(void *x) {{ (void)x; }}" for name in others
            )
            gcc = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", library]
            subprocess.run(gcc, input=source.encode(), check=True)
            output = python(IMPORT, MTLSPOP_LIBRARY=library)
            self.assertEqual(output.returncode == 0, taken, output.stderr)
            self.assertEqual("install matching versions" in output.stderr, not taken)

    def test_not_ours(self):
        """Is a library refused that is another one altogether?"""
        other = python(IMPORT, MTLSPOP_LIBRARY="libc.so.6")
        self.assertIn("ImportError: mtlspop cannot load its library, libc.so.6", other.stderr)

    def test_lean(self):
        """Does the import bring along none of the modules that few programs need?"""
        spare = {"ssl", "logging", "typing", "enum", "datetime", "json", "requests", "httpx", "azure"}
        code = f"import sys; import mtlspop; print({spare} & set(sys.modules))"
        # Without site, which may have imported anything.
        environment = {**os.environ, "PYTHONPATH": SOURCES}
        command = [sys.executable, "-S", "-c", code]
        output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        self.assertEqual(output.stdout, b"set()\n")


class Types(Case):
    def test_functions_exist(self):
        """Has the library every function of the prototypes?"""
        for name in _prototypes.FUNCTIONS:
            self.assertTrue(getattr(lib, name).argtypes is not None, name)

    def test_pointers_are_whole(self):
        """Is a handle never a plain int, which could be cut, and one of another type refused?"""
        options = lib.mtlspop_app_options_new_managed_identity()
        self.assertIsInstance(options, _prototypes.AppOptions)
        with self.assertRaises(ctypes.ArgumentError):
            lib.mtlspop_token_type(options)

    def test_numbers_have_names(self):
        """Has each number of the header its name, and is one of a newer library still a number?"""
        prefixes = {
            "STRENGTH_": mtlspop.Strength,
            "SOURCE_": mtlspop.ManagedIdentitySource,
            "TOKEN_SOURCE_": mtlspop.TokenSource,
            "REGION_OUTCOME_": mtlspop.RegionOutcome,
            "CACHE_LEVEL_": mtlspop.CacheLevel,
            "CACHE_REFRESH_REASON_": mtlspop.CacheRefreshReason,
        }
        for prefix, kind in prefixes.items():
            theirs = {
                name[len(prefix) :]: value
                for name, value in vars(_prototypes).items()
                if name.startswith(prefix)
            }
            self.assertEqual({member.name: int(member) for member in kind}, theirs)
        self.assertEqual(_enums.named(mtlspop.Strength, 99), 99)


if __name__ == "__main__":
    unittest.main()
