"""What holds for every answer of a model, however it is cut into pieces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.ports import ModelDelta
from ccproxy.wire.assemble import ThinkingDisplay, error_event
from ccproxy.wire.events import PING, TextDelta, encode
from ccproxy.wire.json_text import encodable
from ccproxy.wire.sse import SseDecoder
from tests.support.grammar import check_stream
from tests.support.model_answers import Answer, answers

if TYPE_CHECKING:
    from typing import Any


def _words(text: str) -> str:
    """Return the text without whitespace, which may be dropped where no block comes of it."""
    return "".join(text.split())


def _joined(message: dict[str, Any], kind: str) -> str:
    return "".join(block[kind] for block in message["content"] if block["type"] == kind)


@given(answers(), st.data())
def test_grammar_holds_and_both_forms_agree(answer: Answer, data: st.DataObject) -> None:
    """Every answer keeps the grammar, at any split, and gives one Message in both forms (128)."""
    raw = b"".join(answer.frames())
    streamed = check_stream(raw)
    assert streamed.error is None
    message = answer.message()
    exact = json.loads(json.dumps(streamed.message), parse_int=_as_collected)
    assert exact == message
    assert orjson.loads(orjson.dumps(message)) == message

    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    decoder = SseDecoder()
    pairs = [
        event
        for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)
        for event in decoder.feed(raw[start:end])
    ]
    assert check_stream(pairs).message == streamed.message


def _as_collected(digits: str) -> int | float:
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else float(digits)


@given(answers())
def test_no_word_is_lost(answer: Answer) -> None:
    """Without stops, text and shown thinking come out whole and in order (205, 206, 224)."""
    request = {"thinking": ThinkingDisplay.SHOWN}
    deltas = [ModelDelta(d.thinking, d.text) for d in answer.deltas]
    message = Answer(deltas, answer.done, request).message()
    for kind, said in (
        ("text", (d.text for d in deltas)),
        ("thinking", (d.thinking for d in deltas)),
    ):
        assert _words(_joined(message, kind)) == _words("".join(map(encodable, said)))


@given(st.lists(st.text(max_size=5), max_size=10))
def test_plain_text_flows(chunks: list[str]) -> None:
    """Once a block is open each non-empty chunk is one delta, at once and unchanged (205, 224)."""
    assembler = Answer([]).assembler()
    said = ""
    for chunk in chunks:
        events = assembler.feed(ModelDelta(text=chunk))
        said += chunk
        if not chunk or not said.strip():
            assert events == []
        elif said[: -len(chunk)].strip():
            assert events == [TextDelta(0, chunk)]
        else:
            assert events[1:] == [TextDelta(0, said)]


@given(answers(), st.data())
def test_the_message_does_not_depend_on_the_chunks(answer: Answer, data: st.DataObject) -> None:
    """Text cut into other chunks gives the same Message, stop sequences included (217)."""
    recut: list[ModelDelta] = []
    for delta in answer.deltas:
        if delta.thinking:
            recut.append(ModelDelta(thinking=encodable(delta.thinking)))
        rest = encodable(delta.text)
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            recut.append(ModelDelta(text=rest[:size]))
            rest = rest[size:]
        recut.extend(ModelDelta(tool_calls=(call,)) for call in delta.tool_calls)
    message, other = answer.message(), Answer(recut, answer.done, answer.request).message()
    if answer.request["stop_sequences"]:
        # How much the model had said when it was stopped depends on its chunks.
        message.pop("usage")
        other.pop("usage")
    assert other == message


@given(answers(), st.integers(0, 8), st.booleans())
def test_an_answer_can_break_anywhere(answer: Answer, after: int, ping: bool) -> None:
    """An error event ends a stream at any point, within a block too (155, 157)."""
    assembler = answer.assembler()
    events = assembler.start()
    for delta in answer.deltas[:after]:
        events += assembler.feed(delta)
    frames = [encode(event) for event in (*events, error_event("api_error", "It broke."))]
    if ping:
        frames.insert(after % len(frames), PING)
    assert check_stream(b"".join(frames)).error == {"type": "api_error", "message": "It broke."}
