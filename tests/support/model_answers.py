"""Answers of a local model for tests of the assembler: written by hand, or drawn by Hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ccproxy.ports import ModelDelta, ModelDone, ToolCall
from ccproxy.wire.assemble import Assembler, ThinkingDisplay
from ccproxy.wire.collect import Collector
from ccproxy.wire.events import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

    from ccproxy.wire.events import Event

OFFERED_TOOLS = frozenset({"Read", "Bash", "werkzeug_ä"})

DONE = ModelDone("stop", 12, 7)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says, and to what kind of request."""

    deltas: Sequence[ModelDelta]
    done: ModelDone = DONE
    request: dict[str, Any] = field(default_factory=dict)
    """Arguments of `Assembler` beyond the usual ones."""

    def assembler(self) -> Assembler:
        """Return a fresh assembler for the request; ids are minted `toolu_1`, `toolu_2`, ..."""
        numbers = count(1)
        usual: dict[str, Any] = {
            "message_id": "msg_test",
            "model": "qwen-coder",
            "input_tokens": 9,
            "offered_tools": OFFERED_TOOLS,
            "mint_tool_id": lambda: f"toolu_{next(numbers)}",
        }
        return Assembler(**usual | self.request)

    def events(self) -> list[Event]:
        """Return all events, as the pipeline would collect them."""
        assembler = self.assembler()
        events = assembler.start()
        for delta in self.deltas:
            events += assembler.feed(delta)
            if assembler.stopped:
                return events + assembler.finish(None)
        return events + assembler.finish(self.done)

    def frames(self) -> list[bytes]:
        """Return the stream's bytes, frame by frame."""
        return [encode(event) for event in self.events()]

    def message(self) -> dict[str, Any]:
        """Return the Message of a client that does not stream."""
        collector = Collector()
        for event in self.events():
            collector.add(event)
        return collector.message()


def call(name: str = "Read", call_id: str | None = "call_1", /, **arguments: Any) -> ToolCall:
    """Return a tool call with these arguments."""
    return ToolCall(call_id, name, arguments)


def wire_text() -> SearchStrategy[str]:
    """Return texts with everything that is hard to encode: surrogates, separators, controls."""
    hard = st.sampled_from('\ud800\udfff\u2028\u2029\x85\x00\r\n \t"\\😀é\x7f\ufeffab')
    # A list, because `st.text` would melt both alphabets into one, in which the hard ones are rare.
    characters = st.one_of(hard, st.characters(exclude_categories=()))
    return st.lists(characters, max_size=8).map("".join)


def json_objects() -> SearchStrategy[dict[str, Any]]:
    """Return the arguments of tool calls: any JSON object, and floats that JSON does not have."""
    leaves = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), wire_text(), st.just(10**30)
    )
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(wire_text(), inner, max_size=3),
        max_leaves=6,
    )
    return st.dictionaries(wire_text(), values, max_size=3)


def tool_calls() -> SearchStrategy[ToolCall]:
    """Return calls of offered and other tools, with ids good, bad, repeated and missing."""
    return st.builds(
        ToolCall,
        st.sampled_from([None, "", "call_1", "call_2", "call_used", "not valid", "naïve", "a\n"]),
        st.sampled_from([*sorted(OFFERED_TOOLS), "Unknown", "Re\ud800ad"]),
        json_objects(),
    )


def deltas() -> SearchStrategy[ModelDelta]:
    """Return steps of an answer: any mixture of thinking, text and tool calls."""
    words = st.one_of(st.just(""), st.sampled_from([" ", "\n\n", "END", "EN", "D"]), wire_text())
    calls = st.one_of(st.just(()), st.lists(tool_calls(), max_size=2).map(tuple))
    return st.builds(ModelDelta, thinking=words, text=words, tool_calls=calls)


def answers() -> SearchStrategy[Answer]:
    """Return whole answers to any kind of request."""
    tokens = st.one_of(st.none(), st.integers(0, 5000))
    requests = st.fixed_dictionaries(
        {
            "thinking": st.sampled_from(ThinkingDisplay),
            "stop_sequences": st.sampled_from([(), ("END",), ("N", "\n\n", "DE")]),
            "max_tool_calls": st.sampled_from([None, 1]),
            "used_tool_ids": st.just(("call_used",)),
            "num_ctx": st.sampled_from([None, 4096]),
            "input_tokens": st.integers(0, 10),
        }
    )
    done = st.builds(ModelDone, st.sampled_from(["stop", "length"]), tokens, tokens)
    return st.builds(Answer, st.lists(deltas(), max_size=8), done, requests)
