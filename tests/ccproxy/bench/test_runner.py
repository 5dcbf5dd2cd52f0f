"""The order in which tasks run, and when they stop."""

import asyncio

import pytest

from ccproxy.bench.profiles import Profile
from ccproxy.bench.routes import Route
from ccproxy.bench.runner import Runner, RunPlan, planned, total_bound
from ccproxy.bench.samples import OK
from ccproxy.bench.spending import Bound, Purse

ROUTES = [Route(label, label, "http://h", "t") for label in "ABC"]
SHORT = Profile("short", 120, 10)
LOOP = Profile("loop", 200, 10, turns=3, result_tokens=50, tools=2)


class Upstream:
    """Answers at once, and remembers who asked while who else was asking."""

    def __init__(self, cost_microusd=0):
        self.cost_microusd = cost_microusd
        self.asked = []
        self.running = []
        self.together = []

    async def ask(self, route, _body, sample, **_how):
        self.running.append(route.label)
        await asyncio.sleep(0)
        self.together.append(sorted(self.running))
        self.running.remove(route.label)
        self.asked.append((route.label, sample.task, sample.turn))
        sample.outcome, sample.cost_microusd = OK, self.cost_microusd


def plan(routes, tasks, concurrency=1, warm_up=0):
    return RunPlan(ROUTES[:routes], tasks, concurrency, 1, warm_up)


async def run(blocks, upstream, limit=None, bounds=None):
    heard = []
    await Runner(upstream, Purse(limit), bounds or {}, heard.append).run(blocks)
    return heard


async def test_routes_take_turns():
    """Each block runs on every route, and each time another route begins."""
    upstream = Upstream()
    await run(planned(plan(2, [SHORT] * 4)), upstream)

    assert "ABBAABBA" == "".join(label for label, _, _ in upstream.asked)
    assert [0, 0, 1, 1, 2, 2, 3, 3] == [task for _, task, _ in upstream.asked]


async def test_routes_never_compete():
    """So many tasks at once as were asked for, and only of one route."""
    upstream = Upstream()
    await run(planned(plan(3, [SHORT] * 5, concurrency=2)), upstream)

    assert ["A", "A"] in upstream.together
    assert all(len(set(labels)) == 1 for labels in upstream.together)
    assert max(map(len, upstream.together)) == 2
    assert 15 == len(upstream.asked)


async def test_the_turns_of_a_conversation_follow_each_other():
    """In order, within their block."""
    upstream = Upstream()
    await run(planned(plan(1, [LOOP, SHORT])), upstream)

    assert [(0, 0), (0, 1), (0, 2), (1, 0)] == [place[1:] for place in upstream.asked]


def test_warming_up_comes_first_and_is_told_apart():
    """On each route; its requests are others than those that count."""
    blocks = planned(plan(2, [SHORT] * 3, warm_up=1))
    samples = [sample for block in blocks for task in block for sample in task.samples]

    assert [True, True, False] == [sample.warm_up for sample in samples[:3]]
    assert 2 + 2 * 3 == len(samples)
    bodies = [str(task.bodies) for block in blocks for task in block]
    assert len(set(bodies)) == len(bodies)


@pytest.mark.parametrize(("limit", "sent"), [(0, 0), (1, 1), (29, 3), (30, 3), (31, 4), (None, 8)])
async def test_it_stops_when_the_limit_is_reached(limit, sent):
    """Nothing is sent from then on; what was not sent is told all the same."""
    upstream = Upstream(cost_microusd=10)
    heard = await run(planned(plan(2, [SHORT] * 4)), upstream, limit)

    assert sent == len(upstream.asked)
    assert sent == sum(sample.was_sent for sample in heard)
    assert 8 == len(heard)


async def test_an_unknown_cost_counts_with_what_it_may_be():
    """An answer whose usage is missing is paid with its bound."""
    blocks = planned(plan(1, [SHORT] * 4))
    bounds = {("A", SHORT, 0): Bound(5, 40)}
    heard = await run(blocks, Upstream(cost_microusd=None), 80, bounds)

    assert 2 == sum(sample.was_sent for sample in heard)
    assert Bound(20, 160) == total_bound(blocks, bounds)
