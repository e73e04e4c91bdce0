"""What mtlspop.requests and mtlspop.httpx share: which token and certificate go with a request."""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from threading import Event, Lock, Thread
from time import monotonic

from ._body import Watched
from ._cancel import Cancel
from ._errors import CancelledError, MtlsPopError, TimeoutError
from ._prototypes import E_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Callable, Dict, Iterable, Optional, Tuple, Union

    from ._app import ConfidentialClientApplication, ManagedIdentityClient
    from ._result import TokenResult
    from ._stream import StreamingResponse

    Application = Union[ConfidentialClientApplication, ManagedIdentityClient]

# Tokens and certificates of the past that a request may still be under way with.
RECENT = 16
# Seconds after a rejected token was given up, in which no other one is: an API may want none of them.
PAUSE = 60
# Seconds: a limit of the library's that does not count.
AS_LONG_AS_IT_TAKES = 7 * 24 * 3600.0
# What clients set, and the library sets itself.
FRAMING = {"authorization", "host", "content-length", "transfer-encoding", "connection"}


class Recent:
    """The last few things that were made, by key."""

    def __init__(self, discard: Callable[[Any], object] = lambda value: None) -> None:
        self._values: OrderedDict[Any, Any] = OrderedDict()
        self._lock = Lock()
        self._discard = discard

    def get(self, key: Any) -> Any:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: Any, value: Any) -> Any:
        """Keeps a value, unless another thread was first; returns what is kept."""
        old = None
        with self._lock:
            value = self._values.setdefault(key, value)
            self._values.move_to_end(key)
            if len(self._values) > RECENT:
                old = self._values.popitem(last=False)[1]
        if old is not None:
            self._discard(old)
        return value

    def clear(self) -> None:
        with self._lock:
            values = list(self._values.values())
            self._values.clear()
        for value in values:
            self._discard(value)


class Tokens:
    """Gives requests their tokens, and knows them again by their Authorization header.

    A client that follows a redirect to another host takes that header away, and with it goes the certificate.
    """

    def __init__(
        self, app: Application, scopes: Union[str, Iterable[str]], pop: bool, options: Dict[str, Any]
    ) -> None:
        self.app = app
        self._scopes = scopes if isinstance(scopes, str) else tuple(scopes)
        self._pop, self._options = pop, options
        self._results = Recent()
        self._rejected: Optional[str] = None
        self._quiet_until = 0.0

    def authorize(self, url: str) -> str:
        """The Authorization header for a request."""
        if not url.startswith("https://"):
            raise ValueError("tokens are sent over https only")
        result, rejected = None, self._rejected
        if rejected is not None:
            options = {**self._options, "access_token_sha256_to_refresh": rejected}
            try:
                result = self.app._acquire(self._scopes, None, self._pop, options)
            except MtlsPopError:
                pass  # The library has logged it. What one API rejects may still be good for others.
            if rejected is self._rejected:
                self._rejected = None  # The cache has another one now, or there is none.
        if result is None:
            result = self.app._acquire(self._scopes, None, self._pop, self._options)
        authorization = result.authorization
        self._results.keep(authorization, result)
        return authorization

    def result(self, authorization: Optional[str]) -> Optional[TokenResult]:
        """The token that a header has; None where it is none of ours."""
        found: Optional[TokenResult] = self._results.get(authorization)
        return found

    def answered(self, result: Optional[TokenResult], status: int) -> None:
        """Takes note of a token that an API rejects: the cache is not to serve it again, where there is another."""
        if status == 401 and result is not None and "force_refresh" not in self._options:
            now = monotonic()
            if now >= self._quiet_until:
                from hashlib import sha256

                self._quiet_until = now + PAUSE
                self._rejected = sha256(result.access_token.encode()).hexdigest()


def must_send(result: Optional[TokenResult]) -> bool:
    """Whether only the library can present the certificate."""
    certificate = None if result is None else result.binding_certificate
    return certificate is not None and not certificate.is_exportable


def thumbprint(result: Optional[TokenResult]) -> Optional[str]:
    """Which connections a request may use: those of its certificate, or those without one."""
    certificate = None if result is None else result.binding_certificate
    return None if certificate is None else certificate.sha256_thumbprint


def context(result: Optional[TokenResult], roots: Union[str, None]) -> ssl.SSLContext:
    """Trusts these roots, a file or directory, else the system's; presents the certificate, if any."""
    import os
    import ssl

    place: Any = {} if roots is None else {"capath" if os.path.isdir(roots) else "cafile": roots}
    context = ssl.create_default_context(**place)
    certificate = None if result is None else result.binding_certificate
    if certificate is not None:
        certificate.load_into(context)
    return context


def send(
    tokens: Tokens,
    result: TokenResult,
    method: str,
    url: str,
    headers: Iterable[Tuple[str, str]],
    body: Any,
    length: Optional[str],
    limit: Optional[float],
    read_limit: Optional[float],
) -> StreamingResponse:
    """Sends a request through the library, where the key of the certificate cannot leave its home.

    limit is that until the headers; where a body streams, that of each step of it.
    """
    pairs = [(name, value) for name, value in headers if name.lower() not in FRAMING]
    if body is None or isinstance(body, (bytes, str)):
        answer = tokens.app.send(
            result, method, url, pairs, body or None, stream=True, timeout=(limit, read_limit)
        )
    else:
        with _Watch(limit) as watch:
            watched: Any = Watched(body, watch.pause, watch.go_on)
            answer = tokens.app.send(
                result,
                method,
                url,
                pairs,
                watched,
                stream=True,
                timeout=(AS_LONG_AS_IT_TAKES, read_limit),
                content_length=None if length is None else int(length),
                cancel=watch.cancel,
            )
    tokens.answered(result, answer.status_code)
    return answer


class _Watch:
    """Stops a call whose body stands still: clients limit each step of it, the library all of them together."""

    def __init__(self, limit: Optional[float]) -> None:
        self.cancel = Cancel()
        self._limit = limit
        self._ended = Event()
        self._since = monotonic()

    def pause(self) -> None:
        """The body is asked for more: that takes as long as it takes."""
        self._since = inf

    def go_on(self) -> None:
        self._since = monotonic()

    def __enter__(self) -> _Watch:
        if self._limit is not None:
            Thread(target=self._watch, args=(self._limit,), name="mtlspop upload", daemon=True).start()
        return self

    def _watch(self, limit: float) -> None:
        left = limit
        while left > 0:
            if self._ended.wait(min(left, limit)):
                return
            left = self._since + limit - monotonic()
        self.cancel.cancel()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._ended.set()
        if isinstance(error, CancelledError):
            message = f"the server took no part of the body, and did not answer, for {self._limit} seconds"
            timeout = TimeoutError(message)
            timeout.status, timeout.code, timeout.is_retryable = E_TIMEOUT, "request_timeout", True
            raise timeout from error
