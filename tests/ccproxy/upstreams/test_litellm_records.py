"""Ollama's records as deltas, without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from ccproxy.ports import AttemptFailed, ModelDelta, ModelDone, ToolCall
from ccproxy.upstreams.litellm_records import RecordReader
from routing.failures import FailureClass
from tests.support.scripted_ollama import done, line, said

Event = ModelDelta | ModelDone


def read(*chunks: bytes) -> list[Event]:
    """Feed chunks and the end, and return everything that was said."""
    reader = RecordReader(name="qwen", context_tokens=4096)
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return [*events, *reader.finish()]


def called(arguments: Any, **more: Any) -> dict[str, Any]:
    """Return an entry of `tool_calls`."""
    return {"function": {"index": 0, "name": "f", "arguments": arguments}, **more}


def call(identifier: str | None, **arguments: Any) -> ToolCall:
    """Return the call that is expected."""
    return ToolCall(identifier, "f", arguments)


END = ModelDone("stop")

CASES: list[tuple[str, bytes, list[Event]]] = [
    ("text as it is, whitespace included (224)", said(content=" a\n") + done(), [ModelDelta(text=" a\n"), END]),
    ("an empty record says nothing (205)", said(content="") + done(), [END]),
    ("a null content says nothing (205)", said(content=None) + done(), [END]),
    ("thinking is apart from text (206)", said(thinking="h") + done(), [ModelDelta(thinking="h"), END]),
    (
        "one record may hold everything (208)",
        done(message={"content": "b", "thinking": "a", "tool_calls": [called({"x": 1})]}),
        [ModelDelta("a", "b", (call(None, x=1),)), END],
    ),
    (
        "two calls in one record, both with index 0 (209)",
        said(tool_calls=[called({"x": 1}, id="c1"), called({"x": 2}, id="c2")]) + done(),
        [ModelDelta(tool_calls=(call("c1", x=1), call("c2", x=2))), END],
    ),
    (
        "calls in two records, both with index 0 (209)",
        said(tool_calls=[called({"x": 1})]) + said(tool_calls=[called({"x": 2})]) + done(),
        [ModelDelta(tool_calls=(call(None, x=1),)), ModelDelta(tool_calls=(call(None, x=2),)), END],
    ),
    ("an empty id is none (210)", said(tool_calls=[called({}, id="")]) + done(), [ModelDelta(tool_calls=(call(None),)), END]),
    ("arguments as a JSON string (211)", said(tool_calls=[called('{"x": 1}')]) + done(), [ModelDelta(tool_calls=(call(None, x=1),)), END]),
    ("no arguments (211)", said(tool_calls=[called(None)]) + done(), [ModelDelta(tool_calls=(call(None),)), END]),
    (
        "markup in the text is text (212)",
        said(content="<think>h</think><tool_call>{") + done(),
        [ModelDelta(text="<think>h</think><tool_call>{"), END],
    ),
    ("text after a call (213)", said(tool_calls=[called({})]) + said(content="a") + done(), [ModelDelta(tool_calls=(call(None),)), ModelDelta(text="a"), END]),
    ("an answer cut by the output limit (214)", done("length"), [ModelDone("length")]),
    ("an end without a reason is a stop (214)", line(done=True), [END]),
    (
        "counts and durations of the last record (218)",
        done(prompt_eval_count=7, eval_count=3, load_duration=1_500_000_000, prompt_eval_duration=250_000_000),
        [ModelDone("stop", 7, 3, 1.5, 0.25)],
    ),
    ("nothing after the end counts (148)", done() + said(content="late"), [END]),
    ("blank lines are skipped (204)", b"\n\r\n" + done() + b"\n", [END]),
    ("a last line without an end (204)", done().rstrip(b"\n"), [END]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "stream", "expected"), CASES, ids=[case[0] for case in CASES]
)
def test_records(behaviour: str, stream: bytes, expected: list[Event]) -> None:
    """Each record becomes at most one delta (conformance 204-218)."""
    assert expected == read(stream), behaviour


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_any_chunk_boundary(size: int) -> None:
    """Bytes may be cut anywhere, inside a character too (conformance 161, 204)."""
    stream = said(content="héé 🦊\u2028") + said(tool_calls=[called({"é": "🦊"})]) + done()
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]

    assert read(stream) == read(*chunks)


def test_a_long_line() -> None:
    """A line above one megabyte is read (conformance 204)."""
    text = "x" * 2_000_000

    assert [ModelDelta(text=text), END] == read(said(content=text), done())


def test_a_line_without_end() -> None:
    """What is longer than 8 MiB is no record; no more of it is kept (conformance 204)."""
    reader = RecordReader(name="m", context_tokens=None)
    for _ in range(8):
        assert [] == list(reader.feed(b"a" * 2**20))

    with pytest.raises(AttemptFailed) as caught:
        list(reader.feed(b"a"))

    assert FailureClass.MALFORMED_OUTPUT == caught.value.failure


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short its records, an answer ends at the bound; what it said until then was heard."""
    monkeypatch.setattr("ccproxy.upstreams.litellm_records.MAX_ANSWER_BYTES", 1000)
    reader = RecordReader(name="m", context_tokens=None)
    record = said(content="a")
    for _ in range(1000 // len(record)):
        assert [ModelDelta(text="a")] == list(reader.feed(record))

    with pytest.raises(AttemptFailed) as caught:
        list(reader.feed(record))

    assert FailureClass.MALFORMED_OUTPUT == caught.value.failure


@pytest.mark.parametrize(
    ("stream", "failure"),
    [
        (said(content="a"), FailureClass.BROKEN_STREAM),
        (b"", FailureClass.BROKEN_STREAM),
        (line(error="llama runner process has terminated: exit 2"), FailureClass.BROKEN_STREAM),
        (line(error="something new"), FailureClass.BROKEN_STREAM),
        (line(error="CUDA error: out of memory"), FailureClass.OVERLOADED),
        (line(error="the request exceeds the available context"), FailureClass.CONTEXT_OVERFLOW),
        (b"<html>hello</html>\n", FailureClass.MALFORMED_OUTPUT),
        (b'{"message": {"content": "a"}, "done": fal', FailureClass.MALFORMED_OUTPUT),
        (b"[]\n", FailureClass.MALFORMED_OUTPUT),
        (b'{"message": {"content": "\xff"}}\n', FailureClass.MALFORMED_OUTPUT),
        (line(model="qwen", done=False), FailureClass.MALFORMED_OUTPUT),
        (said(content=1), FailureClass.MALFORMED_OUTPUT),
        (said(tool_calls=[called([1])]), FailureClass.MALFORMED_OUTPUT),
        (said(tool_calls=[called("{")]), FailureClass.MALFORMED_OUTPUT),
        (said(tool_calls=[{"function": {"arguments": {}}}]), FailureClass.MALFORMED_OUTPUT),
        (said(tool_calls=["f"]), FailureClass.MALFORMED_OUTPUT),
        (done("load"), FailureClass.MALFORMED_OUTPUT),
    ],
)
def test_what_is_not_an_answer(stream: bytes, failure: FailureClass) -> None:
    """Everything but `done: true` at the end is a failure (conformance 157, 211, 221, 222)."""
    with pytest.raises(AttemptFailed) as broken:
        read(stream)

    assert failure is broken.value.failure


def test_what_was_said_before_a_failure_is_kept() -> None:
    """Text before a broken line reaches the client before the error does (conformance 221)."""
    reader = RecordReader(name="qwen", context_tokens=None)
    events = reader.feed(said(content="a") + b"{\n")

    assert ModelDelta(text="a") == next(events)
    with pytest.raises(AttemptFailed):
        next(events)
