"""Claude's stream behind a `message_start` of ours: what is left out, what is added, what stays."""

import json

import pytest

from ccproxy.ports import AttemptFailed
from ccproxy.wire.continued import MAX_FRAME_BYTES, ContinuedStream, claudes_error
from routing.failures import FailureClass
from tests.support.grammar import check_stream
from tests.support.sdk_stream import accumulated

USAGE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 7},
    "output_tokens": 1,
    "service_tier": "standard",
}


def frame(name, **members):
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def start(**usage):
    shell = {"id": "msg_up", "type": "message", "role": "assistant", "model": "claude-x"}
    shell |= {"content": [], "stop_reason": None, "stop_sequence": None}
    return frame("message_start", message={**shell, "usage": usage})


def end(**usage):
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return frame("message_delta", delta=delta, usage=usage)


OURS = start(input_tokens=900, output_tokens=0)
START = start(**USAGE)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
COMMENT = b": still there\n\n"
CONTENT = b"".join(
    [
        frame("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        PING,
        frame("content_block_delta", index=0, delta={"type": "text_delta", "text": "wörd 😀"}),
        frame(
            "content_block_delta",
            index=0,
            delta={"type": "text_delta", "text": "event: message_start message_delta"},
        ),
        COMMENT,
        frame("content_block_stop", index=0),
    ]
)
STOP = frame("message_stop")
COUNTS = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 5,
    "output_tokens": 9,
}
FULL_END = end(**COUNTS)
ERROR = frame("error", error={"type": "rate_limit_error", "message": "Slow down."})


def relayed(raw, size=10**9):
    """Return what becomes of bytes that arrive in pieces of a size."""
    stream = ContinuedStream()
    pieces = [stream.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
    return b"".join(pieces) + stream.finish()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("before", [b"", PING, COMMENT, b"\n"])
def test_only_the_start_is_missing(ending, before):
    """Every other byte is Claude's, wherever the pieces are cut (conformance 132, 271)."""
    tail = CONTENT + FULL_END + STOP + COMMENT + b": no blank line behind"
    raw = (before + START + tail).replace(b"\n", ending)
    expected = (b"" if before == b"\n" else before) + tail
    expected = expected.replace(b"\n", ending)

    assert {expected} == {relayed(raw, size) for size in (1, 2, 3, 7, len(raw))}
    for cut in range(len(raw)):
        stream = ContinuedStream()
        assert expected == stream.feed(raw[:cut]) + stream.feed(raw[cut:]) + stream.finish(), cut


def test_whole_frames_alone_are_handed_on():
    """After each piece a ping of ours could be sent: nothing ends inside a frame (conformance 150)."""
    stream = ContinuedStream()
    raw = START + CONTENT + FULL_END + STOP
    for at in range(len(raw)):
        piece = stream.feed(raw[at : at + 1])
        assert not piece or piece.endswith(b"\n\n")


def test_a_frame_is_handed_on_at_once():
    """With its last byte a frame is on its way (conformance 153)."""
    stream = ContinuedStream()
    stream.feed(START)

    assert CONTENT == stream.feed(CONTENT)


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ({"output_tokens": 9}, True),
        ({"output_tokens": 9, "input_tokens": 11}, True),
        ({"output_tokens": 9, "input_tokens": None, "cache_read_input_tokens": None}, True),
        (COUNTS, False),
    ],
    ids=["bare", "some", "nulls", "all"],
)
def test_the_last_usage_is_whole(said, whole):
    """What only `message_start` counted of the input is in `message_delta` (conformance 122, 146)."""
    raw = START + CONTENT + end(**said) + STOP
    answer = relayed(raw, 5)

    final = json.loads(answer.split(b"message_delta\ndata: ")[1].split(b"\n")[0])
    assert COUNTS == final["usage"]
    assert {"stop_reason": "end_turn", "stop_sequence": None} == final["delta"]
    assert whole == (end(**said) not in answer)
    usage = accumulated(OURS + answer).usage
    assert (11, 7, 5, 9) == (
        usage.input_tokens,
        usage.cache_creation_input_tokens,
        usage.cache_read_input_tokens,
        usage.output_tokens,
    )


def test_counts_that_were_said_later_stand():
    """`message_delta` is cumulative: its own counts are never replaced (conformance 146)."""
    raw = START + CONTENT + end(input_tokens=400, output_tokens=9) + STOP

    usage = accumulated(OURS + relayed(raw)).usage

    assert (400, 5) == (usage.input_tokens, usage.cache_read_input_tokens)


@pytest.mark.parametrize(
    "odd",
    [
        b'event: message_delta\ndata: {"type":"message_delta","usage":7}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta"}\n\n',
        b"event: message_delta\ndata: {broken\n\n",
        b'event: message_delta\ndata: {"usage":\ndata: {}}\n\n',
        b"event: message_delta\n\n",
    ],
)
def test_an_odd_end_is_left_as_it_is(odd):
    """A `message_delta` that cannot be read is Claude's affair."""
    assert CONTENT + odd == relayed(START + CONTENT + odd)


def test_the_grammar_is_kept():
    """Behind our start the rest makes a whole stream (conformance 132, 146)."""
    checked = check_stream(OURS + relayed(START + CONTENT + end(output_tokens=9) + STOP))

    assert "wörd 😀" == checked.message["content"][0]["text"][:6]
    assert 11 == checked.message["usage"]["input_tokens"]


@pytest.mark.parametrize("before", [b"", START, PING + START + PING])
@pytest.mark.parametrize("size", [1, 10**6])
def test_an_error_before_content_is_not_handed_on(before, size):
    """Another attempt may still answer; the failure keeps Claude's type and words (design 5)."""
    with pytest.raises(AttemptFailed, match=r"Slow down\.") as failed:
        relayed(before + ERROR, size)

    assert (FailureClass.RATE_LIMIT, "rate_limit_error") == (
        failed.value.failure,
        failed.value.error_type,
    )


def test_an_error_after_content_is_handed_on():
    """Nothing is tried again then: the client reads Claude's own event (conformance 155)."""
    assert CONTENT + ERROR == relayed(START + CONTENT + ERROR)


def test_an_answer_without_content_is_an_answer():
    """Claude may have nothing to say; nobody else is asked then."""
    stream = ContinuedStream()
    answer = stream.feed(START + end(output_tokens=2) + STOP)

    assert stream.started
    assert [] == check_stream(OURS + answer).message["content"]


@pytest.mark.parametrize("raw", [b"", START, START + PING, START + b"event: content_block_start\n"])
def test_a_stream_without_anything_broke_off(raw):
    """An end before any content is a failure (conformance 157)."""
    stream = ContinuedStream()
    stream.feed(raw)

    assert not stream.started
    with pytest.raises(AttemptFailed) as failed:
        stream.finish()
    assert FailureClass.BROKEN_STREAM == failed.value.failure


def test_a_frame_without_end_is_given_up():
    """What has to be held until it is whole has a limit."""
    stream = ContinuedStream()
    for _ in range(MAX_FRAME_BYTES // 65536):
        stream.feed(b"a" * 65536)
    with pytest.raises(AttemptFailed) as failed:
        stream.feed(b"a")

    assert FailureClass.MALFORMED_OUTPUT == failed.value.failure


@pytest.mark.parametrize(
    ("body", "status", "failure", "error_type", "words"),
    [
        (ERROR.split(b"data: ")[1], 429, "rate_limit", "rate_limit_error", "Slow down."),
        (ERROR.split(b"data: ")[1], 400, "client_fault", "rate_limit_error", "Slow down."),
        (b"<html>", 502, "overloaded", "api_error", "Claude answered with HTTP 502."),
        (b"", 529, "overloaded", "overloaded_error", "Claude answered with HTTP 529."),
        (b"", 401, "upstream_auth", "authentication_error", "Claude answered with HTTP 401."),
        (b'{"error":"x"}', None, "overloaded", "api_error", "Claude answered with HTTP 500."),
        (b'{"error":{"type":"new","message":"?"}}', None, "overloaded", "new", "?"),
        (b"[]", None, "overloaded", "api_error", "Claude answered with HTTP 500."),
    ],
)
def test_an_error_in_claudes_words(body, status, failure, error_type, words):
    """Its envelope says type and words, its status or type the class (conformance 046, 047)."""
    failed = claudes_error(body, status)

    assert (failure, error_type, words) == (failed.failure, failed.error_type, failed.message)
