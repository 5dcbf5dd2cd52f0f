"""Small encoded bodies that become large ones."""

import gzip
import zlib

import pytest

from ccproxy.wire.content_coding import decode_body
from ccproxy.wire.errors import ApiError

LIMIT_BYTES = 32 * 2**20
MIB = 2**20


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_body_that_expands_beyond_reason_is_refused(encode):
    """31 KiB that become 32 MB are refused long before they are that long (413)."""
    coding = b"gzip" if encode is gzip.compress else b"deflate"
    raw = encode(b" " * (LIMIT_BYTES - 1))
    assert len(raw) < 40_000
    with pytest.raises(ApiError) as caught:
        decode_body(raw, coding, LIMIT_BYTES)

    assert (413, False) == (caught.value.status, caught.value.should_retry)
    assert "request_body_too_large_after_decoding" == caught.value.error_code
    assert "100" in caught.value.message


@pytest.mark.parametrize("length", [0, 1, MIB, MIB + 500])
def test_a_small_body_may_be_as_empty_as_it_likes(length):
    """The first MiB is free: a short repetitive prompt is no attack."""
    assert b" " * length == decode_body(gzip.compress(b" " * length), b"gzip", LIMIT_BYTES)


def test_the_absolute_limit_stands():
    """A body within the expansion that is too long as such is told the limit."""
    with pytest.raises(ApiError) as caught:
        decode_body(gzip.compress(b"x" * 101), b"gzip", 100)

    assert 413 == caught.value.status
    assert "larger than 100 bytes" in caught.value.message
