"""One HTTP exchange of the simulated Ollama: what was received, and how the answer is written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.asgi_server import CONNECTION_EXTENSION
from ccproxy.demo.ollama_faults import FaultKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from ccproxy.demo.ollama_faults import Fault
    from ccproxy.demo.ollama_requests import JsonObject, RunnerOptions

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

NDJSON: Final = b"application/x-ndjson"
JSON: Final = b"application/json; charset=utf-8"
SIMULATED_HEADER: Final = (b"x-simulated", b"ccproxy-demo-ollama")
_SEGMENT_GAP_S: Final = 0.001
DELIVERY_S: Final = 0.05
"""Enough for a client on the loopback to read what was written before an RST discards it."""
_UTF8_LEAD_BYTE: Final = 0xC0
"""From here on a byte starts a character of several bytes."""


@dataclass(slots=True, eq=False)
class SimRequest:
    """What one request was, and what became of it."""

    number: int
    """Counts from 1 since the last reset."""
    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    raw: bytes = b""
    """The body as received."""
    body: Any = None
    """The body as JSON, or None if it was none."""
    status: int = 0
    """0 until the status line is sent."""
    records_sent: int = 0
    fault: str = ""
    habit: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens found in the slot's KV cache."""
    counted: tuple[int, int] | None = None
    """Tokens of prompt and answer as the end of the answer said, once that was sent."""
    dropped_messages: int = 0
    runner: RunnerOptions | None = None
    """The options of the runner that served it; None if it never got that far."""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client left before the end of its answer."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is done with the request, whatever happened."""

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that lower-case name."""
        return next((value for key, value in self.headers if key == name), None)

    def to_json(self) -> JsonObject:
        """Return the entry of `GET /_sim/log`."""
        return {
            "number": self.number,
            "method": self.method,
            "path": self.path,
            "headers": [
                [key.decode("latin-1"), val.decode("latin-1")] for key, val in self.headers
            ],
            "body": self.body,
            "status": self.status,
            "records_sent": self.records_sent,
            "fault": self.fault,
            "habit": self.habit,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "dropped_messages": self.dropped_messages,
            "num_ctx": self.runner.num_ctx if self.runner else None,
            "disconnected": self.disconnected.is_set(),
            "finished": self.finished.is_set(),
        }


class Exchange:
    """The server's end of one request; writes slowly or in odd pieces if a fault says so."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request: SimRequest) -> None:
        """Wrap what the ASGI server gave."""
        self.request = request
        self.fault: Fault | None = None
        self._connection = scope.get("extensions", {}).get(CONNECTION_EXTENSION, {})
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self.complete = False
        """True once the last byte was handed over: a disconnect after it is none."""

    async def read_body(self) -> bytes:
        """Return the whole request body, or what came of it before the client left."""
        pieces: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.request.disconnected.set()
                return b"".join(pieces)
            pieces.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(pieces)

    async def watch(self, task: asyncio.Task[Any]) -> None:
        """Cancel `task` when the client leaves before the answer is complete."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()
                if not self.complete:
                    self.request.disconnected.set()
                    task.cancel()
                return

    async def start(self, status: int, content_type: bytes, length: int | None = None) -> None:
        """Send status line and headers; without a length the body is chunked."""
        self.request.status = status
        headers = [(b"content-type", content_type), SIMULATED_HEADER]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        kind = self.fault.kind if self.fault else None
        if kind is FaultKind.SLOW_BYTES or kind is FaultKind.SPLIT_UTF8:
            await self._write_in_pieces(data)
            return
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last piece of the body."""
        if data:
            await self.write(data)
        self.complete = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def reply(self, status: int, body: bytes, content_type: bytes = JSON) -> None:
        """Send a whole response."""
        await self.start(status, content_type, len(body))
        await self.end(body)

    async def json(self, status: int, value: Any) -> None:  # noqa: ANN401 - JSON
        """Send a JSON response."""
        await self.reply(status, orjson.dumps(value))

    async def reset(self) -> None:
        """Drop the connection with a TCP RST."""
        await self._drop("reset")

    async def close(self) -> None:
        """Close the connection after what was sent, in the middle of the body."""
        await self._drop("close")

    async def wait_for_disconnect(self) -> None:
        """Stay silent until the client leaves; the watcher then cancels this."""
        await self.request.disconnected.wait()

    async def _drop(self, verb: str) -> None:
        await asyncio.sleep(DELIVERY_S)
        self.complete = True
        self._connection[verb]()
        # uvicorn notices on the loop's next turns, and logs a handler that returns before that.
        await self._gone.wait()

    async def _write_in_pieces(self, data: bytes) -> None:
        fault = self.fault
        slow = fault is not None and fault.kind is FaultKind.SLOW_BYTES
        for piece in _single_bytes(data) if slow else _split_inside_characters(data):
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(fault.seconds if slow and fault else _SEGMENT_GAP_S)


def _single_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def _split_inside_characters(data: bytes) -> list[bytes]:
    """Cut after the first byte of every multi-byte character."""
    cuts = [index + 1 for index, byte in enumerate(data) if byte >= _UTF8_LEAD_BYTE]
    edges = [0, *cuts, len(data)]
    return [data[left:right] for left, right in pairwise(edges) if left < right]
