"""Tokens, with what the library knows about them. Each field is read when it is asked for."""

from __future__ import annotations

from _collections_abc import Mapping

from . import _prototypes as c
from ._certificate import Certificate
from ._library import lib, text, time, utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Callable, Dict, Iterator, List, Optional

    from ._enums import CacheLevel, CacheRefreshReason, RegionOutcome, Strength, TokenSource

    Fields = Mapping[str, Any]
else:
    Fields = Mapping


class TokenResult(Fields):
    """A token and the certificate it is bound to: a snapshot that later renewals do not change.

    Reads also as the dict of MSAL for Python does: access_token, token_type, expires_in, token_source and, where
    it is known, refresh_on. Immutable; any thread may use it. It is wiped when this object goes, but for the
    strings that it gave.
    """

    __slots__ = ("_handle", "_request", "_certificate")

    _certificate: Optional[Certificate]

    def __init__(self, handle: c.Token, request: c.TokenRequest) -> None:
        self._handle = handle
        self._request = request

    @property
    def access_token(self) -> str:
        """The token itself. A secret: do not log it."""
        return lib.mtlspop_token_access_token(self._handle).decode()

    @property
    def token_type(self) -> str:
        """ "Bearer" or "mtls_pop"."""
        return lib.mtlspop_token_type(self._handle).decode()

    @property
    def authorization(self) -> str:
        """The value of the Authorization header. A secret: do not log it."""
        return lib.mtlspop_token_authorization(self._handle).decode()

    @property
    def expires_on(self) -> datetime:
        return time(lib.mtlspop_token_expires_on(self._handle))

    @property
    def expires_in(self) -> int:
        """The seconds that are left, as MSAL's results have them."""
        from time import time as now

        return int(lib.mtlspop_token_expires_on(self._handle) - now())

    @property
    def refresh_on(self) -> Optional[datetime]:
        """When the library will fetch the next token although this one still lives."""
        seconds = lib.mtlspop_token_refresh_on(self._handle)
        return time(seconds) if seconds else None

    @property
    def scopes(self) -> List[str]:
        return text(lib.mtlspop_token_scopes(self._handle)).split()

    @property
    def tenant_id(self) -> Optional[str]:
        """None where it is not known: Bearer tokens of managed identities."""
        return text(lib.mtlspop_token_tenant_id(self._handle))

    @property
    def source(self) -> TokenSource:
        from ._enums import TokenSource, named

        return named(TokenSource, lib.mtlspop_token_source(self._handle))

    @property
    def endpoint(self) -> str:
        """The URL that issued the token."""
        return text(lib.mtlspop_token_endpoint(self._handle))

    @property
    def tls_version(self) -> Optional[str]:
        """The version of TLS that it was issued over, "TLSv1.3"; None for plain http, and where a store had it."""
        return text(lib.mtlspop_token_tls_version(self._handle))

    @property
    def certificate_requested(self) -> Optional[bool]:
        """Whether the endpoint asked for a client certificate; None where that is not known."""
        requested = lib.mtlspop_token_certificate_requested(self._handle)
        return None if requested < 0 else requested == 1

    @property
    def region(self) -> Optional[str]:
        return text(lib.mtlspop_token_region(self._handle))

    @property
    def region_outcome(self) -> RegionOutcome:
        from ._enums import RegionOutcome, named

        return named(RegionOutcome, lib.mtlspop_token_region_outcome(self._handle))

    @property
    def region_error(self) -> Optional[str]:
        return text(lib.mtlspop_token_region_error(self._handle))

    @property
    def correlation_id(self) -> str:
        """The id of the call, to quote to Microsoft support."""
        return text(lib.mtlspop_token_correlation_id(self._handle))

    @property
    def cache_level(self) -> CacheLevel:
        from ._enums import CacheLevel, named

        return named(CacheLevel, lib.mtlspop_token_cache_level(self._handle))

    @property
    def cache_refresh_reason(self) -> CacheRefreshReason:
        from ._enums import CacheRefreshReason, named

        return named(CacheRefreshReason, lib.mtlspop_token_cache_refresh_reason(self._handle))

    @property
    def duration_total_ms(self) -> int:
        """What the call took; not measured, and 0, where the memory had the token."""
        return lib.mtlspop_token_duration_total_ms(self._handle)

    @property
    def duration_in_http_ms(self) -> int:
        return lib.mtlspop_token_duration_in_http_ms(self._handle)

    @property
    def duration_in_cache_ms(self) -> int:
        return lib.mtlspop_token_duration_in_cache_ms(self._handle)

    def response_parameter(self, name: str) -> Optional[str]:
        """What else the service said: a member of its answer, or of client_info, that is none of OAuth's."""
        return text(lib.mtlspop_token_response_parameter(self._handle, utf8(name, "name")))

    @property
    def binding_certificate(self) -> Optional[Certificate]:
        """The certificate that the token is bound to, with its key; None for a Bearer token."""
        try:
            return self._certificate
        except AttributeError:
            handle = lib.mtlspop_token_binding_certificate(self._handle)
            self._certificate = Certificate(handle) if handle else None
            return self._certificate

    @property
    def binding_strength(self) -> Strength:
        """How well the key that the token is bound to is kept, as this process knows it; NONE for Bearer."""
        from ._enums import Strength, named

        return named(Strength, lib.mtlspop_token_binding_strength(self._handle))

    # As MSAL's dicts. There is no "error": a call that fails raises.

    def __getitem__(self, name: str) -> Any:
        value = FIELDS[name](self)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, read in FIELDS.items() if read(self) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True

    # A result is what it is, and not its fields: one is equal to itself.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<TokenResult {self.token_type} until {self.expires_on}>"


SOURCES = {c.TOKEN_SOURCE_IDENTITY_PROVIDER: "identity_provider", c.TOKEN_SOURCE_CACHE: "cache"}

FIELDS: Dict[str, Callable[[TokenResult], Any]] = {
    "access_token": lambda result: result.access_token,
    "token_type": lambda result: result.token_type,
    "expires_in": lambda result: result.expires_in,
    "token_source": lambda result: SOURCES.get(lib.mtlspop_token_source(result._handle)),
    "refresh_on": lambda result: lib.mtlspop_token_refresh_on(result._handle) or None,
}
