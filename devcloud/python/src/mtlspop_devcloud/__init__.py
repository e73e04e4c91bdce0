"""A cloud on loopback for tests: `start` runs one, `Cloud` is one as a test sees it, `program` where the program is."""

from ._cloud import Cloud, program, start

__all__ = ["Cloud", "program", "start"]
