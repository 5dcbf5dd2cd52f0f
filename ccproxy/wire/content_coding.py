"""Request bodies that arrive encoded: decoded for routing, bounded, never trusted.

Source: error codes of conformance 015 and 016.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from ccproxy.wire.errors import ApiError, invalid_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})
_GZIP_OR_ZLIB: Final = 47
"""zlib's window bits for "detect a gzip or zlib header"."""
_EXPANSION: Final = 100
"""Prose and code shrink 3- to 20-fold; deflate itself allows about 1030-fold."""
_FREE_BYTES: Final = 2**20
"""What a body of any length may become."""
_STEP_BYTES: Final = 256 * 1024
"""Large enough that steps cost nothing, small beside any bound."""


def check_charset(content_type: bytes | None) -> None:
    """Refuse a `charset` other than UTF-8, ISO-8859-1 or US-ASCII with a 400."""
    if content_type is None or b"charset" not in content_type.lower():
        return
    for parameter in content_type.decode("latin-1").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(" \"'").lower() not in _CHARSETS:
            raise invalid_request(
                f"content-type: charset {value.strip()} is not supported, send UTF-8",
                error_code="unsupported_charset",
            )


def decode_body(
    raw: bytes, content_encoding: bytes | None, limit_bytes: int, hold: Callable[[int], object]
) -> bytes:
    """Return the body without its content coding.

    Args:
        raw: As it came.
        content_encoding: Of the header.
        limit_bytes: What may come out of it at most.
        hold: Called with the bytes of each piece that was unpacked; may raise.

    Raises:
        ApiError: 400 for an unknown coding or a corrupt body, 413 when more than
            `limit_bytes` come out of it, or more than 1 MiB and 100 times what went in.
    """
    coding = (content_encoding or b"identity").strip().lower()
    if coding in (b"identity", b""):
        return raw
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise invalid_request(
            f"content-encoding: {coding.decode('latin-1')} is not supported, send gzip or none",
            error_code="request_body_encoding_unsupported",
        )
    expanded_bytes = _EXPANSION * len(raw) + _FREE_BYTES
    decoded = bytearray()
    for piece in _unzipped(raw):
        decoded += piece
        if len(decoded) > limit_bytes:
            raise _too_large(f"is larger than {limit_bytes} bytes after decoding.")
        if len(decoded) > expanded_bytes:
            raise _too_large(f"is more than {_EXPANSION} times as large after decoding.")
        hold(len(piece))
    return bytes(decoded)


def _unzipped(raw: bytes) -> Iterator[bytes]:
    """Yield what comes out, in pieces of at most `_STEP_BYTES`."""
    decoder = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        for start in range(0, len(raw), _STEP_BYTES):
            if decoder.eof:  # it would keep what comes now, and copy it at every step
                raise _corrupt()
            rest = raw[start : start + _STEP_BYTES]
            while rest:
                yield decoder.decompress(rest, _STEP_BYTES)
                rest = decoder.unconsumed_tail
        while not decoder.eof and (piece := decoder.decompress(b"", _STEP_BYTES)):
            yield piece
    except zlib.error as exc:
        raise _corrupt() from exc
    # A second gzip member would be read by others and not by us: nothing may hide there.
    if not decoder.eof or decoder.unused_data:
        raise _corrupt()


def _too_large(how: str) -> ApiError:
    return ApiError(
        413,
        f"The request body {how}",
        error_code="request_body_too_large_after_decoding",
        should_retry=False,
    )


def _corrupt() -> ApiError:
    return invalid_request(
        "content-encoding: the body could not be decoded",
        error_code="request_body_encoding_invalid",
    )
