"""What it costs to know the agent and plan: the part of a request between parsing and sending.

Run: `.venv/bin/python -m benchmarks.identify [--rounds N]`. One process, one thread, no server. The
shipped roster with a prompt for each of its 115 agents (ten of ours, the rest made up from a seed),
the shipped routing table, and a system prompt of 100 kB in three texts. Each round is timed alone;
rounds differ in the agent, so that nothing is measured from a warm string hash. Prints one JSON
object; times are microseconds.

Steps, each measured by itself: `facts` (the system texts and the features of the request class),
`prompt` (finding the prompt), `identify_plan` (signals to plan); `together` is all of them. Each
agent's first round is kept apart, as `first`: later ones find its long texts known
(`pipeline.known_texts`).
`yardstick` is a loop in C over 100 kB, timed in every round: what the machine does to all figures.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.config.agent_files import load_prompts
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import load_routing
from ccproxy.config.settings import load_settings, routing_deployments
from ccproxy.pipeline.known_texts import KnownSystems, WeighedTexts
from ccproxy.wire.content_facts import BodyFacts, call_features, system_texts
from routing.identify import identify
from routing.plan import build_plan
from routing.prompts import PromptIndex
from routing.request_class import classify_call
from routing.types import RequestFacts
from tests.support.fleet import fleet_prompts, system_filler

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG: Final = Path(__file__).parents[1] / "config"
SYSTEM_BYTES: Final = 100_000
AIM_P99_US: Final = 300
STEPS: Final = ("facts", "prompt", "identify_plan", "together", "yardstick")
YARDSTICK: Final = b"yardstick " * (SYSTEM_BYTES // 10)
HEADERS: Final = ((b"user-agent", b"claude-cli/2.1.329"), (b"x-claude-code-agent-id", b"a1"))


def body_of(prompt: str, *, found: bool, trailing_space: bool) -> bytes:
    filler = system_filler(SYSTEM_BYTES - len(prompt) - 2000)
    texts = ["x-anthropic-billing-header", "You are a Claude agent.", f"{prompt}\n\n{filler}"]
    if not found:
        texts[2] = filler if prompt == "" else texts[2][40:]
    if trailing_space:
        texts[2] = texts[2].replace("\n", " \r\n")
    system = [{"type": "text", "text": text} for text in texts]
    messages = [{"role": "user", "content": "hello"}]
    return orjson.dumps(
        {"model": "claude-haiku-4-5", "max_tokens": 9, "system": system, "messages": messages}
    )


class Fleet:
    def __init__(self) -> None:
        settings = load_settings(CONFIG / "ccproxy.yaml", {"ANTHROPIC_API_KEY": "x", "HOME": "/"})
        loaded = load_roster(settings.roster_file)
        self.roster = loaded.roster
        deployments = routing_deployments(settings)
        self.table, _ = load_routing(settings.routing_file, deployments, self.roster)
        made_up = fleet_prompts(self.roster.agents)
        self.prompts = made_up | dict(load_prompts(loaded, settings.roster_file).prompts)
        started = time.perf_counter()
        self.index = PromptIndex.build(self.prompts, self.roster.agents)
        self.build_ms = (time.perf_counter() - started) * 1000
        self.weighed = WeighedTexts()
        self.systems = KnownSystems()

    def round(self, raw: bytes, times: dict[str, list[float]], expected: str | None) -> None:
        body: dict[str, Any] = orjson.loads(raw)
        clock = time.perf_counter_ns
        start = clock()
        texts = system_texts(body)
        request_class = classify_call(call_features(body, HEADERS, counting=False))
        facts_done = clock()
        finding = self.systems.find(self.index, texts)
        found = clock()
        facts = RequestFacts(
            body["model"],
            content=BodyFacts(body, units_of=self.weighed.units),
            request_class=request_class,
            prompt_agent=finding.chosen,
            prompt_rivals=finding.rivals,
            prompt_near=finding.near,
        )
        match = identify(facts, self.roster, self.table.deployments)
        build_plan(facts, match, self.table, self.roster)
        planned = clock()
        YARDSTICK.translate(YARDSTICK[:256])
        measured = clock()
        assert match.slug == expected, (match, expected)
        times["facts"].append((facts_done - start) / 1000)
        times["prompt"].append((found - facts_done) / 1000)
        times["identify_plan"].append((planned - found) / 1000)
        times["together"].append((planned - start) / 1000)
        times["yardstick"].append((measured - planned) / 1000)


def no_times() -> dict[str, list[float]]:
    return {step: [] for step in STEPS}


def measure(rounds: int) -> dict[str, Any]:
    fleet = Fleet()
    # As the server does (`ccproxy.serve`).
    gc.collect()
    gc.freeze()
    slugs = sorted(fleet.prompts)
    results: dict[str, Any] = {}
    for name, found, trailing in (
        ("recognised", True, False),
        ("unknown", False, False),
        ("near miss", False, False),
        ("recognised, CRLF and spaces", True, True),
    ):
        prompts = ["" if name == "unknown" else fleet.prompts[slug] for slug in slugs]
        raws = [body_of(prompt, found=found, trailing_space=trailing) for prompt in prompts]
        fleet.weighed, fleet.systems = WeighedTexts(), KnownSystems()
        first, later = no_times(), no_times()
        for number in range(rounds + len(slugs)):
            at = number % len(slugs)
            times = first if number < len(slugs) else later
            fleet.round(raws[at], times, slugs[at] if found else None)
        results[name] = {step: summary(sample) for step, sample in later.items()}
        results[name]["first"] = summary(first["together"])
    return {
        "agents": len(slugs),
        "prompts_bytes": sum(map(len, fleet.prompts.values())),
        "system_bytes": SYSTEM_BYTES,
        "index_build_ms": round(fleet.build_ms, 1),
        "rounds": rounds,
        "aim_p99_us": AIM_P99_US,
        "us": results,
    }


def summary(sample: list[float]) -> dict[str, float]:
    percentile: Callable[[int], float] = lambda share: round(  # noqa: E731
        statistics.quantiles(sample, n=100, method="inclusive")[share - 1], 1
    )
    return {"p50": percentile(50), "p99": percentile(99)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000)
    print(json.dumps(measure(parser.parse_args().rounds), indent=2))
