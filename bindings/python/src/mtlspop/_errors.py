"""Exceptions: one class for each status of the library, and what an exception of a callback becomes."""

from __future__ import annotations

import builtins
from _thread import get_ident
from ctypes import byref

from . import _prototypes as c
from ._library import lib, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple, TypeVar

    from ._enums import RegionOutcome
    from ._response import Response

    Out = TypeVar("Out")


class MtlsPopError(Exception):
    """Why a call failed. str() is one line for a person, without secrets; a program acts on the class."""

    #: One of the library's numbers, 301 for example.
    status: int = 0
    #: MSAL's error code where MSAL has one, "invalid_client" for example.
    code: str = ""
    #: Of the answer that caused the error; 0 where none did.
    http_status: int = 0
    #: Entra's own numbers: 700016 for AADSTS700016.
    aadsts_codes: Tuple[int, ...] = ()
    sub_error: Optional[str] = None
    #: To quote to Microsoft support.
    correlation_id: Optional[str] = None
    #: A claims challenge, for claims_challenge of the next call.
    claims: Optional[str] = None
    #: How many seconds the server asks to wait; None where it did not say.
    retry_after: Optional[int] = None
    #: Whether the same call may succeed later without any change.
    is_retryable: bool = False
    #: The endpoint that a call for a token asked, or was about to ask; None where it was not known yet.
    token_endpoint: Optional[str] = None
    #: Of that endpoint, as in a TokenResult. The outcome is None where it was not known yet.
    region: Optional[str] = None
    region_outcome: Optional[RegionOutcome] = None
    region_error: Optional[str] = None
    #: What the call took until it failed.
    duration_total_ms: int = 0
    duration_in_http_ms: int = 0
    duration_in_cache_ms: int = 0

    @property
    def message(self) -> str:
        return str(self)


class InvalidArgumentError(MtlsPopError, ValueError):
    """A parameter, or a combination of settings, is wrong; the message names it."""


class InvalidHandleError(MtlsPopError):
    """Something is used after it was closed."""


class NotSupportedError(MtlsPopError):
    """What was asked cannot be had on this host, with this credential or with this authority."""


class NetworkError(MtlsPopError):
    """No answer: DNS, connection, proxy or TLS."""


class TimeoutError(MtlsPopError, builtins.TimeoutError):
    """The time given for the call is over, or a peer took longer than its limit."""


class CancelledError(MtlsPopError):
    """The call was stopped."""


class RejectedError(MtlsPopError):
    """The server answered and said no."""


class ThrottledError(MtlsPopError):
    """The server asks for fewer requests; see retry_after."""


class InteractionRequiredError(MtlsPopError):
    """The server wants more than a workload can give."""


class InvalidResponseError(MtlsPopError):
    """The server answered with something that must not be accepted or cannot be read."""


class KeyUnavailableError(MtlsPopError):
    """A private key or certificate cannot be read or used."""


class CallbackError(MtlsPopError):
    """A callback failed. What it raised is the __cause__, unless it ran for another thread's call."""


class InternalError(MtlsPopError):
    """A bug in the library; the process lives on."""


class HttpStatusError(Exception):
    """An API answered, and with a status that is none of success: see response.

    Response.raise_for_status() raises it, and nothing else does. The call itself went well, so this is no
    MtlsPopError.
    """

    def __init__(self, message: str, response: Optional[Response] = None) -> None:
        super().__init__(message)
        #: None in another process, which an exception can go to and a response cannot.
        self.response = response

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (str(self),)


CLASSES = {
    c.E_INVALID_ARGUMENT: InvalidArgumentError,
    c.E_INVALID_HANDLE: InvalidHandleError,
    c.E_NOT_SUPPORTED: NotSupportedError,
    c.E_NETWORK: NetworkError,
    c.E_TIMEOUT: TimeoutError,
    c.E_CANCELLED: CancelledError,
    c.E_REJECTED: RejectedError,
    c.E_THROTTLED: ThrottledError,
    c.E_INTERACTION_REQUIRED: InteractionRequiredError,
    c.E_INVALID_RESPONSE: InvalidResponseError,
    c.E_KEY_UNAVAILABLE: KeyUnavailableError,
    c.E_CALLBACK: CallbackError,
    c.E_INTERNAL: InternalError,
}

#: What callbacks raised inside the call that a thread is in, by thread. Empty but for that moment.
raised: Dict[int, BaseException] = {}


def call(function: Any, *arguments: Any, out: Out) -> Out:
    """Calls a function that can fail, and returns its result or raises its error."""
    error = c.Error()
    status = function(*arguments, byref(out), byref(error))  # type: ignore[arg-type]
    if status:
        raise failure(status, error)
    if raised:
        settle()
    return out


def settle() -> None:
    """After a call that succeeded although its callback raised: only KeyboardInterrupt and the like go on."""
    cause = raised.pop(get_ident(), None)
    if cause is not None and not isinstance(cause, Exception):
        raise cause


def failure(status: int, error: c.Error) -> BaseException:
    """What a call raises for its error, which is freed."""
    exception = described(status, error)
    cause = raised.pop(get_ident(), None)
    if status == c.E_CALLBACK and cause is not None:
        if not isinstance(cause, Exception):
            # KeyboardInterrupt and SystemExit are not for `except Exception`.
            return cause
        exception.__cause__ = cause
    return exception


def described(status: int, error: c.Error) -> MtlsPopError:
    """The exception for an error, which is freed."""
    try:
        exception = CLASSES.get(status, MtlsPopError)(text(lib.mtlspop_error_message(error)))
        exception.status = status
        exception.code = text(lib.mtlspop_error_code(error)) or ""
        exception.http_status = lib.mtlspop_error_http_status(error)
        count = lib.mtlspop_error_aadsts_count(error)
        exception.aadsts_codes = tuple(lib.mtlspop_error_aadsts_code(error, index) for index in range(count))
        exception.sub_error = text(lib.mtlspop_error_sub_error(error))
        exception.correlation_id = text(lib.mtlspop_error_correlation_id(error))
        exception.claims = text(lib.mtlspop_error_claims(error))
        seconds = lib.mtlspop_error_retry_after_seconds(error)
        exception.retry_after = seconds if seconds >= 0 else None
        exception.is_retryable = lib.mtlspop_error_is_retryable(error) == 1
        exception.token_endpoint = text(lib.mtlspop_error_token_endpoint(error))
        exception.region = text(lib.mtlspop_error_region(error))
        exception.region_error = text(lib.mtlspop_error_region_error(error))
        outcome = lib.mtlspop_error_region_outcome(error)
        if outcome >= 0:
            from ._enums import RegionOutcome, named

            exception.region_outcome = named(RegionOutcome, outcome)
        exception.duration_total_ms = lib.mtlspop_error_duration_total_ms(error)
        exception.duration_in_http_ms = lib.mtlspop_error_duration_in_http_ms(error)
        exception.duration_in_cache_ms = lib.mtlspop_error_duration_in_cache_ms(error)
    finally:
        lib.mtlspop_error_free(error)
    return exception
