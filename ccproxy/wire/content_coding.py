"""Request bodies that arrive encoded: decoded for routing, bounded, never trusted.

Source: error codes of conformance 015 and 016.
"""

from __future__ import annotations

import zlib
from typing import Final

from ccproxy.wire.errors import ApiError, invalid_request

_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1"})
_GZIP_OR_ZLIB: Final = 47
"""zlib's window bits for "detect a gzip or zlib header"."""
_EXPANSION: Final = 100
"""Prose and code shrink 3- to 20-fold; deflate itself allows about 1030-fold."""
_FREE_BYTES: Final = 2**20
"""What a body of any length may become."""


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


def decode_body(raw: bytes, content_encoding: bytes | None, limit_bytes: int) -> bytes:
    """Return the body without its content coding.

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
    decoder = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    expanded_bytes = _EXPANSION * len(raw) + _FREE_BYTES
    try:
        decoded = decoder.decompress(raw, min(limit_bytes, expanded_bytes) + 1)
    except zlib.error as exc:
        raise _corrupt() from exc
    if len(decoded) > limit_bytes:
        raise _too_large(f"is larger than {limit_bytes} bytes after decoding.")
    if len(decoded) > expanded_bytes:
        raise _too_large(f"is more than {_EXPANSION} times as large after decoding.")
    # A second gzip member would be read by others and not by us: nothing may hide there.
    if not decoder.eof or decoder.unused_data:
        raise _corrupt()
    return decoded


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
