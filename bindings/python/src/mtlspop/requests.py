"""Sessions of requests that send a token with each request, and present the certificate it is bound to.

    from mtlspop.requests import Session

    session = Session(app, ["https://graph.microsoft.com/.default"])
    session.get("https://mtlstb.graph.microsoft.com/v1.0/applications")
"""

from __future__ import annotations

import io
import socket

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.response import HTTPResponse

from . import _bound
from ._errors import MtlsPopError, NetworkError, TimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from typing import Any, Iterable, Union

    from ._bound import Application, Tokens
    from ._stream import StreamingResponse

__all__ = ["Session"]


class Session(requests.Session):
    """A session for one API: each https request has a token of `app` for `scopes` (or the resource).

    Servers are verified with the system's roots, or those that session.verify or REQUESTS_CA_BUNDLE names;
    never with certifi's, and never not at all. A redirect to another host gets neither token nor certificate.
    Where the key of the certificate cannot leave its home, the library makes the call, with the app's proxy
    and roots.
    options are those of acquire_token_for_client().
    """

    def __init__(
        self,
        app: Application,
        scopes: Union[str, Iterable[str]],
        *,
        mtls_proof_of_possession: bool = True,
        **options: Any,
    ) -> None:
        super().__init__()
        tokens = _bound.Tokens(app, scopes, mtls_proof_of_possession, options)
        self.auth = _Auth(tokens)
        self.mount("https://", _Adapter(tokens))


class _Auth(AuthBase):
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = self._tokens.authorize(request.url)
        return request


class _Adapter(HTTPAdapter):
    """Hands each request to the adapter that has the connections of its certificate."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self._tokens = tokens
        self._adapters = _bound.Recent(discard=lambda adapter: adapter.close())

    def send(
        self,
        request: Any,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        if not verify:
            raise ValueError("verify=False: a token is not sent to a server that is not verified")
        if cert is not None:
            raise ValueError("cert: the certificate is the one that the token is bound to")
        result = self._tokens.result(request.headers.get("Authorization"))
        if result is not None and _bound.must_send(result):
            return self._through_library(result, request, timeout)
        key = _bound.thumbprint(result), verify
        adapter = self._adapters.get(key)
        if adapter is None:
            context = _bound.context(result, None if verify is True else verify)
            adapter = self._adapters.keep(key, _ContextAdapter(context))
        response: requests.Response = adapter.send(request, stream, timeout, True, None, proxies)
        self._tokens.answered(result, response.status_code)
        return response

    def _through_library(self, result: Any, request: Any, timeout: Any) -> requests.Response:
        body, length = request.body, request.headers.get("Content-Length")
        if body is None or isinstance(body, (bytes, str)) or hasattr(body, "seek"):
            # It has its length itself.
            length = None
        # requests has a limit for connecting and one for each read; the library one until the headers are there.
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        limits = [limit for limit in (connect, read) if limit is not None]
        arguments = request.method, request.url, request.headers.items(), body, length
        try:
            answer = _bound.send(self._tokens, result, *arguments, sum(limits) if limits else None, read)
        except TimeoutError as error:
            raise requests.exceptions.Timeout(error, request=request) from error
        except NetworkError as error:
            raise requests.exceptions.ConnectionError(error, request=request) from error
        headers: Any = answer.headers.multi_items()
        raw = HTTPResponse(
            body=_Body(answer),
            headers=headers,
            status=answer.status_code,
            preload_content=False,
            decode_content=False,
            request_method=request.method,
        )
        return self.build_response(request, raw)

    def close(self) -> None:
        self._adapters.clear()
        super().close()


class _Body(io.RawIOBase):
    """The body of a response of the library's, with the exceptions that urllib3 knows."""

    def __init__(self, answer: StreamingResponse) -> None:
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count = self._answer.raw.readinto(buffer)
        except TimeoutError as error:
            raise socket.timeout(str(error)) from error
        except MtlsPopError as error:
            raise OSError(str(error)) from error
        if count == 0:
            # As urllib3 learns of the end from http.client.
            self.close()
        return count

    def read1(self, size: int = -1) -> bytes:
        return self.read(size if size >= 0 else io.DEFAULT_BUFFER_SIZE) or b""

    def close(self) -> None:
        self._answer.close()
        super().close()


class _ContextAdapter(HTTPAdapter):
    """Connects with one context, and leaves it as it is."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, **settings, ssl_context=self._context)

    def proxy_manager_for(self, proxy: Any, **settings: Any) -> Any:
        return super().proxy_manager_for(proxy, **settings, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        # requests would load certifi's roots into the context, beside those that are there.
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None
