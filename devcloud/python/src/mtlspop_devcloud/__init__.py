"""A cloud on loopback for tests: `start` runs one, `Cloud` is one as a test sees it."""

from ._cloud import Cloud, start

__all__ = ["Cloud", "start"]
