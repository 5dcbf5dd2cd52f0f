"""A conversation whose turns are served now by a local model, now by Claude, stays valid for both."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import count as counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ccproxy.ports import ModelDelta, ModelFacts, ToolCall
from ccproxy.wire.assemble import Assembler, ThinkingDisplay
from ccproxy.wire.collect import Collector
from ccproxy.wire.history import needs_thinking_off, strip_local_blocks, without_empty_answers
from ccproxy.wire.ids import LOCAL_TOOL_ID
from ccproxy.wire.normalise import normalise
from ccproxy.wire.signature import LOCAL_SIGNATURE
from ccproxy.wire.thinking import limit_thinking
from ccproxy.wire.tool_loop import tool_loop_side
from ccproxy.wire.validate import validate_request
from routing.policies import ThinkingMode, ThinkingPolicy
from routing.types import Side
from tests.support.model_answers import answers
from tests.support.sizes import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.model_answers import Answer

SAME_CALL = ModelDelta(tool_calls=(ToolCall("call_1", "Read", {}),))
"""Ollama's ids may come again (conformance 210)."""
VERSION = "2023-06-01"
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("Read", "Bash")]
NAMES = frozenset(tool["name"] for tool in TOOLS)
KNOWS_ALL = ModelFacts(
    present=True,
    supports_tools=True,
    supports_vision=True,
    supports_thinking=True,
    remote=False,
)
SIGNATURE, ENCRYPTED = "EqQBCgIYAhIM-claudes-own", "EvAFCoYB-claudes-own"
THINKING = {
    "manual": {"type": "enabled", "budget_tokens": 1024},
    "adaptive": {"type": "adaptive"},
    "none": None,
}
TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")


def request_with(messages: list[dict[str, Any]], thinking: str) -> dict[str, Any]:
    """Return a request that goes on with a conversation."""
    body = {"model": "claude-sonnet-5-5", "max_tokens": 4000, "messages": messages, "tools": TOOLS}
    return body if THINKING[thinking] is None else {**body, "thinking": THINKING[thinking]}


def said_locally(answer: Answer, body: dict[str, Any], ids: Iterator[int]) -> list[dict[str, Any]]:
    """Return the content of a local model's answer to this very request."""
    display = ThinkingDisplay.SHOWN if "thinking" in body else ThinkingDisplay.HIDDEN
    assembler = Assembler(
        message_id="msg_1",
        model=body["model"],
        input_tokens=9,
        stop_sequences=answer.request["stop_sequences"],
        max_tool_calls=answer.request["max_tool_calls"],
        thinking=display,
        offered_tools=NAMES,
        used_tool_ids=[block["id"] for block in blocks_of(body["messages"], "tool_use")],
        mint_tool_id=lambda: f"{LOCAL_TOOL_ID}{next(ids):019d}",
    )
    collector = Collector()
    events = assembler.start()
    for delta in answer.deltas:
        events += assembler.feed(delta)
        if assembler.stopped:
            break
    for each in [*events, *assembler.finish(None if assembler.stopped else answer.done)]:
        collector.add(each)
    content: list[dict[str, Any]] = json.loads(orjson.dumps(collector.message()))["content"]
    return content


@st.composite
def said_by_claude(
    draw: st.DrawFn, body: dict[str, Any], ids: Iterator[int]
) -> list[dict[str, Any]]:
    """Return the content of an answer of Claude's."""
    thoughts: list[dict[str, Any]] = []
    if "thinking" in body:
        thoughts = draw(
            st.sampled_from(
                [
                    [{"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}],
                    [{"type": "thinking", "thinking": "", "signature": SIGNATURE}],
                    [{"type": "redacted_thinking", "data": ENCRYPTED}],
                ]
            )
        )
    calls = [
        {"type": "tool_use", "id": f"toolu_01{next(ids):022d}", "name": "Read", "input": {}}
        for _ in range(draw(st.integers(0, 2)))
    ]
    words = [{"type": "text", "text": "So be it."}] if not calls or draw(st.booleans()) else []
    return [*thoughts, *words, *calls]


def blocks_of(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the blocks of one type, in order."""
    return [
        block
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == kind
    ]


def answered(content: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the user, or the client's tools, say next."""
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "done"}
        for block in content
        if block["type"] == "tool_use"
    ]
    return {"role": "user", "content": results or "Go on."}


def as_claude_gets_it(body: dict[str, Any]) -> dict[str, Any]:
    """Return the request after the edits that are made on the way to Claude."""
    sent = strip_local_blocks(orjson.dumps(body)).body
    if needs_thinking_off(body):
        sent = limit_thinking(sent, ThinkingPolicy(ThinkingMode.STRIP))
    parsed: dict[str, Any] = json.loads(sent)
    return parsed


def check_for_claude(body: dict[str, Any]) -> None:
    """Hold a request against Claude's rules about histories."""
    messages = body["messages"]
    validate_request(body, version=VERSION, strict=True)
    assert all(block["text"].strip() for block in blocks_of(messages, "text"))
    assert all(each["signature"] == SIGNATURE for each in blocks_of(messages, "thinking"))
    ids = [block["id"] for block in blocks_of(messages, "tool_use")]
    assert all(map(TOOL_ID.fullmatch, ids))
    assert len(ids) == len(set(ids))
    if body.get("thinking", {}).get("type") != "enabled":
        return
    # "When `thinking` is enabled, a final `assistant` message must start with a thinking block"
    if blocks_of(messages[-1:], "tool_result"):
        assert messages[-2]["content"][0]["type"] in ("thinking", "redacted_thinking")


def check_for_local(body: dict[str, Any]) -> None:
    """Hold a request against what a local model can be shown."""
    body = dict(without_empty_answers(body)[0])
    validate_request(body, version=VERSION)
    call = normalise(body, KNOWS_ALL, max_output_tokens_cap=None)
    shown = orjson.dumps(call.messages).decode()
    assert not any(each in shown for each in (SIGNATURE, ENCRYPTED, LOCAL_SIGNATURE))
    roles = [message["role"] for message in call.messages]
    assert ("assistant", "assistant") not in pairwise(roles)


@settings(max_examples=count(30, 80, 5000), deadline=None)
@given(st.data(), st.sampled_from(list(THINKING)))
def test_a_conversation_may_change_sides_at_any_turn(data: st.DataObject, thinking: str) -> None:
    """Whatever both sides said before, Claude gets only what it accepts, a local model too.

    Local thinking is cut for Claude (262), ids and blocks of local answers are such as Claude makes
    (210, 263), and only answers without a word need more (083, 223): they go as soon as the history
    shows that a local route had part in it. (conformance 083, 210, 223, 261, 262, 263)
    """
    ids = counter()
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Begin."}]
    for _ in range(data.draw(st.integers(1, 4), label="turns")):
        body = request_with(messages, thinking)
        side = data.draw(st.sampled_from([Side.LOCAL, Side.CLAUDE]), label="side")
        if side is Side.LOCAL:
            answer = data.draw(answers(), label="answer")
            if data.draw(st.booleans(), label="calls"):
                answer = replace(answer, deltas=[*answer.deltas, SAME_CALL])
            content = said_locally(answer, body, ids)
        else:
            content = data.draw(said_by_claude(body, ids), label="Claude's")
        if not content and not shows_a_local_route(messages):
            event("an answer without a word, and nothing of ours")
            continue
        messages = [*messages, {"role": "assistant", "content": content}, answered(content)]
        body = request_with(messages, thinking)
        if blocks_of(messages[-1:], "tool_result"):
            assert tool_loop_side(messages) in (side, None)
            event(f"in a loop: {tool_loop_side(messages)}")
        check_for_claude(as_claude_gets_it(body))
        check_for_local(body)


def shows_a_local_route(messages: list[dict[str, Any]]) -> bool:
    """Return whether a history has a block that only a local route makes."""
    return any(
        block["signature"] == LOCAL_SIGNATURE for block in blocks_of(messages, "thinking")
    ) or any(block["id"].startswith(LOCAL_TOOL_ID) for block in blocks_of(messages, "tool_use"))
