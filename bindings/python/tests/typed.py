"""What mypy must find well typed in a program, and what not: test_types.py has it read this, nobody runs it."""

from __future__ import annotations

import io
import logging
import shutil
from datetime import datetime
from typing import List, Mapping, Optional, Tuple

import mtlspop


def assertion(request: mtlspop.AssertionRequest) -> mtlspop.ClientSignedAssertion:
    return mtlspop.ClientSignedAssertion("jwt:" + request.token_endpoint, mtlspop.Certificate.from_file("x"))


def refreshed(result: Optional[mtlspop.TokenResult], error: Optional[mtlspop.MtlsPopError]) -> None:
    print(result.expires_on if result else error)


class Store:
    def load(self, key: str) -> Optional[bytes]:
        return key.encode()

    def save(self, key: str, data: bytes, expires_on: datetime) -> None:
        pass


app = mtlspop.ConfidentialClientApplication(
    "id",
    client_credential=assertion,
    azure_region=True,
    token_cache=mtlspop.TokenCache(store=Store()),
    logger=logging.getLogger("x"),
    client_capabilities=["cp1"],
    on_background_refresh=refreshed,
)
result = app.acquire_token_for_client(["scope"], mtls_proof_of_possession=True, timeout=1.5, send_x5c=True)
cached: Optional[mtlspop.TokenResult] = app.cached_token_for_client("scope", timeout=1.5)
as_mapping: Mapping[str, object] = result
token: str = result["access_token"]
source: Optional[str] = result.get("token_source")
until: datetime = result.expires_on

response = app.send(result, "POST", "https://x", {"a": "b"}, json={"c": [1]}, params={"d": 5, "e": ["f"]})
pairs: List[Tuple[str, str]] = response.raise_for_status().headers.multi_items()
kind: str = response.headers["content-type"]
status: int = response.status + response.status_code
text: str = response.text if response.ok else response.content.decode()
try:
    response.json(parse_float=str)
except mtlspop.HttpStatusError as error:
    answer: Optional[mtlspop.Response] = error.response

stream = app.send(result, "GET", "https://x", stream=True, timeout=(5, None))
streamed: mtlspop.StreamingResponse = stream.raise_for_status()
with stream:
    parts: List[bytes] = [*stream.iter_content(5), *stream.iter_lines(), stream.read(5)]
shutil.copyfileobj(stream.raw, open("x", "wb"))
lines = io.TextIOWrapper(io.BufferedReader(stream.raw))
either: mtlspop.Response = app.send(result, "GET", "https://x", stream=len(parts) > 5)
for body in (open("x", "rb"), stream, stream.raw, io.BytesIO(), parts, iter(parts), b"x", bytearray(), "x"):
    app.send(result, "PUT", "https://x", body=body, content_length=5)

# These must not pass: mypy says so where an ignored error is none.
mtlspop.ConfidentialClientApplication(5)  # type: ignore[arg-type]
mtlspop.ConfidentialClientApplication("id", prox="none")  # type: ignore[call-arg]
mtlspop.ConfidentialClientApplication("id", azure_region=5)  # type: ignore[arg-type]
mtlspop.ManagedIdentityClient({"Id": "x"})  # type: ignore[arg-type]
mtlspop.TokenCache(store={})  # type: ignore[arg-type]
app.acquire_token_for_client(None)  # type: ignore[arg-type]
app.cached_token_for_client(None)  # type: ignore[arg-type]
app.acquire_token_for_client("scope", timeout="5")  # type: ignore[arg-type]
app.send(dict(result), "GET", "https://x")  # type: ignore[call-overload]
app.send(result, "GET", "https://x", body={"a": 1})  # type: ignore[dict-item]
app.send(result, "GET", "https://x", body=["a"])  # type: ignore[list-item]
app.send(result, "GET", "https://x", body=open("x"))  # type: ignore[arg-type]
app.send(result, "GET", "https://x", timeout=(1, "2"))  # type: ignore[arg-type]
app.send(result, "GET", "https://x").iter_content()  # type: ignore[attr-defined]
result["token_type"] = "Bearer"  # type: ignore[index]
