"""Reads a copy of Claude's answer, while the original is relayed untouched.

Its token counts, whether its content has begun, and what error event it ended in.

Rules:
1. A `UsageTap` never raises and never holds more than a stated number of bytes; an answer it cannot
   follow (broken, unknown coding, too large) simply has no usage.
2. Streams cost about a microsecond per chunk: only `message_start`, `message_delta` and `error`
   frames are parsed, every other frame is passed over by substring search.

Called by: the relay.
Source: shapes as in Anthropic's streaming reference (2026-08), conformance 133, 145, 146.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.outcome import Usage
from ccproxy.wire.decoding import Decoder, DecodingFailed, decoder_for

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_JSON_BYTES: Final = 8 * 1024 * 1024
"""Of a JSON answer, decoded; 64,000 output tokens are about 0.3 MB."""
MAX_FRAME_BYTES: Final = 256 * 1024
"""Of an unfinished SSE frame; frames with usage have a few hundred bytes."""

_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)


class UsageTap:
    """Takes copies of an answer's chunks; `finish` says what they counted."""

    def __init__(self, content_type: bytes, content_encoding: bytes = b"") -> None:
        """Prepare for one answer.

        Args:
            content_type: The answer's header value; anything but SSE and JSON is ignored.
            content_encoding: The answer's header value; gzip, deflate, br and zstd are decoded.
        """
        self.error: bytes | None = None
        """The envelope of a stream's `error` event, once there was one."""
        self._usage = Usage()
        self._decoder: Decoder | None = None
        kind = content_type.partition(b";")[0].strip().lower()
        self._reader: _SseReader | _JsonReader | None = None
        if kind == b"text/event-stream":
            self._reader = _SseReader(self._usage)
        elif kind == b"application/json":
            self._reader = _JsonReader(self._usage)
        coding = content_encoding.strip().lower()
        if coding not in (b"", b"identity") and self._reader is not None:
            self._decoder = decoder_for(coding)
            if self._decoder is None:
                self._reader = None

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the body, still content-encoded."""
        reader = self._reader
        if reader is None:
            return
        if self._decoder is not None:
            try:
                chunk = self._decoder.decode(chunk)
            except DecodingFailed:
                self._reader = None
                return
        if not reader.feed(chunk):
            self._reader = None
        elif reader.error is not None:
            self.error = reader.error

    @property
    def content_began(self) -> bool:
        """False as long as a stream has told of nothing but itself."""
        return self._reader is None or self._reader.content_began

    def finish(self) -> Usage:
        """Return what the answer said so far; fields it never said are None."""
        if self._reader is not None:
            self._reader.finish()
            self._reader = None
        return self._usage


class _JsonReader:
    """Collects a JSON body and parses it once, at the end."""

    error: bytes | None = None
    content_began = True

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._pieces: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> bool:
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_JSON_BYTES:
            self._pieces.clear()
            return False
        self._pieces.append(chunk)
        return True

    def finish(self) -> None:
        message = _json_object(b"".join(self._pieces))
        self._pieces.clear()
        if message.get("type") == "message":
            _take_message(self._usage, message)


class _SseReader:
    """Finds the frames that carry usage, across chunk boundaries."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._rest = b""
        self._skipping = False
        self.error: bytes | None = None
        self.content_began = False

    def feed(self, chunk: bytes) -> bool:
        data = self._rest + chunk if self._rest else chunk
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if data.endswith(b"\n\n"):
            self._rest = b""
        else:
            end = data.rfind(b"\n\n") + 2
            if end == 1:  # no frame ends here
                self._keep(data)
                return True
            data, rest = data[:end], data[end:]
            self._keep_after_frame(rest)
        if self._skipping:
            self._skipping = False
            data = data[data.index(b"\n\n") + 2 :]
        if not self.content_began:
            self.content_began = b"content_block" in data or b"message_delta" in data
        if b"message_" in data or b"error" in data:
            for frame in data.split(b"\n\n"):
                if b"message_" in frame or b"error" in frame:
                    self._take_frame(frame)
        return True

    def finish(self) -> None:
        """Drop an unfinished frame: clients don't dispatch it either."""
        self._rest = b""

    def _keep_after_frame(self, rest: bytes) -> None:
        # A frame ended, so whatever was skipped is over; only `feed` may still cut its end off.
        if len(rest) > MAX_FRAME_BYTES:
            rest = b""
        self._rest = rest

    def _keep(self, data: bytes) -> None:
        """Keep an unfinished frame, or only enough of a huge one to see where it ends."""
        if self._skipping or len(data) > MAX_FRAME_BYTES:
            self._skipping = True
            data = data[-3:]
        self._rest = data

    def _take_frame(self, frame: bytes) -> None:
        name = b""
        payload = b""
        for line in frame.split(b"\n"):
            if line.startswith(b"event:"):
                name = line[6:].strip()
            elif line.startswith(b"data:"):
                payload = line[5:]
        if name == b"message_start":
            message = _json_object(payload).get("message")
            if isinstance(message, dict):
                _take_message(self._usage, message)
        elif name == b"message_delta":
            event = _json_object(payload)
            delta = event.get("delta")
            if isinstance(delta, dict) and isinstance(delta.get("stop_reason"), str):
                self._usage.stop_reason = delta["stop_reason"]
            _take_usage(self._usage, event.get("usage"))
        elif name == b"error":
            self.error = payload


def _json_object(data: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _take_message(usage: Usage, message: Mapping[str, Any]) -> None:
    if isinstance(message.get("model"), str):
        usage.response_model = message["model"]
    if isinstance(message.get("stop_reason"), str):
        usage.stop_reason = message["stop_reason"]
    _take_usage(usage, message.get("usage"))


def _take_usage(usage: Usage, said: object) -> None:
    """Merge a usage object; counts are cumulative, so the last one said wins (conformance 146)."""
    if not isinstance(said, dict):
        return
    for name, value in said.items():
        if name in _COUNTS:
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                setattr(usage, name, value)
        elif value is not None:
            usage.extra[name] = value
