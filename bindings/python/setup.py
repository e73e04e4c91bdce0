"""Marks a wheel as one for this platform where library or program are inside it: see scripts/wheel.sh."""

import os
import shutil

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from distutils.command.build_scripts import build_scripts  # setuptools' own, once that is imported

PLATFORM = os.environ.get("MTLSPOP_PLATFORM")


class Package(Distribution):
    def has_ext_modules(self):
        return PLATFORM is not None


class Wheel(bdist_wheel):
    def get_tag(self):
        # Any Python 3: ctypes needs nothing of its ABI.
        return "py3", "none", PLATFORM or "any"


class Programs(build_scripts):
    def run(self):
        # As they are: the one there is looks for a first line to change.
        os.makedirs(self.build_dir, exist_ok=True)
        for program in self.scripts:
            shutil.copy(program, self.build_dir)


setup(distclass=Package, cmdclass={"bdist_wheel": Wheel, "build_scripts": Programs})
