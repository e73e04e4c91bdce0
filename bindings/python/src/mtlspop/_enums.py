"""The library's numbers by name."""

from __future__ import annotations

from enum import IntEnum

from . import _prototypes as c

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Strength(IntEnum):
    """How well the key of a bound token is kept."""

    NONE = c.STRENGTH_NONE
    SOFTWARE = c.STRENGTH_SOFTWARE
    HARDWARE = c.STRENGTH_HARDWARE
    ATTESTED = c.STRENGTH_ATTESTED


class ManagedIdentitySource(IntEnum):
    """Which service vouches for a managed identity."""

    NONE = c.SOURCE_NONE
    APP_SERVICE = c.SOURCE_APP_SERVICE
    AZURE_ARC = c.SOURCE_AZURE_ARC
    CLOUD_SHELL = c.SOURCE_CLOUD_SHELL
    IMDS = c.SOURCE_IMDS
    MACHINE_LEARNING = c.SOURCE_MACHINE_LEARNING
    SERVICE_FABRIC = c.SOURCE_SERVICE_FABRIC


class TokenSource(IntEnum):
    """Where a call had its token from."""

    IDENTITY_PROVIDER = c.TOKEN_SOURCE_IDENTITY_PROVIDER
    CACHE = c.TOKEN_SOURCE_CACHE


class RegionOutcome(IntEnum):
    """How an endpoint came by its region."""

    NONE = c.REGION_OUTCOME_NONE
    AUTODETECT_SUCCESS = c.REGION_OUTCOME_AUTODETECT_SUCCESS
    FALLBACK_TO_GLOBAL = c.REGION_OUTCOME_FALLBACK_TO_GLOBAL
    USER_PROVIDED = c.REGION_OUTCOME_USER_PROVIDED


class CacheLevel(IntEnum):
    """Which cache a token came from: none, the memory of this process, the store."""

    NONE = c.CACHE_LEVEL_NONE
    L1 = c.CACHE_LEVEL_L1
    L2 = c.CACHE_LEVEL_L2


class CacheRefreshReason(IntEnum):
    """Why the network was asked for a token."""

    NOT_APPLICABLE = c.CACHE_REFRESH_REASON_NOT_APPLICABLE
    FORCE_REFRESH_OR_CLAIMS = c.CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS
    NO_CACHED_ACCESS_TOKEN = c.CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN
    EXPIRED = c.CACHE_REFRESH_REASON_EXPIRED
    PROACTIVELY_REFRESHED = c.CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED


def named(kind: Any, number: int) -> Any:
    """The name of a number; the number itself where a newer library has one that is not known here."""
    try:
        return kind(number)
    except ValueError:
        return number
