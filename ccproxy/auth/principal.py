"""Who authenticated, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ccproxy.wire.errors import ApiError
from routing.types import Privacy

KNOWN_SCOPES: Final = frozenset({"ops"})
"""Without a scope a token is good for `/v1` only; `ops` adds metrics and `/admin`."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who authenticated, and what they may do."""

    name: str
    """The token's name, or what a JWT's claim says; for logs and the ledger."""
    scopes: frozenset[str] = frozenset()
    agents: tuple[str, ...] = ()
    """Slugs this caller may act as; empty means any."""
    privacy: Privacy = Privacy.ANY
    """Where its requests may be sent; the routing table can only tighten it."""
    requests_per_minute: int | None = None
    """How many Messages requests it may make in a minute; None: any number."""
    project: str | None = None
    """What a JWT's claim says; then no header can say otherwise."""


def open_principal() -> Principal:
    """Return who everybody is where `auth.mode` is off, which only a loopback bind allows."""
    return Principal(name="open", scopes=KNOWN_SCOPES)


def require_scope(principal: Principal, scope: str) -> None:
    """Do nothing if the principal has the scope.

    Raises:
        ApiError: 403 `permission_error`, naming the scope and how to get it.
    """
    if scope in principal.scopes:
        return
    message = (
        f"The token {principal.name!r} does not have the scope {scope!r}. "
        f"Create one that has it: ccproxy token create NAME --scope {scope}"
    )
    raise ApiError(403, message, should_retry=False)
