"""Token counts are read from a copy of the answer, in any pieces and codings."""

from __future__ import annotations

import gzip
import importlib
import itertools
import zlib
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.outcome import Usage
from ccproxy.wire.usage import MAX_FRAME_BYTES, MAX_JSON_BYTES, UsageTap
from tests.support.codings import zstd

if TYPE_CHECKING:
    from collections.abc import Callable


def _br(data: bytes) -> bytes:
    encoded: bytes = importlib.import_module("brotli").compress(data)
    return encoded


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODINGS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"", bytes),
    (b"identity", bytes),
    (b"gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", _raw_deflate),
    (b"br", _br),
    (b"ZSTD", zstd),
]


def _frame(event: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps({"type": event, **members}))


STREAM = b"".join(
    [
        _frame(
            "message_start",
            message={
                "model": "claude-x",
                "stop_reason": None,
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 1,
                    "cache_read_input_tokens": 5,
                    "service_tier": "standard",
                },
            },
        ),
        _frame("ping"),
        _frame(
            "content_block_delta",
            index=0,
            delta={"text": 'event: message_delta "message_" grüße\n\n'},
        ),
        b": comment\n\n",
        _frame("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 9}),
        _frame("message_delta", delta={}, usage={"input_tokens": 11, "output_tokens": 42}),
        _frame("message_stop"),
    ]
)
STREAM_USAGE = Usage(
    input_tokens=11,
    output_tokens=42,
    cache_read_input_tokens=5,
    response_model="claude-x",
    stop_reason="tool_use",
    extra={"service_tier": "standard"},
)
MESSAGE = orjson.dumps(
    {
        "type": "message",
        "model": "claude-x",
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": None,
            "output_tokens": 4,
        },
    }
)
MESSAGE_USAGE = Usage(
    input_tokens=3,
    output_tokens=4,
    cache_creation_input_tokens=2,
    response_model="claude-x",
    stop_reason="end_turn",
)
SSE = b"text/event-stream; charset=utf-8"


def _tapped(kind: bytes, coding: bytes, *chunks: bytes) -> Usage:
    tap = UsageTap(kind, coding)
    for chunk in chunks:
        tap.feed(chunk)
    return tap.finish()


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@pytest.mark.parametrize("size", [1, 7, 100, 100_000])
def test_usage_in_every_coding_and_chunking(
    coding: bytes, encode: Callable[[bytes], bytes], size: int
) -> None:
    """Usage, model and stop reason are found however the bytes are coded and cut."""
    for kind, body, expected in (
        (SSE, STREAM, STREAM_USAGE),
        (b"application/json", MESSAGE, MESSAGE_USAGE),
    ):
        data = encode(body)
        chunks = [data[at : at + size] for at in range(0, len(data), size)]

        assert expected == _tapped(kind, coding, *chunks)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8), st.booleans())
def test_usage_at_every_split(cuts: list[int], crlf: bool) -> None:
    """Frames are put together across any chunk boundaries, with either line ending (161)."""
    body = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    edges = [0, *sorted(cuts), len(body)]

    chunks = [body[a:b] for a, b in itertools.pairwise(edges)]

    assert STREAM_USAGE == _tapped(SSE, b"", *chunks)


def test_a_stream_that_breaks_keeps_what_it_said() -> None:
    """A stream cut in the middle still yields the usage of its start."""
    usage = _tapped(SSE, b"", STREAM[: STREAM.index(b"event: message_delta\n") + 30])

    assert (10, 1, None) == (usage.input_tokens, usage.output_tokens, usage.stop_reason)


ERROR = b'{"type":"error","error":{"type":"overloaded_error","message":"Full up."}}'
START, CONTENT = STREAM[: STREAM.index(b"\n\n") + 2], _frame("content_block_delta", error="none")


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_error_event_and_the_first_content_are_noticed(
    coding: bytes, encode: Callable[[bytes], bytes], size: int
) -> None:
    """However the bytes are coded and cut; what only speaks of errors is none (155)."""
    for before in (b"", START, START + CONTENT):
        began = CONTENT in before
        failed = before + b"event: error\ndata: " + ERROR + b"\n\n"
        for body, error in ((before, None), (failed, ERROR)):
            tap, data = UsageTap(SSE, coding), encode(body)
            for at in range(0, len(data), size):
                tap.feed(data[at : at + size])

            assert (error, began) == (tap.error and tap.error.strip(), tap.content_began)


def test_an_answer_that_is_no_stream_is_content_from_its_first_byte() -> None:
    """So is one that cannot be read."""
    for kind, coding in ((b"application/json", b""), (SSE, b"unheard-of"), (b"text/html", b"")):
        assert UsageTap(kind, coding).content_began


def test_a_huge_frame_is_passed_over() -> None:
    """A frame larger than the bound is skipped without being held, and the next one is read."""
    start, rest = STREAM.split(b"\n\n", 1)
    huge = _frame("content_block_start", content_block={"data": "x" * (2 * MAX_FRAME_BYTES)})
    chunks = [start + b"\n\n", *(huge[at : at + 5000] for at in range(0, len(huge), 5000)), rest]

    assert STREAM_USAGE == _tapped(SSE, b"", *chunks)


@pytest.mark.parametrize(
    ("kind", "coding", "chunks"),
    [
        (b"text/html", b"", [b"<html>"]),
        (b"application/json", b"", [b"{not json"]),
        (b"application/json", b"", [b"[1]"]),
        (b"application/json", b"", [b'{"type":"error","error":{}}']),
        (b"application/json", b"", [b'{"input_tokens": 9}']),
        (b"application/json", b"gzip", [b"not gzip at all", b"more"]),
        (b"application/json", b"br", [b"\xff\xff\xff\xff not brotli", b"more"]),
        (b"application/json", b"zstd", [b"not zstd at all", b"more"]),
        (b"application/json", b"deflate", [b"", b"\x78 not deflate", b"more"]),
        (b"application/json", b"gzip, br", [MESSAGE]),
        (b"application/json", b"gzip", [gzip.compress(b" " * (9 * MAX_JSON_BYTES), 1)]),
        (b"application/json", b"", [b" " * MAX_JSON_BYTES, MESSAGE]),
        (SSE, b"", [b"event: message_start\ndata: {broken\n\n"]),
        (SSE, b"", [b'event: message_delta\ndata: {"usage": 3, "delta": []}\n\n']),
        (SSE, b"", [b'event: message_delta\ndata: {"usage": {"output_tokens": true}}\n\n']),
        (SSE, b"", [b'event: message_delta\ndata: {"usage": {"output_tokens": -1}}\n\n']),
    ],
)
def test_what_cannot_be_followed_has_no_usage(
    kind: bytes, coding: bytes, chunks: list[bytes]
) -> None:
    """Anything broken, unknown or too large says nothing, and never raises."""
    assert Usage() == _tapped(kind, coding, *chunks)
