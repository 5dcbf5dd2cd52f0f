"""How many requests without a valid token an address may make, and what it is told beyond that.

A valid token is never refused for what others did from its address: behind a reverse proxy, or on
one machine with a hundred agents, an address is many people. So this is no protection of tokens
against guessing: those have 256 bits, and a secret of HS256 has them too. It keeps a client with a
wrong token from asking as fast as it can, and says once a minute that there is one.
"""

from __future__ import annotations

import ipaddress
import time
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S: Final = 60.0
MOST_FAILURES: Final = 30
"""In a window, of one address."""
MOST_LOOPBACK_FAILURES: Final = 300
"""Of this machine's own, where a whole fleet may start with a token that was revoked."""
MOST_PEERS: Final = 10_000
"""About 200 bytes each; whoever has not failed for the longest time is forgotten first."""
_IPV6_PREFIX: Final = 64
"""What one customer gets at least (RFC 6177)."""


class _Failures(NamedTuple):
    began_at: float
    times: int


class FailedLogins:
    """Counts failures by address; used on the event loop."""

    def __init__(
        self,
        report: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with none.

        Args:
            report: Told of each address that reaches its limit, once in a window.
            clock: Monotonic seconds.
        """
        self._report = report
        self._clock = clock
        self._by_peer: dict[str, _Failures] = {}

    def failed(self, peer: str) -> int | None:
        """Count a failure; return in how many seconds to ask again if there were too many.

        Args:
            peer: An address; of none nothing is counted.
        """
        if not peer:
            return None
        key, limit = _counted_as(peer)
        now = self._clock()
        found = self._by_peer.pop(key, None)
        if found is None or now - found.began_at >= WINDOW_S:
            found = _Failures(now, 0)
        found = self._by_peer[key] = _Failures(found.began_at, found.times + 1)
        if len(self._by_peer) > MOST_PEERS:
            del self._by_peer[next(iter(self._by_peer))]
        if found.times <= limit:
            return None
        if found.times == limit + 1:
            self._report(f"auth: more than {limit} requests without a valid token from {key}")
        return max(1, ceil(found.began_at + WINDOW_S - now))


def _counted_as(peer: str) -> tuple[str, int]:
    """Return under what an address is counted, and its limit."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return "(no address)", MOST_FAILURES
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return str(address), MOST_LOOPBACK_FAILURES
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False)), MOST_FAILURES
    return str(address), MOST_FAILURES
