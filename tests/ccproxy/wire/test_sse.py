"""Server-sent events out of bytes at any split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.wire.sse import SseDecoder

CASES = [
    ("two events", b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", [("a", b"1"), ("b", b"2")]),
    ("CRLF", b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", [("a", b"1"), ("message", b"2")]),
    ("CR", b"event: a\rdata: 1\r\rdata: 2\r\r", [("a", b"1"), ("message", b"2")]),
    ("several data lines", b"data: 1\ndata:2\ndata\ndata:  3\n\n", [("message", b"1\n2\n\n 3")]),
    ("comments and unknown fields", b": hi\nid: 7\nretry: 1\nx\ndata: 1\n\n", [("message", b"1")]),
    ("no data, no event", b"event: a\n\n\n\ndata: 1\n\n", [("message", b"1")]),
    ("byte order mark", b"\xef\xbb\xbfevent: a\ndata: 1\n\n", [("a", b"1")]),
    ("cut before the blank line", b"data: 1\n\ndata: 2\n", [("message", b"1")]),
    (
        "separators that only look like line ends",
        "data: 😀\u2028é\x85\x0b\x0c\n\n".encode(),
        [("message", "😀\u2028é\x85\x0b\x0c".encode())],
    ),
    ("name that is not UTF-8", b"event: \xff\ndata: 1\n\n", [("\ufffd", b"1")]),
]


@pytest.mark.parametrize(("raw", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_whole_and_byte_by_byte(raw: bytes, expected: list[tuple[str, bytes]]) -> None:
    """A stream gives the same events whole and byte by byte (conformance 161)."""
    assert SseDecoder().feed(raw) == expected
    decoder = SseDecoder()
    assert [event for i in range(len(raw)) for event in decoder.feed(raw[i : i + 1])] == expected


def test_an_event_comes_with_its_blank_line() -> None:
    """An event is given at once, not with the next chunk, whatever the line ends."""
    decoder = SseDecoder()
    assert decoder.feed(b"data: 1\r\n\r") == [("message", b"1")]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: 2\n\n") == [("message", b"2")]


@given(
    st.lists(
        st.sampled_from([b"data", b"event", b":", b" ", b"\r", b"\n", b"\r\n", b"x", b"\xc2\x85"]),
        max_size=40,
    ),
    st.data(),
)
def test_the_split_does_not_matter(pieces: list[bytes], data: st.DataObject) -> None:
    """Any bytes give the same events at any split, empty chunks included."""
    raw = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    decoder = SseDecoder()
    events = [
        event
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)
        for event in decoder.feed(raw[start:end])
    ]
    assert events == SseDecoder().feed(raw)
