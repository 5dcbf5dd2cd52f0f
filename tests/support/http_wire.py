"""HTTP/1.1 by hand: exact bytes out, every byte in. No client library repairs what a test sends."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Sequence

READ_TIMEOUT_S = 60.0
"""A test that waits longer than this waits for something that does not come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole HTTP answer."""

    status: int
    headers: Sequence[tuple[str, str]]
    """Names in lower case, in order."""
    body: bytes
    complete: bool = True
    """False when the connection ended before the body did."""

    def header(self, name: str) -> str | None:
        """Return the first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The `error` object of an Anthropic error; fails where the body is none."""
        payload = self.json()
        assert payload["type"] == "error", payload
        found: dict[str, Any] = payload["error"]
        return found


class Wire:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
    ) -> None:
        """Take over both ends; `host` is sent where the headers of a request have none."""
        self.reader = reader
        self.writer = writer
        self._host = host

    async def send(
        self,
        method: str,
        path: str,
        headers: Any = (),
        body: bytes | Any = b"",
        *,
        chunks: Iterable[bytes] | None = None,
    ) -> None:
        """Write a request; `chunks` instead of `body` makes it chunked, any other body is JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.write_head(method, path, headers, None if chunks is not None else len(raw))
        if chunks is None:
            self.writer.write(raw)
        else:
            for chunk in chunks:
                self.writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def write_head(self, method: str, path: str, headers: Any, length: int | None) -> None:
        """Write request line and headers; without a length the body is to be chunked."""
        pairs = list(headers.items()) if hasattr(headers, "items") else list(headers)
        if length is None:
            pairs.append(("transfer-encoding", "chunked"))
        elif length or method in ("POST", "PUT"):
            pairs.append(("content-length", str(length)))
        if not any(name.lower() == "host" for name, _ in pairs):
            pairs.insert(0, ("host", self._host))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
        self.writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def read_head(self) -> tuple[int, list[tuple[str, str]]]:
        """Read status line and headers; interim answers are passed over."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *rows = raw.rstrip("\r\n").split("\r\n")
        status = int(first.split(" ")[1])
        if status == 100:
            return await self.read_head()
        pairs = (row.partition(":") for row in rows)
        return status, [(name.lower(), value.strip()) for name, _, value in pairs]

    async def read_chunk(self) -> bytes:
        """Read one HTTP chunk; empty at the end of the body."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            size = int((await self.reader.readline()).strip(), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def read_answer(self, method: str = "POST") -> Answer:
        """Read a whole answer; a connection that ends early gives `complete=False`."""
        status, headers = await self.read_head()
        known = dict(headers)
        body, complete = bytearray(), True
        try:
            if method == "HEAD" or status in (204, 304):
                pass
            elif known.get("transfer-encoding") == "chunked":
                while chunk := await self.read_chunk():
                    body += chunk
            else:
                async with asyncio.timeout(READ_TIMEOUT_S):
                    body += await self.reader.readexactly(int(known.get("content-length", "0")))
        except asyncio.IncompleteReadError as short:
            body += short.partial
            complete = False
        except (ConnectionError, ValueError):
            complete = False
        return Answer(status, headers, bytes(body), complete)

    async def read_until(self, needle: bytes) -> bytes:
        """Read raw bytes until `needle` has come."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await self.reader.readuntil(needle)

    def abort(self) -> None:
        """Leave at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def wire(
    base_url: str,
    *,
    read_limit_bytes: int = 2**24,
    tls: ssl.SSLContext | None = None,
    source: str | None = None,
) -> AsyncIterator[Wire]:
    """Connect while the block runs.

    Args:
        base_url: Scheme, host and port.
        read_limit_bytes: What may be buffered of an answer.
        tls: By which certificates an https address is checked.
        source: Address to connect from, where it matters.
    """
    address = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(
        address.hostname,
        address.port,
        limit=read_limit_bytes,
        ssl=tls,
        local_addr=(source, 0) if source else None,
    )
    try:
        yield Wire(reader, writer, address.netloc)
    finally:
        writer.transport.abort()


async def ask(
    base_url: str,
    path: str,
    *,
    method: str = "POST",
    headers: Any = (),
    body: bytes | Any = b"",
    chunks: Iterable[bytes] | None = None,
) -> Answer:
    """Send one request on a connection of its own and return the whole answer."""
    async with wire(base_url) as connection:
        await connection.send(method, path, headers, body, chunks=chunks)
        return await connection.read_answer(method)
