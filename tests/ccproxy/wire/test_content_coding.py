"""Small encoded bodies that become large ones."""

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.content_coding import decode_body
from ccproxy.wire.errors import ApiError

LIMIT_BYTES = 32 * 2**20
MIB = 2**20


def ignore(_size_bytes):
    """Let everything have its memory."""


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_a_body_that_expands_beyond_reason_is_refused(encode):
    """31 KiB that become 32 MB are refused long before they are that long (413)."""
    coding = b"gzip" if encode is gzip.compress else b"deflate"
    raw = encode(b" " * (LIMIT_BYTES - 1))
    assert len(raw) < 40_000
    with pytest.raises(ApiError) as caught:
        decode_body(raw, coding, LIMIT_BYTES, ignore)

    assert (413, False) == (caught.value.status, caught.value.should_retry)
    assert "request_body_too_large_after_decoding" == caught.value.error_code
    assert "100" in caught.value.message


@pytest.mark.parametrize("length", [0, 1, MIB, MIB + 500])
def test_a_small_body_may_be_as_empty_as_it_likes(length):
    """The first MiB is free: a short repetitive prompt is no attack."""
    assert b" " * length == decode_body(gzip.compress(b" " * length), b"gzip", LIMIT_BYTES, ignore)


def test_the_absolute_limit_stands():
    """A body within the expansion that is too long as such is told the limit."""
    with pytest.raises(ApiError) as caught:
        decode_body(gzip.compress(b"x" * 101), b"gzip", 100, ignore)

    assert 413 == caught.value.status
    assert "larger than 100 bytes" in caught.value.message


@given(st.integers(0, 3 * MIB), st.integers(0, 9), st.randoms(use_true_random=False))
def test_every_step_is_told_and_nothing_is_lost(length, level, random):
    """Whatever its length and however well it was packed, a body comes out whole, in counted steps."""
    plain = random.randbytes(length // 3) + b"a" * (length - length // 3)
    steps = []

    assert plain == decode_body(gzip.compress(plain, level), b"gzip", LIMIT_BYTES, steps.append)
    assert sum(steps) == len(plain)
    assert max(steps, default=0) <= 2**18


def test_where_there_is_no_room_nothing_more_is_unpacked():
    """Whoever counts may stop it at any step."""
    steps = []

    def hold(size_bytes):
        steps.append(size_bytes)
        if sum(steps) > MIB:
            raise ApiError(529, "no room")

    with pytest.raises(ApiError, match="no room"):
        decode_body(gzip.compress(bytes(range(256)) * 2**16), b"gzip", LIMIT_BYTES, hold)
    assert sum(steps) <= MIB + 2**18


class Watched(bytes):
    """Counts how often a piece of it was taken."""

    taken = 0

    def __getitem__(self, key):
        self.taken += 1
        return super().__getitem__(key)


def test_what_comes_behind_the_end_is_not_read():
    """A short member and 8 MB behind it: zlib would keep and copy those at every step."""
    raw = Watched(gzip.compress(b"{}") + bytes(8 * MIB))
    with pytest.raises(ApiError):
        decode_body(raw, b"gzip", LIMIT_BYTES, ignore)

    assert raw.taken == 1


@pytest.mark.parametrize(
    "spoil",
    [lambda raw: raw[:-9], lambda raw: raw + b"x", lambda raw: raw + raw, lambda raw: b"x" + raw],
    ids=["cut", "more", "two", "other"],
)
def test_what_others_could_read_otherwise_is_refused(spoil):
    """One whole member, and nothing behind it, also behind a step's end."""
    plain = random.Random(1).randbytes(2**18)  # noqa: S311 - repeatable
    with pytest.raises(ApiError) as caught:
        decode_body(spoil(gzip.compress(plain)), b"gzip", LIMIT_BYTES, ignore)

    assert (400, "request_body_encoding_invalid") == (caught.value.status, caught.value.error_code)
