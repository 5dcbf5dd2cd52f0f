"""Health on real sockets: free at any polling rate, debounced, in its stated time, offline and back."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from itertools import pairwise
from time import monotonic

import pytest

from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.health.board import HealthBoard
from ccproxy.health.monitor import OllamaMonitor, ollama_backend
from ccproxy.upstreams.ollama import OllamaControl
from routing.health import DEFAULT_RULES, HealthState, time_to_down_s, time_to_up_s
from tests.support.http_wire import ask, wire
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.sizes import count
from tests.support.waiting import until, until_found

POLLS = count(quick=300, ci=1000, full=10_000)
PATHS = ("/health/live", "/health/ready", "/health")


def in_a_world_that_is(faster):
    """Return the default rules with every time divided."""
    times = [each.name for each in fields(DEFAULT_RULES) if each.name.endswith("_s")]
    return replace(DEFAULT_RULES, **{name: getattr(DEFAULT_RULES, name) / faster for name in times})


FAST = in_a_world_that_is(faster=40)
OUTAGE_S = 1.5
SLACK_S = 0.15
"""What it may take to look."""
CLAUDES = ["claude-opus", "claude-sonnet", "claude-haiku", "claude-default"]
"""The test proxy's, in file order; all of one account."""
ANY_ANSWER_MAY_TAKE_S = 5.0


def table(*route):
    profile = {"default": {"route": list(route)}}
    return {"version": 1, "active_profile": "p", "profiles": {"p": profile}}


async def detail(proxy):
    answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
    return answer.json()


async def backend(proxy, address):
    rows = {row["api_base"]: row for row in (await detail(proxy))["backends"]}
    return rows[address]


async def files_of(proxy):
    return await ask(proxy.base_url, "/v1/files", headers=proxy.headers, body=b"x")


async def state_becomes(proxy, address, state):
    async def look():
        row = await backend(proxy, address)
        return row if row["state"] == state else None

    return await until_found(look)


async def send(proxy, model, **changes):
    return await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=model, **changes)
    )


async def is_ready(proxy):
    return (await ask(proxy.base_url, "/health/ready", method="GET")).status == 200


@pytest.mark.parametrize("is_there", [True, False], ids=["up", "down"])
async def test_polls_cost_nothing(is_there):
    """However often health is asked for, upstreams are probed at the rate of the rules alone.

    No model is loaded, no token generated, Claude hears nothing.
    """
    rules = replace(FAST, down_longest_s=FAST.interval_s, down_first_s=FAST.interval_s)
    async with running_proxy(health_rules=rules) as proxy:
        await state_becomes(proxy, proxy.ollama_url, "up")
        if not is_there:
            await proxy.ollama.refuse()
            await state_becomes(proxy, proxy.ollama_url, "down")
        row = await backend(proxy, proxy.ollama_url)
        before, began = (await probes(proxy)), monotonic()
        async with wire(proxy.base_url) as connection:
            for number in range(POLLS):
                await connection.send("GET", PATHS[number % len(PATHS)], proxy.headers)
                assert (await connection.read_answer()).status == 200
        asked, took_s = await probes(proxy) - before, monotonic() - began

        assert row["next_probe_s"] <= rules.interval_s * (1 + rules.jitter_share)
        assert asked <= took_s / rules.interval_s + 1
        if is_there:
            questions = {request.path for request in proxy.ollama.requests}
            assert questions == {"/api/version", "/api/tags", "/api/show", "/api/ps"}
        assert (proxy.ollama.loads, proxy.ollama.generations) == (0, [])
        assert list(proxy.claude.requests) == []


async def probes(proxy):
    """Return how often the backends were asked, by the proxy's own count."""
    answer = await ask(proxy.base_url, "/metrics", method="GET", headers=proxy.headers)
    lines = answer.body.decode().splitlines()
    counts = [line for line in lines if line.startswith("ccproxy_backend_probes_total{")]
    assert len(counts) == 2
    return sum(float(line.rpartition(" ")[2]) for line in counts)


@asynccontextmanager
async def watched(rules):
    """Watch a simulated Ollama, from its first answer on."""
    sim = SimulatedOllama()
    async with sim.serve() as base:
        control = OllamaControl(base)
        board = HealthBoard((ollama_backend(base),), {}, health_rules=rules)
        monitor = OllamaMonitor({base: control}, {base: ["qwen-fast"]}, board)
        monitor.start()
        try:
            await until(lambda: monitor.is_up(base))
            yield sim, board, base
        finally:
            await monitor.aclose()
            await control.aclose()


@asynccontextmanager
async def stopwatch():
    """Give what returns the seconds since the beginning that this process was free to work."""
    began, late_s, tick_s = monotonic(), [], 0.01

    async def tick():
        while True:
            before = monotonic()
            await asyncio.sleep(tick_s)
            late_s.append(monotonic() - before - tick_s)

    ticking = asyncio.create_task(tick())
    try:
        yield lambda: monotonic() - began - sum(late_s)
    finally:
        ticking.cancel()


async def test_a_flapping_backend_changes_at_most_once_per_dwell_time():
    """What comes and goes many times within the dwell time is published once in it."""
    rules = replace(
        FAST, failures_to_down=1, of_last=1, successes_to_up=1, apart_s=0,
        interval_s=0.01, doubtful_s=0.01, down_first_s=0.01, down_longest_s=0.01, dwell_s=0.2,
    )  # fmt: skip
    seen = set()
    async with watched(rules) as (sim, board, base):
        flaps, began = 0, monotonic()
        while len(board.backends[base].transitions) < 5:
            await (sim.refuse() if flaps % 2 == 0 else sim.resume())
            flaps += 1
            await asyncio.sleep(0.02)
            assert monotonic() - began < ANY_ANSWER_MAY_TAKE_S
        changes = board.backends[base].transitions
        seen = {change.state for change in changes}

    assert all(later.at_s - at.at_s >= rules.dwell_s for at, later in pairwise(changes))
    assert seen == {HealthState.UP, HealthState.DOWN}
    assert flaps > 2 * len(changes)


@pytest.mark.parametrize("trouble", ["refuse", "hang"])
async def test_out_and_back_within_the_stated_time(trouble):
    """A dead backend is out, and one that is there again is back, as soon as docs say.

    Time in which this process itself stood still does not count.
    """
    rules = in_a_world_that_is(faster=20)
    async with watched(rules) as (sim, board, base), stopwatch() as passed_s:
        await getattr(sim, trouble)()
        await until(lambda: board.backends[base].state is HealthState.DOWN)
        out_s = passed_s()
        await sim.resume()
        await until(lambda: board.backends[base].state is HealthState.UP)
        back_s = passed_s() - out_s

    assert out_s <= time_to_down_s(rules) + SLACK_S
    assert back_s <= time_to_up_s(rules) + SLACK_S


async def test_offline_claude_fails_fast_and_is_noticed_when_it_is_back():
    """Without a network the Claude route says so at once, local ones work, nobody has to restart.

    That it is back is found out without a request to Claude (conformance 065).
    """
    async with running_proxy(routing=table("claude-sonnet"), health_rules=FAST) as proxy:
        assert (await send(proxy, "claude-sonnet-4-5")).status == 200
        assert (await send(proxy, "qwen-coder")).status == 200
        outage = asyncio.create_task(proxy.claude.refuse(OUTAGE_S))
        await asyncio.sleep(0)

        async def is_noticed():
            await send(proxy, "claude-sonnet-4-5")
            return (await backend(proxy, proxy.claude_url))["state"] == "down" or None

        await until_found(is_noticed)
        began = monotonic()
        refused = await send(proxy, "claude-sonnet-4-5")
        took_s = monotonic() - began
        files = await files_of(proxy)
        local, ready = await send(proxy, "qwen-coder"), await is_ready(proxy)
        heard = len(proxy.claude.requests)
        assert not outage.done()
        await outage
        row = await state_becomes(proxy, proxy.claude_url, "up")
        heard_since = len(proxy.claude.requests) - heard
        again, ready_again = await send(proxy, "claude-sonnet-4-5"), await is_ready(proxy)

    for answer in (refused, files):
        assert (answer.status, answer.error["type"]) == (529, "overloaded_error")
        assert (
            "Claude cannot be reached from this host (offline since 20" in answer.error["message"]
        )
        assert "127.0.0.1" not in answer.body.decode()
        assert answer.header("x-should-retry") == "true"
    assert files.header("x-ccproxy-attempts") == ""
    assert took_s < 0.2
    assert (local.status, ready, ready_again) == (200, False, True)
    assert heard_since == 0
    assert row["why"] == "it takes connections"
    assert again.status == 200


async def test_other_paths_tell_of_claude_as_messages_do():
    """What cannot connect counts; who is left alone is not asked, but another of its account is."""
    async with running_proxy(routing=table("claude-sonnet")) as proxy:
        proxy.claude.faults.append(Fault(FaultKind.RESET, path="/v1/files"))
        broken = await files_of(proxy)
        row = await state_becomes(proxy, proxy.claude_url, "up")
        proxy.claude.faults.append(Fault(FaultKind.RESET, path="/v1/files"))
        await files_of(proxy)
        await files_of(proxy)
        after = await backend(proxy, proxy.claude_url)
        served = []
        for name in CLAUDES:
            served.append((await files_of(proxy)).header("x-ccproxy-deployment"))
            fault = Fault(FaultKind.STATUS, status=429, retry_after_s=60)
            proxy.claude.faults.append(fault)
            await send(proxy, name)
        heard = len(proxy.claude.requests)
        refused = await files_of(proxy)
        unheard = heard == len(proxy.claude.requests)
        breakers = proxy.proxy.health.breakers.values()

    assert (broken.status, broken.header("x-ccproxy-attempts")) == (
        529,
        "claude-opus:connect_error",
    )
    assert (row["failures"], after["failures"]) == (0, 1)
    assert after["successes"] > row["successes"]
    assert served == CLAUDES
    assert (refused.status, refused.header("x-should-retry"), unheard) == (529, "true", True)
    assert "left alone for another" in refused.error["message"]
    assert {each.successes for each in breakers} == {0}


async def test_one_broken_connection_is_no_outage():
    """If Claude breaks off the very first request, the next one is sent there all the same."""
    async with running_proxy(routing=table("claude-sonnet"), health_rules=FAST) as proxy:
        proxy.claude.faults.append(Fault(FaultKind.RESET, times=2))
        await send(proxy, "claude-sonnet-4-5")
        row = await state_becomes(proxy, proxy.claude_url, "up")
        answer = await send(proxy, "claude-sonnet-4-5")

    assert answer.status == 200
    assert [change["state"] for change in row["transitions"]] == ["up"]


async def test_who_is_down_or_open_is_left_out_of_plans():
    """The next deployment serves at once, and nothing was tried before it."""
    async with running_proxy(
        routing=table("qwen-coder", "claude-sonnet"), health_rules=FAST
    ) as proxy:
        await proxy.ollama.refuse()
        await state_becomes(proxy, proxy.ollama_url, "down")
        down = await send(proxy, "anything-sonnet")
        await proxy.ollama.resume()
        await state_becomes(proxy, proxy.ollama_url, "up")
        back = await send(proxy, "anything-sonnet")
        fault = Fault(FaultKind.STATUS, status=429, retry_after_s=60)
        proxy.claude.faults.append(fault)
        limited = await send(proxy, "claude-sonnet")
        again = await send(proxy, "claude-sonnet")
        rows = {row["deployment"]: row for row in (await detail(proxy))["deployments"]}

    assert (down.status, down.header("x-ccproxy-attempts")) == (200, "claude-sonnet:ok")
    assert (back.status, back.header("x-ccproxy-attempts")) == (200, "qwen-coder:ok")
    assert limited.status == 429
    assert (again.status, again.header("x-ccproxy-attempts")) == (529, None)
    assert "left alone for another" in again.error["message"]
    assert rows["claude-sonnet"]["breaker"]["state"] == "open"
    assert 55 < rows["claude-sonnet"]["breaker"]["open_for_s"] <= 60
    assert rows["claude-opus"]["breaker"]["state"] == "closed"


async def test_tokens_are_counted_by_whoever_would_serve():
    """A Claude that is left alone is not asked for a count either; one that fails to count is (247)."""
    count = "/v1/messages/count_tokens"
    body = turn(model="anything-sonnet", max_tokens=None)
    async with running_proxy(routing=table("claude-sonnet", "qwen-coder")) as proxy:
        fault = Fault(FaultKind.STATUS, status=429, retry_after_s=60, times=2)
        proxy.claude.faults.append(fault)
        answers = [
            await ask(proxy.base_url, count, headers=proxy.headers, body=body),
            await send(proxy, "anything-sonnet"),
            await ask(proxy.base_url, count, headers=proxy.headers, body=body),
            await ask(
                proxy.base_url, count, headers=proxy.headers, body=body | {"model": "claude-sonnet"}
            ),
        ]

    assert [
        (429, "claude-sonnet:rate_limit"),
        (200, "claude-sonnet:rate_limit,qwen-coder:ok"),
        (200, "qwen-coder:ok"),
        (529, None),
    ] == [(answer.status, answer.header("x-ccproxy-attempts")) for answer in answers]


async def test_ready_regards_breakers_and_missing_models():
    """A proxy whose only route is left alone, or has no model, is not ready (design 4.2)."""
    async with running_proxy(routing=table("claude-sonnet")) as proxy:
        before = await is_ready(proxy)
        proxy.claude.faults.append(Fault(FaultKind.STATUS, status=429, retry_after_s=60))
        await send(proxy, "claude-sonnet-4-5")
        opened = await is_ready(proxy)
    sim = SimulatedOllama(models=[])
    async with running_proxy(routing=table("qwen-coder"), ollama=sim) as proxy:
        row = await state_becomes(proxy, proxy.ollama_url, "up")
        absent = await is_ready(proxy)

    assert (before, opened, absent) == (True, False, False)
    assert {model["present"] for model in row["models"]} <= {False, None}


async def test_a_model_at_work_is_shown_as_busy():
    """`/health` counts what each deployment and model is serving at the moment."""
    async with running_proxy() as proxy:
        proxy.ollama.add_fault("hang")
        task = asyncio.create_task(send(proxy, "qwen-coder"))
        await proxy.ollama.generation()
        found = await detail(proxy)
        task.cancel()

    busy = {row["deployment"]: row["busy"] for row in found["deployments"]}
    models = {
        model["model"]: model["busy"]
        for row in found["backends"]
        for model in row.get("models", ())
    }
    assert (busy["qwen-coder"], busy["qwen-fast"]) == (1, 0)
    assert (models["qwen2.5-coder:32b-instruct"], models["qwen-fast:latest"]) == (1, 0)
