"""Callbacks that prove who an app is: with an assertion, with a certificate, or with both."""

from __future__ import annotations

from . import _prototypes as c
from ._callbacks import Operation, question, seconds
from ._certificate import Certificate
from ._library import lib, one, text, utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Optional, Tuple, Union

    Assertion = Union[str, Tuple[str, Optional[Certificate]], "ClientSignedAssertion"]


class ClientSignedAssertion:
    """An answer to AssertionRequest: a JWT, and for mtls_pop the certificate that it is bound to."""

    __slots__ = ("assertion", "token_binding_certificate")

    def __init__(self, assertion: str, token_binding_certificate: Optional[Certificate] = None) -> None:
        self.assertion = assertion
        self.token_binding_certificate = token_binding_certificate


class AssertionRequest(Operation):
    """What an assertion callback is asked."""

    __slots__ = ()

    @property
    def client_id(self) -> str:
        return text(lib.mtlspop_assertion_op_client_id(self._op))

    @property
    def tenant_id(self) -> Optional[str]:
        return text(lib.mtlspop_assertion_op_tenant_id(self._op))

    @property
    def authority(self) -> str:
        return text(lib.mtlspop_assertion_op_authority(self._op))

    @property
    def token_endpoint(self) -> str:
        """The URL that the assertion is sent to: its audience."""
        return text(lib.mtlspop_assertion_op_token_endpoint(self._op))

    @property
    def token_type(self) -> str:
        """ "Bearer" or "mtls_pop"; the latter needs a certificate, too."""
        return text(lib.mtlspop_assertion_op_token_type(self._op))

    @property
    def claims(self) -> Optional[str]:
        return text(lib.mtlspop_assertion_op_claims(self._op))

    @property
    def client_capabilities(self) -> List[str]:
        return (text(lib.mtlspop_assertion_op_client_capabilities(self._op)) or "").split()

    @property
    def fmi_path(self) -> Optional[str]:
        return text(lib.mtlspop_assertion_op_fmi_path(self._op))

    @property
    def correlation_id(self) -> str:
        return text(lib.mtlspop_assertion_op_correlation_id(self._op))

    @property
    def remaining(self) -> Optional[float]:
        """The seconds that the call had left when the callback was called; None where it has no limit."""
        return seconds(lib.mtlspop_assertion_op_remaining_ms(self._op))

    @property
    def is_cancelled(self) -> bool:
        return lib.mtlspop_assertion_op_is_cancelled(self._op) == 1


@question(c.AssertionCallback, "mtlspop_assertion_op_set_error")
def assertion(target: Callable[[AssertionRequest], Assertion], operation: Any) -> None:
    with AssertionRequest(operation) as request:
        answer = target(request)
    if isinstance(answer, ClientSignedAssertion):
        jwt, certificate = answer.assertion, answer.token_binding_certificate
    else:
        jwt, certificate = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    returns = "what the assertion callback returns"
    signed = utf8(jwt, returns, "a str or a ClientSignedAssertion")
    lib.mtlspop_assertion_op_set_assertion(operation, signed)
    if certificate is not None:
        handle = _handle(certificate, f"the certificate in {returns}")
        lib.mtlspop_assertion_op_set_certificate(operation, handle)


@question(c.AssertionCallback, "mtlspop_assertion_op_set_error")
def certificate(target: Callable[[AssertionRequest], Optional[Certificate]], operation: Any) -> None:
    with AssertionRequest(operation) as request:
        answer = target(request)
    # Without one the library says so.
    if answer is not None:
        answer = _handle(answer, "what the certificate callback returns")
        lib.mtlspop_assertion_op_set_certificate(operation, answer)


def _handle(certificate: Any, name: str) -> Any:
    return one(Certificate, certificate, name)._handle
