"""Finds and loads libmtlspop, and says how values cross to it and back."""

from __future__ import annotations

import os
from ctypes import CDLL, byref, c_size_t, string_at

from . import _prototypes
from ._prototypes import ABI_VERSION, FUNCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Union

    Text = Union[str, "os.PathLike[str]"]

NAME = "libmtlspop.so"


class _Library:
    """The functions of the header, each with its types, bound when it is first used."""

    def __init__(self, dll: CDLL) -> None:
        self._dll = dll

    def __getattr__(self, name: str) -> Any:
        # The types are there before any thread sees the function: see FUNCTIONS.
        types: Any = FUNCTIONS[name]
        function = self._dll[name]
        function.restype, function.argtypes = types[0], types[1:]
        setattr(self, name, function)
        return function


def _load() -> CDLL:
    """Beside this package as wheels have it, else where MTLSPOP_LIBRARY says, else where the loader looks."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)
    if not os.path.exists(path):
        path = os.environ.get("MTLSPOP_LIBRARY") or f"{NAME}.{ABI_VERSION >> 16}"
    try:
        dll = CDLL(path)
        dll.mtlspop_abi_version.restype, dll.mtlspop_abi_version.argtypes = (
            FUNCTIONS["mtlspop_abi_version"][0],
            (),
        )
        found: int = dll.mtlspop_abi_version()
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"mtlspop cannot load its library, {path}: {error}. Install the wheel, which brings it along, "
            f"or set MTLSPOP_LIBRARY to the path of {NAME}"
        ) from error
    if found >> 16 != ABI_VERSION >> 16 or found < ABI_VERSION:
        raise ImportError(
            f"{path} has the ABI {found >> 16}.{found & 0xFFFF}; this package, {_prototypes.VERSION}, needs "
            f"{ABI_VERSION >> 16}.{ABI_VERSION & 0xFFFF} or a later minor one: install matching versions"
        )
    return dll


lib: Any = _Library(_load())


def _own(kind: type, free: Callable[[Any], None]) -> None:
    """Frees a handle with its Python object, which has no copies. So a call that is under way keeps what it uses."""

    def __del__(self: Any) -> None:
        if self:
            free(self)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        raise TypeError(f"{kind.__name__} lives in the library: it cannot be pickled, nor copied with all that it holds")

    kind.__del__ = __del__  # type: ignore[attr-defined]
    kind.__reduce_ex__ = __reduce_ex__  # type: ignore[method-assign,assignment]


_types: Any
for _name, _types in FUNCTIONS.items():
    # Errors are freed where they become exceptions, which saves each call that succeeds a finalizer.
    if _name.endswith("_free") and _types[1] is not _prototypes.Error:
        _own(_types[1], getattr(lib, _name))


def utf8(value: Any) -> bytes:
    """Text for C, which would cut it at a NUL."""
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"expected text, not {type(value).__name__}")
    text = value if isinstance(value, bytes) else value.encode()
    if b"\0" in text:
        raise ValueError("text with a NUL in it cannot be passed on")
    return text


def path(value: Any) -> bytes:
    return utf8(os.fspath(value))


def words(value: Any) -> bytes:
    """Several words, as the library wants them: separated by spaces."""
    return utf8(value if isinstance(value, str) else " ".join(value))


def octets(value: Any) -> bytes:
    if isinstance(value, str):
        raise TypeError("expected bytes, not str")
    return value if isinstance(value, bytes) else bytes(memoryview(value))


def pem(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else octets(value)


def flag(value: Any) -> int:
    return 1 if value else 0


def number(value: Any, bits: int = 63) -> int:
    """A number for C, where ctypes would cut it silently."""
    if not isinstance(value, int) or not -1 << bits <= value < 1 << bits:
        raise ValueError(f"expected a number of {bits + 1} bits")
    return value


def size(value: Any) -> int:
    if number(value) < 0:
        raise ValueError("expected a number that is not negative")
    return int(value)


def milliseconds(seconds: Any) -> int:
    """Rounded up: 0 would mean no limit."""
    if not seconds > 0:
        raise ValueError("a time limit must be more than 0 seconds")
    return number(-int(-seconds * 1000 // 1))


def text(value: Optional[bytes]) -> Any:
    return None if value is None else value.decode()


def data(function: Callable[..., Optional[int]], *arguments: Any) -> Any:
    """The bytes that a function lends, copied; None where it has none."""
    length = c_size_t()
    address = function(*arguments, byref(length))
    return None if address is None else string_at(address, length.value)


def time(seconds: int) -> Any:
    from datetime import datetime, timedelta, timezone

    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
