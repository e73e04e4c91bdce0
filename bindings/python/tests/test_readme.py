"""Does every sample in README.md run?"""

import os
import re
import unittest

from support import SOURCES, Case, python

README = os.path.join(os.path.dirname(SOURCES), "README.md")


class Samples(Case):
    def test_samples(self):
        """Does each sample end well, and print what it is meant to?"""
        with open(README, encoding="utf-8") as file:
            samples = re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)
        expected = [
            r"mtls_pop 200\n",
            r"Bearer mtls_pop [0-9A-F]{64}\n",
            r"mtls_pop\n",
            r"200\n200\n\d+\n",
            r"200\n",
            r"min_strength_not_met \(\) False .*\n",
        ]
        self.assertEqual(len(samples), len(expected))
        for sample, pattern in zip(samples, expected):
            with self.subTest(sample.splitlines()[0]):
                roots = {name: "" for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
                output = python(sample, **roots)
                if "ModuleNotFoundError" in output.stderr:
                    self.skipTest(output.stderr.splitlines()[-1])
                self.assertEqual(output.stderr, "")
                self.assertRegex(output.stdout, f"^{pattern}$")


if __name__ == "__main__":
    unittest.main()
