"""The Message of a client that does not stream."""

from __future__ import annotations

import pytest

from ccproxy.ports import ModelDelta
from ccproxy.wire.assemble import ThinkingDisplay
from ccproxy.wire.collect import Collector
from ccproxy.wire.events import (
    BlockStop,
    MessageDelta,
    MessageStart,
    MessageStop,
    Ping,
    StopReason,
    StreamError,
    ToolUseStart,
)
from ccproxy.wire.signature import LOCAL_SIGNATURE
from tests.support.model_answers import Answer, call


def test_message() -> None:
    """The Message has every field, and its blocks have theirs (117, 118, 119, 120, 122, 123, 125)."""
    deltas = [
        ModelDelta(thinking="h"),
        ModelDelta(thinking="m"),
        ModelDelta(text="Hi"),
        ModelDelta(text=" you"),
        ModelDelta(tool_calls=(call(z=1, a=["é"]), call("Bash", None))),
    ]
    message = Answer(deltas, request={"thinking": ThinkingDisplay.SHOWN}).message()
    assert message == {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": "qwen-coder",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": LOCAL_SIGNATURE},
            {"type": "text", "text": "Hi you"},
            {"type": "tool_use", "id": "call_1", "name": "Read", "input": {"z": 1, "a": ["é"]}},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 12,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 7,
        },
    }
    assert list(message["content"][2]["input"]) == ["z", "a"]


def test_an_empty_answer_has_an_empty_list() -> None:
    """`content` is `[]`, never null (118)."""
    assert Answer([]).message()["content"] == []


def test_the_stop_sequence_is_named() -> None:
    """The sequence that matched stands in the Message (120)."""
    answer = Answer([ModelDelta(text="a\n\nb")], request={"stop_sequences": ["\n\n"]})
    message = answer.message()
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "\n\n")
    assert message["content"] == [{"type": "text", "text": "a"}]


def test_a_call_without_input_deltas_has_an_empty_input() -> None:
    """A call without deltas has `{}` (141); a ping changes nothing (150)."""
    collector = Collector()
    for event in (
        MessageStart("msg_1", "m", 1),
        Ping(),
        ToolUseStart(0, "toolu_1", "Read"),
        BlockStop(0),
        MessageDelta(StopReason.TOOL_USE, None, 1, 1),
        MessageStop(),
    ):
        collector.add(event)
    assert collector.message()["content"][0]["input"] == {}


def test_no_message_before_the_end() -> None:
    """Half an answer is not a Message (119)."""
    collector = Collector()
    collector.add(MessageStart("msg_1", "m", 1))
    with pytest.raises(ValueError, match="not complete"):
        collector.message()


def test_no_message_of_a_broken_answer() -> None:
    """An error event is refused: it has to become an HTTP error (154)."""
    with pytest.raises(ValueError, match="It broke"):
        Collector().add(StreamError("api_error", "It broke."))
