"""Whether the proxy's port is free, or taken by the proxy itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

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


@dataclass(frozen=True, slots=True)
class PortLook:
    """One look at a port."""

    host: str
    port: int
    listener: Listener


async def look_at_port(host: str, port: int) -> PortLook:
    """Connect to the port and ask who is there."""
    at = _REACHED_AT.get(host, host)
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
    except TimeoutError:
        return PortLook(host, port, Listener.SOMEBODY_ELSE)
    except OSError:
        return PortLook(host, port, Listener.NOBODY)
    is_ours = _is_ours(answer.rpartition(b"\r\n\r\n")[2])
    return PortLook(host, port, Listener.CCPROXY if is_ours else Listener.SOMEBODY_ELSE)


def check_port(look: PortLook) -> Iterator[Finding]:
    """Judge who has the port."""
    where = f"{look.host}:{look.port}"
    match look.listener:
        case Listener.NOBODY:
            yield ok("port", f"{where} is free")
        case Listener.CCPROXY:
            yield ok("port", f"ccproxy answers on {where}")
        case Listener.SOMEBODY_ELSE:
            yield error(
                "port",
                f"another program listens on {where}",
                "the proxy cannot start",
                f"lsof -nP -iTCP:{look.port} -sTCP:LISTEN, or another server.port in ccproxy.yaml",
            )


def _is_ours(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("service") == "ccproxy"
