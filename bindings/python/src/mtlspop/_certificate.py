"""Certificates with their private keys: to authenticate with, or received with a token."""

from __future__ import annotations

from ctypes import byref, c_char, c_size_t

from . import _callbacks
from . import _prototypes as c
from ._errors import call
from ._library import data, function, lib, number32, octets, one, path, pem, text, time, utf8
from ._tpm import Tpm

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from datetime import datetime
    from typing import Any, Callable, List, Optional, Union

    from ._callbacks import SignRequest
    from ._library import Text

    Password = Union[str, bytes, None]

PKCS12_MODERN = c.PKCS12_MODERN
PKCS12_LEGACY = c.PKCS12_LEGACY


class Certificate:
    """A certificate, the chain that came with it, and its private key. Immutable; any thread may use it."""

    __slots__ = ("_handle",)

    def __init__(self, handle: c.Certificate) -> None:
        if not isinstance(handle, c.Certificate):
            raise TypeError("use Certificate.from_file() and the other from_ and with_ methods")
        self._handle = handle

    @classmethod
    def from_file(cls, file: Text, key_file: Optional[Text] = None, password: Password = None) -> Certificate:
        """Loads PEM or PKCS#12 (.pfx); which it is, is told by the content."""
        key = None if key_file is None else path(key_file, "key_file")
        arguments = (path(file, "file"), key, _password(password))
        return cls._new(lib.mtlspop_certificate_new_from_file, *arguments)

    @classmethod
    def from_pem(
        cls, certificate: Union[str, bytes], key: Union[str, bytes, None] = None, password: Password = None
    ) -> Certificate:
        """Loads PEM: certificates, leaf first, and the key unless that is given apart."""
        certificate, key = pem(certificate, "certificate"), None if key is None else pem(key, "key")
        arguments = (certificate, len(certificate), key, len(key or b""), _password(password))
        return cls._new(lib.mtlspop_certificate_new_from_pem, *arguments)

    @classmethod
    def from_pkcs12(cls, pfx: bytes, password: Password = None) -> Certificate:
        pfx = octets(pfx, "pfx")
        return cls._new(lib.mtlspop_certificate_new_from_pkcs12, pfx, len(pfx), _password(password))

    @classmethod
    def with_signer(cls, certificate: Union[str, bytes], sign: Callable[[SignRequest], bytes]) -> Certificate:
        """One whose key lives elsewhere, in an HSM or a vault: sign is asked for each signature.

        certificate is PEM, issuers after it, or one certificate in DER.
        """
        certificate, sign = pem(certificate, "certificate"), function(sign, "sign")
        handle = c.Certificate()

        def new(*arguments: Any) -> None:
            call(lib.mtlspop_certificate_new_with_signer, *arguments, out=handle)

        _callbacks.give(new, certificate, len(certificate), kind=_callbacks.sign, target=sign)
        return cls(handle)

    @classmethod
    def with_tpm_key(cls, certificate: Union[str, bytes], key: Union[str, bytes], tpm: Tpm) -> Certificate:
        """One whose key is in a TPM: key is what export_tpm_key() gave, or OpenSSL's TPM provider."""
        certificate, key = pem(certificate, "certificate"), pem(key, "key")
        arguments = (certificate, len(certificate), key, len(key), one(Tpm, tpm, "tpm")._handle)
        return cls._new(lib.mtlspop_certificate_new_with_tpm_key, *arguments)

    @classmethod
    def _new(cls, function: Any, *arguments: Any) -> Certificate:
        return cls(call(function, *arguments, out=c.Certificate()))

    @property
    def der(self) -> bytes:
        return data(lib.mtlspop_certificate_der, self._handle)

    @property
    def chain_der(self) -> List[bytes]:
        """The certificate and the issuers that came with it."""
        count = lib.mtlspop_certificate_chain_count(self._handle)
        return [data(lib.mtlspop_certificate_chain_der, self._handle, index) for index in range(count)]

    @property
    def pem(self) -> str:
        return text(lib.mtlspop_certificate_pem(self._handle))

    @property
    def chain_pem(self) -> str:
        return text(lib.mtlspop_certificate_chain_pem(self._handle))

    @property
    def sha1_thumbprint(self) -> str:
        return text(lib.mtlspop_certificate_sha1_thumbprint(self._handle))

    @property
    def sha256_thumbprint(self) -> str:
        return text(lib.mtlspop_certificate_sha256_thumbprint(self._handle))

    @property
    def x5t_s256(self) -> str:
        """What a bound token has in its cnf claim: x5t#S256."""
        return text(lib.mtlspop_certificate_x5t_s256(self._handle))

    @property
    def subject(self) -> str:
        return text(lib.mtlspop_certificate_subject(self._handle))

    @property
    def not_before(self) -> datetime:
        return time(lib.mtlspop_certificate_not_before(self._handle))

    @property
    def not_after(self) -> datetime:
        return time(lib.mtlspop_certificate_not_after(self._handle))

    @property
    def is_exportable(self) -> bool:
        """Whether the private key can leave: not where it is in hardware or with a signer."""
        return lib.mtlspop_certificate_is_exportable(self._handle) == 1

    def sign(self, algorithm: str, message: bytes) -> bytes:
        """Signs with the key, wherever it lives. algorithm is JOSE's name: PS256, RS256, ES256..."""
        message = octets(message, "message")
        arguments = (utf8(algorithm, "algorithm"), message, len(message))
        return self._bytes(lib.mtlspop_certificate_sign, *arguments)

    def export_private_key(self) -> bytes:
        """The private key as PKCS#8 PEM, unencrypted. From then on it is yours to protect."""
        return self._bytes(lib.mtlspop_certificate_export_private_key_pem)

    def export_pkcs12(self, password: Union[str, bytes], format: int = PKCS12_MODERN) -> bytes:
        """Certificate, chain and private key as PKCS#12 (.pfx)."""
        arguments = (utf8(password, "password"), number32(format, "format"))
        return self._bytes(lib.mtlspop_certificate_export_pkcs12, *arguments)

    def export_tpm_key(self) -> bytes:
        """The private key as TSS2 PRIVATE KEY in PEM, where it is in a TPM: useless elsewhere."""
        return self._bytes(lib.mtlspop_certificate_export_tpm_key_pem)

    def ssl_context(
        self,
        *,
        cafile: Optional[Text] = None,
        capath: Optional[Text] = None,
        cadata: Union[str, bytes, None] = None,
    ) -> ssl.SSLContext:
        """A context for clients that presents this certificate; it trusts the roots given, else the system's.

        For keys that can be exported only: call an API with app.send() where this one cannot.
        """
        import ssl

        context = ssl.create_default_context(cafile=cafile, capath=capath, cadata=cadata)
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Has a context present this certificate. What it trusts is not changed. The key touches no disk."""
        import os

        # Python's ssl reads keys from files only. This one is in memory, and gone before this returns. Linux.
        buffer = call(lib.mtlspop_certificate_export_private_key_pem, self._handle, out=c.Buffer())
        length = c_size_t()
        address = lib.mtlspop_buffer_data(buffer, byref(length))
        # Not a copy, which nobody would wipe. buffer outlives it.
        key = (c_char * length.value).from_address(address)
        file = os.memfd_create("mtlspop", os.MFD_CLOEXEC)
        try:
            chain = self.chain_pem.encode()
            os.write(file, chain)
            os.write(file, key)
            context.load_cert_chain(f"/proc/self/fd/{file}")
        finally:
            os.pwrite(file, bytes(os.fstat(file).st_size), 0)
            os.close(file)

    def _bytes(self, function: Any, *arguments: Any) -> bytes:
        return data(lib.mtlspop_buffer_data, call(function, self._handle, *arguments, out=c.Buffer()))

    def __repr__(self) -> str:
        return f"<Certificate {self.subject}, {self.sha256_thumbprint}>"


def _password(password: Password) -> Optional[bytes]:
    return None if password is None else utf8(password, "password")
