"""TPMs that hold keys."""

from __future__ import annotations

from . import _callbacks
from ._library import lib, number, octets, path, plugin_path, utf8, wrong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterable, Optional, Union

    from ._library import Text


class Tpm:
    """A TPM 2.0 that holds keys: this host's, unless tcti says another."""

    __slots__ = ("_handle",)

    def __init__(
        self,
        *,
        plugin: Optional[Text] = None,
        tcti: Optional[str] = None,
        auth: Union[bytes, Callable[[], bytes], None] = None,
        owner_auth: Optional[bytes] = None,
        persistent_handle: Optional[int] = None,
        attestation_pcrs: Optional[Iterable[int]] = None,
    ) -> None:
        self._handle = handle = lib.mtlspop_tpm_options_new()
        plugin = plugin_path() if plugin is None else plugin
        if plugin is not None:
            lib.mtlspop_tpm_options_set_plugin(handle, path(plugin, "plugin"))
        if tcti is not None:
            lib.mtlspop_tpm_options_set_tcti(handle, utf8(tcti, "tcti"))
        if callable(auth):
            setter = lib.mtlspop_tpm_options_set_auth_callback
            _callbacks.give(setter, handle, kind=_callbacks.secret, target=auth)
        elif auth is not None:
            auth = octets(auth, "auth", "bytes or a function")
            lib.mtlspop_tpm_options_set_auth(handle, auth, len(auth))
        if owner_auth is not None:
            owner_auth = octets(owner_auth, "owner_auth")
            lib.mtlspop_tpm_options_set_owner_auth(handle, owner_auth, len(owner_auth))
        if persistent_handle is not None:
            persistent = number(persistent_handle, "persistent_handle")
            lib.mtlspop_tpm_options_set_persistent_handle(handle, persistent)
        if attestation_pcrs is not None:
            if isinstance(attestation_pcrs, (int, str)) or not hasattr(attestation_pcrs, "__iter__"):
                raise wrong("attestation_pcrs", "a list of numbers", attestation_pcrs)
            pcrs = bytes(attestation_pcrs)
            lib.mtlspop_tpm_options_set_attestation(handle, pcrs, len(pcrs))
