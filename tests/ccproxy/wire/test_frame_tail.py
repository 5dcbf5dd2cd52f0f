"""A broken stream ends on a frame boundary, and clients see the error that follows."""

from __future__ import annotations

import anthropic
import httpx2
import pytest

from ccproxy.demo.claude_answers import Answer
from ccproxy.demo.claude_frames import frames
from ccproxy.wire.frame_tail import FrameTail
from tests.support.sizes import count

USAGE = {"input_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
STREAM = b"".join(
    frames(
        Answer(
            "claude-x", [{"type": "text", "text": "ä€😀\u0800\U00010000"}], "end_turn", 2, USAGE
        ),
        "msg_1",
    )
)
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"gone"}}\n\n'


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_the_error_is_seen_wherever_the_stream_breaks(size: int, ending: bytes) -> None:
    """The SDK raises the error event, never a decoding error, at any cut (conformance 271)."""
    stream = STREAM.replace(b"\n", ending)
    for cut in range(1, len(stream), count(quick=7, ci=3, full=1)):
        tail = FrameTail()
        for at in range(0, cut, size):
            tail.feed(stream[at : min(at + size, cut)])
        body = stream[:cut] + tail.closing() + ERROR
        client = anthropic.Anthropic(
            api_key="k",
            max_retries=0,
            http_client=anthropic.DefaultHttpxClient(
                transport=httpx2.MockTransport(
                    lambda _, body=body: httpx2.Response(
                        200, headers={"content-type": "text/event-stream"}, content=body
                    )
                )
            ),
        )
        with client, pytest.raises(anthropic.APIStatusError, match="gone"):
            for _ in client.messages.create(
                model="claude-x",
                max_tokens=5,
                messages=[{"role": "user", "content": "x"}],
                stream=True,
            ):
                pass


@pytest.mark.parametrize("body", [b"", STREAM, STREAM.replace(b"\n", b"\r\n")])
def test_nothing_is_added_at_a_boundary(body: bytes) -> None:
    """A stream that ended between frames, or never began, is left alone."""
    tail = FrameTail()
    tail.feed(body)

    assert b"" == tail.closing()
