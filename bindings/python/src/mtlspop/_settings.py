"""What apps are made from: their options, credentials, token caches and the homes of their keys."""

from __future__ import annotations

from . import _assertion, _callbacks, _refreshed
from ._certificate import Certificate
from ._library import (
    flag,
    function,
    items,
    lib,
    milliseconds,
    number32,
    octets,
    one,
    path,
    size,
    utf8,
    words,
    wrong,
)
from ._tpm import Tpm

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from typing import Any, Callable, Dict, Iterable, Iterator, Mapping, Optional, Tuple, TypedDict, Union

    from ._assertion import Assertion, AssertionRequest
    from ._callbacks import AttestationRequest, Metric, SignRequest, Store
    from ._errors import MtlsPopError
    from ._library import Text
    from ._result import TokenResult

    class Settings(TypedDict, total=False):
        """What every app can be given."""

        client_capabilities: Union[str, Iterable[str]]
        #: Text, or text and whether requests that differ in it must not share tokens (True).
        extra_query_parameters: Mapping[str, Union[str, Tuple[str, bool]]]
        background_refresh: bool
        #: Receives how each background refresh ended, on the thread that it has: the new token and None, or None and
        #: the error. It may use the app.
        on_background_refresh: Callable[[Optional[TokenResult], Optional[MtlsPopError]], object]
        #: Seconds for a connection to come about.
        connect_timeout: float
        #: "http://[user:password@]host:port", or "none".
        proxy: str
        #: Hosts that may ask for the certificate of a bound token in a TLS renegotiation: "vault.contoso.com", or
        #: "*.contoso.com" for all below a name.
        renegotiating_hosts: Union[str, Iterable[str]]
        #: A PEM file, or PEM in bytes, to trust instead of the platform's roots.
        trusted_roots: Union[Text, bytes]
        #: Receives the library's log lines, of its level when the app is made. No handler may use the app.
        logger: logging.Logger
        #: Receives each measurement. It must not use the app.
        metrics: Callable[[Metric], object]

    class ClientSettings(Settings, total=False):
        """What a confidential client can be given, too."""

        oidc_authority: str
        instance_discovery: bool
        token_cache: "TokenCache"
        send_certificate_over_mtls: bool
        enable_azure_proxy: bool

    class IdentitySettings(Settings, total=False):
        """What a managed identity can be given, too."""

        probe_timeout: float
        min_strength: int
        attestation: Callable[[AttestationRequest], str]
        binding_store: "BindingStore"
        tpm: Tpm
        key_signer: "KeySigner"

    Credential = Union[str, Certificate, Mapping[str, Any], Callable[[AssertionRequest], Assertion], None]


class KeySigner:
    """A key that lives elsewhere, for bound tokens of a managed identity: its SPKI in DER, and who signs."""

    __slots__ = ("public_key", "sign")

    def __init__(self, public_key: bytes, sign: Callable[[SignRequest], bytes]) -> None:
        self.public_key, self.sign = octets(public_key, "public_key"), function(sign, "sign")


class BindingStore:
    """A directory for the binding certificates of a managed identity, their keys encrypted under a secret."""

    __slots__ = ("directory", "secret", "unencrypted")

    def __init__(
        self,
        directory: Text,
        secret: Union[bytes, Callable[[], bytes], None] = None,
        *,
        unencrypted: bool = False,
    ) -> None:
        if (secret is None) != unencrypted:
            raise ValueError("a binding store takes either a secret or unencrypted=True")
        if secret is not None and not callable(secret):
            secret = octets(secret, "secret", "bytes or a function")
        self.directory, self.secret, self.unencrypted = path(directory, "directory"), secret, unencrypted


class TokenCache:
    """A cache that apps can share, or that has a store behind it for several processes to share.

    What is stored holds tokens: protect it.
    """

    __slots__ = ("_handle",)

    def __init__(
        self,
        *,
        max_entries: Optional[int] = None,
        max_bytes: Optional[int] = None,
        store: Optional[Store] = None,
    ) -> None:
        self._handle = lib.mtlspop_token_cache_new()
        if max_entries is not None:
            lib.mtlspop_token_cache_set_max_entries(self._handle, size(max_entries, "max_entries"))
        if max_bytes is not None:
            lib.mtlspop_token_cache_set_max_bytes(self._handle, size(max_bytes, "max_bytes"))
        if store is not None:
            if not callable(getattr(store, "load", None)) or not callable(getattr(store, "save", None)):
                raise wrong("store", "an object with load(key) and save(key, data, expires_on)", store)
            setter = lib.mtlspop_token_cache_set_store
            _callbacks.give(setter, self._handle, kind=_callbacks.store, target=store)

    @property
    def hits(self) -> int:
        return lib.mtlspop_token_cache_hits(self._handle)

    @property
    def misses(self) -> int:
        return lib.mtlspop_token_cache_misses(self._handle)

    @property
    def evictions(self) -> int:
        return lib.mtlspop_token_cache_evictions(self._handle)

    @property
    def entries(self) -> int:
        return lib.mtlspop_token_cache_entries(self._handle)

    @property
    def bytes(self) -> int:
        return lib.mtlspop_token_cache_bytes(self._handle)


def apply(table: Dict[str, Callable[..., None]], handle: Any, settings: Mapping[str, Any]) -> None:
    """Gives each option to its setter. None means that it was not given."""
    for name, value in settings.items():
        if name not in table:
            raise TypeError(f"there is no option {name!r}; there are {', '.join(sorted(table))}")
        if value is not None:
            table[name](handle, value, name)


def simple(setter: str, convert: Callable[[Any, str], Any]) -> Callable[..., None]:
    return lambda handle, value, name: getattr(lib, setter)(handle, convert(value, name))


def held(kind: type) -> Callable[[Any, str], Any]:
    """The handle of an object of this package."""
    return lambda value, name: one(kind, value, name)._handle


def parameters(handle: Any, values: Any, option: str) -> None:
    for name, value, in_cache_key in query(values, option):
        lib.mtlspop_app_options_set_extra_query_parameter(handle, name, value, in_cache_key)


def query(values: Mapping[str, Any], option: str) -> Iterator[Tuple[bytes, bytes, int]]:
    """Values are text, or text and whether it is in the cache key; if in doubt it is."""
    for name, value in items(values, option):
        which = f"{option}[{name!r}]"
        value, in_cache_key = value if isinstance(value, tuple) and len(value) == 2 else (value, True)
        yield utf8(name, f"each name in {option}"), utf8(value, which), flag(in_cache_key, which)


def renegotiating_hosts(handle: Any, value: Any, name: str) -> None:
    for host in words(value, name).split():
        lib.mtlspop_app_options_add_renegotiating_host(handle, host)


def roots(handle: Any, value: Any, name: str) -> None:
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = octets(value, name)
        lib.mtlspop_app_options_set_trusted_roots_pem(handle, value, len(value))
    else:
        lib.mtlspop_app_options_set_trusted_roots_file(handle, path(value, name))


def logger(handle: Any, value: logging.Logger, name: str) -> None:
    if not hasattr(value, "isEnabledFor"):
        raise wrong(name, "a logging.Logger", value)
    # The least important level that the logger wants.
    level = max(
        (ours for ours, theirs in _callbacks.LEVELS.items() if value.isEnabledFor(theirs)), default=None
    )
    if level is not None:
        setter = lib.mtlspop_app_options_set_log
        _callbacks.give(setter, handle, level, kind=_callbacks.log, target=value)


def metrics(handle: Any, value: Any, name: str) -> None:
    setter, target = lib.mtlspop_app_options_set_metrics, function(value, name)
    _callbacks.give(setter, handle, kind=_callbacks.metrics, target=target)


def on_background_refresh(handle: Any, value: Any, name: str) -> None:
    setter, target = lib.mtlspop_app_options_set_background_refresh_callback, function(value, name)
    _callbacks.give(setter, handle, kind=_refreshed.background_refresh, target=target)


def attestation(handle: Any, value: Any, name: str) -> None:
    setter, target = lib.mtlspop_app_options_set_attestation, function(value, name)
    _callbacks.give(setter, handle, kind=_callbacks.attestation, target=target)


def key_signer(handle: Any, value: KeySigner, name: str) -> None:
    setter, key = lib.mtlspop_app_options_set_key_signer, one(KeySigner, value, name).public_key
    _callbacks.give(setter, handle, key, len(key), kind=_callbacks.sign, target=value.sign)


def binding_store(handle: Any, value: BindingStore, name: str) -> None:
    if one(BindingStore, value, name).secret is None:
        lib.mtlspop_app_options_set_unencrypted_binding_store(handle, value.directory)
    elif callable(value.secret):
        setter = lib.mtlspop_app_options_set_binding_store_with_callback
        _callbacks.give(setter, handle, value.directory, kind=_callbacks.secret, target=value.secret)
    else:
        secret = octets(value.secret, "secret")
        lib.mtlspop_app_options_set_binding_store(handle, value.directory, secret, len(secret))


def credential(handle: Any, value: Credential, send_x5c: Optional[bool]) -> None:
    """The forms are MSAL's, but for Certificate, and for callables that are given an AssertionRequest."""
    if value is None:
        return
    if isinstance(value, str):
        return lib.mtlspop_app_options_set_client_secret(handle, utf8(value, "client_credential"))
    if isinstance(value, Certificate):
        return lib.mtlspop_app_options_set_certificate(handle, value._handle, x5c(send_x5c))
    if callable(value):
        setter = lib.mtlspop_app_options_set_client_assertion
        _callbacks.give(setter, handle, kind=_assertion.assertion, target=value)
        return
    if not hasattr(value, "keys"):
        raise wrong("client_credential", "a str, a Certificate, a function or a dict", value)
    form = dict(value)
    known = [name for name in FORMS if name in form]
    if len(known) != 1:
        raise ValueError(f"client_credential: a dict has one of {', '.join(FORMS)}")
    FORMS[known[0]](handle, form, send_x5c)


def x5c(send_x5c: Any) -> int:
    return 0 if send_x5c is None else flag(send_x5c, "send_x5c")


def member(name: str) -> str:
    return f"client_credential[{name!r}]"


def _jwt(handle: Any, form: Dict[str, Any], _: Any) -> None:
    value = form.pop("client_assertion")
    _only(form)
    if not callable(value):
        utf8(value, member("client_assertion"), "a str or a function")
    target = (lambda request: value()) if callable(value) else (lambda request: value)
    _callbacks.give(
        lib.mtlspop_app_options_set_client_assertion, handle, kind=_assertion.assertion, target=target
    )


def _pfx(handle: Any, form: Dict[str, Any], send_x5c: Optional[bool]) -> None:
    certificate = Certificate.from_file(
        form.pop("private_key_pfx_path"), password=form.pop("passphrase", None)
    )
    public = form.pop("public_certificate", False)
    _only(form)
    send = bool(public) if send_x5c is None else send_x5c
    lib.mtlspop_app_options_set_certificate(handle, certificate._handle, x5c(send))


def _pem(handle: Any, form: Dict[str, Any], send_x5c: Optional[bool]) -> None:
    if "public_certificate" not in form:
        raise ValueError(
            "client_credential: beside private_key give public_certificate; a thumbprint is not enough"
        )
    public, key = form.pop("public_certificate"), form.pop("private_key")
    certificate = Certificate.from_pem(public, key, form.pop("passphrase", None))
    _only(form)
    send = True if send_x5c is None else send_x5c
    lib.mtlspop_app_options_set_certificate(handle, certificate._handle, x5c(send))


def _provider(handle: Any, form: Dict[str, Any], send_x5c: Optional[bool]) -> None:
    setter, after = lib.mtlspop_app_options_set_certificate_provider, (x5c(send_x5c),)
    target = function(form.pop("certificate"), member("certificate"))
    _only(form)
    _callbacks.give(setter, handle, kind=_assertion.certificate, target=target, after=after)


def _file(handle: Any, form: Dict[str, Any], _: Any) -> None:
    file = form.pop("federated_token_file")
    _only(form)
    name = None if file is None else path(file, member("federated_token_file"))
    lib.mtlspop_app_options_set_federated_token_file(handle, name)


def _only(rest: Dict[str, Any]) -> None:
    # The certificate tells its own thumbprints.
    unknown = rest.keys() - {"thumbprint", "thumbprint_sha256"}
    if unknown:
        raise ValueError(f"client_credential: {', '.join(sorted(unknown))} does not belong to this form")


FORMS: Dict[str, Callable[..., None]] = {
    "client_assertion": _jwt,
    "private_key_pfx_path": _pfx,
    "private_key": _pem,
    "certificate": _provider,
    "federated_token_file": _file,
}

COMMON: Dict[str, Callable[..., None]] = {
    "client_capabilities": simple("mtlspop_app_options_set_client_capabilities", words),
    "extra_query_parameters": parameters,
    "background_refresh": simple("mtlspop_app_options_set_background_refresh", flag),
    "on_background_refresh": on_background_refresh,
    "connect_timeout": simple("mtlspop_app_options_set_connect_timeout_ms", milliseconds),
    "proxy": simple("mtlspop_app_options_set_proxy", utf8),
    "renegotiating_hosts": renegotiating_hosts,
    "trusted_roots": roots,
    "logger": logger,
    "metrics": metrics,
}

CLIENT = {
    **COMMON,
    "oidc_authority": simple("mtlspop_app_options_set_oidc_authority", utf8),
    "instance_discovery": simple("mtlspop_app_options_set_instance_discovery", flag),
    "token_cache": simple("mtlspop_app_options_set_token_cache", held(TokenCache)),
    "send_certificate_over_mtls": simple("mtlspop_app_options_set_send_certificate_over_mtls", flag),
    "enable_azure_proxy": simple("mtlspop_app_options_set_enable_azure_proxy", flag),
}

IDENTITY = {
    **COMMON,
    "probe_timeout": simple("mtlspop_app_options_set_probe_timeout_ms", milliseconds),
    "min_strength": simple("mtlspop_app_options_set_min_strength", number32),
    "attestation": attestation,
    "binding_store": binding_store,
    "tpm": simple("mtlspop_app_options_set_tpm", held(Tpm)),
    "key_signer": key_signer,
}
