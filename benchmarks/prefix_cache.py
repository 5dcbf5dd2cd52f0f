"""What a stable prefix is worth: two turns of a long conversation, and ten of Claude Code's.

Run: `.venv/bin/python -m benchmarks.prefix_cache [--tokens N] [--speed N]`; writes
`results/prefix_cache.json`. A whole proxy in front of the simulated Ollama, whose model reads 220
tokens/s (a 32B model on an M2 Max, as the simulator assumes) and holds one prompt, as one slot of
Ollama does. A conversation in Claude Code's shape, with a tool call per 1000 tokens and a billing
block that differs in every request, is sent twice, the second time one step longer:

- `stable`: nothing else differs; the proxy drops the billing block.
- `broken`: the second turn's system prompt has another time of day, which no proxy can mend.

`prefill_s` are seconds of the simulated machine, from the tokens that its cache lacked. `ttft_s` is
what a client waited for the answer's first byte, in the same seconds: measured, times `speed`, so
that the proxy's own milliseconds count `speed` times. `prompt_tokens` are Ollama's count; `reused`
and `evaluated` what the proxy says of them. One token is four bytes, as the simulator counts.

`conversation` says how much of each prompt stays as it was while a conversation in Claude Code's
shape goes on, see `benchmarks.prefix_conversation`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from benchmarks.prefix_conversation import measure_conversation
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.messages import WEATHER, turn
from tests.support.proxy import running_proxy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.proxy import RunningProxy

RESULT: Final = Path(__file__).parent / "results/prefix_cache.json"
TOKENS: Final = 30_000
SPEED: Final = 50.0
STEP_CHARS: Final = 4000
RATE_TOKENS_PER_S: Final = 220
"""What the simulated model of the deployment reads, see `ccproxy/demo/ollama_models.py`."""


def conversation(steps: int, *, billing: str, system: str) -> dict[str, Any]:
    """Return a streamed request after so many tool calls, each with 1000 tokens of result."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Read the files."}]
    line = f"{' ' * 24}return self.upstream.answer(request, deadline)\n"
    for number in range(steps):
        call = {"type": "tool_use", "id": f"t{number}", "name": "get_weather"}
        words = f"file {number}\n{line * (STEP_CHARS // len(line))}"
        messages += [
            {"role": "assistant", "content": [{**call, "input": {"city": f"file {number}"}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": f"t{number}", "content": words}],
            },
        ]
    blocks = (f"x-anthropic-billing-header: cc_version=2.1.329.{billing};", system)
    system_blocks = [{"type": "text", "text": text} for text in blocks]
    return turn(messages=messages, system=system_blocks, tools=[WEATHER], stream=True)


async def measure(tokens: int, speed: float) -> dict[str, Any]:
    """Return what the prompt cache does for two long turns, and for ten short ones."""
    return {
        "turns": await measure_turns(tokens, speed),
        "conversation": await measure_conversation(speed),
    }


async def measure_turns(tokens: int, speed: float) -> dict[str, Any]:
    """Return both cases, each at a machine of its own."""
    steps = max(1, tokens * 4 // STEP_CHARS)
    cases = {
        "stable": ("You are an agent. It is 12:01.", "You are an agent. It is 12:01."),
        "broken": ("You are an agent. It is 12:01.", "You are an agent. It is 12:02."),
    }
    return {name: await _two_turns(steps, speed, systems) for name, systems in cases.items()}


async def _two_turns(steps: int, speed: float, systems: tuple[str, str]) -> list[dict[str, Any]]:
    ollama = SimulatedOllama(speed=speed)
    async with running_proxy(ollama=ollama) as proxy, httpx.AsyncClient(timeout=600) as client:
        await _ask(client, proxy, turn(stream=True), speed)  # loads LiteLLM and the model
        return [
            await _ask(
                client,
                proxy,
                conversation(steps + number, billing=f"{number:03x}", system=system),
                speed,
            )
            for number, system in enumerate(systems)
        ]


async def _ask(
    client: httpx.AsyncClient, proxy: RunningProxy, body: Mapping[str, Any], speed: float
) -> dict[str, Any]:
    """Ask once; return what the machine did, and what the proxy says of it."""
    before = _counted(proxy)
    headers = {**proxy.headers, "x-claude-code-session-id": "bench"}
    ttft_s = None
    began = time.perf_counter()
    async with client.stream(
        "POST", f"{proxy.base_url}/v1/messages", headers=headers, json=body
    ) as answer:
        answer.raise_for_status()
        notes = answer.headers.get("x-ccproxy-notes", "")
        async for chunk in answer.aiter_bytes():
            if ttft_s is None and b"content_block_start" in chunk:
                ttft_s = time.perf_counter() - began
    asked = proxy.ollama.generations[-1]
    after = _counted(proxy)
    unread = asked.prompt_tokens - asked.cached_tokens
    return {
        "prompt_tokens": asked.prompt_tokens,
        "cached_tokens": asked.cached_tokens,
        "prefill_s": round(unread / RATE_TOKENS_PER_S, 2),
        "ttft_s": round((ttft_s or 0.0) * speed, 2),
        "reused": after["reused"] - before["reused"],
        "evaluated": after["evaluated"] - before["evaluated"],
        "prefix_broken": notes.partition("prefix_broken=")[2].partition(",")[0],
    }


def _counted(proxy: RunningProxy) -> dict[str, int]:
    page, _ = proxy.proxy.metrics.exposition()
    counted = dict.fromkeys(("reused", "evaluated"), 0)
    for line in page.decode().splitlines():
        if line.startswith("ccproxy_prompt_tokens_total{"):
            kind = line.partition('kind="')[2].partition('"')[0]
            counted[kind] += int(float(line.rpartition(" ")[2]))
    return counted


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of the first turn")
    parser.add_argument("--speed", type=float, default=SPEED, help="simulated seconds per second")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {
        "tokens": options.tokens,
        "speed": options.speed,
        "model_reads_tokens_per_s": RATE_TOKENS_PER_S,
        **asyncio.run(measure(options.tokens, options.speed)),
    }
    text = json.dumps(result, indent=2) + "\n"
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
