"""Are the package's types true, and its words those of Python 3.9?"""

import ast
import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


class Types(unittest.TestCase):
    @unittest.skipUnless(importlib.util.find_spec("mypy"), "mypy is not installed: `make test-python` has it")
    def test_mypy(self):
        """Does mypy find nothing, as strict as pyproject.toml says, in the package and in a program that uses it?"""
        with tempfile.TemporaryDirectory() as cache:
            settings = ["--config-file", PACKAGE / "pyproject.toml", "--cache-dir", cache]
            command = [sys.executable, "-m", "mypy", *settings, PACKAGE / "src", PACKAGE / "tests/typed.py"]
            output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(output.returncode, 0, output.stdout)
        self.assertTrue((PACKAGE / "src/mtlspop/py.typed").exists())

    def test_oldest_python(self):
        """Can Python 3.9 read each file of the package?"""
        files = list((PACKAGE / "src").rglob("*.py"))
        self.assertGreater(len(files), 10)
        for file in files:
            ast.parse(file.read_text(), str(file), feature_version=(3, 9))


if __name__ == "__main__":
    unittest.main()
