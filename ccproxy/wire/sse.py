"""Server-sent events out of bytes that arrive in pieces; no I/O.

Source: WHATWG HTML, "Server-sent events", parsing and interpreting an event stream. As there, an
event whose blank line never came is not delivered. `id` and `retry` are ignored: the Messages API
has neither.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_BOM: Final = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event as it stood in the stream."""

    event: str
    """`message` where the stream names none."""
    data: bytes
    """The `data` lines joined by newlines; UTF-8, not decoded."""


class SseDecoder:
    """Takes bytes at any split and gives events as soon as they are complete.

    Lines may end in LF, CRLF or CR. Characters of several bytes need no care: the decoder looks
    at line ends and ASCII field names alone.
    """

    def __init__(self) -> None:
        """Begin at the beginning of a stream."""
        self._line_parts: list[bytes] = []
        self._data: list[bytes] = []
        self._event = b""
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that this chunk completes."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):  # the second half of a CRLF that was cut in two
                chunk = chunk[1:]
        if b"\n" not in chunk and b"\r" not in chunk:
            self._line_parts.append(chunk)
            return []
        # Joined only here, so that a long line in many pieces costs linear time.
        lines = b"".join((*self._line_parts, chunk)).splitlines(keepends=True)
        self._after_cr = chunk.endswith(b"\r")
        self._line_parts = [] if chunk.endswith((b"\n", b"\r")) else [lines.pop()]
        events: list[ServerSentEvent] = []
        for line in lines:
            self._take_line(line.rstrip(b"\r\n"), events)
        return events

    def _take_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                name = self._event.decode(errors="replace") or "message"
                events.append(ServerSentEvent(name, b"\n".join(self._data)))
            self._data = []
            self._event = b""
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._event = value
