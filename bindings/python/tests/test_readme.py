"""Does every sample in README.md run, and in docs/FROM_MSAL_PYTHON.md?"""

import os
import re
import unittest

from support import SOURCES, Case, python

PACKAGE = os.path.dirname(SOURCES)
README = os.path.join(PACKAGE, "README.md")
FROM_MSAL = os.path.join(PACKAGE, "../../docs/FROM_MSAL_PYTHON.md")


def samples(document):
    with open(document, encoding="utf-8") as file:
        return re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)


class Samples(Case):
    def check(self, document, expected):
        """Does each sample end well, and print what it is meant to?"""
        found = samples(document)
        self.assertEqual(len(found), len(expected))
        for sample, pattern in zip(found, expected):
            with self.subTest(sample.splitlines()[0]):
                roots = {name: "" for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
                output = python(sample, **roots)
                if "ModuleNotFoundError" in output.stderr:
                    self.skipTest(output.stderr.splitlines()[-1])
                self.assertEqual(output.stderr, "")
                self.assertRegex(output.stdout, f"^{pattern}$")

    def test_readme(self):
        """Of the package's own page?"""
        expected = [
            r"mtls_pop 200\n",
            r"Bearer mtls_pop [0-9A-F]{64}\n",
            r"mtls_pop\n",
            r"[a-z0-9-]{36} 200\n",
            r"IDENTITY_PROVIDER\nIDENTITY_PROVIDER\n",
            r"200\nTrue\n",
            r"200\n200\n\d+\n",
            r"200\n",
            r"200\n",
            r"min_strength_not_met \(\) False .*\n",
        ]
        self.check(README, expected)

    def test_from_msal(self):
        """Of the page for those who come from MSAL?"""
        expected = [
            r"Bearer identity_provider None\nBearer cache None\n",
            r"mtls_pop https://mtlstb\.graph\.microsoft\.com/.*\n",
            r"invalid_client \(7000215,\) False\n",
            r"None invalid_client \[7000215\]\n",
            r"identity_provider NONE\ncache L2\n",
        ]
        self.check(FROM_MSAL, expected)


if __name__ == "__main__":
    unittest.main()
