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
            `limit_bytes` come out of it.
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
    try:
        decoded = decoder.decompress(raw, limit_bytes + 1)
    except zlib.error as exc:
        raise _corrupt() from exc
    if len(decoded) > limit_bytes:
        raise ApiError(
            413,
            f"The request body is larger than {limit_bytes} bytes after decoding.",
            error_code="request_body_too_large_after_decoding",
            should_retry=False,
        )
    # A second gzip member would be read by others and not by us: nothing may hide there.
    if not decoder.eof or decoder.unused_data:
        raise _corrupt()
    return decoded


def _corrupt() -> ApiError:
    return invalid_request(
        "content-encoding: the body could not be decoded",
        error_code="request_body_encoding_invalid",
    )
