"""The floor under every figure: an upstream that speaks both wire protocols at almost no cost.

One bare asyncio protocol on uvloop, with answers made beforehand. The simulators of
`ccproxy.demo` are far more faithful, and their own CPU would drown what is measured here.

| request | answer |
|---|---|
| `POST /v1/messages` | one Message as JSON |
| `POST /v1/messages?sse=N&every_us=T` | a stream of N text deltas, T microseconds apart |
| `POST /v1/messages?hold=1` | the start of a stream, then silence for ever |
| `POST /api/chat` for the model `quick…` | an Ollama answer of two records, at once |
| `POST /api/chat` for the model `paced-N-T…` | N records, T microseconds apart, and the last one |
| `GET /stats` | `{"open": connections that have an unfinished stream}` |
| `GET` or `POST /api/version`, `/api/tags`, `/api/show` | what a control plane wants to hear |

Run: `python -m benchmarks.fast_upstream`; it prints its port.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USAGE: Final = {"input_tokens": 12, "output_tokens": 34, "cache_read_input_tokens": 0}
MESSAGE: Final = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-1",
    "content": [{"type": "text", "text": "word " * 80}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": USAGE,
}


def event(name: str, **fields: object) -> bytes:
    """Return one SSE frame as Anthropic writes them."""
    payload = json.dumps({"type": name, **fields}, separators=(",", ":"))
    return f"event: {name}\ndata: {payload}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(content_type: bytes, body: bytes) -> bytes:
    """Return a whole response."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nrequest-id: req_01\r\ncontent-length: %d\r\n\r\n"
    )
    return head % (content_type, len(body)) + body


def stream_head(content_type: bytes) -> bytes:
    """Return the head of a chunked response."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\nrequest-id: req_01\r\n"
    return head % content_type + b"transfer-encoding: chunked\r\n\r\n"


def record(content: str, **fields: object) -> bytes:
    """Return one NDJSON record as Ollama writes them."""
    message = {"role": "assistant", "content": content}
    head = {"model": "m", "created_at": "2026-01-01T00:00:00.000000Z", "message": message}
    return json.dumps({**head, "done": False, **fields}, separators=(",", ":")).encode() + b"\n"


DELTA: Final = chunk(
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "word "})
)
SSE_START: Final = stream_head(b"text/event-stream; charset=utf-8") + chunk(
    event("message_start", message={**MESSAGE, "content": [], "stop_reason": None})
    + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
)
SSE_END: Final = (
    chunk(
        event("content_block_stop", index=0)
        + event("message_delta", delta={"stop_reason": "end_turn"}, usage=USAGE)
        + event("message_stop")
    )
    + b"0\r\n\r\n"
)
RECORD: Final = chunk(record("word "))
OTHER_RECORD: Final = chunk(record("more "))
"""LiteLLM takes a hundred equal chunks in a row for a model that has lost its mind."""
LAST_RECORD: Final = (
    chunk(
        record(
            "",
            done=True,
            done_reason="stop",
            total_duration=10**9,
            load_duration=10**6,
            prompt_eval_count=12,
            prompt_eval_duration=10**8,
            eval_count=34,
            eval_duration=10**8,
        )
    )
    + b"0\r\n\r\n"
)
OLLAMA_START: Final = stream_head(b"application/x-ndjson")
JSON: Final = b"application/json"
JSON_ANSWER: Final = answer(JSON, json.dumps(MESSAGE).encode())
CONTROL: Final = {
    b"/api/version": answer(JSON, b'{"version":"0.33.0"}'),
    b"/api/tags": answer(JSON, b'{"models":[]}'),
    b"/api/show": answer(JSON, b'{"capabilities":["completion","tools"],"model_info":{}}'),
}
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
SSE: Final = re.compile(rb"\?sse=(\d+)&every_us=(\d+)")
PACED: Final = re.compile(rb"paced-(\d+)-(\d+)")


class Upstream(asyncio.Protocol):
    """One connection; every answer is written from constants."""

    def __init__(self, streaming: set[Upstream]) -> None:
        """`streaming` holds the connections that have an unfinished stream."""
        self._streaming = streaming
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Whatever was streamed is over."""
        self._transport = None
        self._streaming.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer once head and body are complete; requests are never pipelined."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end])
        if CHUNKED.search(head):
            if not self._buffer.endswith(b"0\r\n\r\n"):
                return
        elif (length := LENGTH.search(head)) and len(self._buffer) - end - 4 < int(length[1]):
            return
        body = bytes(self._buffer[end + 4 :][:2000])
        self._buffer.clear()
        self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, target: bytes, body: bytes) -> None:
        if target == b"/v1/messages":
            self._write(JSON_ANSWER)
        elif (paced := SSE.search(target)) is not None:
            self._stream(SSE_START, self._deltas((DELTA,), paced, SSE_END), int(paced[2]))
        elif b"?hold" in target:
            self._streaming.add(self)
            self._write(SSE_START)
        elif target == b"/api/chat":
            self._chat(body)
        elif target == b"/stats":
            self._write(answer(JSON, b'{"open":%d}' % len(self._streaming)))
        else:
            self._write(CONTROL.get(target) or answer(JSON, b"{}"))

    def _chat(self, body: bytes) -> None:
        paced = PACED.search(body)
        if paced is None:
            self._write(OLLAMA_START + RECORD + LAST_RECORD)
        else:
            self._stream(
                OLLAMA_START,
                self._deltas((RECORD, OTHER_RECORD), paced, LAST_RECORD),
                int(paced[2]),
            )

    @staticmethod
    def _deltas(pieces: Sequence[bytes], paced: re.Match[bytes], last: bytes) -> Iterator[bytes]:
        yield from islice(cycle(pieces), int(paced[1]))
        yield last

    def _stream(self, start: bytes, pieces: Iterator[bytes], every_us: int) -> None:
        self._streaming.add(self)
        self._write(start)
        self._tick(pieces, every_us / 1e6)

    def _tick(self, pieces: Iterator[bytes], every_s: float) -> None:
        if self._transport is None:
            return
        piece = next(pieces)
        self._write(piece)
        if piece.endswith(b"\r\n0\r\n\r\n"):
            self._streaming.discard(self)
        else:
            asyncio.get_running_loop().call_later(every_s, self._tick, pieces, every_s)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve() -> None:
    """Run until killed; print the port first."""
    streaming: set[Upstream] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(streaming), "127.0.0.1", 0, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
