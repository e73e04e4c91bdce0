"""Clients of httpx that send a token with each request, and present the certificate it is bound to.

    from mtlspop.httpx import Client

    client = Client(app, ["https://graph.microsoft.com/.default"])
    client.get("https://mtlstb.graph.microsoft.com/v1.0/applications")
"""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

import httpx

from . import _bound
from ._errors import MtlsPopError, NetworkError, TimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generator, Iterable, Iterator, Optional, Union

    from ._bound import Application, Tokens
    from ._stream import StreamingResponse

__all__ = ["Client"]


class Client(httpx.Client):
    """A client for one API: each https request has a token of `app` for `scopes` (or the resource).

    Servers are verified with the system's roots, or with cafile, which may be a directory. A redirect to
    another host gets neither token nor certificate. Where the key of the certificate cannot leave its home,
    the library makes the call, with the app's proxy and roots. options are acquire_token_for_client()'s, settings
    httpx's, but for those of TLS and transports.
    """

    def __init__(
        self,
        app: Application,
        scopes: Union[str, Iterable[str]],
        *,
        mtls_proof_of_possession: bool = True,
        options: Optional[dict[str, Any]] = None,
        cafile: Optional[str] = None,
        proxy: Optional[str] = None,
        trust_env: bool = True,
        **settings: Any,
    ) -> None:
        tokens = _bound.Tokens(app, scopes, mtls_proof_of_possession, options or {})
        refused = settings.keys() & {
            "verify",
            "cert",
            "transport",
            "mounts",
            "auth",
            "http1",
            "http2",
            "limits",
        }
        if refused:
            raise ValueError(f"{', '.join(sorted(refused))}: set by this client")
        transport = _Transport(tokens, cafile, proxy, trust_env)
        super().__init__(auth=_Auth(tokens), transport=transport, trust_env=trust_env, **settings)


class _Auth(httpx.Auth):
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._tokens.authorize(str(request.url))
        yield request


class _Body(httpx.SyncByteStream):
    """The body of a response of the library's, with the exceptions of httpx."""

    def __init__(self, answer: StreamingResponse, request: httpx.Request) -> None:
        self._answer, self._request = answer, request

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.iter_content()
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=self._request) from error
        except MtlsPopError as error:
            raise httpx.ReadError(str(error), request=self._request) from error

    def close(self) -> None:
        self._answer.close()


class _Transport(httpx.BaseTransport):
    """Hands each request to the transport that has the connections of its certificate."""

    def __init__(self, tokens: Tokens, cafile: Optional[str], proxy: Optional[str], trust_env: bool) -> None:
        self._tokens, self._cafile, self._proxy, self._trust_env = tokens, cafile, proxy, trust_env
        self._transports = _bound.Recent(discard=lambda transport: transport.close())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        result = self._tokens.result(request.headers.get("Authorization"))
        if result is not None and _bound.must_send(result):
            return self._through_library(result, request)
        key = _bound.thumbprint(result), self._proxy_for(request.url)
        transport = self._transports.get(key)
        if transport is None:
            made = httpx.HTTPTransport(verify=_bound.context(result, self._cafile), proxy=key[1])
            transport = self._transports.keep(key, made)
        response: httpx.Response = transport.handle_request(request)
        self._tokens.answered(result, response.status_code)
        return response

    def _proxy_for(self, url: httpx.URL) -> Optional[str]:
        """httpx reads the environment only where it makes the transport itself."""
        if self._proxy is not None or not self._trust_env or proxy_bypass(url.host):
            return self._proxy
        proxies = getproxies()
        return proxies.get(url.scheme) or proxies.get("all")

    def _through_library(self, result: Any, request: httpx.Request) -> httpx.Response:
        body: Any
        try:
            body, length = request.content, None
        except httpx.RequestNotRead:
            body, length = iter(request.stream), request.headers.get("content-length")  # type: ignore[arg-type]
        # httpx has limits for steps, the library one until the headers are there.
        each = request.extensions.get("timeout", {})
        limits = [limit for limit in each.values() if limit is not None]
        arguments = request.method, str(request.url), request.headers.multi_items(), body, length
        try:
            answer = _bound.send(
                self._tokens, result, *arguments, sum(limits) if limits else None, each.get("read")
            )
        except TimeoutError as error:
            raise httpx.TimeoutException(str(error), request=request) from error
        except NetworkError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        return httpx.Response(
            answer.status_code,
            headers=answer.headers.multi_items(),
            stream=_Body(answer, request),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def close(self) -> None:
        self._transports.clear()
