"""Local answers are compared with Claude while they run, and cost them nothing."""

import gc
import logging
import weakref

import pytest

from ccproxy.outcome import Outcome
from ccproxy.pipeline.comparing import Comparing
from routing.pricing import Price, PriceList, Rates, TokenRange
from routing.prompt_cache import CacheSplit
from routing.types import (
    AgentMatch,
    AgentSource,
    Deployment,
    Plan,
    Privacy,
    Profile,
    RoutingTable,
    Side,
    Tier,
)
from tests.support import parsed_requests

RATES = Rates(2_000_000, 10_000_000, 2_500_000, 4_000_000, 100_000)
PRICES = PriceList(
    "2026-11-21",
    {
        "claude-opus-5-5": Price(RATES, token_range=TokenRange(1000, 2000, 3000)),
        "claude-short": Price(RATES, None, None, {}, 4096, TokenRange(1000, 2000, 3000)),
        "claude-odd": Price(RATES),
    },
)
OPUS = Deployment("opus", Side.CLAUDE, True, upstream_model="*", base_model="claude-opus-5-5")
PROFILE = Profile("p")
TABLE = RoutingTable(PROFILE, {"p": PROFILE}, {"opus": OPUS}, "v", prices=PRICES)
STRANGER = AgentMatch(None, AgentSource.NONE)


class Body(dict):
    """One of which it can be seen whether it is still there."""


def request_of(model="agent/x", words="word " * 300, *, counting=False, **more):
    block = {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}
    body = Body(model=model, max_tokens=9, messages=[{"role": "user", "content": [block]}], **more)
    return parsed_requests.request_of(
        body, counting=counting, stream=True, names_claude_model=model.startswith("claude")
    )


def outcome(route=Side.LOCAL, arrived_at=0.0):
    return Outcome("req_1", "messages", 1.7e9, route=route, arrived_at=arrived_at, total_s=1.0)


def plan(tier=Tier.OPUS):
    return Plan(STRANGER, tier, Privacy.ANY, ("d",), tuple, "v")


def comparing():
    return Comparing(lambda: TABLE, b"k" * 32)


@pytest.mark.parametrize(
    ("request_", "route", "tier", "model"),
    [
        (request_of(), Side.LOCAL, Tier.OPUS, "claude-opus-5-5"),
        (request_of("claude-short"), Side.LOCAL, None, "claude-short"),
        (request_of(), Side.CLAUDE, Tier.OPUS, None),
        (request_of(), Side.OTHER, Tier.OPUS, None),
        (request_of(counting=True), Side.LOCAL, Tier.OPUS, None),
        (request_of(), Side.LOCAL, Tier.HAIKU, None),
        (request_of("claude-next"), Side.LOCAL, Tier.OPUS, None),
        (request_of("claude-odd"), Side.LOCAL, Tier.OPUS, None),
    ],
)
async def test_who_is_compared(request_, route, tier, model):
    """What a local model answers, where a price of Claude's is known and tokens compare."""
    seen = outcome(route)
    await comparing().look(request_, plan(tier), seen)

    assert (seen.comparison and seen.comparison.model) == model


async def test_a_turn_reads_what_the_one_before_wrote():
    """Between them the clock of arrivals counts, from the end of the first."""
    compare = comparing()
    reads = []
    for arrived_at in (0.0, 1.0, 301.5, 700.0):
        seen = outcome(arrived_at=arrived_at)
        await compare.look(request_of(), plan(), seen)
        compare.record(seen)
        split = seen.comparison.use.simulated
        reads.append(split.read == split.five_minutes > 0)

    assert reads == [False, True, True, False]


async def test_a_short_prompt_is_not_cached():
    """The least length is Claude's, and so are more tokens than a local model counts."""
    seen = {}
    for words in (1500, 3000):
        seen[words] = outcome()
        await comparing().look(request_of("claude-short", "word " * words), plan(), seen[words])

    assert seen[1500].comparison.use.simulated == CacheSplit()
    assert seen[3000].comparison.use.simulated.five_minutes > 2048


async def test_nothing_of_a_request_is_kept():
    """A stream may last for minutes; its conversation is gone by then."""
    compare, seen, request_ = comparing(), outcome(), request_of()
    body = weakref.ref(request_.body)
    await compare.look(request_, plan(), seen)
    del request_
    gc.collect()

    assert seen.comparison is not None
    assert body() is None


async def test_a_defect_here_costs_no_answer(caplog):
    """It is in the log, with the request's id; the request goes on without a comparison."""
    caplog.set_level(logging.ERROR)
    seen = outcome()
    await comparing().look(request_of(tools=[3]), plan(), seen)

    assert seen.comparison is None
    assert [record.request_id for record in caplog.records] == ["req_1"]


async def test_a_request_without_a_comparison_ends_as_well():
    """Its record is looked at like any other."""
    comparing().record(outcome())
