"""A local model's answer as events of a Messages stream, case by case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ccproxy.ports import AttemptFailed, ModelDelta, ModelDone, ToolCall
from ccproxy.wire.assemble import Assembler, ThinkingDisplay, error_event
from ccproxy.wire.events import (
    BlockStop,
    Event,
    InputJsonDelta,
    MessageDelta,
    MessageStart,
    MessageStop,
    SignatureDelta,
    StreamError,
    TextDelta,
    TextStart,
    ThinkingDelta,
    ThinkingStart,
    ToolUseStart,
)
from ccproxy.wire.signature import LOCAL_SIGNATURE
from routing.failures import FailureClass
from tests.support.grammar import check_stream
from tests.support.model_answers import Answer, call

SHOWN = {"thinking": ThinkingDisplay.SHOWN}


def _text(index: int, *pieces: str) -> list[Event]:
    return [TextStart(index), *(TextDelta(index, piece) for piece in pieces), BlockStop(index)]


def _thinking(index: int, *pieces: str) -> list[Event]:
    return [
        ThinkingStart(index),
        *(ThinkingDelta(index, piece) for piece in pieces),
        SignatureDelta(index, LOCAL_SIGNATURE),
        BlockStop(index),
    ]


def _tool(index: int, tool_id: str, name: str, arguments: str) -> list[Event]:
    start = ToolUseStart(index, tool_id, name)
    return [start, InputJsonDelta(index, arguments), BlockStop(index)]


def _told(index: int, name: str, arguments: str) -> list[Event]:
    told = f'[The model called the tool "{name}", which was not offered, with {arguments}]'
    return _text(index, told)


def _deltas(*steps: str | ToolCall | ModelDelta) -> list[ModelDelta]:
    """Return one delta per step; a text that begins with `~` is thinking."""
    deltas = []
    for step in steps:
        if isinstance(step, ToolCall):
            deltas.append(ModelDelta(tool_calls=(step,)))
        elif isinstance(step, ModelDelta):
            deltas.append(step)
        elif step.startswith("~"):
            deltas.append(ModelDelta(thinking=step[1:]))
        else:
            deltas.append(ModelDelta(text=step))
    return deltas


@dataclass(frozen=True)
class Case:
    """A case; `steps` as in `_deltas`."""

    name: str
    steps: list[Any]
    blocks: list[Event]
    stop_reason: str = "end_turn"
    request: dict[str, Any] = field(default_factory=dict)
    stop_sequence: str | None = None
    notes: tuple[str, ...] = ()


CASES = [
    Case(
        "205: each chunk is one delta", ["Hel", "lo", "", " ", "x"], _text(0, "Hel", "lo", " ", "x")
    ),
    Case("224: whitespace around text", ["\n\n", "  a", "\n "], _text(0, "\n\n  a", "\n ")),
    Case("223: an empty answer", [], []),
    Case("126: whitespace alone is no block", [" ", "\n\n\t"], []),
    Case(
        "126: whitespace before a tool call",
        ["\n\n", call()],
        _tool(0, "call_1", "Read", "{}"),
        "tool_use",
    ),
    Case(
        "126: whitespace before a tool call does not lead what comes after",
        ["\n\n", call(), "a"],
        [*_tool(0, "call_1", "Read", "{}"), *_text(1, "a")],
        "tool_use",
    ),
    Case(
        "206: thinking, text, thinking again",
        ["~a", "~b", "c", "~d", "e"],
        [*_thinking(0, "a", "b"), *_text(1, "c"), *_thinking(2, "d"), *_text(3, "e")],
        request=SHOWN,
    ),
    Case(
        "207: thinking, then a tool call",
        ["~a", call(a=1)],
        [*_thinking(0, "a"), *_tool(1, "call_1", "Read", '{"a":1}')],
        "tool_use",
        SHOWN,
    ),
    Case(
        "208: everything in one chunk",
        [ModelDelta("a", "b", (call(), call("Bash", "call_2", x=[])))],
        [
            *_thinking(0, "a"),
            *_text(1, "b"),
            *_tool(2, "call_1", "Read", "{}"),
            *_tool(3, "call_2", "Bash", '{"x":[]}'),
        ],
        "tool_use",
        SHOWN,
    ),
    Case(
        "139: thinking without its words",
        ["~a", "~b", "c"],
        [ThinkingStart(0), SignatureDelta(0, LOCAL_SIGNATURE), BlockStop(0), *_text(1, "c")],
        request={"thinking": ThinkingDisplay.OMITTED},
    ),
    Case("225: hidden thinking", ["~a", "b", "~c", "d"], _text(0, "b", "d")),
    Case("225: hidden thinking alone", ["~a"], []),
    Case("empty thinking is no block", ["~\n\n", "a"], _text(0, "a"), request=SHOWN),
    Case(
        "whitespace leads its block, whatever came between",
        ["~\n", "~a", "\n", "~b", "c"],
        [*_thinking(0, "\na", "b"), *_text(1, "\nc")],
        request=SHOWN,
    ),
    Case(
        "whitespace of thinking does not break text",
        ["a", "~ ", "b", "~c"],
        [*_text(0, "a", "b"), *_thinking(1, " c")],
        request=SHOWN,
    ),
    Case(
        "213: text after a tool call",
        ["a", call(), "\n", "b"],
        [*_text(0, "a"), *_tool(1, "call_1", "Read", "{}"), *_text(2, "\nb")],
        "tool_use",
    ),
    Case(
        "211: key order and characters of the input",
        [call(z={"b": "é\u2028", "a": None}, y=1.5)],
        _tool(0, "call_1", "Read", '{"z":{"b":"é\\u2028","a":null},"y":1.5}'),
        "tool_use",
    ),
    Case(
        "210: ids kept, and minted where bad, used or twice",
        [
            call("Read", "call_a", n=1),
            call("Read", "call_a", n=2),
            call("Read", "", n=3),
            call("Read", "", n=3),
            call("Read", None),
            call("Read", "a b"),
            call("Read", "a\n"),
            call("Read", "é"),
            call("Read", "call_used"),
        ],
        [
            *_tool(0, "call_a", "Read", '{"n":1}'),
            *_tool(1, "toolu_1", "Read", '{"n":2}'),
            *_tool(2, "toolu_2", "Read", '{"n":3}'),
            *_tool(3, "toolu_3", "Read", '{"n":3}'),
            *_tool(4, "toolu_4", "Read", "{}"),
            *_tool(5, "toolu_5", "Read", "{}"),
            *_tool(6, "toolu_6", "Read", "{}"),
            *_tool(7, "toolu_7", "Read", "{}"),
            *_tool(8, "toolu_8", "Read", "{}"),
        ],
        "tool_use",
        {"used_tool_ids": ["call_used"]},
    ),
    Case(
        "209: the same call again",
        [call(n=1), call("Bash", "call_1", n=1), call(n=1)],
        [*_tool(0, "call_1", "Read", '{"n":1}'), *_tool(1, "toolu_1", "Bash", '{"n":1}')],
        "tool_use",
        notes=("tool_call_repeated=Read",),
    ),
    Case(
        "189: at most one call",
        [ModelDelta(tool_calls=(call(), call("Bash", "call_2"))), call("Read", "call_3")],
        _tool(0, "call_1", "Read", "{}"),
        "tool_use",
        {"max_tool_calls": 1},
        notes=("tool_call_dropped=Bash", "tool_call_dropped=Read"),
    ),
    Case(
        "186: a tool that was not offered",
        ["a", call("Rm\n-rf", "call_9", a="b"), "c"],
        [*_text(0, "a"), *_told(1, "Rm\n-rf", '{"a":"b"}'), *_text(2, "c")],
        notes=("tool_not_offered=Rm?-rf",),
    ),
    Case(
        "186: no tools at all, and the telling is not searched for stops",
        [call("Read")],
        _told(0, "Read", "{}"),
        request={"offered_tools": (), "stop_sequences": ["Read"]},
        notes=("tool_not_offered=Read",),
    ),
    Case(
        "189: a tool that was not offered does not count",
        [call("Nope"), call()],
        [*_told(0, "Nope", "{}"), *_tool(1, "call_1", "Read", "{}")],
        "tool_use",
        {"max_tool_calls": 1},
        notes=("tool_not_offered=Nope",),
    ),
    Case(
        "217: a stop sequence over several chunks",
        ["abE", "N", "Dcd", "more", call()],
        _text(0, "ab"),
        "stop_sequence",
        {"stop_sequences": ["END"]},
        "END",
    ),
    Case(
        "217: after a match the same chunk's tool calls are gone",
        [ModelDelta(text="aEND", tool_calls=(call(),))],
        _text(0, "a"),
        "stop_sequence",
        {"stop_sequences": ["x", "END"]},
        "END",
    ),
    Case(
        "a stop sequence at once",
        ["END"],
        [],
        "stop_sequence",
        {"stop_sequences": ["END"]},
        "END",
    ),
    Case(
        "held text comes out before another block",
        ["aE", "~t", "EN", call()],
        [
            *_text(0, "a", "E"),
            *_thinking(1, "t"),
            *_text(2, "EN"),
            *_tool(3, "call_1", "Read", "{}"),
        ],
        "tool_use",
        {"stop_sequences": ["END"], **SHOWN},
    ),
    Case(
        "held text comes out in order within open thinking",
        ["~t", "E", "~u"],
        [*_thinking(0, "t"), *_text(1, "E"), *_thinking(2, "u")],
        request={"stop_sequences": ["END"], **SHOWN},
    ),
    Case(
        "held text comes out at the end",
        ["aEN"],
        _text(0, "a", "EN"),
        request={"stop_sequences": ["END"]},
    ),
    Case(
        "stops are not looked for in thinking",
        ["~END", "a"],
        [*_thinking(0, "END"), *_text(1, "a")],
        request={"stop_sequences": ["END"], **SHOWN},
    ),
    Case(
        "hidden thinking does not part a stop sequence",
        ["aE", "~t", "ND"],
        _text(0, "a"),
        "stop_sequence",
        {"stop_sequences": ["END"]},
        "END",
    ),
    Case(
        "127: tool calls win over a stop sequence after them",
        [call(), "aEND"],
        [*_tool(0, "call_1", "Read", "{}"), *_text(1, "a")],
        "tool_use",
        {"stop_sequences": ["END"]},
    ),
    Case(
        "130: characters that UTF-8 has not",
        ["a\ud800", "\ud83d\ude00"],
        _text(0, "a\ufffd", "😀"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_blocks(case: Case) -> None:
    """A model's steps become exactly these events; the name says which rule is shown."""
    answer = Answer(_deltas(*case.steps), request=case.request)
    events = answer.events()
    assert events[0] == MessageStart("msg_test", "qwen-coder", 9)
    assert events[1:-2] == case.blocks
    end = events[-2]
    assert isinstance(end, MessageDelta)
    assert (end.stop_reason, end.stop_sequence) == (case.stop_reason, case.stop_sequence)
    assert events[-1] == MessageStop()
    check_stream(b"".join(answer.frames()))
    assembler = answer.assembler()
    for delta in answer.deltas:
        assembler.feed(delta)
    assert assembler.notes == list(case.notes)


def test_the_stream_byte_for_byte() -> None:
    """A whole answer with thinking, text and a tool call, as bytes.

    (conformance 131, 133, 134, 135, 136, 137, 138, 140, 145, 147, 226)
    """
    answer = Answer(_deltas("~hm", "Hi", call(path="ä")), request=SHOWN)
    start, delta = b"event: content_block_start\ndata: ", b"event: content_block_delta\ndata: "
    stop = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
    usage = b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":%d}'
    assert b"".join(answer.frames()) == b"".join(
        (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_test",',
            b'"type":"message","role":"assistant","model":"qwen-coder","content":[],',
            b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,',
            usage % 0 + b"}}\n\n",
            start + b'{"type":"content_block_start","index":0,"content_block":',
            b'{"type":"thinking","thinking":"","signature":""}}\n\n',
            delta + b'{"type":"content_block_delta","index":0,"delta":',
            b'{"type":"thinking_delta","thinking":"hm"}}\n\n',
            delta + b'{"type":"content_block_delta","index":0,"delta":',
            b'{"type":"signature_delta","signature":"ccproxy-local-thinking-v1"}}\n\n',
            stop % 0,
            start + b'{"type":"content_block_start","index":1,"content_block":',
            b'{"type":"text","text":""}}\n\n',
            delta + b'{"type":"content_block_delta","index":1,"delta":',
            b'{"type":"text_delta","text":"Hi"}}\n\n',
            stop % 1,
            start + b'{"type":"content_block_start","index":2,"content_block":',
            b'{"type":"tool_use","id":"call_1","name":"Read","input":{}}}\n\n',
            delta + b'{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta",',
            b'"partial_json":"{\\"path\\":\\"\xc3\xa4\\"}"}}\n\n',
            stop % 2,
            b'event: message_delta\ndata: {"type":"message_delta","delta":',
            b'{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":12,',
            usage % 7 + b"}\n\n",
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        )
    )


@pytest.mark.parametrize(
    ("done", "num_ctx", "expected"),
    [
        (ModelDone("stop", 100, 5), 100, "end_turn"),
        (ModelDone("length", 90, 9), 100, "max_tokens"),
        (ModelDone("length", 90, 10), 100, "model_context_window_exceeded"),
        (ModelDone("length", 90, 11), 100, "model_context_window_exceeded"),
        (ModelDone("length", 90, 10), None, "max_tokens"),
        (ModelDone("length", None, None), 100, "max_tokens"),
        (ModelDone("length", None, 100), 100, "model_context_window_exceeded"),
    ],
)
def test_limits(done: ModelDone, num_ctx: int | None, expected: str) -> None:
    """`length` is the context window where the counts fill it, else the limit set (214, 215)."""
    answer = Answer(_deltas("a"), done, {"num_ctx": num_ctx, "max_output_tokens": 10})
    assert answer.message()["stop_reason"] == expected


def test_tool_calls_win_over_length() -> None:
    """A complete call is reported as `tool_use` even if the model then hit a limit (127, 214)."""
    answer = Answer(_deltas(call()), ModelDone("length", 1, 1))
    assert answer.message()["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("steps", "done", "counts", "estimated"),
    [
        (["abc"], ModelDone("stop", 12, 7), (12, 7), set()),
        ([], ModelDone("stop", 12, 0), (12, 0), set()),
        (["12345"], ModelDone("stop"), (9, 2), {"input", "output"}),
        (["12345"], ModelDone("stop", 0, 0), (9, 2), {"input", "output"}),
        (["你好", "~1234"], ModelDone("stop", 12), (12, 3), {"output"}),
        ([call(a=1)], ModelDone("stop", 12), (12, 3), {"output"}),
    ],
)
def test_counts(
    steps: list[Any], done: ModelDone, counts: tuple[int, int], estimated: set[str]
) -> None:
    """The model's counts where it gave any, else estimates that say so (146, 218, 220)."""
    answer = Answer(_deltas(*steps), done)
    message = answer.message()
    assert (message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == counts
    assembler = answer.assembler()
    for delta in answer.deltas:
        assembler.feed(delta)
    assembler.finish(done)
    usage = assembler.usage()
    assert (usage.input_tokens, usage.output_tokens) == counts
    assert usage.stop_reason == message["stop_reason"]
    assert set(usage.extra) == {f"{name}_tokens_estimated" for name in estimated}


def test_usage_while_streaming_is_an_estimate() -> None:
    """Whoever leaves early is accounted for by estimates (218)."""
    assembler = Answer([]).assembler()
    assembler.feed(ModelDelta(text="x" * 400))
    usage = assembler.usage()
    assert (usage.input_tokens, usage.output_tokens, usage.stop_reason) == (9, 100, None)


def test_usage_has_the_models_timings() -> None:
    """Load and prefill times are handed on."""
    assembler = Answer([]).assembler()
    assembler.finish(ModelDone("stop", 1, 0, load_s=2.5, prefill_s=0.25))
    assert assembler.usage().extra == {"load_s": 2.5, "prefill_s": 0.25}


def test_start_counts_at_least_one_token() -> None:
    """`message_start` has input above 0 even for an estimate of 0 (220)."""
    [start] = Answer([], request={"input_tokens": 0}).assembler().start()
    assert start == MessageStart("msg_test", "qwen-coder", 1)


def test_content_has_started_with_the_first_block() -> None:
    """Neither the start nor held whitespace is content: another attempt may still serve."""
    assembler = Answer([]).assembler()
    assembler.start()
    assembler.feed(ModelDelta(thinking="hidden", text="\n"))
    assert not assembler.content_started
    assembler.feed(ModelDelta(text="a"))
    assert assembler.content_started


def _stopped() -> Assembler:
    assembler = Answer([], request={"stop_sequences": ["END"]}).assembler()
    assert not assembler.stopped
    assembler.feed(ModelDelta(text="aEND"))
    assert assembler.stopped
    return assembler


def test_after_a_match_nothing_more_is_emitted() -> None:
    """What the model says between the match and the closing is dropped (217)."""
    assert _stopped().feed(ModelDelta("x", "y", (call(),))) == []


@pytest.mark.parametrize(("done", "counts"), [(None, (9, 1)), (ModelDone("stop", 3, 5), (3, 5))])
def test_finish_after_a_match(done: ModelDone | None, counts: tuple[int, int]) -> None:
    """A match ends the answer with or without the model's own end (216, 217)."""
    end = MessageDelta("stop_sequence", "END", *counts)
    assert _stopped().finish(done) == [BlockStop(0), end, MessageStop()]


def test_finish_without_an_end_is_refused() -> None:
    """A stream that broke off cannot be finished, only broken (157, 222)."""
    assembler = Answer([]).assembler()
    with pytest.raises(ValueError, match="error event"):
        assembler.finish(None)


def test_an_answer_ends_once() -> None:
    """After its end an answer says nothing more (148)."""
    assembler = Answer([]).assembler()
    assembler.finish(ModelDone("stop"))
    assert assembler.feed(ModelDelta(text="late")) == []
    with pytest.raises(ValueError, match="finished"):
        assembler.finish(ModelDone("stop"))


def test_input_that_cannot_be_written_fails_the_attempt() -> None:
    """A bottomless tool input is the model's malformed output, not a crash (142)."""
    value: dict[str, Any] = {}
    for _ in range(100_000):
        value = {"a": value}
    with pytest.raises(AttemptFailed) as caught:
        Answer([]).assembler().feed(ModelDelta(tool_calls=(call(a=value),)))
    assert caught.value.failure is FailureClass.MALFORMED_OUTPUT


@pytest.mark.parametrize(
    ("given_type", "sent_type"),
    [("overloaded_error", "overloaded_error"), ("litellm.Timeout", "api_error")],
)
def test_error_event(given_type: str, sent_type: str) -> None:
    """Clients only ever see documented error types (156)."""
    assert error_event(given_type, "It broke.") == StreamError(sent_type, "It broke.")
