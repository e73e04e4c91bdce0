"""Calling an API through the library, which presents the certificate of a bound token wherever its key is."""

from __future__ import annotations

from . import _prototypes as c
from ._cancel import Cancel
from ._errors import CallbackError, call
from ._library import flag, items, lib, milliseconds, one, size, utf8
from ._response import Response
from ._result import TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, Optional, Tuple, Union

    from ._body import Body, Source

    Timeout = Union[float, Tuple[Optional[float], Optional[float]]]
    HeadersLike = Union[Mapping[str, str], Iterable[Tuple[str, str]]]
    Params = Union[Mapping[str, object], Iterable[Tuple[str, object]]]

# A longer body is not copied.
WORTH_STREAMING = 1024 * 1024


def send(
    app: c.App,
    result: TokenResult,
    method: str,
    url: str,
    params: Optional[Params],
    headers: Optional[HeadersLike],
    body: Optional[Body],
    json: Any,
    content_type: Optional[str],
    content_length: Optional[int],
    stream: bool,
    timeout: Optional[Timeout],
    max_response_bytes: Optional[int],
    answer_claims_challenge: bool,
    cancel: Optional[Cancel],
    allow_renegotiation: Optional[bool],
) -> Response:
    token = one(TokenResult, result, "result")
    to = utf8(url, "url") if params is None else _with_params(url, params)
    request = lib.mtlspop_http_request_new(utf8(method, "method"), to)
    for name, value in () if headers is None else items(headers, "headers"):
        line = utf8(name, "each name in headers"), utf8(value, f"headers[{name!r}]")
        if line[0].lower() == b"content-type":
            content_type = value
        else:
            lib.mtlspop_http_request_add_header(request, *line)
    if json is not None:
        if body is not None:
            raise ValueError("give body or json, not both")
        body, content_type = _json(json), content_type or "application/json"
    if timeout is not None:
        _set_timeout(request, timeout, stream)
    if max_response_bytes is not None:
        limit = size(max_response_bytes, "max_response_bytes")
        lib.mtlspop_http_request_set_max_response_bytes(request, limit)
    if allow_renegotiation is not None:
        allowed = flag(allow_renegotiation, "allow_renegotiation")
        lib.mtlspop_http_request_set_allow_renegotiation(request, allowed)
    if answer_claims_challenge:
        lib.mtlspop_http_request_set_token_request(request, token._request)
    if cancel is not None:
        lib.mtlspop_http_request_set_cancel(request, one(Cancel, cancel, "cancel")._handle)
    source = None
    if body is not None:
        kind = None if content_type is None else utf8(content_type, "content_type")
        source = _set_body(request, kind, body, content_length)
    elif content_length is not None:
        raise ValueError("content_length is the length of a body, and there is none")
    bound = token.token_type == "mtls_pop"
    if not flag(stream, "stream"):
        response = _call(source, lib.mtlspop_app_send, app, token._handle, request, out=c.HttpResponse())
        return Response(response, bound)
    from ._stream import StreamingResponse

    function = lib.mtlspop_app_send_streaming
    response = _call(source, function, app, token._handle, request, out=c.HttpStream())
    return StreamingResponse(response, bound, max_response_bytes)


def _call(source: Optional[Source], *arguments: Any, out: Any) -> Any:
    """What a body raises comes out as it was, for it is no callback to its caller."""
    if source is None:
        return call(*arguments, out=out)
    failed = None
    try:
        return call(*arguments, out=out)
    except CallbackError as error:
        failed = source.failed
        if failed is None or error.__cause__ is not failed:
            raise
    finally:
        # Its traceback knows the request, which knows the body: neither would ever be freed.
        source.failed = None
        source.end()
    try:
        raise failed
    finally:
        del failed


def _set_body(request: c.HttpRequest, kind: Optional[bytes], body: Any, length: Any) -> Optional[Source]:
    whole = body.encode() if isinstance(body, str) else body
    if isinstance(whole, bytes) and length is None and len(whole) <= WORTH_STREAMING:
        lib.mtlspop_http_request_set_body(request, kind, whole, len(whole))
        return None
    from ._body import give

    return give(request, kind, whole, length)


def _set_timeout(request: c.HttpRequest, timeout: Any, stream: bool) -> None:
    """Of a response that is read as it comes: until its headers, and for each read."""
    until_headers = each_read = timeout
    if stream and isinstance(timeout, tuple):
        if len(timeout) != 2:
            raise ValueError(
                "timeout must be a number of seconds, or two: until the headers, and for each read"
            )
        until_headers, each_read = timeout
    if until_headers is not None:
        lib.mtlspop_http_request_set_timeout_ms(request, milliseconds(until_headers, "timeout"))
    if stream and each_read is not None:
        lib.mtlspop_http_request_set_read_timeout_ms(request, milliseconds(each_read, "timeout"))


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value, allow_nan=False).encode()


def _with_params(url: Any, params: Any) -> bytes:
    """The URL with these added to its query. What can be iterated over is a parameter several times, None none."""
    from urllib.parse import quote, urlencode

    whole = utf8(url, "url").decode()
    given = []
    for name, value in items(params, "params"):
        alone = isinstance(value, (str, bytes)) or not hasattr(value, "__iter__")
        given += [(name, each) for each in ([value] if alone else value) if each is not None]
    query = urlencode(given, quote_via=quote)
    start, mark, fragment = whole.partition("#")
    if query:
        start += ("&" if "?" in start else "?") + query
    return utf8(start + mark + fragment, "url")
