"""Ends a broken stream so that an error event can follow it on a frame boundary.

A stream that stops inside a frame must not be left there (the error event would become part of
the frame), and the half frame must not be dispatched either (its JSON is cut, and an SDK throws
before it sees the error). So the half frame is closed as a `ping`, whose data no client reads:
the last `event` line of a frame counts. Source: WHATWG HTML "Server-sent events"; measured with
anthropic 2.11.0. Conformance 271.
"""

from __future__ import annotations

from typing import Final

_KEPT_BYTES: Final = 4
_CLOSE_AS_PING: Final = b"event: ping\n\n"
_SECOND_BYTE: Final = {0xE0: 0xA0, 0xF0: 0x90}
"""Lead bytes whose next byte may not be 0x80 (Unicode 16, table 3-7)."""


class FrameTail:
    """Remembers how the bytes relayed so far ended; only for bodies without content coding."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        """Begin at a frame boundary."""
        self._tail = b"\n\n"

    def feed(self, chunk: bytes) -> None:
        """Note the end of the next relayed bytes."""
        if len(chunk) >= _KEPT_BYTES:
            self._tail = chunk[-_KEPT_BYTES:]
        else:
            self._tail = (self._tail + chunk)[-_KEPT_BYTES:]

    def closing(self) -> bytes:
        """Return the bytes after which a new frame may begin; none at a boundary."""
        tail = self._tail
        if tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
            return b""
        if tail.endswith(b"\n"):
            return _CLOSE_AS_PING
        return _missing_utf8(tail) + b"\n" + _CLOSE_AS_PING


def _missing_utf8(tail: bytes) -> bytes:
    """Return the continuation bytes that a character cut at the end still needs."""
    for present in range(1, min(len(tail), 3) + 1):
        byte = tail[-present]
        if byte < 0x80:
            return b""
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            missing = bytearray(b"\x80" * (length - present))
            if present == 1 and missing:
                missing[0] = _SECOND_BYTE.get(byte, 0x80)
            return bytes(missing)
    return b""
