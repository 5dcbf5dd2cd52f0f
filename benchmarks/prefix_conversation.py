"""How much of a prompt stays as it was while a conversation of Claude Code goes on.

Ten turns in the shape that Claude Code 2.1.329 gives them: a billing block that differs in every
request, a system message that comes late, reminders behind results, `cache_control` that moves,
older messages written another way. They are sent to simulated Ollamas, once through ccproxy and
once by `litellm.anthropic.messages.acreate` with an `ollama_chat/` model, which is how LiteLLM's
proxy serves them. What reaches Ollama is compared with what reached it the turn before. LiteLLM is
asked once more without the billing block, as where `CLAUDE_CODE_ATTRIBUTION_HEADER=0` is set.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import httpx

from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.ports import ModelCall
from ccproxy.wire.prompt_prefix import prompt_parts, shared_prefix
from tests.support.conversations import Conversation
from tests.support.proxy import running_proxy
from tests.support.valid_requests import TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.demo.ollama_wire import SimRequest

TURNS: Final = 10
MODEL: Final = "qwen-coder"
UPSTREAM_MODEL: Final = "ollama_chat/qwen2.5-coder:32b-instruct"
NUM_CTX: Final = 32768
QUESTION_EVERY: Final = 4
"""A turn in so many is the user's; the others bring results of tools."""
REMINDER: Final = "<system-reminder>\nThe todo list is empty.\n</system-reminder>"


def ten_turns() -> list[dict[str, Any]]:
    """Return the bodies of the requests, each one step longer than the one before."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [_text(REMINDER), _text("Make the tests pass.")]},
        {"role": "system", "content": [_text("These tools are deferred: WebSearch.")]},
    ]
    ends = [len(messages)]
    for number in range(1, TURNS):
        if number % QUESTION_EVERY == 0:
            messages += [
                {"role": "assistant", "content": [_text("They pass.")]},
                {"role": "user", "content": [_text(f"Now part {number}.")]},
            ]
        else:
            messages += _step(number)
        ends.append(len(messages))
    return Conversation(messages, ends, ()).requests(model=MODEL, stream=False)


async def measure_conversation(speed: float) -> dict[str, Any]:
    """Return, for ccproxy and LiteLLM alone, what stays of each turn's prompt in the next one."""
    bodies = ten_turns()
    unbilled = [{**body, "system": body["system"][1:]} for body in bodies]
    return {
        "ccproxy": _figures(await _through_ccproxy(bodies, speed)),
        "LiteLLM alone": _figures(await _through_litellm(bodies, speed)),
        "LiteLLM alone, no billing block": _figures(await _through_litellm(unbilled, speed)),
    }


async def _through_ccproxy(bodies: Sequence[dict[str, Any]], speed: float) -> list[SimRequest]:
    ollama = SimulatedOllama(speed=speed)
    async with running_proxy(ollama=ollama) as proxy, httpx.AsyncClient(timeout=60) as client:
        headers = {**proxy.headers, "x-claude-code-session-id": "bench"}
        for body in bodies:
            answer = await client.post(
                f"{proxy.base_url}/v1/messages", headers=headers, json=dict(body)
            )
            answer.raise_for_status()
        return list(ollama.generations)


async def _through_litellm(bodies: Sequence[dict[str, Any]], speed: float) -> list[SimRequest]:
    # ccproxy has set LiteLLM's environment and imported it by now.
    from litellm.anthropic_interface import messages  # noqa: PLC0415

    ollama = SimulatedOllama(speed=speed)
    async with ollama.serve() as url:
        for body in bodies:
            asked = {**body, "model": UPSTREAM_MODEL, "num_ctx": NUM_CTX}
            await messages.acreate(**asked, api_base=url)
        return list(ollama.generations)


def _figures(sent: Sequence[SimRequest]) -> dict[str, Any]:
    prompts = [
        prompt_parts(ModelCall(each.body["messages"], tools=each.body.get("tools", ())))
        for each in sent
    ]
    shared = [shared_prefix(was, now) for was, now in pairwise(prompts)]
    kept = [each.shared_bytes / (each.shared_bytes + each.lost_bytes) for each in shared]
    read_tokens = sum(each.prompt_tokens - each.cached_tokens for each in sent)
    return {
        "kept_share": [round(share, 4) for share in kept],
        "least_kept_share": round(min(kept), 4),
        "broken_at": sorted({each.place for each in shared if each.place}),
        "prompt_tokens": sum(each.prompt_tokens for each in sent),
        "read_share": round(read_tokens / sum(each.prompt_tokens for each in sent), 4),
    }


def _step(number: int) -> list[dict[str, Any]]:
    """Return a call or two with results, and what Claude Code adds."""
    calls = [_call(number, index) for index in range(1 + number % 2)]
    results = [
        {"type": "tool_result", "tool_use_id": call["id"], "content": f"line {number}\n" * 150}
        for call in calls
    ]
    step = [
        {"role": "assistant", "content": [_text(f"Step {number}."), *calls]},
        {"role": "user", "content": [*results, _text(REMINDER)] if number % 3 == 0 else results},
    ]
    if number % 3 == 1:
        step.append({"role": "system", "content": [_text(f"A file has changed: {number}.")]})
    return step


def _call(number: int, index: int) -> dict[str, Any]:
    arguments = {"command": f"cat {number}.{index}", "timeout": 1000}
    return {
        "type": "tool_use",
        "id": f"toolu_{number}_{index}",
        "name": TOOLS[0]["name"],
        "input": arguments,
    }


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}
