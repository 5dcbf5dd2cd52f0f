"""A client that costs next to nothing: bare sockets, answers recognised by their last bytes."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_CHUNKS: Final = b"\r\n0\r\n\r\n"
_HOST: Final = "127.0.0.1"
_LONGEST_STREAM_S: Final = 60.0


def request_bytes(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a POST as it stands on the wire."""
    lines = [f"POST {path} HTTP/1.1", f"host: {_HOST}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """One blocking kept connection."""

    def __init__(self, port: int, *, timeout_s: float = 60.0) -> None:
        """Connect at once."""
        self._socket = socket.create_connection((_HOST, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request: bytes) -> tuple[float, float]:
        """Send, read the whole answer, return seconds to its first body byte and to its end.

        Raises:
            RuntimeError: The status is not 200.
        """
        sock = self._socket
        began = time.perf_counter()
        sock.sendall(request)
        data = sock.recv(262144)
        while (head_end := data.find(b"\r\n\r\n")) < 0 or head_end + 4 == len(data):
            data += self._more()
        first_s = time.perf_counter() - began
        if not data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"not a 200: {data[:600]!r}")
        length = _LENGTH.search(data, 0, head_end)
        if length is not None:
            missing = int(length[1]) - (len(data) - head_end - 4)
            while missing > 0:
                missing -= len(self._more())
        else:
            tail = data[-8:]
            while not tail.endswith(_END_OF_CHUNKS):
                tail = (tail + self._more())[-8:]
        return first_s, time.perf_counter() - began

    def first_event(self, request: bytes) -> None:
        """Send and return once the first bytes of the body are there; leave the stream open."""
        self._socket.sendall(request)
        data = self._more()
        while b"event: message_start" not in data:
            data += self._more()

    def vanish(self) -> None:
        """Go away without a word, as a killed process does (RST)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close in order."""
        self._socket.close()

    def _more(self) -> bytes:
        data = self._socket.recv(262144)
        if not data:
            raise RuntimeError("the connection was closed in mid-answer")
        return data


def fetch(port: int, path: str) -> bytes:
    """Return the body of a GET."""
    with socket.create_connection((_HOST, port), 10) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: {_HOST}\r\n\r\n".encode())
        data = b""
        while (length := _LENGTH.search(data)) is None or b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        body = data.partition(b"\r\n\r\n")[2]
        while len(body) < int(length[1]):
            body += sock.recv(65536)
        return body


class _Stream(asyncio.Protocol):
    """Sends one request and drops what comes until the end of the chunks."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.reads = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self._tail = data[-7:] if len(data) >= 7 else (self._tail + data)[-7:]
        if self._tail == _END_OF_CHUNKS and not self.ended.done():
            self.ended.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or RuntimeError("a stream was closed in mid-answer"))


def read_streams(port: int, requests: Sequence[bytes]) -> int:
    """Read that many streams at once to their ends; return how many reads it took."""

    async def read_all() -> int:
        loop = asyncio.get_running_loop()
        streams = [_Stream(request) for request in requests]
        for stream in streams:
            await loop.create_connection(partial(_itself, stream), _HOST, port)
        async with asyncio.timeout(_LONGEST_STREAM_S):
            await asyncio.gather(*(stream.ended for stream in streams))
        return sum(stream.reads for stream in streams)

    return uvloop.run(read_all())


def _itself(stream: _Stream) -> _Stream:
    return stream
