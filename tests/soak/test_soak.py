"""A short soak in every run; `make soak` is the long one (docs/reliability.md)."""

import pytest

from tests.support.sizes import count
from tests.support.soak.soak import Plan, run_soak

# In five seconds as much goes wrong as in fifteen of the long one.
PLAN = Plan(
    duration_s=count(quick=4, ci=60, full=180),
    faults_per_s=count(quick=3, ci=1, full=1),
    seed=count(quick=1, ci=2, full=3),
    # A young process still fills its pools and what it remembers; the long soak is strict.
    memory_growth_mib=count(quick=96, ci=96, full=48),
)


@pytest.mark.timeout(PLAN.duration_s + 120)
async def test_nothing_is_lost_wrong_or_left():
    """50 agents, a fault every second: one outcome each, in time, right, private, and all let go."""
    report = await run_soak(PLAN)

    assert [] == report.problems, report.figures
    assert report.figures["requests"] > 3 * PLAN.agents
    assert sum(report.figures["faults"].values()) > PLAN.duration_s / 2
