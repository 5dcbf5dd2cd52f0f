"""What a fallback costs: the first attempt fails at once, the second answers.

Run: `.venv/bin/python -m benchmarks.fallback [--requests N]`; writes `results/fallback.json`. A
whole proxy in this process, in front of a simulated Ollama and Claude that answer without a pause,
so that what is left is the proxy's own time and that of the simulators. Each case is asked in turn
with its yardstick, the same request to the second deployment alone; `added` is the difference of
the two in the same round, the failed attempt's own time included. Breakers and health forgive
everything: else the first would soon be left alone, which costs nothing at all.

The aim is less than 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.proxy_overhead import commit
from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault as ClaudeFault
from ccproxy.demo.claude_faults import FaultKind as ClaudeKind
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.http_wire import wire
from tests.support.messages import turn
from tests.support.proxy import FORGIVING, UPSTREAM_KEY, running_proxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.http_wire import Wire

RESULT: Final = Path(__file__).parent / "results/fallback.json"
REQUESTS: Final = 300
CLOSED: Final = "http://127.0.0.1:9"
"""Where nobody listens."""
CASES: Final = {
    # first, second, why the first fails
    "Claude refuses, local answers": ("claude-closed", "qwen", "connect_error"),
    "Claude is overloaded, local answers": ("claude-busy", "qwen", "overloaded"),
    "Ollama is busy, Claude answers": ("qwen-busy", "claude", "overloaded"),
    "Ollama lacks the model, Claude answers": ("qwen-missing", "claude", "model_missing"),
    "Claude is overloaded, another Claude answers": ("claude-busy", "claude", "overloaded"),
}


def models(ollama_url: str, busy_url: str, claude_url: str, overloaded_url: str) -> list[Any]:
    """Return the deployments."""

    def local(name: str, url: str, model: str = "qwen-fast") -> dict[str, Any]:
        params = {"model": f"ollama_chat/{model}", "api_base": url, "num_ctx": 32768}
        return {"model_name": name, "litellm_params": params}

    def claude(name: str, url: str) -> dict[str, Any]:
        params = {"model": "anthropic/claude-sonnet-5-5", "api_base": url, "api_key": UPSTREAM_KEY}
        return {"model_name": name, "litellm_params": params}

    return [
        local("qwen", ollama_url),
        local("qwen-busy", busy_url),
        local("qwen-missing", ollama_url, "not-pulled"),
        claude("claude", claude_url),
        claude("claude-busy", overloaded_url),
        claude("claude-closed", CLOSED),
    ]


def table() -> dict[str, Any]:
    """Return a route for each case, by a header."""
    rules = [
        {"name": f"case {number}", "when": {"header": {"x-case": str(number)}}, "route": [*route]}
        for number, (*route, _) in enumerate(CASES.values())
    ]
    profile = {"rules": rules, "default": {"route": ["claude"]}}
    return {"version": 1, "active_profile": "p", "profiles": {"p": profile}}


async def measure(requests: int) -> dict[str, Any]:
    """Return the figures of every case, streamed and not."""
    ollama, busy = (SimulatedOllama(speed=math.inf, keep_requests=False) for _ in range(2))
    claude, overloaded = SimulatedClaude(speed=0), SimulatedClaude(speed=0)
    busy.add_fault("busy", times=10**9)
    overloaded.faults.append(ClaudeFault(ClaudeKind.STATUS, times=10**9, status=529))
    async with (
        ollama.serve() as ollama_url,
        busy.serve() as busy_url,
        claude.serve() as claude_url,
        overloaded.serve() as overloaded_url,
    ):
        changes = {"model_list": models(ollama_url, busy_url, claude_url, overloaded_url)}
        async with (
            running_proxy(routing=table(), changes=changes, **FORGIVING) as proxy,
            wire(proxy.base_url) as connection,
        ):
            for address in proxy.proxy.health.backends:
                proxy.proxy.health.observe(address, ok=True, why="the benchmark begins")
            asking = _Asking(connection, proxy.headers)
            for name in ("qwen", "claude"):
                await asking.took_s(name)  # loads LiteLLM and the model
            return {
                f"{case}{', streamed' if stream else ''}": await _case(
                    asking, number, case, requests, stream=stream
                )
                for number, case in enumerate(CASES)
                for stream in (False, True)
            }


class _Asking:
    """One client on one kept connection."""

    def __init__(self, connection: Wire, headers: dict[str, str]) -> None:
        self._connection = connection
        self._headers = headers

    async def took_s(
        self, model: str, *, stream: bool = False, case: int | None = None, attempts: str = ""
    ) -> float:
        """Ask, check who was tried, and return how long the whole answer took."""
        headers = self._headers if case is None else {**self._headers, "x-case": str(case)}
        body = turn(model=model, stream=stream)
        began = time.perf_counter()
        await self._connection.send("POST", "/v1/messages", headers, body)
        answer = await self._connection.read_answer()
        took_s = time.perf_counter() - began
        tried = answer.header("x-ccproxy-attempts")
        if answer.status != 200 or (attempts and tried != attempts):
            raise RuntimeError(
                f"HTTP {answer.status}, tried {tried}, not {attempts}: {answer.body!r}"
            )
        return took_s


async def _case(
    asking: _Asking, number: int, case: str, requests: int, *, stream: bool
) -> dict[str, float]:
    first, second, failure = CASES[case]
    attempts = f"{first}:{failure},{second}:ok"
    alone: list[float] = []
    fallen: list[float] = []
    for _ in range(requests):
        alone.append(await asking.took_s(second, stream=stream))
        fallen.append(
            await asking.took_s("claude-any", stream=stream, case=number, attempts=attempts)
        )
    added = sorted((with_it - without) for with_it, without in zip(fallen, alone, strict=True))
    return {
        "alone_p50_ms": _ms(statistics.median(alone)),
        "fallback_p50_ms": _ms(statistics.median(fallen)),
        "added_p50_ms": _ms(statistics.median(added)),
        "added_p99_ms": _ms(added[min(len(added) - 1, int(len(added) * 0.99))]),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _quietly_measured(requests: int) -> dict[str, Any]:
    """Measure without the log, which tells of each failed attempt."""
    logging.disable(logging.WARNING)
    try:
        return asyncio.run(measure(requests))
    finally:
        logging.disable(logging.NOTSET)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="of each kind")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "python": platform.python_version(),
        "load_1m_before": round(os.getloadavg()[0], 2),
        "requests": options.requests,
        "aim_added_ms": 50,
        "cases": _quietly_measured(options.requests),
    }
    text = json.dumps(result, indent=1) + "\n"
    options.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
