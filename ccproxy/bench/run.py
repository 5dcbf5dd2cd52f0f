"""One benchmark from its plan to its report."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ccproxy.bench.client import BenchClient
from ccproxy.bench.machine import machine, versions
from ccproxy.bench.report import Circumstances, report
from ccproxy.bench.runner import Runner, bounds_of, planned, total_bound
from ccproxy.bench.spending import Bound, Bounds, Purse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.bench.profiles import Profile
    from ccproxy.bench.runner import RunPlan, Task
    from ccproxy.bench.samples import Sample
    from routing.pricing import PriceList

INTERRUPTED: Final = "interrupted"


@dataclass(frozen=True, slots=True)
class Bench:
    """What is about to be run, and what it may cost."""

    plan: RunPlan
    blocks: Sequence[Sequence[Task]]
    bounds: Mapping[tuple[str, Profile, int], Bound]
    total: Bound
    prices: PriceList
    simulated: bool

    @property
    def requests(self) -> int:
        """How many are planned, those that warm up included."""
        return sum(len(task.bodies) for block in self.blocks for task in block)


async def prepare(plan: RunPlan, prices: PriceList, *, simulated: bool) -> Bench:
    """Make every request and find out what they may cost; none is sent.

    Args:
        plan: What is to be run.
        prices: What tokens cost.
        simulated: Nothing is billed, so nothing is asked about it.

    Raises:
        CostUnknownError: Of a route it cannot be said what it costs.
    """
    blocks = planned(plan)
    if simulated:
        return Bench(plan, blocks, {}, Bound(), prices, simulated)
    bounds = await bounds_of(blocks, Bounds(prices))
    return Bench(plan, blocks, bounds, total_bound(blocks, bounds), prices, simulated)


async def run(
    bench: Bench,
    *,
    limit_microusd: int | None,
    timeout_s: float,
    settings: Mapping[str, object],
    on_answer: Callable[[Sample], None],
) -> dict[str, Any]:
    """Run it and return the report, also when it is called off.

    Args:
        bench: Prepared.
        limit_microusd: Where it stops; None is no limit.
        timeout_s: For one answer.
        settings: Told in the report.
        on_answer: Hears of every request that was dealt with.
    """
    at, before, began = datetime.now(UTC), machine(), perf_counter()
    purse = Purse(limit_microusd)
    client = BenchClient(bench.prices, timeout_s)
    stopped = None
    try:
        await Runner(client, purse, bench.bounds, on_answer).run(bench.blocks)
    except asyncio.CancelledError:
        stopped = INTERRUPTED
    finally:
        await client.aclose()
    samples = [sample for block in bench.blocks for task in block for sample in task.samples]
    if stopped is None and not all(sample.was_sent for sample in samples):
        stopped = f"the limit of ${(limit_microusd or 0) / 1e6:g} was reached"
    around = Circumstances(
        at=at.isoformat(timespec="seconds"),
        took_s=perf_counter() - began,
        settings=settings,
        routes=[route.told() for route in bench.plan.routes],
        machine=before,
        versions=versions(),
        prices_as_of=bench.prices.as_of,
        simulated=bench.simulated,
        stopped=stopped,
        expected_microusd=bench.total.expected_microusd,
        at_most_microusd=bench.total.at_most_microusd,
    )
    return report(around, samples)
