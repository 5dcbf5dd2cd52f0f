"""One request to the simulated Claude: how the answer goes out, and what breaks it.

Knows ASGI, pacing, content codings and the faults that concern bytes; what is answered is decided
elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import zlib
from typing import TYPE_CHECKING, Any, Final

from ccproxy.demo.asgi_server import CONNECTION_EXTENSION
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.claude_frames import frame

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence

    from ccproxy.demo.claude_record import RecordedRequest

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_BODY_FAULTS: Final = frozenset(
    {FaultKind.RESET, FaultKind.CUT, FaultKind.STALL, FaultKind.ERROR_EVENT}
)
_TRAILING: Final = b": after the end\n\nevent: unheard_of\ndata: {}\n\n"


class Exchange:
    """Sends one answer, with the trouble that was asked for."""

    def __init__(
        self, scope: Message, send: Send, record: RecordedRequest, fault: Fault | None
    ) -> None:
        """Begin; `fault` concerns this request alone."""
        self._connection: dict[str, Callable[[], None]] = scope["extensions"][CONNECTION_EXTENSION]
        self._send = send
        self._record = record
        self._digest = hashlib.sha256()
        self._body_fault = fault if fault is not None and fault.kind in _BODY_FAULTS else None
        self.fault = fault
        self.broken = False
        """The connection was cut on purpose; nothing more can be sent."""

    async def answer_whole(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send an answer with a content-length."""
        coding = self._coding()
        if coding is not None:
            encoder = _encoder(coding)
            body = encoder(body, True)
            headers = [*headers, (b"content-encoding", coding.encode())]
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self._answer(status, headers, [body], None, 0.0)

    async def answer_stream(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        pieces: Iterable[bytes],
        pause_s: float,
    ) -> None:
        """Send a 200 whose pieces are written one by one, `pause_s` before each."""
        coding = self._coding()
        encoder = None
        if coding is not None:
            encoder = _encoder(coding)
            headers = [*headers, (b"content-encoding", coding.encode())]
        await self._answer(200, headers, pieces, encoder, pause_s)

    async def _answer(
        self,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        pieces: Iterable[bytes],
        encoder: Callable[[bytes, bool], bytes] | None,
        pause_s: float,
    ) -> None:
        if self._body_fault is not None and self._body_fault.after_bytes <= 0:
            await self._break_off(self._body_fault)
            if self.broken:
                return
        self._record.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            await self._write(piece if encoder is None else encoder(piece, False))
            if self.broken:
                return
        is_stream = not any(name == b"content-length" for name, _ in headers)
        if is_stream and self.fault is not None and self.fault.kind is FaultKind.TRAILING:
            await self._write(_TRAILING)
        await self._finish(b"" if encoder is None else encoder(b"", True))

    async def _write(self, data: bytes) -> None:
        fault = self._body_fault
        if fault is not None and fault.kind is FaultKind.ERROR_EVENT:
            if self._record.response_bytes >= fault.after_bytes:
                error = {"type": "overloaded_error", "message": fault.message or "Overloaded"}
                await self._finish(frame("error", {"error": error}))
                self.broken = True
                return
        elif fault is not None and self._record.response_bytes + len(data) > fault.after_bytes:
            before = fault.after_bytes - self._record.response_bytes
            await self._put(data[:before])
            data = data[before:]
            await self._break_off(fault)
            if self.broken:
                return
        await self._put(data)

    async def _break_off(self, fault: Fault) -> None:
        self._body_fault = None
        match fault.kind:
            case FaultKind.RESET:
                self._connection["reset"]()
                self.broken = True
            case FaultKind.CUT:
                self._connection["close"]()
                self.broken = True
            case FaultKind.STALL if fault.seconds > 0:
                await asyncio.sleep(fault.seconds)
            case FaultKind.STALL:
                await asyncio.Event().wait()  # until the caller leaves

    async def _put(self, data: bytes) -> None:
        if not data:
            return
        self._note(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _finish(self, data: bytes) -> None:
        self._note(data)
        self._record.finished = True
        await self._send({"type": "http.response.body", "body": data})

    def _note(self, data: bytes) -> None:
        self._digest.update(data)
        self._record.response_bytes += len(data)
        self._record.response_sha256 = self._digest.hexdigest()

    def _coding(self) -> str | None:
        """Return the content coding that was asked for on both sides, or None."""
        if self.fault is None or self.fault.kind is not FaultKind.ENCODE:
            return None
        accepted = {
            token.partition(b";")[0].strip()
            for name, value in self._record.headers
            if name == b"accept-encoding"
            for token in value.split(b",")
        }
        return self.fault.coding if self.fault.coding.encode() in accepted else None


def _encoder(coding: str) -> Callable[[bytes, bool], bytes]:
    """Return a function (piece, is the end) -> encoded bytes that a reader can decode at once."""
    compressor: Any
    if coding in ("gzip", "deflate"):
        window_bits = zlib.MAX_WBITS | 16 if coding == "gzip" else zlib.MAX_WBITS
        compressor = zlib.compressobj(wbits=window_bits)
        return lambda piece, is_end: (
            compressor.compress(piece)
            + compressor.flush(zlib.Z_FINISH if is_end else zlib.Z_SYNC_FLUSH)
        )
    if coding == "br":
        compressor = importlib.import_module("brotli").Compressor()
        return lambda piece, is_end: (
            compressor.process(piece) + (compressor.finish() if is_end else compressor.flush())
        )
    try:
        zstd: Any = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        zstd = importlib.import_module("backports.zstd")
    compressor = zstd.ZstdCompressor()
    return lambda piece, is_end: compressor.compress(
        piece, compressor.FLUSH_FRAME if is_end else compressor.FLUSH_BLOCK
    )
