"""Finds and loads libmtlspop, and says how values cross to it and back."""

from __future__ import annotations

import os
from ctypes import CDLL, Structure, byref, c_char_p, c_size_t, c_void_p, cast, string_at

from . import _prototypes
from ._prototypes import ABI_VERSION, FUNCTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Union

    Text = Union[str, "os.PathLike[str]"]

NAME = "libmtlspop.so"
PLUGIN = "libmtlspop_tpm.so"


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
    """Where MTLSPOP_LIBRARY says, else beside this package as wheels have it, else where the loader looks."""
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME)
    found_by_loader = f"{NAME}.{ABI_VERSION >> 16}"
    path = os.environ.get("MTLSPOP_LIBRARY") or (beside if os.path.exists(beside) else found_by_loader)
    if "/" in path:
        # As library_path() is to say it, wherever the process goes.
        path = os.path.abspath(path)
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
            f"or set MTLSPOP_LIBRARY to the path of {NAME}, which comes before the wheel's"
        ) from error
    if found >> 16 != ABI_VERSION >> 16 or found < ABI_VERSION:
        raise ImportError(
            f"{path} has the ABI {found >> 16}.{found & 0xFFFF}; this package, {_prototypes.VERSION}, needs "
            f"{ABI_VERSION >> 16}.{ABI_VERSION & 0xFFFF} or a later minor one: install matching versions"
        )
    return dll


lib: Any = _Library(_load())


class _Place(Structure):
    """Dl_info of dladdr."""

    _fields_ = [("file", c_char_p), ("base", c_void_p), ("symbol", c_char_p), ("address", c_void_p)]


def library_path() -> str:
    """The file that libmtlspop was loaded from."""
    place = _Place()
    if not CDLL(None).dladdr(cast(lib._dll.mtlspop_abi_version, c_void_p), byref(place)):
        raise OSError(f"the loader does not say where {NAME} is")
    return os.fsdecode(place.file)


def federated_credential_audience(authority: str) -> Optional[str]:
    """What the assertion of a federated credential has as its audience in the cloud of an authority, or of its host.

    "api://AzureADTokenExchangeUSGov" for "login.microsoftonline.us"; None where the cloud is not known.
    """
    return text(lib.mtlspop_federated_credential_audience(utf8(authority, "authority")))


def plugin_path() -> Optional[str]:
    """The plugin of the wheel mtlspop-tpm; none where one is beside the library, which looks there by itself."""
    if os.path.exists(os.path.join(os.path.dirname(library_path()), PLUGIN)):
        return None
    from importlib import import_module

    try:
        found: str = import_module("mtlspop_tpm").PLUGIN
    except ImportError:
        return None
    return found


def _own(kind: type, free: Callable[[Any], None]) -> None:
    """Frees a handle with its Python object, which has no copies. So a call that is under way keeps what it uses."""

    def __del__(self: Any) -> None:
        if self:
            free(self)

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        raise TypeError(
            f"{kind.__name__} lives in the library: it cannot be pickled, nor copied with all that it holds"
        )

    kind.__del__ = __del__  # type: ignore[attr-defined]
    kind.__reduce_ex__ = __reduce_ex__  # type: ignore[method-assign,assignment]


_types: Any
for _name, _types in FUNCTIONS.items():
    # Errors are freed where they become exceptions, which saves each call that succeeds a finalizer.
    if _name.endswith("_free") and _types[1] is not _prototypes.Error:
        _own(_types[1], getattr(lib, _name))


# What follows makes of a caller's value what C takes. `name` is what the caller calls it.


class WrongType(TypeError):
    """Its text says which type was met and which is wanted, and nothing of the value: it may go anywhere."""


def wrong(name: str, wanted: str, value: Any) -> WrongType:
    return WrongType(f"{name} must be {wanted}, not {type(value).__name__}")


def utf8(value: Any, name: str, wanted: str = "a str") -> bytes:
    """Text for C, which would cut it at a NUL."""
    if not isinstance(value, (str, bytes)):
        raise wrong(name, wanted, value)
    text = value if isinstance(value, bytes) else value.encode()
    if b"\0" in text:
        raise ValueError(f"{name} has a NUL in it, which cannot be passed on")
    return text


def path(value: Any, name: str) -> bytes:
    if not isinstance(value, (str, bytes)) and not hasattr(value, "__fspath__"):
        raise wrong(name, "a path", value)
    return utf8(os.fspath(value), name)


def words(value: Any, name: str) -> bytes:
    """Several words, as the library wants them: separated by spaces."""
    if isinstance(value, str):
        return utf8(value, name)
    if isinstance(value, bytes) or not hasattr(value, "__iter__"):
        raise wrong(name, "a str or a list of them", value)
    several = tuple(value)
    for word in several:
        if not isinstance(word, str):
            raise wrong(f"each of {name}", "a str", word)
    return utf8(" ".join(several), name)


def octets(value: Any, name: str, wanted: str = "bytes") -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise wrong(name, wanted, value) from None


def pem(value: Any, name: str) -> bytes:
    return value.encode() if isinstance(value, str) else octets(value, name, "a str or bytes")


def flag(value: Any, name: str) -> int:
    # An int is: 0 and 1.
    if not isinstance(value, int):
        raise wrong(name, "True or False", value)
    return 1 if value else 0


def number(value: Any, name: str, bits: int = 63) -> int:
    """A number for C, where ctypes would cut it silently."""
    if not isinstance(value, int):
        raise wrong(name, "an int", value)
    if not -1 << bits <= value < 1 << bits:
        raise ValueError(f"{name} must be a number of {bits + 1} bits")
    return value


def number32(value: Any, name: str) -> int:
    return number(value, name, 31)


def size(value: Any, name: str) -> int:
    if number(value, name) < 0:
        raise ValueError(f"{name} must not be negative")
    return int(value)


def milliseconds(seconds: Any, name: str) -> int:
    """Rounded up: 0 would mean no limit."""
    try:
        positive = seconds > 0
    except TypeError:
        raise wrong(name, "a number of seconds", seconds) from None
    if not positive or seconds == float("inf"):
        raise ValueError(f"{name} must be more than 0 seconds, and finite")
    return number(-int(-seconds * 1000 // 1), name)


def one(kind: type, value: Any, name: str) -> Any:
    """An object of this package, which has no other like it."""
    if not isinstance(value, kind):
        raise wrong(name, f"a {kind.__name__}", value)
    return value


def function(value: Any, name: str) -> Any:
    if not callable(value):
        raise wrong(name, "a function", value)
    return value


def items(value: Any, name: str) -> Any:
    """Names and values: of a mapping, or in pairs."""
    if hasattr(value, "items"):
        return value.items()
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise wrong(name, "a mapping", value)
    pairs = list(value)
    for pair in pairs:
        # Text of two letters would be a pair, too.
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise wrong(f"each of {name}", "a name and a value", pair)
    return pairs


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
