"""The flag that stops calls."""

from ._library import lib


class Cancel:
    """A flag that stops calls from another thread, for good: they raise CancelledError."""

    __slots__ = ("_handle",)

    def __init__(self) -> None:
        self._handle = lib.mtlspop_cancel_new()

    def cancel(self) -> None:
        lib.mtlspop_cancel_raise(self._handle)
