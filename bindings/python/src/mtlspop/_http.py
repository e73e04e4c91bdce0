"""Calling an API through the library, which presents the certificate of a bound token wherever its key is."""

from __future__ import annotations

from _collections_abc import Mapping

from . import _prototypes as c
from ._errors import CallbackError, HttpStatusError, call
from ._library import data, flag, items, lib, milliseconds, one, size, text, utf8
from ._result import TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

    from ._app import Cancel
    from ._body import Body, Source

    Timeout = Union[float, Tuple[Optional[float], Optional[float]]]
    HeadersLike = Union[Mapping[str, str], Iterable[Tuple[str, str]]]
    Params = Union[Mapping[str, object], Iterable[Tuple[str, object]]]
    Texts = Mapping[str, str]
else:
    Texts = Mapping

# A longer body is not copied.
WORTH_STREAMING = 1024 * 1024


class Headers(Texts):
    """The headers of a response, by name in any case; where one came twice, its values are joined by commas."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: List[Tuple[str, str]]) -> None:
        self._pairs = pairs

    def get_list(self, name: str) -> List[str]:
        """Each value of a header."""
        return [value for known, value in self._pairs if known.lower() == name.lower()]

    def multi_items(self) -> List[Tuple[str, str]]:
        """Names and values in the order they came; a name that came twice is there twice."""
        return list(self._pairs)

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name) if isinstance(name, str) else []
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        names: Dict[str, str] = {}
        for name, _ in self._pairs:
            names.setdefault(name.lower(), name)
        return iter(names.values())

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})

    def __repr__(self) -> str:
        # Not their values: cookies are secrets.
        return f"<Headers {', '.join(self)}>"


class Response:
    """What an API answered, whatever its status."""

    __slots__ = ("_bound", "_handle")

    def __init__(self, handle: c.HttpResponse, bound: bool) -> None:
        self._handle = handle
        self._bound = bound

    @property
    def status_code(self) -> int:
        return lib.mtlspop_http_response_status(self._handle)

    status = status_code

    @property
    def ok(self) -> bool:
        """Whether the API did what it was asked: 200 to 299. A redirect is none, for it is not followed."""
        return 200 <= self.status_code < 300

    def raise_for_status(self) -> Response:
        """Itself where it is ok; else it raises HttpStatusError, which has it."""
        if not self.ok:
            from http.client import responses

            phrase = responses.get(self.status_code, "")
            message = f"the API answered HTTP {self.status_code} {phrase}".rstrip()
            if self.status_code in (401, 403) and self._bound and not self.certificate_requested:
                if self.renegotiation_declined:
                    message += "; it asks for the token's certificate in a TLS renegotiation: name its host in "
                    message += "renegotiating_hosts of the app, or send with allow_renegotiation"
                else:
                    message += f"; it never asked for the token's certificate ({self.tls_version})"
            raise HttpStatusError(message, self)
        return self

    @property
    def headers(self) -> Headers:
        handle = self._handle
        return Headers(
            [
                (
                    text(lib.mtlspop_http_response_header_name(handle, index)),
                    text(lib.mtlspop_http_response_header_value(handle, index)),
                )
                for index in range(lib.mtlspop_http_response_header_count(handle))
            ]
        )

    def header(self, name: str) -> Optional[str]:
        """The first value of a header, whatever the case of its name."""
        return text(lib.mtlspop_http_response_header(self._handle, utf8(name, "name")))

    @property
    def content(self) -> bytes:
        return data(lib.mtlspop_http_response_body, self._handle) or b""

    body = content

    @property
    def text(self) -> str:
        """The body in the charset that its Content-Type names, else UTF-8; what that cannot be is replaced."""
        _, _, charset = (self.header("content-type") or "").lower().partition("charset=")
        try:
            return self.content.decode(charset.split(";")[0].strip(" \"'") or "utf-8", "replace")
        except (LookupError, ValueError):
            return self.content.decode("utf-8", "replace")

    def json(self, **options: Any) -> Any:
        """The body read as JSON; options are those of json.loads()."""
        import json

        return json.loads(self.content, **options)

    @property
    def tls_version(self) -> str:
        """The version of TLS that it came over: "TLSv1.3"."""
        return text(lib.mtlspop_http_response_tls_version(self._handle))

    @property
    def certificate_requested(self) -> bool:
        """Whether the server asked for a client certificate. If not, a bound token came without its own: that
        is why it was refused, and another token will not help."""
        return lib.mtlspop_http_response_certificate_requested(self._handle) == 1

    @property
    def renegotiation_declined(self) -> bool:
        """Whether the server asked for a client certificate in a TLS renegotiation, after it had read the request,
        and was declined: see renegotiating_hosts of the app, and allow_renegotiation of send()."""
        return lib.mtlspop_http_response_renegotiation_declined(self._handle) == 1

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
        from ._app import Cancel

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
