"""Runs tasks over routes in turn, so that whatever changes meanwhile changes for all of them.

Tasks go out in blocks of as many as may run at once. Each block runs on one route, to its end, then
on the next; which route begins changes from block to block. So routes never compete with each
other, and each has its block at nearly the same time as the others have theirs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from ccproxy.bench.prompts import conversation
from ccproxy.bench.samples import Sample
from ccproxy.bench.spending import Bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ccproxy.bench.profiles import Profile
    from ccproxy.bench.routes import Route
    from ccproxy.bench.spending import Bounds, Purse


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is to be run."""

    routes: Sequence[Route]
    tasks: Sequence[Profile]
    """On each route."""
    concurrency: int
    seed: int
    warm_up: int = 1
    """Tasks on each route, before, that no figure has in it."""


@dataclass(frozen=True, slots=True)
class Task:
    """One task on one route, with a sample for each of its requests."""

    route: Route
    profile: Profile
    bodies: Sequence[Mapping[str, Any]]
    samples: Sequence[Sample]


class Asks(Protocol):
    """Whoever sends a request and fills in its sample."""

    async def ask(
        self, route: Route, body: Mapping[str, Any], sample: Sample, *, stream: bool
    ) -> None:
        """Send it; whatever happens becomes the sample's outcome."""
        ...


def planned(plan: RunPlan) -> list[list[Task]]:
    """Return the blocks of a run in order, those that warm up first."""
    warm_up = [
        [_task(plan, route, plan.tasks[number % len(plan.tasks)], number, warm_up=True)]
        for number in range(plan.warm_up if plan.tasks else 0)
        for route in plan.routes
    ]
    return [*warm_up, *_measured(plan)]


def _measured(plan: RunPlan) -> Iterator[list[Task]]:
    starts = range(0, len(plan.tasks), plan.concurrency)
    for block, start in enumerate(starts):
        turn = block % len(plan.routes)
        for route in (*plan.routes[turn:], *plan.routes[:turn]):
            yield [
                _task(plan, route, profile, number, warm_up=False)
                for number, profile in enumerate(
                    plan.tasks[start : start + plan.concurrency], start
                )
            ]


def _task(plan: RunPlan, route: Route, profile: Profile, number: int, *, warm_up: bool) -> Task:
    place = f"{plan.seed} {route.label} {number} {warm_up}"
    bodies = conversation(profile, place)
    samples = [
        Sample(route.label, profile.name, number, turn, warm_up) for turn in range(len(bodies))
    ]
    return Task(route, profile, bodies, samples)


async def bounds_of(
    blocks: Sequence[Sequence[Task]], bounds: Bounds
) -> dict[tuple[str, Profile, int], Bound]:
    """Return what requests may cost, by route, profile and turn: those alike cost the same.

    Raises:
        CostUnknownError: That cannot be said of one of them.
    """
    found: dict[tuple[str, Profile, int], Bound] = {}
    for block in blocks:
        for task in block:
            for turn, body in enumerate(task.bodies):
                key = (task.route.label, task.profile, turn)
                if key not in found:
                    found[key] = await bounds.of(task.route, body)
    return found


def total_bound(
    blocks: Sequence[Sequence[Task]], bounds: Mapping[tuple[str, Profile, int], Bound]
) -> Bound:
    """Return what all requests together may cost."""
    total = Bound()
    for block in blocks:
        for task in block:
            for turn in range(len(task.bodies)):
                total += bounds[task.route.label, task.profile, turn]
    return total


class Runner:
    """Runs blocks one after the other."""

    def __init__(
        self,
        asks: Asks,
        purse: Purse,
        bounds: Mapping[tuple[str, Profile, int], Bound],
        on_answer: Callable[[Sample], None],
    ) -> None:
        """`on_answer` hears of every request that was dealt with, sent or not."""
        self._asks = asks
        self._purse = purse
        self._bounds = bounds
        self._on_answer = on_answer
        self._began = 0.0

    async def run(self, blocks: Sequence[Sequence[Task]]) -> None:
        """Fill in the sample of every request; those behind the end of the money stay unsent."""
        self._began = perf_counter()
        for block in blocks:
            await asyncio.gather(*map(self._converse, block))

    async def _converse(self, task: Task) -> None:
        for turn, (body, sample) in enumerate(zip(task.bodies, task.samples, strict=True)):
            if not self._purse.is_empty:
                sample.began_s = perf_counter() - self._began
                await self._asks.ask(task.route, body, sample, stream=task.profile.stream)
                bound = self._bounds.get((task.route.label, task.profile, turn), Bound())
                self._purse.pay(sample.cost_microusd, bound.at_most_microusd)
            self._on_answer(sample)
