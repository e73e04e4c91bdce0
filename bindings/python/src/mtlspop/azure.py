"""A credential for Azure's client libraries: Bearer tokens, which is all that azure-core can carry.

    from mtlspop.azure import Credential

    client = SecretClient("https://name.vault.azure.net", Credential(app))
"""

from __future__ import annotations

from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError

from ._app import ManagedIdentityClient
from ._errors import MtlsPopError
from ._library import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional

    from ._bound import Application
    from ._result import TokenResult

__all__ = ["Credential"]

# What a request can bring along. That an app can answer claims challenges (enable_cae) is one of its own
# settings: client_capabilities=["cp1"].
KNOWN = {"claims", "tenant_id", "enable_cae"}


class Credential:
    """azure.core's TokenCredential and SupportsTokenInfo, with the tokens of an application.

    Bound tokens are refused: azure-core has no way to present their certificate. Use app.send(), or a client
    of mtlspop.requests or mtlspop.httpx.
    """

    def __init__(self, app: Application) -> None:
        self._app = app

    def get_token(
        self,
        *scopes: str,
        claims: Optional[str] = None,
        tenant_id: Optional[str] = None,
        enable_cae: bool = False,
        **options: Any,
    ) -> AccessToken:
        result = self._acquire(scopes, {**options, "claims": claims, "tenant_id": tenant_id})
        return AccessToken(result.access_token, lib.mtlspop_token_expires_on(result._handle))

    def get_token_info(self, *scopes: str, options: Optional[Mapping[str, Any]] = None) -> AccessTokenInfo:
        result = self._acquire(scopes, dict(options or {}))
        return AccessTokenInfo(
            result.access_token,
            lib.mtlspop_token_expires_on(result._handle),
            token_type=result.token_type,
            refresh_on=lib.mtlspop_token_refresh_on(result._handle) or None,
        )

    def _acquire(self, scopes: tuple[str, ...], options: Dict[str, Any]) -> TokenResult:
        unknown = {name for name, value in options.items() if name not in KNOWN and value is not None}
        if unknown:
            raise ValueError(
                f"{', '.join(sorted(unknown))}: this credential gives Bearer tokens and nothing else"
            )
        more = {"tenant_id": options["tenant_id"]} if options.get("tenant_id") else {}
        wanted: Any = scopes
        if isinstance(self._app, ManagedIdentityClient):
            if len(scopes) != 1:
                raise ValueError("a managed identity gives tokens for one scope at a time")
            wanted = scopes[0]
            # It has one tenant, whatever Azure's libraries found in a challenge.
            more = {}
        try:
            return self._app._acquire(wanted, options.get("claims"), False, more)
        except MtlsPopError as error:
            # What Azure's libraries expect, and know not to send again.
            raise ClientAuthenticationError(message=str(error), error=error) from error

    def close(self) -> None:
        """The application is whose who made it."""

    def __enter__(self) -> Credential:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
