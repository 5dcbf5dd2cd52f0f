"""What the simulated Claude keeps of each request, and shows in its log."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

_CREDENTIALS: Final = frozenset({b"x-api-key", b"authorization"})


@dataclass(slots=True)
class RecordedRequest:
    """What arrived, byte for byte, and how it ended."""

    method: str
    path: str
    """As on the wire, percent-encoding included."""
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the caller left before the answer was complete."""
    status: int | None = None
    response_sha256: str = hashlib.sha256().hexdigest()
    """Of the body bytes sent so far, after content coding."""
    response_bytes: int = 0
    finished: bool = False
    """The answer was sent to its end."""
    usage: dict[str, Any] | None = None
    """What the answer said of tokens, as far as it was sent: of several the last."""

    @property
    def body_sha256(self) -> str:
        """Of the body as it arrived."""
        return hashlib.sha256(self.body).hexdigest()


def noting_usage(pieces: Iterator[bytes], record: RecordedRequest) -> Iterator[bytes]:
    """Yield frames; what one of them said of tokens is noted once it was sent."""
    for piece in pieces:
        yield piece
        if piece.startswith(b"event: message_start"):
            record.usage = orjson.loads(piece.partition(b"data: ")[2])["message"]["usage"]
        elif piece.startswith(b"event: message_delta"):
            said = orjson.loads(piece.partition(b"data: ")[2])["usage"]
            record.usage = {**(record.usage or {}), **said}


def log_entry(record: RecordedRequest) -> dict[str, Any]:
    """Return a record as JSON-ready data; credentials are left out."""
    return {
        "method": record.method,
        "path": record.path,
        "query": record.query.decode("latin-1"),
        "headers": [
            [name.decode("latin-1"), "…" if name in _CREDENTIALS else value.decode("latin-1")]
            for name, value in record.headers
        ],
        "body_bytes": len(record.body),
        "body_sha256": record.body_sha256,
        "status": record.status,
        "response_bytes": record.response_bytes,
        "response_sha256": record.response_sha256,
        "finished": record.finished,
        "disconnected": record.disconnected.is_set(),
    }
