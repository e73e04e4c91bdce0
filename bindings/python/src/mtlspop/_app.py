"""Applications: confidential clients and managed identities, with the names of MSAL for Python."""

from __future__ import annotations

import atexit
from ctypes import byref
from weakref import WeakSet

from . import _errors, _http, _settings
from . import _prototypes as c
from ._cancel import Cancel
from ._errors import call, failure, settle
from ._library import flag, items, lib, milliseconds, number32, one, text, utf8, words, wrong
from ._result import TokenResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Literal, Mapping, Optional, Tuple, TypedDict, TypeVar
    from typing import Union, overload

    from typing_extensions import Unpack

    from ._body import Body
    from ._http import HeadersLike, Params, Timeout
    from ._response import Response
    from ._settings import ClientSettings, Credential, IdentitySettings
    from ._stream import StreamingResponse

    Self = TypeVar("Self", bound="_Application")

    class Options(TypedDict, total=False):
        """What each request can be given."""

        force_refresh: bool
        #: The SHA-256, in hexadecimal, of a token that an API has rejected: that one is not served again.
        access_token_sha256_to_refresh: str
        correlation_id: str
        #: Bearer, asked for over mTLS with the certificate of IMDSv2: for managed identities.
        request_over_mtls: bool
        #: How well the key of a bound token must be kept at least: Strength.
        min_strength: int
        extra_query_parameters: Mapping[str, Union[str, Tuple[str, bool]]]
        claims_from_client: str
        #: Seconds for the whole call.
        timeout: float
        cancel: Cancel

    class ClientOptions(Options, total=False):
        """What requests of a confidential client can be given, too."""

        tenant_id: str
        authority: str
        send_x5c: bool
        fmi_path: str
        client_assertion_fmi_path: str
        extra_client_assertion_claims: str
        extra_body_parameters: Mapping[str, str]
        extra_http_headers: Mapping[str, str]
        cache_partition_keys: Mapping[str, str]

    class Call(TypedDict, total=False):
        """What each call to an API can be given, however its response is read."""

        params: Optional[Params]
        json: Any
        content_type: Optional[str]
        content_length: Optional[int]
        timeout: Optional[Timeout]
        max_response_bytes: Optional[int]
        answer_claims_challenge: bool
        cancel: Optional[Cancel]
        allow_renegotiation: Optional[bool]


# How many ways to ask an application keeps ready.
REQUESTS = 256

_acquire_token = lib.mtlspop_app_acquire_token
_cached_token = lib.mtlspop_app_cached_token
_Token, _Error = c.Token, c.Error
_raised = _errors.raised

#: Closed before the interpreter ends: a thread of the library must not call Python after that.
_open: WeakSet[_Application] = WeakSet()


class Capabilities:
    """What this host's managed identity can do."""

    __slots__ = (
        "source",
        "max_supported_binding_strength",
        "is_mtls_pop_supported_by_host",
        "detection_reason",
        "error_reason",
    )

    def __init__(self, handle: c.Capabilities) -> None:
        from ._enums import ManagedIdentitySource, Strength, named

        strength = lib.mtlspop_capabilities_max_supported_binding_strength(handle)
        supported = lib.mtlspop_capabilities_is_mtls_pop_supported_by_host(handle)
        self.source: ManagedIdentitySource = named(
            ManagedIdentitySource, lib.mtlspop_capabilities_source(handle)
        )
        self.max_supported_binding_strength: Strength = named(Strength, strength)
        self.is_mtls_pop_supported_by_host: bool = supported == 1
        self.detection_reason: str = text(lib.mtlspop_capabilities_detection_reason(handle))
        #: What each probe ran into; None where a source was found.
        self.error_reason: Optional[str] = text(lib.mtlspop_capabilities_error_reason(handle))


class _Application:
    """One identity with its caches and connections. Make it once; any number of threads may use it."""

    __slots__ = ("_handle", "_requests", "__weakref__")

    #: What its tokens are for, as acquire_token_for_client() calls it.
    _for = "scopes"

    _options: Dict[str, Callable[..., None]] = {}

    def __init__(self, settings: c.AppOptions) -> None:
        self._handle: Optional[c.App] = call(lib.mtlspop_app_new, settings, out=c.App())
        self._requests: Dict[Any, c.TokenRequest] = {}
        _open.add(self)

    def _acquire(
        self, scopes: Any, claims: Any, pop: Any, options: Mapping[str, Any], ask: Any = _acquire_token
    ) -> TokenResult:
        try:
            if type(scopes) is not str:
                scopes = tuple(scopes)
            # A request that is used again finds a cached token faster.
            request: Any = None if options or claims else self._requests.get((scopes, pop))
        except TypeError:
            # These say it better.
            words(scopes, self._for)
            flag(pop, "mtls_proof_of_possession")
            raise
        if request is None:
            request = self._request(scopes, claims, pop, options)
            if not options and not claims:
                if len(self._requests) >= REQUESTS:
                    self._requests.clear()
                self._requests[scopes, pop] = request
        token, error = _Token(), _Error()
        status = ask(self._handle, request, byref(token), byref(error))
        if status:
            raise failure(status, error)
        if _raised:
            settle()
        return TokenResult(token, request)

    def _cached(
        self, scopes: Any, claims: Any, pop: Any, options: Mapping[str, Any]
    ) -> Optional[TokenResult]:
        result = self._acquire(scopes, claims, pop, options, _cached_token)
        return result if result._handle else None

    def _request(self, scopes: Any, claims: Any, pop: Any, options: Mapping[str, Any]) -> c.TokenRequest:
        pop = flag(pop, "mtls_proof_of_possession")
        request: c.TokenRequest = lib.mtlspop_token_request_new(words(scopes, self._for))
        lib.mtlspop_token_request_set_mtls_proof_of_possession(request, pop)
        if claims:
            lib.mtlspop_token_request_set_claims(request, utf8(claims, "claims_challenge"))
        _settings.apply(self._options, request, options)
        return request

    if TYPE_CHECKING:

        @overload
        def send(
            self,
            result: TokenResult,
            method: str,
            url: str,
            headers: Optional[HeadersLike] = None,
            body: Optional[Body] = None,
            *,
            stream: Literal[True],
            **call: Unpack[Call],
        ) -> StreamingResponse: ...

        @overload
        def send(
            self,
            result: TokenResult,
            method: str,
            url: str,
            headers: Optional[HeadersLike] = None,
            body: Optional[Body] = None,
            *,
            stream: bool = False,
            **call: Unpack[Call],
        ) -> Response: ...

    def send(
        self,
        result: TokenResult,
        method: str,
        url: str,
        headers: Optional[HeadersLike] = None,
        body: Optional[Body] = None,
        *,
        params: Optional[Params] = None,
        json: Any = None,
        content_type: Optional[str] = None,
        content_length: Optional[int] = None,
        stream: bool = False,
        timeout: Optional[Timeout] = None,
        max_response_bytes: Optional[int] = None,
        answer_claims_challenge: bool = False,
        cancel: Optional[Cancel] = None,
        allow_renegotiation: Optional[bool] = None,
    ) -> Response:
        """Calls an API over https with a token, over mTLS where that is bound, wherever its key is.

        params is added to the query; json is the body, as such. Redirects are returned, not followed.

        body is bytes, a str, a binary file or an iterable of bytes; only bytes and str are ever whole in memory. A
        file is sent from where it stands, and stands there afterwards if it can go back. What has no length known
        is sent in chunks, unless content_length says how long it is: of a file so many bytes. A generator is read
        once: it is not sent again, with another token for example. What a body raises comes out of this call.

        With stream=True the response is there with its headers, and its body is read from it. timeout, in seconds,
        is that of the whole call; with stream=True that until the headers and that of each read, or (one, other).

        With answer_claims_challenge a 401 is answered once with another token, for which result is the model: with
        the claims that it asks for, or, where it asks for none, just not the rejected one. After a fresh token was
        refused, none is fetched for a minute.

        With allow_renegotiation the server may ask for the certificate of a bound token in a TLS renegotiation; where
        nothing is said, Key Vault, Managed HSM and the application's renegotiating_hosts may.
        """
        return _http.send(
            self._handle,  # type: ignore[arg-type]
            result,
            method,
            url,
            params,
            headers,
            body,
            json,
            content_type,
            content_length,
            stream,
            timeout,
            max_response_bytes,
            answer_claims_challenge,
            cancel,
            allow_renegotiation,
        )

    @property
    def token_cache(self) -> _settings.TokenCache:
        """The cache of its tokens, for statistics, or for another application."""
        cache = _settings.TokenCache.__new__(_settings.TokenCache)
        cache._handle = lib.mtlspop_app_token_cache(self._handle)
        return cache

    def close(self) -> None:
        """Ends background work and connections, after the calls that are under way. Results stay valid.

        Needed only where a callback refers to its own application: that lives as long as it is open.
        """
        self._handle = None
        self._requests = {}
        _open.discard(self)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ConfidentialClientApplication(_Application):
    """An app registration: client_id, authority, and a secret, a certificate or federated credential."""

    __slots__ = ()

    def __init__(
        self,
        client_id: str,
        client_credential: Credential = None,
        authority: Optional[str] = None,
        *,
        azure_region: Union[str, bool, None] = None,
        send_x5c: Optional[bool] = None,
        **settings: Unpack[ClientSettings],
    ) -> None:
        """client_credential is one of these:

        - a client secret (str), for Bearer tokens
        - a Certificate; send_x5c=True sends its chain in assertions, as SN/I registrations need for Bearer
        - a function that is given an AssertionRequest and returns an assertion, or a ClientSignedAssertion
        - {"certificate": function}: it is given an AssertionRequest and returns the current Certificate
        - MSAL's {"client_assertion": text or function}, {"private_key_pfx_path", "passphrase"} and
          {"private_key", "public_certificate", "passphrase"}, whose public_certificate means send_x5c
        - {"federated_token_file": path}, or None for the one that AZURE_FEDERATED_TOKEN_FILE names; by the token proxy
          of the cluster (AKS identity bindings) with enable_azure_proxy=True

        azure_region is a name, True for this host's, False for none whatever MSAL_FORCE_REGION says.
        """
        options = lib.mtlspop_app_options_new_confidential_client(utf8(client_id, "client_id"))
        if authority is not None:
            lib.mtlspop_app_options_set_authority(options, utf8(authority, "authority"))
        if isinstance(azure_region, bool):
            azure_region = "TryAutoDetect" if azure_region else "DisableMsalForceRegion"
        if azure_region is not None:
            region = utf8(azure_region, "azure_region", "a str, True or False")
            lib.mtlspop_app_options_set_azure_region(options, region)
        _settings.apply(_settings.CLIENT, options, settings)
        _settings.credential(options, client_credential, send_x5c)
        super().__init__(options)

    def acquire_token_for_client(
        self,
        scopes: Union[str, Iterable[str]],
        claims_challenge: Optional[str] = None,
        mtls_proof_of_possession: bool = False,
        **options: Unpack[ClientOptions],
    ) -> TokenResult:
        """Gives a token: from the cache where it has a good one, else from the token service.

        With mtls_proof_of_possession it is bound to a certificate, and never a Bearer token.
        """
        return self._acquire(scopes, claims_challenge, mtls_proof_of_possession, options)

    def cached_token_for_client(
        self,
        scopes: Union[str, Iterable[str]],
        claims_challenge: Optional[str] = None,
        mtls_proof_of_possession: bool = False,
        **options: Unpack[ClientOptions],
    ) -> Optional[TokenResult]:
        """Gives what acquire_token_for_client() would give at once, and None where that would have to wait.

        It never waits and sends nothing: for an event loop, which has a thread call acquire_token_for_client() on
        None. A request with claims or force_refresh is always None; a token that is due for replacement is given
        where the application refreshes in the background, and None where it does not. A store is not asked.
        """
        return self._cached(scopes, claims_challenge, mtls_proof_of_possession, options)


class SystemAssignedManagedIdentity:
    """The identity that this host has itself."""

    __slots__ = ()


class UserAssignedManagedIdentity:
    """An identity that was assigned to this host, by one of its names."""

    __slots__ = ("client_id", "object_id", "resource_id")

    def __init__(
        self,
        *,
        client_id: Optional[str] = None,
        object_id: Optional[str] = None,
        resource_id: Optional[str] = None,
    ) -> None:
        if [client_id, object_id, resource_id].count(None) != 2:
            raise ValueError("name the identity by exactly one of client_id, object_id and resource_id")
        self.client_id, self.object_id, self.resource_id = client_id, object_id, resource_id


class ManagedIdentityClient(_Application):
    """A managed identity of this host."""

    __slots__ = ()

    _for = "resource"

    def __init__(
        self,
        managed_identity: Union[SystemAssignedManagedIdentity, UserAssignedManagedIdentity],
        **settings: Unpack[IdentitySettings],
    ) -> None:
        options = lib.mtlspop_app_options_new_managed_identity()
        if isinstance(managed_identity, UserAssignedManagedIdentity):
            for name in UserAssignedManagedIdentity.__slots__:
                value = getattr(managed_identity, name)
                if value is not None:
                    setter = f"mtlspop_app_options_set_user_assigned_{name}"
                    getattr(lib, setter)(options, utf8(value, name))
        elif not isinstance(managed_identity, SystemAssignedManagedIdentity):
            wanted = "SystemAssignedManagedIdentity() or UserAssignedManagedIdentity(...)"
            raise wrong("managed_identity", wanted, managed_identity)
        _settings.apply(_settings.IDENTITY, options, settings)
        super().__init__(options)

    def acquire_token_for_client(
        self,
        *,
        resource: str,
        claims_challenge: Optional[str] = None,
        mtls_proof_of_possession: bool = False,
        **options: Unpack[Options],
    ) -> TokenResult:
        """Gives a token for a resource, "https://graph.microsoft.com/" for example; see the other class."""
        return self._acquire(resource, claims_challenge, mtls_proof_of_possession, options)

    def cached_token_for_client(
        self,
        *,
        resource: str,
        claims_challenge: Optional[str] = None,
        mtls_proof_of_possession: bool = False,
        **options: Unpack[Options],
    ) -> Optional[TokenResult]:
        """What the cache has at once, None where one would have to wait; see the other class."""
        return self._cached(resource, claims_challenge, mtls_proof_of_possession, options)

    def capabilities(
        self, *, timeout: Optional[float] = None, cancel: Optional[Cancel] = None
    ) -> Capabilities:
        """Which service vouches for this host's managed identity, and how strong its bindings can be."""
        limit = 0 if timeout is None else milliseconds(timeout, "timeout")
        flag = None if cancel is None else one(Cancel, cancel, "cancel")._handle
        arguments = (self._handle, limit, flag)
        return Capabilities(
            call(lib.mtlspop_app_managed_identity_capabilities, *arguments, out=c.Capabilities())
        )


def _pairs(setter: str) -> Callable[..., None]:
    def give(request: Any, values: Mapping[str, str], option: str) -> None:
        for name, value in items(values, option):
            value = utf8(value, f"{option}[{name!r}]")
            getattr(lib, setter)(request, utf8(name, f"each name in {option}"), value)

    return give


def _parameters(request: Any, values: Any, option: str) -> None:
    for name, value, in_cache_key in _settings.query(values, option):
        lib.mtlspop_token_request_set_extra_query_parameter(request, name, value, in_cache_key)


def _simple(name: str, convert: Callable[[Any, str], Any]) -> Callable[..., None]:
    return _settings.simple(f"mtlspop_token_request_set_{name}", convert)


ManagedIdentityClient._options = {
    "force_refresh": _simple("force_refresh", flag),
    "access_token_sha256_to_refresh": _simple("access_token_hash_to_refresh", utf8),
    "correlation_id": _simple("correlation_id", utf8),
    "request_over_mtls": _simple("request_over_mtls", flag),
    "min_strength": _simple("min_strength", number32),
    "extra_query_parameters": _parameters,
    "claims_from_client": _simple("claims_from_client", utf8),
    "timeout": _simple("timeout_ms", milliseconds),
    "cancel": _simple("cancel", _settings.held(Cancel)),
}

ConfidentialClientApplication._options = {
    **ManagedIdentityClient._options,
    "tenant_id": _simple("tenant_id", utf8),
    "authority": _simple("authority", utf8),
    "send_x5c": _simple("send_x5c", flag),
    "fmi_path": _simple("fmi_path", utf8),
    "client_assertion_fmi_path": _simple("client_assertion_fmi_path", utf8),
    "extra_client_assertion_claims": _simple("extra_client_assertion_claims", utf8),
    "extra_body_parameters": _pairs("mtlspop_token_request_set_extra_body_parameter"),
    "extra_http_headers": _pairs("mtlspop_token_request_set_extra_http_header"),
    "cache_partition_keys": _pairs("mtlspop_token_request_set_cache_partition_key"),
}


@atexit.register
def _close() -> None:
    for application in list(_open):
        application.close()
