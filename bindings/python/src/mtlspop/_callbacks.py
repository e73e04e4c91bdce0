"""Callbacks: Python functions that the library asks. What they raise waits for the end of the call.

The library gets a number as userdata, and this module keeps what it stands for until destroy is called.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from ctypes import ArgumentError, py_object, pythonapi
from itertools import count

from . import _prototypes as c
from ._errors import MtlsPopError, call, raised
from ._library import WrongType, data, lib, octets, text, time, utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Callable, Dict, Optional, Protocol, Tuple

    from ._body import Source

    class Store(Protocol):
        """What a token cache can have behind it, for several processes to share."""

        def load(self, key: str) -> Optional[bytes]: ...
        def save(self, key: str, data: bytes, expires_on: datetime) -> object: ...

registered: Dict[int, Any] = {}
_numbers = count(1)

LEVELS = {c.LOG_ERROR: 40, c.LOG_WARNING: 30, c.LOG_INFO: 20, c.LOG_VERBOSE: 10}


def give(setter: Any, *before: Any, kind: Any, target: Any, after: Tuple[Any, ...] = ()) -> Any:
    """Gives the library a callback, and keeps `target` for it."""
    number = next(_numbers)
    registered[number] = target
    try:
        return setter(*before, kind, number, _destroy, *after)
    except ArgumentError:
        # The library was not called, and will not call destroy.
        del registered[number]
        raise


@c.Destroy
def _destroy(userdata: int, pop: Any = registered.pop) -> None:
    pop(userdata, None)


# Handles that live as long as the interpreter are freed after its modules, and the library still calls this.
pythonapi.Py_IncRef(py_object(_destroy))


class Operation:
    """One question, for as long as its callback runs; after that every answer is None."""

    __slots__ = ("_op",)

    def __init__(self, operation: Any) -> None:
        self._op = operation

    def __enter__(self: Any) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._op = None


class AttestationRequest(Operation):
    """The key that an attestation callback is to have attested."""

    __slots__ = ()

    @property
    def endpoint(self) -> str:
        return text(lib.mtlspop_attestation_op_endpoint(self._op))

    @property
    def client_id(self) -> str:
        return text(lib.mtlspop_attestation_op_client_id(self._op))

    @property
    def public_key(self) -> bytes:
        """A SubjectPublicKeyInfo in DER."""
        return data(lib.mtlspop_attestation_op_public_key, self._op)

    def sign(self, algorithm: str, message: bytes) -> bytes:
        """Signs with the key: PS256 and the like, as JOSE calls them."""
        message = octets(message, "message")
        arguments = (self._op, utf8(algorithm, "algorithm"), message, len(message))
        return data(
            lib.mtlspop_buffer_data, call(lib.mtlspop_attestation_op_sign, *arguments, out=c.Buffer())
        )

    @property
    def correlation_id(self) -> str:
        return text(lib.mtlspop_attestation_op_correlation_id(self._op))

    @property
    def remaining(self) -> Optional[float]:
        return seconds(lib.mtlspop_attestation_op_remaining_ms(self._op))

    @property
    def is_cancelled(self) -> bool:
        return lib.mtlspop_attestation_op_is_cancelled(self._op) == 1


class SignRequest(Operation):
    """The signature that a signer is asked for: RSA as long as the key, ECDSA in DER."""

    __slots__ = ()

    @property
    def algorithm(self) -> str:
        """PS256, RS256, ES256 and so on, as JOSE calls them."""
        return text(lib.mtlspop_sign_op_algorithm(self._op))

    @property
    def message(self) -> bytes:
        return data(lib.mtlspop_sign_op_message, self._op)

    @property
    def digest(self) -> bytes:
        return data(lib.mtlspop_sign_op_digest, self._op)


class Metric:
    """One measurement, under MSAL's OpenTelemetry names."""

    __slots__ = ("name", "kind", "unit", "value", "tags")

    def __init__(self, metric: c.Metric) -> None:
        self.name: str = text(lib.mtlspop_metric_name(metric))
        self.kind: str = (
            "counter" if lib.mtlspop_metric_kind(metric) == c.METRIC_KIND_COUNTER else "histogram"
        )
        self.unit: str = text(lib.mtlspop_metric_unit(metric))
        self.value: int = lib.mtlspop_metric_value(metric)
        self.tags: Dict[str, str] = {
            text(lib.mtlspop_metric_tag_name(metric, index)): text(
                lib.mtlspop_metric_tag_value(metric, index)
            )
            for index in range(lib.mtlspop_metric_tag_count(metric))
        }


def question(kind: Any, set_error: str) -> Any:
    """Makes a callback of a function that answers one question."""

    def decorate(answer: Callable[[Any, Any], None]) -> Any:
        def callback(userdata: int, operation: Any) -> int:
            try:
                answer(registered[userdata], operation)
                return 0
            except BaseException as exception:
                getattr(lib, set_error)(operation, _describe(exception))
                _keep(exception)
                return 1

        return kind(callback)

    return decorate


@question(c.AttestationCallback, "mtlspop_attestation_op_set_error")
def attestation(target: Callable[[AttestationRequest], str], operation: Any) -> None:
    with AttestationRequest(operation) as request:
        token = utf8(target(request), "what the attestation callback returns")
    lib.mtlspop_attestation_op_set_token(operation, token)


@question(c.SignCallback, "mtlspop_sign_op_set_error")
def sign(target: Callable[[SignRequest], bytes], operation: Any) -> None:
    with SignRequest(operation) as request:
        signature = octets(target(request), "what the signer returns")
    lib.mtlspop_sign_op_set_signature(operation, signature, len(signature))


@question(c.SecretCallback, "mtlspop_secret_op_set_error")
def secret(target: Callable[[], bytes], operation: Any) -> None:
    value = octets(target(), "what the secret callback returns")
    lib.mtlspop_secret_op_set_secret(operation, value, len(value))


@question(c.BodyCallback, "mtlspop_body_op_set_error")
def body(source: Source, operation: Any) -> None:
    source.answer(operation)


@c.StoreCallback
def store(userdata: int, operation: Any) -> int:
    """Unlike the others it fails no call: the library goes on without the store."""
    try:
        target: Store = registered[userdata]
        key = text(lib.mtlspop_store_op_partition_key(operation))
        if lib.mtlspop_store_op_kind(operation) == c.STORE_LOAD:
            found = target.load(key)
            if found is not None:
                found = octets(found, "what load() of the store returns", "bytes or None")
                lib.mtlspop_store_op_set_data(operation, found, len(found))
        else:
            expires_on = time(lib.mtlspop_store_op_expires_on(operation))
            target.save(key, data(lib.mtlspop_store_op_data, operation), expires_on)
        return 0
    except Exception as exception:
        lib.mtlspop_store_op_set_error(operation, _describe(exception))
        _log(exception, "the store of the token cache failed; the call goes on without it")
        return 1
    except BaseException as exception:
        _keep(exception)
        return 1


# These only listen. ctypes reports what they raise, by sys.unraisablehook.


@c.LogCallback
def log(userdata: int, level: int, target: bytes, message: bytes) -> None:
    registered[userdata].log(LEVELS.get(level, 10), "%s: %s", target.decode(), message.decode())


@c.MetricsCallback
def metrics(userdata: int, metric: c.Metric) -> None:
    registered[userdata](Metric(metric))


def _describe(exception: BaseException) -> bytes:
    """Goes into messages and logs: an exception of somebody else's may have a secret in its text."""
    name = type(exception).__name__
    if isinstance(exception, WrongType):
        return utf8(str(exception), "text")
    words = f"{name}: {exception}" if isinstance(exception, MtlsPopError) else f"the callback raised {name}"
    return utf8(words.replace("\0", " "), "text")


def _keep(exception: BaseException) -> None:
    """Keeps an exception for the call that this thread is in; see _errors.failure()."""
    # Below the callback is the call that it is in, if this is a thread of Python's.
    if sys._getframe(1).f_back is not None:
        raised[get_ident()] = exception
    else:
        # A thread of the library's own, which has no caller to raise it to.
        _log(exception, "a callback failed on a background thread")


def _log(exception: BaseException, message: str) -> None:
    import logging

    logging.getLogger("mtlspop").warning(message, exc_info=exception)


def seconds(milliseconds: int) -> Optional[float]:
    return milliseconds / 1000 if milliseconds >= 0 else None
