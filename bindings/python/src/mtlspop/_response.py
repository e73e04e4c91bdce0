"""What an API answered: status, headers, body."""

from __future__ import annotations

from _collections_abc import Mapping

from . import _prototypes as c
from ._errors import HttpStatusError
from ._library import data, lib, text, utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Tuple

    Texts = Mapping[str, str]
else:
    Texts = Mapping


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
