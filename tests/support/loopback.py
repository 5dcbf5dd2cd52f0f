"""Tests talk to loopback and to nothing else; this module sees to it.

It watches the interpreter's own audit events, so it also covers libraries that open sockets by
themselves. What is refused is kept as well, because a library may swallow the exception.
Programs that tests start are not covered; they are given loopback addresses only.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from contextlib import suppress


class LeftLoopback(Exception):
    """Something in this process tried to reach another machine."""


class LoopbackGuard:
    """Refuses connections and look-ups that leave the machine, and remembers them."""

    def __init__(self) -> None:
        """See the class; nothing is watched until `install`."""
        self.refused: list[str] = []
        self._allowed: frozenset[str] = frozenset()

    def allow(self, host: str) -> None:
        """Let one more host be reached, by its name and by its present addresses."""
        self._allowed |= {host}
        with suppress(OSError):
            self._allowed |= {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}

    def install(self) -> None:
        """Watch from now on; an audit hook cannot be taken out again."""
        sys.addaudithook(self._on_event)

    def take_refused(self) -> list[str]:
        """Return what was refused since the last call, oldest first."""
        refused, self.refused = self.refused, []
        return refused

    def _on_event(self, event: str, args: tuple[object, ...]) -> None:
        if event in {"socket.connect", "socket.sendto"}:
            address = args[1]
            host = address[0] if isinstance(address, tuple) else None
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            host = args[0]
        else:
            return
        if host is not None and host not in self._allowed and not is_loopback(host):
            self.refused.append(f"{event} {host!r}")
            raise LeftLoopback(f"tests stay on loopback, refused: {event} {host!r}")


def is_loopback(host: object) -> bool:
    """Return whether a host given to a socket call can only mean this machine.

    The unspecified addresses count: servers bind to them and clients that connect to them stay.
    """
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name in {"", "localhost"} or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
