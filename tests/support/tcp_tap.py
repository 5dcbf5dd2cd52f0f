"""Stands between a client and a server, passes every byte on, and keeps what the server said."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE_BYTES = 65536


class TcpTap:
    """Passes connections to one server.

    Attributes:
        said: What the server sent, of all connections.
    """

    def __init__(self, server_url: str) -> None:
        """Connect nowhere yet."""
        address = urlsplit(server_url)
        assert address.hostname is not None
        assert address.port is not None
        self._host, self._port = address.hostname, address.port
        self.said = bytearray()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve on loopback while the block runs; gives the base URL."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        ways = {
            asyncio.create_task(_pass_on(reader, far_writer, None)),
            asyncio.create_task(_pass_on(far_reader, writer, self.said)),
        }
        try:
            # Where either end leaves, the other is told: an interrupt has to get through.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (writer, far_writer):
                end.close()


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: bytearray | None
) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE_BYTES):
            if keep is not None:
                keep.extend(piece)
            writer.write(piece)
            await writer.drain()
