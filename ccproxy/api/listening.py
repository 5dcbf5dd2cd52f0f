"""Where the proxy listens: bound before anything else starts, and named as a client would.

uvicorn binds late, after the app's lifespan has started, and only its log knows the port.
"""

from __future__ import annotations

import errno
import resource
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKLOG: Final = 2048
MOST_CONNECTIONS: Final = 2048
"""Of clients, at once; ten for each agent of a large fleet is half of it."""
FILES_PER_CONNECTION: Final = 2
"""The client's and the upstream's."""
FILES_BESIDE: Final = 256
"""Logs, the ledger, probes, whoever is told that there is no room."""
_ABSENT: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""`localhost` is ::1 too in the hosts files of machines without IPv6."""
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


class ListenError(Exception):
    """The address cannot be listened on; the text says why and what to do."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets, one for each address of `host`; clients may connect at once.

    Args:
        host: A name or an address, an IPv6 one with or without brackets.
        port: TCP port; 0 takes a free one, the same for every address.

    Raises:
        ListenError: The host is unknown, or the port is taken or not allowed.
    """
    bare = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(
            bare, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        return _listen_on_each([(family, address) for family, *_, address in found], port)
    except OSError as error:
        where = f"[{bare}]" if ":" in bare else bare
        reason = error.strerror or str(error)
        message = (
            f"cannot listen on {where}:{port}: {reason}. Stop what uses it, or choose another "
            "with --port or `server` in ccproxy.yaml."
        )
        raise ListenError(message) from error


def _listen_on_each(
    places: Sequence[tuple[int, tuple[Any, ...]]], port: int
) -> list[socket.socket]:
    """Listen on every place this machine has; raises `OSError` if none is there or one fails."""
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    with ExitStack() as stack:
        for family, address in dict.fromkeys(places):
            common_port = sockets[0].getsockname()[1] if sockets else port
            try:
                listener = _bound(family, (address[0], common_port, *address[2:]))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
            else:
                sockets.append(stack.enter_context(listener))
        if absent is not None and not sockets:
            raise absent
        stack.pop_all()
    return sockets


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def room_for_connections() -> int:
    """Return how many clients may be connected at once; lets this process open files for as many.

    macOS lets a program open 256 files unless it asks for more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS * FILES_PER_CONNECTION + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = wanted if soft == resource.RLIM_INFINITY else min(soft, wanted)
    return max(files - FILES_BESIDE, FILES_PER_CONNECTION) // FILES_PER_CONNECTION


def client_url(sockets: Sequence[socket.socket]) -> str:
    """Return the base URL by which a client on this machine reaches the first of `sockets`."""
    host, port = sockets[0].getsockname()[:2]
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
