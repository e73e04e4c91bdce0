"""Calling an API through the library, which presents the certificate of a bound token wherever its key is."""

from __future__ import annotations

from . import _prototypes as c
from ._errors import call
from ._library import data, lib, milliseconds, octets, size, text, utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, List, Mapping, Optional, Tuple, Union

    from ._app import Cancel
    from ._result import TokenResult

    Headers = Union[Mapping[str, str], Iterable[Tuple[str, str]]]


class Response:
    """What an API answered, whatever its status."""

    __slots__ = ("_handle",)

    def __init__(self, handle: c.HttpResponse) -> None:
        self._handle = handle

    @property
    def status(self) -> int:
        return lib.mtlspop_http_response_status(self._handle)

    @property
    def headers(self) -> List[Tuple[str, str]]:
        """In the order they came; a name that came twice is there twice."""
        handle = self._handle
        return [
            (
                text(lib.mtlspop_http_response_header_name(handle, index)),
                text(lib.mtlspop_http_response_header_value(handle, index)),
            )
            for index in range(lib.mtlspop_http_response_header_count(handle))
        ]

    def header(self, name: str) -> Optional[str]:
        """The first value of a header, whatever the case of its name."""
        return text(lib.mtlspop_http_response_header(self._handle, utf8(name)))

    @property
    def body(self) -> bytes:
        return data(lib.mtlspop_http_response_body, self._handle) or b""

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        import json

        return json.loads(self.body)

    @property
    def claims(self) -> Optional[str]:
        """The claims that a 401 asks a token to have, for claims_challenge."""
        return text(lib.mtlspop_http_response_claims(self._handle))

    def __repr__(self) -> str:
        return f"<Response {self.status}>"


def send(
    app: c.App,
    result: TokenResult,
    method: str,
    url: str,
    headers: Optional[Headers],
    body: Optional[bytes],
    content_type: Optional[str],
    timeout: Optional[float],
    max_response_bytes: Optional[int],
    answer_claims_challenge: bool,
    cancel: Optional[Cancel],
) -> Response:
    request = lib.mtlspop_http_request_new(utf8(method), utf8(url))
    pairs: Any = headers or ()
    for name, value in pairs.items() if hasattr(pairs, "items") else pairs:
        if name.lower() == "content-type":
            content_type = value
        else:
            lib.mtlspop_http_request_add_header(request, utf8(name), utf8(value))
    if body is not None:
        body = body.encode() if isinstance(body, str) else octets(body)
        kind = None if content_type is None else utf8(content_type)
        lib.mtlspop_http_request_set_body(request, kind, body, len(body))
    if timeout is not None:
        lib.mtlspop_http_request_set_timeout_ms(request, milliseconds(timeout))
    if max_response_bytes is not None:
        lib.mtlspop_http_request_set_max_response_bytes(request, size(max_response_bytes))
    if answer_claims_challenge:
        lib.mtlspop_http_request_set_token_request(request, result._request)
    if cancel is not None:
        lib.mtlspop_http_request_set_cancel(request, cancel._handle)
    return Response(call(lib.mtlspop_app_send, app, result._handle, request, out=c.HttpResponse()))
