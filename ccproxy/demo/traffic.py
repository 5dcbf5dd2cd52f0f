"""A small fleet that sends work through the proxy, so that there is something to see.

Every agent is a real client: the anthropic SDK with a base URL that names its agent. Prints
nothing; meant for simulated upstreams only (the caller checks that).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anthropic

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODEL: Final = "claude-sonnet-5-5"
_MAX_TOKENS: Final = 400
_MAX_TOOL_TURNS: Final = 3
_PROMPTS: Final = (
    "Summarise in two sentences what a routing table is.",
    "Name three risks of retrying a request that already streamed its first byte.",
    "Please use the lookup tool for the word latency.",
    "Write a test name for a proxy that loses its upstream.",
)
_LOOKUP: Final[dict[str, Any]] = {
    "name": "lookup",
    "description": "Looks a word up in the glossary.",
    "input_schema": {
        "type": "object",
        "properties": {"word": {"type": "string", "description": "The word to look up."}},
        "required": ["word"],
    },
}


@dataclass(slots=True)
class TrafficCounts:
    """What the fleet did. Units: API calls."""

    completed: int = 0
    failed: int = 0
    tool_calls: int = 0


async def send_traffic(
    base_url: str,
    token: str,
    agents: Sequence[str],
    *,
    requests_per_minute: float,
    stop: asyncio.Event,
) -> TrafficCounts:
    """Send conversations as `agents` in turn until `stop` is set; return what came of them.

    Args:
        base_url: Of the proxy, without the agent's part.
        token: A proxy token that may act as all `agents`.
        agents: Slugs.
        requests_per_minute: Conversations started per minute, all agents together.
        stop: Ends the traffic; conversations under way are cancelled.
    """
    counts = TrafficCounts()
    running: set[asyncio.Task[None]] = set()
    number = 0
    while agents and not stop.is_set():
        slug = agents[number % len(agents)]
        prompt = _PROMPTS[number % len(_PROMPTS)]
        task = asyncio.create_task(_converse(f"{base_url}/agents/{slug}", token, prompt, counts))
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
        await _wait(stop, 60 / requests_per_minute)
    for task in list(running):
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return counts


async def _converse(base_url: str, token: str, prompt: str, counts: TrafficCounts) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key=token, max_retries=1) as client:
        for _ in range(_MAX_TOOL_TURNS):
            try:
                async with client.messages.stream(**_request(messages)) as stream:
                    message = await stream.get_final_message()
            except anthropic.AnthropicError:
                counts.failed += 1
                return
            counts.completed += 1
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "time until the answer"}
                for block in message.content
                if block.type == "tool_use"
            ]
            if not results:
                return
            counts.tool_calls += len(results)
            said = [block.model_dump(exclude_none=True) for block in message.content]
            messages.append({"role": "assistant", "content": said})
            messages.append({"role": "user", "content": results})


def _request(messages: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - keyword arguments of the SDK
    return {
        "model": _MODEL,
        "max_tokens": _MAX_TOKENS,
        "messages": messages,
        "tools": [_LOOKUP],
    }


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
