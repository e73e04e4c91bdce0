"""Marks a wheel as one for this platform where the library is inside it: see scripts/wheel.sh."""

import os

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel

PLATFORM = os.environ.get("MTLSPOP_PLATFORM")


class Package(Distribution):
    def has_ext_modules(self):
        return PLATFORM is not None


class Wheel(bdist_wheel):
    def get_tag(self):
        # Any Python 3: ctypes needs nothing of its ABI.
        return "py3", "none", PLATFORM or "any"


setup(distclass=Package, cmdclass={"bdist_wheel": Wheel})
