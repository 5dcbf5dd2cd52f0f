"""Incremental decoding of content codings, for reading a copy of what is relayed.

Every decoder is bounded: one chunk may not decode to more than `MAX_STEP_BYTES`. The libraries for
`br` and `zstd` are imported when the first such answer arrives, not before.
"""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_STEP_BYTES: Final = 8 * 1024 * 1024


class DecodingFailed(Exception):
    """The bytes are not what their coding says, or decode to more than anybody should hold."""


class Decoder(Protocol):
    """Turns encoded bytes, in any pieces, into decoded ones."""

    def decode(self, data: bytes) -> bytes:
        """Return what `data` decodes to, possibly nothing yet; raise `DecodingFailed`."""
        ...


def decoder_for(coding: bytes) -> Decoder | None:
    """Return a decoder for one lower-case content coding, or None if it is not known."""
    factory = _FACTORIES.get(coding)
    return None if factory is None else factory()


def plain_body(body: bytes, coding: bytes) -> bytes:
    """Return a whole body without its content coding; nothing where that is unknown or broken."""
    if coding in (b"", b"identity"):
        return body
    decoder = decoder_for(coding)
    try:
        return b"" if decoder is None else decoder.decode(body)
    except DecodingFailed:
        return b""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._decoder = zlib.decompressobj(window_bits)

    def decode(self, data: bytes) -> bytes:
        try:
            decoded = self._decoder.decompress(data, MAX_STEP_BYTES)
        except zlib.error as exc:
            raise DecodingFailed from exc
        if self._decoder.unconsumed_tail:
            raise DecodingFailed
        return decoded


class _Deflate:
    """`deflate` is zlib's format by the RFC and raw deflate in the wild; the first byte tells."""

    def __init__(self) -> None:
        self._decoder: _Zlib | None = None

    def decode(self, data: bytes) -> bytes:
        if not data:
            return b""
        if self._decoder is None:
            is_zlib = data[0] & 0x0F == zlib.DEFLATED
            self._decoder = _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._decoder.decode(data)


class _Brotli:
    def __init__(self) -> None:
        brotli: Any = importlib.import_module("brotli")
        self._decoder = brotli.Decompressor()
        self._error: type[Exception] = brotli.error

    def decode(self, data: bytes) -> bytes:
        try:
            decoded: bytes = self._decoder.process(data, output_buffer_limit=MAX_STEP_BYTES)
        except self._error as exc:
            raise DecodingFailed from exc
        if not self._decoder.can_accept_more_data():
            raise DecodingFailed
        return decoded


class _Zstd:
    def __init__(self) -> None:
        zstd = _import_zstd()
        self._decoder = zstd.ZstdDecompressor()
        self._error: type[Exception] = zstd.ZstdError

    def decode(self, data: bytes) -> bytes:
        try:
            decoded: bytes = self._decoder.decompress(data, MAX_STEP_BYTES)
        except (self._error, EOFError) as exc:
            raise DecodingFailed from exc
        if len(decoded) >= MAX_STEP_BYTES:
            raise DecodingFailed
        return decoded


def _import_zstd() -> Any:  # noqa: ANN401 - one of two modules with the same interface
    try:
        return importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        return importlib.import_module("backports.zstd")


_FACTORIES: Final[dict[bytes, Callable[[], Decoder]]] = {
    b"gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    b"x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    b"deflate": _Deflate,
    b"br": _Brotli,
    b"zstd": _Zstd,
}
