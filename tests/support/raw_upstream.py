"""An upstream that is only a socket: records the bytes that arrive and sends given ones back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator


@dataclass
class RawUpstream:
    """What arrived, and what to answer."""

    answer: bytes
    """Sent as it is once a request's head and announced body are complete."""
    close_after: bool = False
    deaf: bool = False
    """Accept connections and never read."""
    base_url: str = ""
    heads: list[bytes] = field(default_factory=list)
    """Request line and headers, without the blank line."""
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends deafness."""
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection was closed by the other side."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                if self.deaf:
                    writer.transport.pause_reading()  # type: ignore[attr-defined]
                    await self.released.wait()
                    return
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head[:-4])
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line[15:])
                self.bodies.append(await reader.readexactly(length))
                writer.write(self.answer)
                await writer.drain()
                if self.close_after:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()
            self.writers.discard(writer)


@asynccontextmanager
async def raw_upstream(
    answer: bytes,
    *,
    close_after: bool = False,
    deaf: bool = False,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[RawUpstream]:
    """Serve on loopback while the block runs."""
    upstream = RawUpstream(answer, close_after, deaf)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    upstream.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()
        upstream.released.set()
        for writer in list(upstream.writers):
            writer.transport.abort()
        if upstream.tasks:
            await asyncio.wait(upstream.tasks)
