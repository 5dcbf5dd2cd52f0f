"""What a local model has read of a conversation stays as it is when the conversation goes on."""

from __future__ import annotations

from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import example, given, settings

from ccproxy.ports import ModelCall, ModelFacts
from ccproxy.wire.normalise import normalise
from ccproxy.wire.validate import validate_request
from tests.support.conversations import Conversation, conversations
from tests.support.sizes import count
from tests.support.valid_requests import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SEES = ModelFacts(supports_vision=True, supports_thinking=False)
THINKS = ModelFacts(supports_vision=True, supports_thinking=True)


REMINDED = [
    {"role": "user", "content": "Go."},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "now", "input": {}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "Noon."}]},
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
]


SECOND_STEP = [
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "t2", "name": "now", "input": {}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t2", "content": "One."}]},
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
]
TWO_STEPS = Conversation([*REMINDED[:3], *SECOND_STEP], (3, 6), (0,))


def call_of(body: Mapping[str, Any], facts: ModelFacts) -> ModelCall:
    """Return what a model is asked, of a request that Claude would take."""
    validate_request(body, version="2023-06-01", counting=False, strict=False)
    return normalise(body, facts, max_output_tokens_cap=None)


def rendered(call: ModelCall) -> list[bytes]:
    """Return tools and messages byte for byte."""
    return [orjson.dumps(part) for part in (list(call.tools), *call.messages)]


def qwen3_prompt(call: ModelCall) -> str:
    """Return the conversation as Ollama's template of qwen3 writes it, without system and tools.

    Source: https://ollama.com/library/qwen3/blobs/53e4ea15e8f5.
    """
    last_user = max(
        index for index, message in enumerate(call.messages) if message["role"] == "user"
    )
    return "".join(_turn(index, message, last_user) for index, message in enumerate(call.messages))


def _turn(index: int, message: Mapping[str, Any], last_user: int) -> str:
    content = message["content"]
    if message["role"] == "assistant":
        thinking = message.get("thinking") if index > last_user else None
        thought = f"<think>{thinking}</think>\n" if thinking else ""
        calls = [orjson.dumps(call["function"]) for call in message.get("tool_calls", ())]
        return f"<|im_start|>assistant\n{thought}{content}{calls}<|im_end|>\n"
    words = content if isinstance(content, str) else content[0]["text"]
    if message["role"] == "tool":
        words = f"<tool_response>\n{words}\n</tool_response>"
    return f"<|im_start|>user\n{words}<|im_end|>\n"


def next_to_each_other(
    conversation: Conversation, facts: ModelFacts, **more: Any
) -> Iterator[tuple[ModelCall, ModelCall, bool]]:
    """Yield each request and the next as they are asked, and whether the next asks anew."""
    calls = [call_of(body, facts) for body in conversation.requests(**more)]
    for number, (before, after) in enumerate(pairwise(calls), start=1):
        yield before, after, number in conversation.questions


@settings(max_examples=count(quick=30, ci=100, full=10_000))
@given(conversations())
def test_a_prompt_is_the_next_ones_beginning(conversation: Conversation) -> None:
    """Tools and messages of a turn begin the next turn's, byte for byte (conformance 167, 168)."""
    for before, after, _ in next_to_each_other(conversation, SEES):
        was = rendered(before)
        assert rendered(after)[: len(was)] == was


@settings(max_examples=count(quick=30, ci=100, full=10_000))
@given(conversations())
def test_thinking_stays_while_its_loop_lasts(conversation: Conversation) -> None:
    """A new question alone drops thinking: that of the loop before it, and nothing else (176)."""
    thinking = {"type": "adaptive"}
    for before, after, asks_anew in next_to_each_other(conversation, THINKS, thinking=thinking):
        was, now = rendered(before), rendered(after)
        if asks_anew:
            dropped = [
                {name: value for name, value in message.items() if name != "thinking"}
                for message in before.messages
            ]
            was = [was[0], *map(orjson.dumps, dropped)]
        assert now[: len(was)] == was


@settings(max_examples=count(quick=30, ci=100, full=10_000))
@example(TWO_STEPS)
@given(conversations())
def test_reminders_do_not_end_a_loop(conversation: Conversation) -> None:
    """Qwen3's template, too, keeps what it wrote until the user says something (168)."""
    thinking = {"type": "adaptive"}
    ends = pairwise(conversation.ends)
    pairs = next_to_each_other(conversation, THINKS, thinking=thinking)
    for (start, end), (before, after, _) in zip(ends, pairs, strict=True):
        if not any(map(_is_the_users, conversation.messages[start:end])):
            assert qwen3_prompt(after).startswith(qwen3_prompt(before))


def _is_the_users(message: Mapping[str, Any]) -> bool:
    """Return whether a message has words of the user's own, or an image, which stands by them."""
    if message["role"] != "user":
        return False
    blocks = list(message["content"])
    for block in message["content"]:
        if block["type"] == "tool_result" and isinstance(block["content"], list):
            blocks.extend(inner for inner in block["content"] if inner["type"] == "image")
    return any(
        block["type"] == "image"
        or (block["type"] == "text" and not block["text"].startswith("<system-reminder>"))
        for block in blocks
    )


def test_a_late_system_message_stands_in_the_tool_result() -> None:
    """So no message of role user comes into the middle of the loop (conformance 168)."""
    body = {"model": "m", "max_tokens": 9, "messages": REMINDED, "tools": list(TOOLS)}

    messages = call_of(body, THINKS).messages

    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[-1]["content"] == ("Noon.\n\n<system-reminder>\nBe brief.\n</system-reminder>")
    assert messages[1]["thinking"] == "Hm."


def test_what_the_user_says_beside_results_is_the_users() -> None:
    """Words of the user's own, and reminders behind them, keep their place and role."""
    words = [
        {"type": "text", "text": "Stop."},
        {"type": "text", "text": "<system-reminder>x</system-reminder>"},
    ]
    messages = [*REMINDED[:2], {"role": "user", "content": [*REMINDED[2]["content"], *words]}]
    body = {"model": "m", "max_tokens": 9, "messages": messages, "tools": list(TOOLS)}

    *_, result, said = call_of(body, THINKS).messages

    assert result["content"] == "Noon."
    assert said["content"] == "Stop.\n\n<system-reminder>x</system-reminder>"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_billing_block_is_dropped_wherever_it_stands(place: int) -> None:
    """It is no instruction, and it changes with every request (conformance 167)."""
    system = [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]
    system.insert(place, {"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"})
    body = {"model": "m", "max_tokens": 9, "messages": REMINDED[:1], "system": system}

    assert call_of(body, SEES).messages[0] == {"role": "system", "content": "One.\n\nTwo."}


@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "any", "disable_parallel_tool_use": True}]
)
def test_a_forced_call_touches_the_last_message_alone(choice: dict[str, Any]) -> None:
    """What the model is told about `tool_choice` stands behind all that it has read (188)."""
    body = {"model": "m", "max_tokens": 9, "messages": REMINDED[:1], "tools": list(TOOLS)}
    free = call_of(body, SEES)
    forced = call_of(body | {"tool_choice": choice}, SEES)

    assert forced.tools == free.tools
    assert forced.messages[:-1] == free.messages[:-1]
    assert forced.messages[-1]["content"].startswith(free.messages[-1]["content"])


def test_tools_stand_in_the_order_of_their_names() -> None:
    """However the client gathered them this time, the model reads the same."""
    body = {"model": "m", "max_tokens": 9, "messages": REMINDED[:1]}

    calls = [call_of(body | {"tools": list(each)}, SEES) for each in permutations(TOOLS)]

    assert len(calls) == 6
    assert [rendered(call) for call in calls] == [rendered(calls[0])] * 6


def test_a_deferred_tool_is_offered_from_the_start() -> None:
    """Naming it later, by reference, changes nothing of what the model has read."""
    late = {**TOOLS[1], "defer_loading": True}
    named = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": late["name"]}}
    body = {"model": "m", "max_tokens": 9, "tools": [TOOLS[0], late]}
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "On."},
        {"role": "system", "content": [named]},
    ]

    before = rendered(call_of(body | {"messages": messages[:1]}, SEES))
    after = rendered(call_of(body | {"messages": messages}, SEES))

    assert after[: len(before)] == before
