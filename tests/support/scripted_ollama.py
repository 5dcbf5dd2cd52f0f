"""An Ollama made of exact bytes: answers each request with a script and remembers what it got."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Reset:
    """A step: cut the connection with a TCP reset."""


Step = bytes | asyncio.Event | Reset
"""Bytes to write raw, an event to wait for before going on, or a reset."""


def chunk(data: bytes) -> bytes:
    """Return one HTTP chunk."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def line(**record: Any) -> bytes:
    """Return one NDJSON record."""
    return orjson.dumps(record) + b"\n"


def said(**message: Any) -> bytes:
    """Return a record with a part of the answer."""
    return line(model="qwen", message={"role": "assistant", **message}, done=False)


def done(reason: str = "stop", message: dict[str, Any] | None = None, **counts: Any) -> bytes:
    """Return the record that ends an answer."""
    last = {"role": "assistant", "content": ""} if message is None else message
    return line(model="qwen", message=last, done=True, done_reason=reason, **counts)


def answer(*records: bytes, end: bool = True) -> list[Step]:
    """Return the script of a 200 answer, one HTTP chunk per record; `end` closes it properly."""
    steps: list[Step] = [HEAD, *map(chunk, records)]
    return [*steps, b"0\r\n\r\n"] if end else steps


def refusal(status: int, body: bytes, *headers: bytes) -> list[Step]:
    """Return the script of an answer with a status and a body."""
    lines = [b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *headers, b"", body]
    return [b"\r\n".join(lines)]


@dataclass
class ScriptedOllama:
    """A running server.

    Attributes:
        base_url: Where it listens, without a trailing slash.
        paths: Request targets in order.
        headers: Header blocks in order, names in lower case.
        bodies: Parsed JSON bodies in order.
        raw_bodies: The same as bytes.
        got_request: Set when the first request has been read.
        client_left: Set when a client closed its connection.
    """

    base_url: str
    script: Sequence[Step]
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    raw_bodies: list[bytes] = field(default_factory=list)
    got_request: asyncio.Event = field(default_factory=asyncio.Event)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, play the script, and wait for the client to leave."""
        try:
            await self._read_request(reader)
            watch = asyncio.create_task(self._watch(reader))
            try:
                await self._play(writer)
                await watch
            finally:
                watch.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.client_left.set()
        finally:
            writer.close()

    async def _read_request(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.paths.append(head[0].split(" ")[1])
        pairs = (row.partition(":") for row in head[1:] if row)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.headers.append(headers)
        self.raw_bodies.append(body)
        self.bodies.append(orjson.loads(body) if body else None)
        self.got_request.set()

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        for step in self.script:
            match step:
                case bytes():
                    writer.write(step)
                    await writer.drain()
                case asyncio.Event():
                    await step.wait()
                case Reset():
                    writer.transport.abort()
                    return
        if self.script and not _is_complete(self.script):
            writer.write_eof()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        try:
            await reader.read()
        finally:
            self.client_left.set()


def _is_complete(script: Sequence[Step]) -> bool:
    """Return whether the script ends as HTTP wants it, so that the client closes first."""
    return script[-1] == b"0\r\n\r\n" or not isinstance(script[0], bytes) or script[0] != HEAD


@asynccontextmanager
async def scripted_ollama(script: Sequence[Step]) -> AsyncIterator[ScriptedOllama]:
    """Run a server on loopback that plays `script` for every connection."""
    ollama = ScriptedOllama("", script)
    open_connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(asyncio.create_task(ollama.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    ollama.base_url = f"http://{host}:{port}"
    try:
        yield ollama
    finally:
        server.close()
        for connection in open_connections:
            connection.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)
