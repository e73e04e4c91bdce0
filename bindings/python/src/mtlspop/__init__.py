"""Microsoft Entra tokens for workloads, Bearer and mTLS proof-of-possession (mtls_pop), with MSAL's names.

    from mtlspop import ManagedIdentityClient, SystemAssignedManagedIdentity

    app = ManagedIdentityClient(SystemAssignedManagedIdentity())
    graph = "https://graph.microsoft.com/"
    result = app.acquire_token_for_client(resource=graph, mtls_proof_of_possession=True)
    response = app.send(result, "GET", "https://mtlstb.graph.microsoft.com/v1.0/applications")

Clients for it: mtlspop.requests, mtlspop.httpx and mtlspop.azure, which import what they are named after.
"""

from ._app import (
    Capabilities,
    ConfidentialClientApplication,
    ManagedIdentityClient,
    SystemAssignedManagedIdentity,
    UserAssignedManagedIdentity,
)
from ._assertion import AssertionRequest, ClientSignedAssertion
from ._callbacks import AttestationRequest, Metric, SignRequest
from ._cancel import Cancel
from ._certificate import PKCS12_LEGACY, PKCS12_MODERN, Certificate
from ._errors import (
    CallbackError,
    CancelledError,
    HttpStatusError,
    InteractionRequiredError,
    InternalError,
    InvalidArgumentError,
    InvalidHandleError,
    InvalidResponseError,
    KeyUnavailableError,
    MtlsPopError,
    NetworkError,
    NotSupportedError,
    RejectedError,
    ThrottledError,
    TimeoutError,
)
from ._library import federated_credential_audience, library_path
from ._prototypes import VERSION as __version__
from ._response import Headers, Response
from ._result import TokenResult
from ._settings import BindingStore, KeySigner, TokenCache
from ._tpm import Tpm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._enums import (
        CacheLevel,
        CacheRefreshReason,
        ManagedIdentitySource,
        RegionOutcome,
        Strength,
        TokenSource,
    )
    from ._stream import StreamingResponse

__all__ = [
    "AssertionRequest",
    "AttestationRequest",
    "BindingStore",
    "CacheLevel",
    "CacheRefreshReason",
    "CallbackError",
    "Cancel",
    "CancelledError",
    "Capabilities",
    "Certificate",
    "ClientSignedAssertion",
    "ConfidentialClientApplication",
    "Headers",
    "HttpStatusError",
    "InteractionRequiredError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidHandleError",
    "InvalidResponseError",
    "KeySigner",
    "KeyUnavailableError",
    "ManagedIdentityClient",
    "ManagedIdentitySource",
    "Metric",
    "MtlsPopError",
    "NetworkError",
    "NotSupportedError",
    "PKCS12_LEGACY",
    "PKCS12_MODERN",
    "RegionOutcome",
    "RejectedError",
    "Response",
    "SignRequest",
    "StreamingResponse",
    "Strength",
    "SystemAssignedManagedIdentity",
    "ThrottledError",
    "TimeoutError",
    "TokenCache",
    "TokenResult",
    "TokenSource",
    "Tpm",
    "UserAssignedManagedIdentity",
    "__version__",
    "federated_credential_audience",
    "library_path",
]


def __getattr__(name: str) -> object:
    """Names of numbers, when they are first asked for: the module enum takes as long as half of the rest."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "StreamingResponse":
        from . import _stream

        return _stream.StreamingResponse
    from . import _enums

    return getattr(_enums, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
