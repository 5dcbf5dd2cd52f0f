"""Fifty agents, a fault every second, and what must hold at the end.

`run_soak` returns a `Report`; a soak that went well has no `problems`. What is asserted:

1. Every request has exactly one outcome: as many as were sent are counted, and each one whose
   client heard anything stands exactly once in the record of decisions, with the same status.
2. Nobody waits beyond the route's deadline.
3. No wrong answer: what is complete is right to the letter, what breaks off is how the right one
   begins, a stream keeps the grammar, and an error is one of those that the documents name.
4. Nothing of a `local_only` request reaches Claude, or a model that Ollama runs elsewhere.
5. Afterwards there are as many tasks, objects of a request, slots, trials of breakers, descriptors
   and threads as before, and memory has not grown.
6. The proxy's log tells of no bug, and after SIGKILL in the middle of streams the ledger is whole
   and every decision can be read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from signal import SIGKILL
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from ccproxy.config.roster import load_roster
from ccproxy.observability.decision_log import read_decisions
from ccproxy.serve import KEEP_ALIVE_S
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import REPOSITORY
from tests.support.soak.agents import LEFT, SoakAgent, Tally
from tests.support.soak.house import START_S, House, running_house
from tests.support.soak.surroundings import (
    DEADLINE_S,
    LEAVING_MODELS,
    NUMBER_HEADER,
    routing_document,
    settings_document,
    simulated_claude,
    simulated_ollama,
)
from tests.support.soak.trouble import Trouble
from tests.support.soak.verdicts import LATE_S
from tests.support.soak.work import PRIVATE_WORD, Worker, is_private, worker_slugs
from tests.support.waiting import until

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ccproxy.demo.claude import SimulatedClaude
    from ccproxy.demo.ollama_server import SimulatedOllama
    from ccproxy.observability.decisions import Decision

ROSTER_FILE: Final = REPOSITORY / "config/orchestra-config.json"
OLLAMA_PATHS: Final = frozenset(
    {"/api/version", "/api/tags", "/api/ps", "/api/show", "/api/chat", "/api/generate"}
)
"""All that the proxy has to ask an Ollama for: not its web search, which is somebody else's."""
DEPLOYMENTS: Final = ("qwen-coder", "qwen-quality", "qwen-fast", "claude-opus", "claude-haiku")
LEARNING: Final = "qwen-fast"
WARM_UP_SHARE: Final = 0.25
"""Of the time, before memory is looked at."""
REMEMBERED: Final = frozenset(
    {
        "ccproxy.pipeline.prefix_watch.Conversation",
        "ccproxy.pipeline.prefix_watch._Read",
        "routing.pace.Pace",
        "routing.transitions.Transition",
        "ccproxy.rows.Dimensions",
    }
)
"""What is kept for later requests, within limits of its own: what models have read, how fast, what
became of them of late, and which rows of the ledger say by whom they were asked."""
MADE_ANEW: Final = 12
"""Objects of one class that may have taken the place of those that the first look put aside."""
RSS_POINTS: Final = 20
POOL_THREADS: Final = min(32, (os.cpu_count() or 1) + 4)
"""What Python's default pool keeps for the next piece of work (`ThreadPoolExecutor`)."""
PROBING: Final = 1
"""Connections by which the proxy looks at Ollama, whether anybody works or not."""
SETTLE_S: Final = 20.0
_AN_ERROR: Final = '"level":"error"'
_LOG_WORDS: Final = ("Traceback", "never retrieved", "was never awaited", "Unclosed", _AN_ERROR)
_IN_THE_MIDDLE_S: Final = 0.15
"""Long enough for a stream to have begun."""
_LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard."""

    duration_s: float
    agents: int = 50
    seed: int = 1
    faults_per_s: float = 1.0
    recovery_s: float = 0.0
    """How long it may take, after the last fault, until every deployment serves again."""
    memory_growth_mib: float = 32.0
    """What resident memory may grow between the end of the warm-up and the end: as much as what is
    remembered of conversations may take (`prefix_watch.LIMIT_BYTES`)."""
    least_answered_share: float = 0.3
    """Of the requests whose clients stayed: fewer, and the soak says nothing."""


@dataclass
class Report:
    """What came of a soak."""

    plan: Plan
    problems: list[str] = field(default_factory=list)
    """Everything that must not be; empty where all went well."""
    figures: dict[str, Any] = field(default_factory=dict)
    """JSON-ready."""


@dataclass
class _Watch:
    """Looks at both simulators and the proxy's memory while the soak runs."""

    ollama: SimulatedOllama
    claude: SimulatedClaude
    house: House
    began: float = field(default_factory=monotonic)
    rss: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, bytes."""
    leaks: set[str] = field(default_factory=set)
    ollama_paths: Counter[str] = field(default_factory=Counter)
    private_at_home: int = 0
    """`local_only` requests that a model on the host was asked to answer."""

    def look(self) -> None:
        self.rss.append((monotonic() - self.began, self.house.rss_bytes()))
        word = PRIVATE_WORD.encode()
        for record in self.claude.requests:
            if word in record.body:
                self.leaks.add(f"Claude was sent a local_only request at {record.path}")
        seen, self.ollama.requests[:] = list(self.ollama.requests), []
        for request in seen:
            self.ollama_paths[request.path] += 1
            model = str((request.body or {}).get("model", ""))
            if word not in request.raw:
                continue
            self.private_at_home += 1
            if model in LEAVING_MODELS:
                self.leaks.add(f"{model}, which runs elsewhere, was sent a local_only request")


async def run_soak(plan: Plan) -> Report:
    """Run a soak to its end and judge it."""
    report = Report(plan)
    ollama, claude = simulated_ollama(), simulated_claude()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with (
            ollama.serve() as ollama_url,
            claude.serve() as claude_url,
            _house(Path(folder), ollama_url, claude_url) as house,
        ):
            await _warm_up(house)
            before = await _settled(house, ollama, claude)
            finished_before = await house.finished_requests()
            tally, watch, trouble = await _storm(plan, house, ollama, claude)
            report.figures["recovered_after_s"] = await _recovered(report, house)
            asked_again = await house.finished_requests() - finished_before - tally.sent
            after = await _let_go(house, ollama, claude, before["descriptors"] + PROBING)
            _judge_counts(report, asked_again, tally)
            _judge_what_is_left(report, before, after)
            await _kill(house)
            _judge_log(report, house)
            _judge_files(report, house, tally)
    _judge_answers(report, tally, watch)
    _judge_memory(report, watch)
    report.figures["faults"] = dict(sorted(trouble.ordered.items()))
    return report


def _house(folder: Path, ollama_url: str, claude_url: str) -> AbstractAsyncContextManager[House]:
    return running_house(folder, settings_document(ollama_url, claude_url), routing_document())


async def _storm(
    plan: Plan, house: House, ollama: SimulatedOllama, claude: SimulatedClaude
) -> tuple[Tally, _Watch, Trouble]:
    """Let the agents work in trouble for the planned time, and wait for the last one."""
    roster = load_roster(ROSTER_FILE).roster
    tally, stop = Tally(), asyncio.Event()
    watch = _Watch(ollama, claude, house)
    trouble = Trouble(ollama, claude, Random(f"{plan.seed} faults"))  # noqa: S311 - repeatable
    agents = []
    for number, slug in enumerate(worker_slugs(roster, plan.agents, Random(plan.seed)), 1):  # noqa: S311
        work, manners = Random(f"{plan.seed} work {number}"), Random(f"{plan.seed} {number}")  # noqa: S311
        worker = Worker(slug, number, work, is_private=is_private(roster.agents[slug]))
        agents.append(SoakAgent(worker, manners, house.base_url, house.token, tally))
    running = [asyncio.create_task(agent.run(stop)) for agent in agents]
    due = watch.began
    while (due := due + 1 / plan.faults_per_s) < watch.began + plan.duration_s:
        await asyncio.sleep(due - monotonic())
        trouble.order_one()
        watch.look()
        if any(task.done() for task in running):
            break
    stop.set()
    await asyncio.gather(*running)
    await trouble.over()
    watch.look()
    return tally, watch, trouble


async def _recovered(report: Report, house: House) -> float | None:
    """Wait until everything serves again, as long as the plan allows; None if it was not asked."""
    if not report.plan.recovery_s:
        return None
    began = monotonic()
    try:
        await _served_again(house, report.plan.recovery_s)
    except TimeoutError:
        health = await ask(house.base_url, "/health", method="GET", headers=house.headers)
        report.problems.append(
            f"not every deployment serves after {report.plan.recovery_s:g} s: {health.body.decode()}"
        )
    return round(monotonic() - began, 1)


async def _served_again(house: House, within_s: float) -> None:
    """Ask every deployment until it has answered.

    Raises:
        TimeoutError: One of them does not.
    """
    async with asyncio.timeout(within_s):
        for name in DEPLOYMENTS:
            body = turn("Are you there?", f"{name}-5-5" if "claude" in name else name)
            await _answers(house, body)


async def _settled(
    house: House, ollama: SimulatedOllama, claude: SimulatedClaude
) -> dict[str, Any]:
    """Return what lives in the proxy once nobody works and no connection is kept for later."""
    await until(lambda: not ollama.open_streams and not claude.open_streams, SETTLE_S)
    await ollama.refuse()
    await ollama.resume()
    await claude.refuse(0.0)
    last: dict[str, Any] = {}
    async with asyncio.timeout(SETTLE_S):
        while (now := await house.inside()) != last:
            last = now
            await asyncio.sleep(0.3)
    return last


async def _let_go(
    house: House, ollama: SimulatedOllama, claude: SimulatedClaude, descriptors: int
) -> dict[str, Any]:
    """Return what lives in the proxy once nobody works and it has no more descriptors than so many.

    A client that vanishes between two requests is not heard of: its connection ends when it has
    been idle for `KEEP_ALIVE_S`, and so long is waited.
    """
    latest = monotonic() + KEEP_ALIVE_S + SETTLE_S
    while True:
        now = await _settled(house, ollama, claude)
        if now["descriptors"] <= descriptors or monotonic() > latest:
            return now
        await asyncio.sleep(_LOOK_EVERY_S)


async def _warm_up(house: House) -> None:
    """Have everything loaded, and a ratio learned that the ledger has to keep."""
    async with asyncio.timeout(START_S):
        await _served_again(house, START_S)
        await _answers(house, turn("Count on this. " * 200, LEARNING))
        while not learned(house.ledger):  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(_LOOK_EVERY_S)


async def _kill(house: House) -> None:
    """Kill the proxy in the middle of a stream."""
    long = turn("Give me 400 words.", LEARNING, stream=True, max_tokens=2000)
    asking = ask(house.base_url, "/v1/messages", headers=house.headers, body=long)
    stream = asyncio.create_task(asking)
    await asyncio.sleep(_IN_THE_MIDDLE_S)
    await house.ended_by(SIGKILL)
    await asyncio.gather(stream, return_exceptions=True)


async def _answers(house: House, body: dict[str, Any]) -> None:
    """Ask until there is an answer."""
    while True:
        answer = await ask(house.base_url, "/v1/messages", headers=house.headers, body=body)
        if answer.status == 200 and answer.complete:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


def learned(ledger: Path) -> set[str]:
    """Return the deployments of which the ledger knows a ratio, read as another process would.

    Raises:
        AssertionError: The file is damaged.
    """
    with closing(sqlite3.connect(ledger)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {name for (name,) in connection.execute("SELECT deployment FROM token_ratios")}


# --- judgement ----------------------------------------------------------------------------------


def _judge_counts(report: Report, surplus: int, tally: Tally) -> None:
    """Hold the outcomes that the proxy counted against the requests that were sent."""
    # Those that ask whether everything serves again are counted too, and none of them is lost.
    expected = 0 if report.figures["recovered_after_s"] is None else None
    if surplus < 0 or expected not in (None, surplus):
        report.problems.append(f"{tally.sent} requests were sent, outcomes: {surplus:+d}")
    report.figures["requests"] = tally.sent


def _judge_answers(report: Report, tally: Tally, watch: _Watch) -> None:
    report.problems += tally.findings
    if tally.wrong > len(tally.findings):
        report.problems.append(f"and {tally.wrong - len(tally.findings)} more of these")
    report.problems += sorted(watch.leaks)
    if strange := set(watch.ollama_paths) - OLLAMA_PATHS:
        report.problems.append(f"Ollama was asked for {sorted(strange)}")
    if not watch.private_at_home:
        report.problems.append("no local_only request was served, so nothing could leak")
    stayed = sum(tally.kinds.values()) - tally.kinds[LEFT]
    share = tally.kinds["answered"] / max(1, stayed)
    if share < report.plan.least_answered_share:
        report.problems.append(f"only {share:.0%} of the requests were answered")
    took_s = sorted(tally.took_s) or [0.0]
    report.figures |= {
        "kinds": dict(sorted(tally.kinds.items())),
        "answered_share": round(share, 3),
        "p50_s": round(statistics.median(took_s), 3),
        "p99_s": round(took_s[int(len(took_s) * 0.99)], 3),
        "longest_s": round(took_s[-1], 3),
        "local_only_at_home": watch.private_at_home,
        "local_only_elsewhere": len(watch.leaks),
    }


def _judge_files(report: Report, house: House, tally: Tally) -> None:
    """Look at what a killed proxy has left on the disk."""
    if not learned(house.ledger):
        report.problems.append("the ledger lost what was in it")
    torn: list[str] = []
    decisions = list(read_decisions(house.decisions, on_bad_line=torn.append))
    if len(torn) > 1:
        report.problems.append(f"{len(torn)} decisions cannot be read")
    _judge_decisions(report, tally, decisions)


def _judge_decisions(report: Report, tally: Tally, decisions: list[Decision]) -> None:
    """Find every request again in the record of decisions."""
    found: dict[int, list[Decision]] = {}
    for decision in decisions:
        headers = decision.facts.get("headers", {})
        number = headers.get(NUMBER_HEADER) if isinstance(headers, dict) else None
        if number is not None:
            found.setdefault(int(number), []).append(decision)
    for number, kind in tally.kind_of.items():
        mine = found.get(number, [])
        status = tally.statuses.get(number)
        if len(mine) > 1 or (status is not None and not mine):
            report.problems.append(f"#{number} ({kind}) has {len(mine)} decisions")
        elif status is not None and mine[0].outcome.status != status:
            recorded = mine[0].outcome.status
            report.problems.append(f"#{number}: the client saw {status}, recorded is {recorded}")
        elif kind == "answered" and mine[0].outcome.ending != "completed":
            report.problems.append(f"#{number} was answered, and ended {mine[0].outcome.ending}")
        elif mine and not 0 <= mine[0].outcome.total_s <= DEADLINE_S + LATE_S:
            report.problems.append(f"#{number} took {mine[0].outcome.total_s} s by its record")
    for decision in decisions:
        plan = decision.plan
        if plan and plan.privacy == "local_only" and decision.outcome.route not in ("", "local"):
            report.problems.append(f"local_only went to {decision.outcome.deployment}")
    attempts = Counter(
        attempt.partition(":")[2] for each in decisions for attempt in each.outcome.attempts
    )
    report.figures |= {
        "endings": dict(Counter(each.outcome.ending for each in decisions)),
        "attempts": dict(attempts.most_common()),
        "served_by_fallback": sum(
            len(each.outcome.attempts) > 1 and each.outcome.attempts[-1].endswith(":ok")
            for each in decisions
        ),
    }


def _judge_what_is_left(report: Report, before: dict[str, Any], after: dict[str, Any]) -> None:
    for name in ("busy_slots", "waiting_for_slots", "taken_slots", "trials"):
        if after[name]:
            report.problems.append(f"{name}: {after[name]}")
    for name, kept in (("descriptors", PROBING), ("threads", POOL_THREADS)):
        if after[name] > before[name] + kept:
            report.problems.append(
                f"{name}: {before[name]} before, {after[name]} after, {after['sockets']}"
            )
    if more := _grown(before["tasks"], after["tasks"], 0):
        report.problems.append(f"tasks left: {more}")
    grown = _grown(before["objects"], after["objects"], MADE_ANEW)
    if more := {name: count for name, count in grown.items() if _belongs_to_a_request(name)}:
        report.problems.append(f"objects left: {more}")
    report.figures |= {
        "tasks": [sum(each["tasks"].values()) for each in (before, after)],
        "descriptors": [before["descriptors"], after["descriptors"]],
        "threads": [before["threads"], after["threads"]],
        "objects_grown": _grown(before["objects"], after["objects"], 0),
    }


def _belongs_to_a_request(name: str) -> bool:
    return name.startswith(("ccproxy.", "routing.", "asyncio.")) and name not in REMEMBERED


def _grown(before: dict[str, int], after: dict[str, int], by_more_than: int) -> dict[str, int]:
    growth = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: grown for name, grown in sorted(growth.items()) if grown > by_more_than}


def _judge_memory(report: Report, watch: _Watch) -> None:
    """Compare what was held at the least: an endless line takes megabytes for as long as it is read."""
    last_s = watch.rss[-1][0]
    warm = [rss for at_s, rss in watch.rss if at_s >= last_s * WARM_UP_SHARE]
    quarter = max(1, len(warm) // 4)
    first, last = min(warm[:quarter]), min(warm[-quarter:])
    growth_mib = (last - first) / 2**20
    if growth_mib > report.plan.memory_growth_mib:
        report.problems.append(f"memory grew by {growth_mib:.1f} MiB")
    report.figures |= {
        "rss_mib": [round(first / 2**20, 1), round(last / 2**20, 1)],
        "rss_growth_mib": round(growth_mib, 1),
        "rss_mib_over_time": [
            round(watch.rss[len(watch.rss) * part // RSS_POINTS][1] / 2**20)
            for part in range(RSS_POINTS)
        ],
    }


def _judge_log(report: Report, house: House) -> None:
    lines = house.log.read_text(errors="replace").splitlines()
    told = [line for line in lines if any(word in line for word in _LOG_WORDS)]
    report.problems += [f"log: {line[:600]}" for line in told[:5]]
