"""The callback that hears how a background refresh ended."""

from __future__ import annotations

from . import _prototypes as c
from ._callbacks import registered
from ._errors import described
from ._library import lib
from ._result import TokenResult


@c.BackgroundRefreshCallback
def background_refresh(userdata: int, token: c.Token, error: c.Error) -> None:
    failed = described(lib.mtlspop_error_status(error), error) if error else None
    result = TokenResult(token, c.TokenRequest()) if token else None
    registered[userdata](result, failed)
