"""Whether an address can be connected to: no request is sent, so that nothing is charged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohappyeyeballs import AddrInfoType

    Addresses = Sequence[AddrInfoType]

_PORTS: Final = {"http": 80, "https": 443}
_HAPPY_EYEBALLS_S: Final = 0.25
"""Before another address of the same name is tried as well. Source: RFC 8305, section 8."""


class ConnectProbe:
    """Connects to the host of one base URL, with TLS where the URL says so, and leaves at once."""

    def __init__(self, base_url: str) -> None:
        """`base_url` has a scheme and a host; its path does not count."""
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._is_encrypted = parts.scheme == "https"
        self._tls: ssl.SSLContext | None = None
        self._lookup: asyncio.Task[Addresses] | None = None

    async def __call__(self) -> str:
        """Return that it could be connected to, in words for people.

        Proxies of the environment are not used, and certificates are verified: where a hotel's
        login page answers in its place, the host is not there. May wait for as long as the system's
        name lookup takes; the caller sets a limit.

        Raises:
            OSError: It could not, for whatever reason.
        """
        addresses = await self._resolved()
        if self._is_encrypted and self._tls is None:
            # Reads some hundred certificates.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        # Not by the loop itself: uvloop's knows nothing of happy eyeballs.
        connected = await start_connection(
            addresses, happy_eyeballs_delay=_HAPPY_EYEBALLS_S, interleave=1
        )
        _, writer = await asyncio.open_connection(
            sock=connected,
            ssl=self._tls,
            server_hostname=self._host if self._is_encrypted else None,
        )
        writer.transport.abort()  # an orderly end of TLS would wait for the other side
        return "it takes connections"

    async def _resolved(self) -> Addresses:
        """Return the addresses of the name.

        A lookup cannot be stopped and may take half a minute in a thread of its own; while one is
        under way no other is begun, or an outage would use up the threads.
        """
        lookup = self._lookup
        if lookup is None or lookup.done():
            lookup = self._lookup = asyncio.create_task(self._resolve())
            lookup.add_done_callback(_seen)
        return await asyncio.shield(lookup)

    async def _resolve(self) -> Addresses:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)


def _seen(lookup: asyncio.Task[Addresses]) -> None:
    """Look at the error, so that asyncio does not complain of one that nobody waited for."""
    if not lookup.cancelled():
        lookup.exception()
