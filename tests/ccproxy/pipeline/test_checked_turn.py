"""A local model's turn as it is relayed, and its repair turn; the model stands at the port."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccproxy.pipeline.checked_turn import REPAIR_TOKENS, checked_turn
from ccproxy.ports import AttemptFailed, ModelCall, ModelDelta, ModelDone, ToolCall
from ccproxy.wire.offered_tools import OfferedTools
from ccproxy.wire.turn import Wanted
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    Item = ModelDelta | ModelDone | FailureClass

STRING = {"type": "string"}
FORECAST = {
    "name": "forecast",
    "input_schema": {
        "type": "object",
        "properties": {"city": STRING, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": STRING}, "required": ["city"]},
}
TITLE = {"type": "object", "properties": {"title": STRING}, "required": ["title"]}
TOOLS = (WEATHER, FORECAST)
ASKED = {"role": "user", "content": "How is the weather?"}


@dataclass
class Model:
    """A model that gives the answers it was told; it counts 10 tokens each unless told otherwise."""

    answers: list[Sequence[Item]]
    calls: list[ModelCall] = field(default_factory=list)
    heard: int = 0
    """Steps of its answers that were read."""

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        self.calls.append(call)
        for item in self.answers.pop(0):
            self.heard += 1
            if isinstance(item, FailureClass):
                raise AttemptFailed(item, "It broke.")
            yield item

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass
class Seen:
    """What came of a turn."""

    model: Model
    deltas: list[ModelDelta] = field(default_factory=list)
    done: ModelDone | None = None
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    failure: AttemptFailed | None = None

    @property
    def content(self) -> list[Any]:
        """What a client would get: texts, `(name, input)` of calls, thinking as `{thinking}`."""
        parts = [part for delta in self.deltas for part in parts_of(delta)]
        joined: list[Any] = []
        for part in parts:
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += f" | {part}"
            else:
                joined.append(part)
        return joined

    @property
    def repair(self) -> list[Any]:
        """What the model was shown for its repair turn, behind the conversation."""
        first, second = self.model.calls
        assert list(first.messages) == list(second.messages[: len(first.messages)])
        return list(second.messages[len(first.messages) :])


def parts_of(delta: ModelDelta) -> list[Any]:
    thinking = [{delta.thinking}] if delta.thinking else []
    text = [delta.text] if delta.text else []
    return [*thinking, *text, *((call.name, call.arguments) for call in delta.tool_calls)]


def wanted(*, tools: Sequence[dict[str, Any]] = TOOLS, **more: Any) -> Wanted:
    return Wanted(OfferedTools(tools), **more)


async def turn(asked: Wanted, *answers: Sequence[Item], limit: int = 4096) -> Seen:
    """Have a model take a turn; an answer without an end gets a good one."""
    told = [
        answer if answer and isinstance(answer[-1], (ModelDone, FailureClass)) else [*answer, DONE]
        for answer in answers
    ]
    seen = Seen(Model(told))
    call = ModelCall(messages=[ASKED], max_output_tokens=limit)
    turns = checked_turn(seen.model, call, asked, counts=seen.counts, notes=seen.notes)
    try:
        async for item in turns:
            if isinstance(item, ModelDone):
                seen.done = item
            else:
                seen.deltas.append(item)
    except AttemptFailed as failed:
        seen.failure = failed
    if seen.failure is None:
        assert [] == seen.model.answers, "an answer was not asked for"
    return seen


DONE = ModelDone("stop", 100, 10)
CUT = ModelDone("length", 100, 10)


def say(text: str) -> ModelDelta:
    return ModelDelta(text=text)


def think(text: str) -> ModelDelta:
    return ModelDelta(thinking=text)


def use(name: str, /, **arguments: Any) -> ModelDelta:
    return ModelDelta(tool_calls=(ToolCall(None, name, arguments),))


def written(name: str, /, **arguments: Any) -> ModelDelta:
    """Return a call that the model wrote into its text."""
    body = orjson.dumps({"name": name, "arguments": arguments}).decode()
    return say(f"<tool_call>\n{body}\n</tool_call>\n")


GOOD = use("forecast", city="x", days=2)
BAD = use("forecast", city="x")
OSLO = use("get_weather", city="Oslo")
ROME = use("get_weather", city="Rome")
UNKNOWN = use("rain")
TITLED = say('{"title":"A"}')
ANY = {"demand": "You must call a tool."}
JSON = {"response_schema": TITLE, "tools": ()}
ONE = {"max_calls": 1}


def content_of(*deltas: ModelDelta) -> list[Any]:
    return [part for delta in deltas for part in parts_of(delta)]


# Name: (what is wanted, the answers, what a client gets, counts, notes)
TURNS: dict[str, tuple[dict[str, Any], list[list[Item]], list[Any], dict[str, int], list[str]]] = {
    "a call said and made": (
        {},
        [[written("get_weather", city="Oslo"), OSLO]],
        [OSLO],
        {"made": 2, "recovered": 1, "dropped": 1},
        ["tool_call_recovered=get_weather", "tool_call_dropped=get_weather"],
    ),
    "a call made and said, with its arguments in another order": (
        {},
        [[GOOD, written("forecast", days=2, city="x")]],
        [GOOD],
        {"made": 2, "recovered": 1, "dropped": 1},
        ["tool_call_recovered=forecast", "tool_call_dropped=forecast"],
    ),
    "1 is not true": (
        {"tools": [{"name": "set", "input_schema": {}}]},
        [[use("set", on=True), written("set", on=1)]],
        [use("set", on=True), use("set", on=1)],
        {"made": 2, "recovered": 1},
        ["tool_call_recovered=set"],
    ),
    "the same call twice is meant": (
        {},
        [[OSLO, OSLO]],
        [OSLO, OSLO],
        {"made": 2},
        [],
    ),
    "a repeat with its arguments in another order": (
        {},
        [[GOOD, BAD], [use("forecast", days=2, city="x"), OSLO]],
        [GOOD, OSLO],
        {"made": 2, "invalid": 1, "repaired": 1},
        ["tool_call_repaired=get_weather"],
    ),
    "JSON that looks like a call": (
        {**JSON, "tools": TOOLS, "response_schema": {"type": "object"}},
        [[say('{"name": "get_weather", "arguments": {"city": "x"}}')]],
        [say('{"name": "get_weather", "arguments": {"city": "x"}}')],
        {},
        [],
    ),
    "a call beside JSON, where no tool is on offer": (
        JSON,
        [[OSLO, TITLED]],
        [TITLED],
        {"made": 1, "dropped": 1},
        ["tool_call_dropped=get_weather"],
    ),
    "a call where no tool is on offer": (
        {"tools": ()},
        [[say("Hm."), OSLO, say("So.")]],
        [say("Hm."), OSLO, say("So.")],
        {"made": 1},
        [],
    ),
    "text that looked like a call stands before the call": (
        {},
        [[say("<tool_call>\n{"), OSLO]],
        [say("<tool_call>\n{"), OSLO],
        {"made": 1},
        [],
    ),
    "code goes on behind a call": (
        {},
        [[say("```text\n"), OSLO, written("get_weather", city="Rome")]],
        [say("```text\n"), OSLO, written("get_weather", city="Rome")],
        {"made": 1},
        [],
    ),
    "a call in text that the token limit cut off": (
        {},
        [[say('<tool_call>{"name":"get_weather","arguments":{"city":"Oslo"'), CUT]],
        [say('<tool_call>{"name":"get_weather","arguments":{"city":"Oslo"')],
        {},
        ["tool_call_unreadable=get_weather"],
    ),
    "words instead of a tool that does not exist": (
        {},
        [[say("Let me see."), UNKNOWN, say("Done!")], [say("I cannot "), say("tell.")]],
        [say("Let me see. | \n\nI cannot tell.")],
        {"made": 1, "not_offered": 1, "dropped": 1},
        ["tool_call_dropped=rain"],
    ),
    "the same beside a call that was right": (
        {},
        [[say("Let me see."), OSLO, say("And"), UNKNOWN], [say("No rain.")]],
        [say("Let me see."), OSLO, say("No rain.")],
        {"made": 2, "not_offered": 1, "dropped": 1},
        ["tool_call_dropped=rain"],
    ),
    "the same where JSON is wanted": (
        {**JSON, "tools": TOOLS},
        [[OSLO, UNKNOWN], [say("No rain.")]],
        [OSLO, say("No rain.")],
        {"made": 2, "not_offered": 1, "dropped": 1},
        ["tool_call_dropped=rain"],
    ),
    "words after a blank line were not glued to anything": (
        {},
        [[say("\n"), UNKNOWN], [say("I cannot tell.")]],
        [say("\n | I cannot tell.")],
        {"made": 1, "not_offered": 1, "dropped": 1},
        ["tool_call_dropped=rain"],
    ),
    "thinking that was not closed": (
        {"tools": ()},
        [[say("<think>Hm. It is 42.")], [say("42")]],
        [think("Hm. It is 42."), say("42")],
        {},
        ["thinking_in_text", "unclosed_thinking_repaired"],
    ),
    "the same, answered by a call": (
        {},
        [[say("<think>Hm.")], [OSLO]],
        [think("Hm."), OSLO],
        {"repaired": 1},
        ["thinking_in_text", "tool_call_repaired=get_weather"],
    ),
    "the same, with a call behind it": (
        {},
        [[say("<think>Hm."), OSLO]],
        [think("Hm."), OSLO],
        {"made": 1},
        ["thinking_in_text"],
    ),
    "the same, where JSON is wanted": (
        JSON,
        [[say('<think>{"title":"A"}')], [TITLED]],
        [think('{"title":"A"}'), TITLED],
        {},
        ["thinking_in_text", "structured_output_repaired"],
    ),
    "the same, cut off": (
        {},
        [[say("<think>Hm."), CUT]],
        [think("Hm.")],
        {},
        ["thinking_in_text"],
    ),
    "the same, with words behind other thinking": (
        {},
        [[say("<think>Hm."), think("So."), say("42")]],
        [think("Hm."), think("So."), say("42")],
        {},
        ["thinking_in_text"],
    ),
    "a stop sequence in held text": (
        {"stop_sequences": ["END"]},
        [[OSLO, say("That was it. EN"), say("D. Now"), UNKNOWN, BAD]],
        [OSLO, say("That was it. END")],
        {"made": 1},
        [],
    ),
    "a stop sequence after a wrong call": (
        {"stop_sequences": ["END"]},
        [[BAD, say("That was it. END. Now"), ROME], [GOOD]],
        [GOOD, say("That was it. END")],
        {"made": 1, "invalid": 1, "repaired": 1},
        ["tool_call_repaired=forecast"],
    ),
    "a stop sequence across a call is none": (
        {"stop_sequences": ["END"]},
        [[OSLO, say("EN"), ROME, say("D")]],
        [OSLO, say("EN"), ROME, say("D")],
        {"made": 2},
        [],
    ),
    "a stop sequence in JSON": (
        {**JSON, "stop_sequences": [","]},
        [[think("Hm."), say('{"title":'), think("So."), say('"A",'), say('"more":1}')]],
        [think("Hm.So."), say('{"title":"A",')],
        {},
        [],
    ),
    "a stop sequence in words that nobody gets": (
        {**ANY, "stop_sequences": ["END"]},
        [[say("END"), OSLO]],
        [OSLO],
        {"made": 1},
        [],
    ),
    "a wrong call without a successor": (
        {},
        [[BAD, use("get_weather"), OSLO], [ROME]],
        [ROME, OSLO],
        {"made": 3, "invalid": 2, "repaired": 1, "dropped": 1},
        ["tool_call_dropped=forecast", "tool_call_repaired=get_weather"],
    ),
    "each call takes the place of its own": (
        {},
        [[BAD, OSLO, use("get_weather")], [ROME, GOOD, use("get_weather", city="Bonn")]],
        [GOOD, OSLO, ROME, use("get_weather", city="Bonn")],
        {"made": 3, "invalid": 2, "repaired": 3},
        [
            "tool_call_repaired=get_weather",
            "tool_call_repaired=forecast",
            "tool_call_repaired=get_weather",
        ],
    ),
    "nothing but words beside a call that was right": (
        {},
        [[OSLO, BAD], [say("That was all.")]],
        [OSLO],
        {"made": 2, "invalid": 1, "dropped": 1},
        ["tool_call_dropped=forecast"],
    ),
    "the same where calls are forced": (
        ANY,
        [[OSLO, UNKNOWN], [say("That was all.")]],
        [OSLO],
        {"made": 2, "not_offered": 1, "dropped": 1},
        ["tool_call_dropped=rain"],
    ),
    "nothing but a repeat of it": (
        {},
        [[OSLO, BAD], [OSLO]],
        [OSLO],
        {"made": 2, "invalid": 1, "dropped": 1},
        ["tool_call_dropped=forecast"],
    ),
    "one call allowed, and the first one is wrong": (
        ONE,
        [[BAD, OSLO]],
        [OSLO],
        {"made": 2, "dropped": 1},
        ["tool_call_dropped=forecast"],
    ),
    "one call allowed, and two are wrong": (
        ONE,
        [[BAD, use("get_weather")], [OSLO, GOOD]],
        [OSLO],
        {"made": 2, "invalid": 1, "repaired": 1, "dropped": 2},
        [
            "tool_call_dropped=get_weather",
            "tool_call_repaired=get_weather",
            "tool_call_dropped=forecast",
        ],
    ),
    "two calls allowed, and one is right": (
        {"max_calls": 2},
        [[OSLO, BAD], [GOOD, ROME]],
        [OSLO, GOOD],
        {"made": 2, "invalid": 1, "repaired": 1, "dropped": 1},
        ["tool_call_repaired=forecast", "tool_call_dropped=get_weather"],
    ),
    "a call that the token limit cut off": (
        {},
        [[OSLO, BAD, CUT]],
        [OSLO],
        {"made": 1, "dropped": 1},
        ["tool_call_dropped=forecast"],
    ),
    "one that was wrong before it": (
        {},
        [[BAD, say("So."), CUT]],
        [say("So.")],
        {"made": 1, "invalid": 1, "dropped": 1},
        ["tool_call_dropped=forecast"],
    ),
    "what was put right in a repair turn is told": (
        {},
        [[BAD], [written("forecast", city="x", days="2")]],
        [GOOD],
        {"made": 1, "invalid": 1, "repaired": 1, "recovered": 1, "coerced": 1},
        [
            "tool_call_repaired=forecast",
            "tool_call_coerced=forecast",
            "tool_call_recovered=forecast",
        ],
    ),
    "JSON in pieces": (
        JSON,
        [[say('{"title"'), think("Hm."), say(':"A"}')]],
        [think("Hm."), TITLED],
        {},
        [],
    ),
    "JSON for a schema that cannot be applied": (
        {**JSON, "response_schema": {"type": 7}},
        [[TITLED]],
        [TITLED],
        {},
        ["structured_output_unchecked"],
    ),
    "JSON at the second attempt": (
        JSON,
        [[think("Hm."), say("A")], [think("So."), say('{"title"'), say(':"A"}')]],
        [think("Hm."), TITLED],
        {},
        ["structured_output_repaired"],
    ),
    "JSON at the second attempt, with a stop sequence in it": (
        {**JSON, "stop_sequences": [","]},
        [[say("A")], [say('{"title":"A",'), say('"more":1}')]],
        [say('{"title":"A",')],
        {},
        ["structured_output_repaired"],
    ),
    "a call at the second attempt": (
        {**JSON, "tools": TOOLS},
        [[say("A")], [OSLO]],
        [OSLO],
        {"repaired": 1},
        ["tool_call_repaired=get_weather"],
    ),
    "JSON instead of a tool that does not exist": (
        {**JSON, "tools": TOOLS},
        [[say("Hm."), UNKNOWN], [say('```json\n{"title":"A"}\n```')]],
        [TITLED],
        {"made": 1, "not_offered": 1, "dropped": 1},
        [
            "structured_output_unwrapped",
            "structured_output_repaired",
            "tool_call_dropped=rain",
        ],
    ),
}


@pytest.mark.parametrize("name", TURNS)
async def test_turns(name: str) -> None:
    """What a client gets of a turn and its repair turn, and what is counted and told of it."""
    asked, answers, content, counts, notes = TURNS[name]

    seen = await turn(wanted(**asked), *answers)

    assert seen.failure is None, seen.failure
    assert content_of(*content) == seen.content
    assert counts == seen.counts
    assert sorted(notes) == sorted(seen.notes)


# Name: (what is wanted, the answers, counts)
FAILURES: dict[str, tuple[dict[str, Any], list[list[Item]], dict[str, int]]] = {
    "wrong twice": ({}, [[BAD], [BAD]], {"made": 1, "invalid": 1, "lost": 1}),
    "wrong twice beside a call that was right": (
        {},
        [[OSLO, BAD], [BAD]],
        {"made": 2, "invalid": 1, "lost": 1},
    ),
    "two wrong ones, and words": (
        {},
        [[BAD, BAD], [say("No.")]],
        {"made": 2, "invalid": 2, "lost": 2},
    ),
    "one wrong, one unknown, and words": (
        {},
        [[BAD, UNKNOWN], [say("No.")]],
        {"made": 2, "invalid": 1, "not_offered": 1, "lost": 2},
    ),
    "an unknown one, and nothing": (
        {},
        [[UNKNOWN], [say(" \n")]],
        {"made": 1, "not_offered": 1, "lost": 1},
    ),
    "words twice where a call is forced": (
        ANY,
        [[say("No.")], [say("No.")]],
        {"missing": 1, "lost": 1},
    ),
    "a repair turn at its limit": (
        {},
        [[BAD], [GOOD, CUT]],
        {"made": 1, "invalid": 1, "lost": 1},
    ),
    "no JSON twice": (JSON, [[say("A")], [say("A")]], {}),
    "no JSON instead of a tool that does not exist": (
        {**JSON, "tools": TOOLS},
        [[UNKNOWN], [say("A")]],
        {"made": 1, "not_offered": 1, "lost": 1},
    ),
    "thinking twice": ({}, [[say("<think>Hm.")], [say("<think>Hm.")]], {}),
    "thinking, and nothing": ({}, [[say("<think>")], [say("\n")]], {}),
    "thinking instead of a forced call": (
        ANY,
        [[say("<think>Hm.")], [say("No.")]],
        {"missing": 1, "lost": 1},
    ),
    **{
        f"a repair turn that is refused: {refused}": (
            {},
            [[BAD], [refused]],
            {"made": 1, "invalid": 1, "lost": 1},
        )
        for refused in (
            FailureClass.CONTEXT_OVERFLOW,
            FailureClass.CLIENT_FAULT,
            FailureClass.CAPABILITY_MISSING,
        )
    },
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failures(name: str) -> None:
    """A repair turn that is wrong as well fails the attempt; nobody sees a call of it."""
    asked, answers, counts = FAILURES[name]

    seen = await turn(wanted(**asked), *answers)

    assert seen.failure is not None
    assert FailureClass.MALFORMED_OUTPUT == seen.failure.failure
    assert [] == [delta for delta in seen.deltas if delta.text or delta.tool_calls]
    assert counts == seen.counts


async def test_other_failures_are_the_upstreams() -> None:
    """A repair turn that breaks off fails the attempt with the upstream's own failure."""
    seen = await turn(wanted(), [BAD], [FailureClass.TIMEOUT_BETWEEN_BYTES])

    assert seen.failure is not None
    assert FailureClass.TIMEOUT_BETWEEN_BYTES == seen.failure.failure


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [
        (4096, 1000, 3096),
        (4096, 4000, REPAIR_TOKENS),
        (300, 290, REPAIR_TOKENS),
        (100, 60, 100),
        (4096, None, 4096),
    ],
)
async def test_tokens_of_the_repair_turn(limit: int, used: int | None, left: int) -> None:
    """A repair turn has what the first left of the limit, and a little in any case.

    The answer that it mends is not one that a limit ended.
    """
    seen = await turn(wanted(), [BAD, ModelDone("stop", 100, used)], [GOOD], limit=limit)

    assert [limit, left] == [call.max_output_tokens for call in seen.model.calls]
    output_tokens = None if used is None else used + 10
    assert ModelDone("stop", 100, output_tokens) == seen.done


async def test_tokens_that_were_not_counted() -> None:
    """Where the model did not count its repair turn, the answer's tokens are not known."""
    seen = await turn(wanted(), [BAD], [GOOD, ModelDone("stop", 100, None)])

    assert ModelDone("stop", 100, None) == seen.done


async def test_held_text_is_one_piece() -> None:
    """Neighbouring pieces of held text are relayed as one."""
    seen = await turn(wanted(), [OSLO, say("a"), say("b"), think("c"), think("d"), say("e")])

    assert [OSLO, say("ab"), think("cd"), say("e")] == seen.deltas


async def test_a_stopped_model_is_not_heard_out() -> None:
    """Behind a stop sequence in held text the model is not read any more."""
    seen = await turn(wanted(stop_sequences=["END"]), [OSLO, say("END"), *[say("more")] * 9])

    assert 2 == seen.model.heard
    assert ModelDone("stop") == seen.done


def shown(name: str, position: int, /, **arguments: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"repair_{position}", "type": "function", "function": function}


async def test_calls_are_shown_with_ids_of_their_own() -> None:
    """In a repair turn calls with the same id can be told apart; what exists is said once."""
    twice = [
        ToolCall("call_1", name, {"city": "x"}) for name in ("forecast", "get_weather", "a", "b")
    ]
    seen = await turn(wanted(), [say("Hm."), ModelDelta(tool_calls=tuple(twice))], [GOOD])

    said, wrong, right, unknown, other = seen.repair
    assert "Hm." == said["content"]
    calls = [shown(call.name, position, city="x") for position, call in enumerate(twice)]
    assert calls == said["tool_calls"]
    results = [wrong, right, unknown, other]
    assert [call["id"] for call in calls] == [result["tool_call_id"] for result in results]
    assert wrong["content"].startswith("Error: days: is required. ")
    assert right["content"].startswith("Accepted")
    assert "the tools are: get_weather, forecast." in unknown["content"]
    assert "get_weather" not in other["content"]


async def test_a_call_that_was_dropped_is_not_shown() -> None:
    """A repair turn is about the calls that count."""
    seen = await turn(wanted(), [written("get_weather", city="Oslo"), OSLO, BAD], [GOOD])

    said, *_ = seen.repair
    assert ["get_weather", "forecast"] == [call["function"]["name"] for call in said["tool_calls"]]


async def test_whatever_a_model_wrote_can_be_shown() -> None:
    """A wrong turn can be shown to the model whatever is in it, such as lone surrogates."""
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    strange = [
        use("forecast", city="a\ud800b"),
        use("forecast", city=10**30),
        use("forecast", city=float("nan")),
        use("rain", more=deep),
        use("ra\ud800in"),
        use("now", **{"a\ud800": 1}),
    ]
    closed = {"name": "now", "input_schema": {"type": "object", "additionalProperties": False}}
    seen = await turn(wanted(tools=[*TOOLS, closed]), [say("So \ud800."), *strange], [GOOD])

    said, *_ = seen.repair
    assert orjson.dumps(seen.repair)
    assert "So �." == said["content"]
    assert ["a�b", 1e30, None] == [
        call["function"]["arguments"]["city"] for call in said["tool_calls"][:3]
    ]
    assert "ra�in" == said["tool_calls"][4]["function"]["name"]


async def test_unclosed_thinking_is_shown_as_it_was_written() -> None:
    """The model reads what it thought, and that nobody else did."""
    seen = await turn(wanted(), [say("<think>It is "), say("42.")], [say("42")])

    said, told = seen.repair
    assert {"role": "assistant", "content": "<think>It is 42."} == said
    assert "user" == told["role"]
    assert "never closed" in told["content"]


# Name: (what is wanted, the answer, how the user's words begin and end)
TOLD: dict[str, tuple[dict[str, Any], list[Item], str, str]] = {
    "forced": (ANY, [say("No.")], "You answered without", "call a tool."),
    "forced, unclosed": (ANY, [say("<think>")], "You opened <think>", "call a tool."),
    "JSON": (JSON, [say("A")], "Your answer is not valid JSON", "fits the schema."),
    "JSON, unclosed": (JSON, [say("<think>")], "You opened <think>", "fits the schema."),
    "JSON, unclosed, and words": (
        JSON,
        [say("<think>"), think("Hm."), say("A")],
        "Your answer is not valid JSON",
        "fits the schema.",
    ),
    "JSON, unclosed, and a blank line": (
        JSON,
        [say("<think>"), think("Hm."), say("\n")],
        "You opened <think>",
        "fits the schema.",
    ),
    "unclosed": ({}, [say("<think>")], "You opened <think>", "without <think>."),
}


@pytest.mark.parametrize("name", TOLD)
async def test_what_a_turn_without_calls_is_told(name: str) -> None:
    """The model is told what was wrong with its words, and what is wanted of it."""
    asked, answer, begins, ends = TOLD[name]

    seen = await turn(wanted(**asked), answer, [GOOD, TITLED])

    told = seen.repair[-1]["content"]
    assert (True, True) == (told.startswith(begins), told.endswith(ends)), told


async def test_an_empty_turn_is_shown_as_one() -> None:
    """Where the model said nothing, its message is not empty: some servers refuse that."""
    seen = await turn(wanted(**ANY), [], [GOOD])

    said, told = seen.repair
    assert "(no answer)" == said["content"]
    assert told["content"].endswith(ANY["demand"])
