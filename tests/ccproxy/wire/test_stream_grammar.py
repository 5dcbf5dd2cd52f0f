"""The grammar checker accepts a right stream and names the rule that a wrong one breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccproxy.ports import ModelDelta
from ccproxy.wire.assemble import ThinkingDisplay
from tests.support.grammar import GrammarError, check_stream
from tests.support.model_answers import Answer, call

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER = Answer(
    [ModelDelta("hm", "Hi", (call(path="a"),))], request={"thinking": ThinkingDisplay.SHOWN}
)
FRAMES = ANSWER.frames()
# The frames by position, as the faults below name them.
START, THINKING_START, THINKING_DELTA, SIGNATURE, THINKING_STOP = range(5)
TEXT_START, TEXT_DELTA, TEXT_STOP, TOOL_START, TOOL_DELTA, TOOL_STOP = range(5, 11)
MESSAGE_DELTA, MESSAGE_STOP = 11, 12
ERROR = b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n'

Fault = tuple[str, int, "Callable[[list[bytes]], list[bytes]]"]


def _without(*positions: int) -> Callable[[list[bytes]], list[bytes]]:
    return lambda frames: [f for i, f in enumerate(frames) if i not in positions]


def _cut(length: int, *more: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda frames: [*frames[:length], *more]


def _changed(position: int, old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def change(frames: list[bytes]) -> list[bytes]:
        assert old in frames[position]
        return [f.replace(old, new) if i == position else f for i, f in enumerate(frames)]

    return change


def _edited(position: int, path: str, *value: Any) -> Callable[[list[bytes]], list[bytes]]:
    """Set, or without a value delete, the key at a dotted path of a frame's JSON."""

    def edit(frames: list[bytes]) -> list[bytes]:
        head, data = frames[position].rstrip(b"\n").split(b"\ndata: ")
        payload = inner = orjson.loads(data)
        *keys, last = path.split(".")
        for key in keys:
            inner = inner[key]
        if value:
            inner[last] = value[0]
        else:
            del inner[last]
        frame = head + b"\ndata: " + orjson.dumps(payload) + b"\n\n"
        return [*frames[:position], frame, *frames[position + 1 :]]

    return edit


def _inserted(position: int, frame: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda frames: [*frames[:position], frame, *frames[position:]]


def _every(change: Callable[[bytes], bytes]) -> Callable[[list[bytes]], list[bytes]]:
    return lambda frames: [change(frame) for frame in frames]


MATRIX: list[Fault] = [
    ("no event: lines", 131, _every(lambda f: f[f.index(b"data:") :])),
    ("event: message for all", 131, _every(lambda f: b"event: message\n" + f[f.index(b"data:") :])),
    ("message_start without content", 133, _edited(START, "message.content")),
    ("message_start with null content", 133, _edited(START, "message.content", None)),
    ("message_start without usage", 133, _edited(START, "message.usage")),
    ("no message_start", 132, _without(START)),
    ("two message_start", 132, _inserted(1, FRAMES[START])),
    ("text start without text", 136, _edited(TEXT_START, "content_block.text")),
    ("thinking start without thinking", 137, _edited(THINKING_START, "content_block.thinking")),
    ("thinking without signature_delta", 138, _without(SIGNATURE)),
    ("index gap", 134, _every(lambda f: f.replace(b'"index":2', b'"index":3'))),
    ("delta before start", 135, _without(THINKING_START)),
    ("missing content_block_stop", 135, _without(TEXT_STOP)),
    ("missing last content_block_stop", 147, _without(TOOL_STOP)),
    ("invalid tool JSON", 142, _edited(TOOL_DELTA, "delta.partial_json", '{"a":tru e}')),
    ("truncated tool JSON", 142, _edited(TOOL_DELTA, "delta.partial_json", '{"path":"a')),
    ("message_delta without usage", 145, _edited(MESSAGE_DELTA, "usage")),
    ("no message_delta", 147, _without(MESSAGE_DELTA)),
    ("no message_stop", 147, _without(MESSAGE_STOP)),
    ("cut mid-block", 147, _cut(TEXT_DELTA + 1)),
    ("error JSON without event: error", 131, _cut(8, ERROR[ERROR.index(b"data:") :])),
    ("event: done and [DONE]", 148, _inserted(13, b"event: done\ndata: [DONE]\n\n")),
    ("data: [DONE] without event", 131, _inserted(13, b"data: [DONE]\n\n")),
    ("unknown event", 143, _inserted(1, b'event: hello\ndata: {"type":"hello"}\n\n')),
    ("unknown block", 143, _edited(TEXT_START, "content_block.type", "video")),
    ("unknown delta", 143, _edited(TEXT_DELTA, "delta.type", "video_delta")),
    ("unknown stop_reason", 119, _edited(MESSAGE_DELTA, "delta.stop_reason", "tired")),
]
"""Every row of the matrix of faults measured with real SDKs that is a matter of grammar."""

MORE: list[Fault] = [
    (
        "event name and type differ",
        131,
        _changed(TEXT_DELTA, b"event: content_block_delta", b"event: ping"),
    ),
    ("JSON over two lines", 131, _changed(TEXT_DELTA, b'"delta"', b'\ndata: "delta"')),
    ("CRLF", 131, _every(lambda f: f.replace(b"\n", b"\r\n"))),
    ("no last blank line", 131, _changed(MESSAGE_STOP, b"\n\n", b"\n")),
    ("not UTF-8", 131, _changed(TEXT_DELTA, b"Hi", b"\xff")),
    ("NaN", 131, _changed(MESSAGE_DELTA, b":12,", b":NaN,")),
    ("an array", 131, _inserted(1, b"event: ping\ndata: []\n\n")),
    ("U+2028 as it is", 130, _changed(TEXT_DELTA, b"Hi", "\u2028".encode())),
    ("role of a user", 133, _edited(START, "message.role", "user")),
    ("no stop_sequence at the start", 133, _edited(START, "message.stop_sequence")),
    ("id of another kind", 133, _edited(START, "message.id", "chatcmpl-1")),
    ("model null", 133, _edited(START, "message.model", None)),
    ("no input at the start", 220, _edited(START, "message.usage.input_tokens", 0)),
    ("null count", 122, _edited(MESSAGE_DELTA, "usage.output_tokens", None)),
    ("no input count at the end", 122, _edited(MESSAGE_DELTA, "usage.input_tokens")),
    ("text start with text", 136, _edited(TEXT_START, "content_block.text", "x")),
    ("thinking start unsigned", 137, _edited(THINKING_START, "content_block.signature")),
    ("signature null", 143, _edited(SIGNATURE, "delta.signature", None)),
    ("signature empty", 205, _edited(SIGNATURE, "delta.signature", "")),
    ("two signatures", 138, _inserted(SIGNATURE, FRAMES[SIGNATURE])),
    ("thinking after the signature", 138, _inserted(THINKING_STOP, FRAMES[THINKING_DELTA])),
    (
        "text in a thinking block",
        143,
        _edited(THINKING_DELTA, "delta", {"type": "text_delta", "text": "a"}),
    ),
    ("empty text_delta", 205, _edited(TEXT_DELTA, "delta.text", "")),
    ("empty text block", 126, _without(TEXT_DELTA)),
    ("whitespace text block", 126, _edited(TEXT_DELTA, "delta.text", "\n\n")),
    ("tool_use without input", 140, _edited(TOOL_START, "content_block.input")),
    ("tool_use with input at once", 140, _edited(TOOL_START, "content_block.input", {"a": 1})),
    ("tool_use without name", 140, _edited(TOOL_START, "content_block.name")),
    ("tool id with a space", 125, _edited(TOOL_START, "content_block.id", "a b")),
    ("partial_json null", 143, _edited(TOOL_DELTA, "delta.partial_json", None)),
    ("array as input", 142, _edited(TOOL_DELTA, "delta.partial_json", "[]")),
    ("wrong index in a delta", 134, _edited(TEXT_DELTA, "index", 0)),
    ("stop of a closed block", 135, _inserted(TEXT_START, FRAMES[THINKING_STOP])),
    ("a block after message_delta", 147, _inserted(MESSAGE_STOP, FRAMES[TEXT_START])),
    ("message_stop twice", 148, _inserted(MESSAGE_STOP, FRAMES[MESSAGE_STOP])),
    ("tool_use missing", 127, _without(TOOL_START, TOOL_DELTA, TOOL_STOP)),
    ("end_turn with a tool call", 127, _edited(MESSAGE_DELTA, "delta.stop_reason", "end_turn")),
    ("no stop_sequence", 120, _edited(MESSAGE_DELTA, "delta.stop_sequence")),
    ("empty stop_sequence", 120, _edited(MESSAGE_DELTA, "delta.stop_sequence", "")),
    ("stop_sequence without the reason", 120, _edited(MESSAGE_DELTA, "delta.stop_sequence", "x")),
    ("anything after an error", 148, _cut(8, ERROR, FRAMES[MESSAGE_DELTA])),
    ("an error after message_delta", 155, _inserted(MESSAGE_STOP, ERROR)),
    ("an error of a library", 156, _cut(8, ERROR.replace(b"api_error", b"Timeout"))),
    ("an error without words", 155, _cut(8, ERROR.replace(b'"x"', b'""'))),
    ("nothing", 147, _cut(0)),
    (
        "a ping with something in it",
        150,
        _inserted(1, b'event: ping\ndata: {"type":"ping","a":1}\n\n'),
    ),
    ("usage that shrinks", 146, _edited(START, "message.usage.output_tokens", 8)),
    (
        "the same tool id twice",
        125,
        lambda frames: [
            *frames[:MESSAGE_DELTA],
            *(f.replace(b'"index":2', b'"index":3') for f in frames[TOOL_START:MESSAGE_DELTA]),
            *frames[MESSAGE_DELTA:],
        ],
    ),
]


def test_the_right_stream_passes() -> None:
    """A right stream gives the Message that its events carry."""
    checked = check_stream(b"".join(FRAMES))
    assert checked.error is None
    assert checked.message == ANSWER.message()


def test_pings_comments_and_an_error_pass() -> None:
    """Pings and comments may come anywhere, an error may end a stream anywhere (150, 155)."""
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    checked = check_stream(b"".join([ping, b": hello\n\n", *FRAMES[:7], ping, ERROR]))
    assert checked.error == {"type": "api_error", "message": "x"}
    assert check_stream(ERROR).message == {}


def test_pairs_pass_without_framing() -> None:
    """Events that were decoded already can be checked too."""
    pairs = [("message_start", FRAMES[0].split(b"data: ")[1].strip())]
    with pytest.raises(GrammarError, match="147: the stream ends"):
        check_stream(pairs)


@pytest.mark.parametrize("fault", [*MATRIX, *MORE], ids=lambda fault: fault[0])
def test_each_fault_is_named(fault: Fault) -> None:
    """A fault is refused with the number of the rule it breaks."""
    _, number, spoil = fault
    with pytest.raises(GrammarError, match=f"^{number}: "):
        check_stream(b"".join(spoil(list(FRAMES))))
