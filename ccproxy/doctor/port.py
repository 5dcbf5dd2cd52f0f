"""Whether the proxy's port is free, or taken by the proxy itself."""

from __future__ import annotations

import asyncio
import errno
import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ccproxy.api.listening import ListenError, listen
from ccproxy.doctor.finding import error, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ccproxy.doctor.finding import Finding

ASK_FOR_S: Final = 2.0
_MOST_BYTES: Final = 4096
_REACHED_AT: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read


class Listener(Enum):
    """Who has the port."""

    NOBODY = auto()
    CCPROXY = auto()
    SOMEBODY_ELSE = auto()
    CANNOT_BE = auto()
    """This machine has no such address, or the port is not allowed."""


@dataclass(frozen=True, slots=True)
class PortLook:
    """One look at a port."""

    host: str
    port: int
    listener: Listener
    reason: str = ""
    """Why nobody can listen there."""


async def look_at_port(host: str, port: int) -> PortLook:
    """Listen on the port for a moment, as the proxy would; if it is taken, ask who is there."""
    try:
        for each in await asyncio.to_thread(listen, host, port):
            each.close()
    except ListenError as problem:
        cause = problem.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
            reason = getattr(cause, "strerror", None) or str(problem)
            return PortLook(host, port, Listener.CANNOT_BE, reason)
        bare = host.removeprefix("[").removesuffix("]")
        return PortLook(host, port, await _listener(_REACHED_AT.get(bare, bare), port))
    return PortLook(host, port, Listener.NOBODY)


async def _listener(at: str, port: int) -> Listener:
    """Ask whoever has the port."""
    try:
        async with asyncio.timeout(ASK_FOR_S):
            reader, writer = await asyncio.open_connection(at, port)
            try:
                request = f"GET / HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n"
                writer.write(request.encode())
                await writer.drain()
                answer = await reader.read(_MOST_BYTES)
                answer += await reader.read(_MOST_BYTES)
            finally:
                writer.close()
    except (TimeoutError, OSError):
        return Listener.SOMEBODY_ELSE
    is_ours = _is_ours(answer.rpartition(b"\r\n\r\n")[2])
    return Listener.CCPROXY if is_ours else Listener.SOMEBODY_ELSE


def check_port(look: PortLook, *, has_run: bool) -> Iterator[Finding]:
    """Judge who has the port.

    Args:
        look: At the port.
        has_run: False where this installation's proxy was never started, so that it cannot be it.
    """
    where = f"{look.host}:{look.port}"
    other_port = f"lsof -nP -iTCP:{look.port} -sTCP:LISTEN, or another server.port in ccproxy.yaml"
    match look.listener:
        case Listener.NOBODY:
            yield ok("port", f"{where} is free")
        case Listener.CCPROXY if has_run:
            yield ok("port", f"ccproxy answers on {where}")
        case Listener.CCPROXY:
            what = (
                f"a ccproxy answers on {where}, and this installation has no ledger yet: it is "
                "another's, or was started with other settings"
            )
            yield error("port", what, "the proxy cannot start", other_port)
        case Listener.SOMEBODY_ELSE:
            what = f"another program listens on {where}"
            yield error("port", what, "the proxy cannot start", other_port)
        case Listener.CANNOT_BE:
            what = f"nobody can listen on {where} here: {look.reason}"
            fix = "server.host: 127.0.0.1 in ccproxy.yaml, and a server.port from 1024 on"
            yield error("port", what, "the proxy cannot start", fix)


def _is_ours(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("service") == "ccproxy"
