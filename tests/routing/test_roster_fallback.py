"""The roster's `fallback` block in a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routing.capabilities import FleetSnapshot
from routing.content import StatedContent
from routing.errors import NoAttempt
from routing.failures import FailureClass
from routing.identify import identify
from routing.pace import Pace
from routing.plan import build_plan
from routing.pricing import FREE, Price, PriceList, Rates
from routing.roster_fallback import CLASSES, classes_of
from routing.table import compile_table
from routing.types import (
    AgentFallback,
    Deployment,
    FallbackTrigger,
    Plan,
    RequestClass,
    RequestFacts,
    Roster,
    Side,
    Tier,
)
from tests.support.routing_samples import ROSTER, table_of

AVAILABILITY, RATE, TOKENS = (
    FallbackTrigger.AVAILABILITY,
    FallbackTrigger.RATE_LIMIT,
    FallbackTrigger.TOKEN_LIMIT,
)
OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
DEPLOYMENTS = {
    each.name: each
    for each in (
        Deployment("small", Side.LOCAL, leaves_host=False, num_ctx=1024),
        Deployment("large", Side.LOCAL, leaves_host=False),
        Deployment("opus", Side.CLAUDE, leaves_host=True, upstream_model="*", base_model=OPUS),
        Deployment("sonnet", Side.CLAUDE, leaves_host=True, upstream_model="*", base_model=SONNET),
        Deployment("any", Side.CLAUDE, leaves_host=True, upstream_model="*"),
        Deployment("fixed", Side.CLAUDE, leaves_host=True, upstream_model="claude-sonnet-5"),
    )
}


def plan_for(
    route: list[str],
    behind: list[str],
    *triggers: FallbackTrigger,
    model: str = OPUS,
    down: tuple[str, ...] = (),
    slow: tuple[str, ...] = (),
    policies: dict[str, Any] | None = None,
    prices: PriceList | None = None,
    **facts: Any,
) -> Plan:
    """Plan a request of an agent of tier opus with a fallback of tier sonnet."""
    block = AgentFallback(Tier.SONNET, triggers or tuple(FallbackTrigger))
    chief = replace(ROSTER.agents["chief"], fallback=block)
    roster = Roster({**ROSTER.agents, "chief": chief}, ROSTER.aliases)
    mapping = table_of(
        {"tiers": {"opus": {"route": route}, "sonnet": {"route": behind}}, **(policies or {})}
    )
    table, _ = compile_table(mapping, DEPLOYMENTS, roster)
    if prices is not None:
        table = replace(table, prices=prices)
    request = RequestFacts(model, path_agent="chief", **facts)
    crawling = Pace(prefill_tokens_per_s=0.01, prefills=9)
    fleet = FleetSnapshot(
        unavailable=dict.fromkeys(down, "down"), paces=dict.fromkeys(slow, crawling)
    )
    return build_plan(request, identify(request, roster, DEPLOYMENTS), table, roster, fleet)


def reasons(plan: Plan | NoAttempt) -> dict[str, str]:
    """Return why each candidate was kept or skipped."""
    return {step.name: step.reason for step in plan.trace if step.kind == "candidate"}


def test_the_fallback_follows_the_route_and_waits() -> None:
    """What the route lacks comes behind it, and only after a trigger's failures; the trace says so."""
    plan = plan_for(["opus"], ["large", "opus", "fixed"], RATE, TOKENS)

    assert plan.attempts == ("opus", "large", "fixed")
    classes = {FailureClass.RATE_LIMIT, FailureClass.CONTEXT_OVERFLOW}
    assert plan.only_after == {"large": classes, "fixed": classes}
    assert reasons(plan) == {
        "opus": "usable",
        "large": "fallback of the roster: usable, but only after rate_limit, token_limit",
        "fixed": "fallback of the roster: usable, but only after rate_limit, token_limit",
    }


def test_the_table_wins() -> None:
    """What the route has itself keeps its place and waits for nothing."""
    plan = plan_for(["opus", "large"], ["large"])

    assert plan.attempts == ("opus", "large")
    assert plan.only_after == {}


def test_without_an_entry_of_the_tier_the_default_is_taken() -> None:
    """The route that an agent of the block's tier would have."""
    policies = {"tiers": {"opus": {"route": ["opus"]}}, "default": {"route": ["large"]}}
    assert plan_for([], [], policies=policies).attempts == ("opus", "large")


def test_what_is_late_in_the_route_comes_before_the_fallback() -> None:
    """The fallback stays behind all of the route."""
    content = StatedContent(input_tokens=100)
    plan = plan_for(["large", "opus"], ["fixed"], slow=("large",), content=content)
    assert plan.attempts == ("opus", "large", "fixed")


@pytest.mark.parametrize(
    ("trigger", "facts", "tried"),
    [
        (TOKENS, {"content": StatedContent(input_tokens=5000)}, True),
        (AVAILABILITY, {"content": StatedContent(input_tokens=5000)}, False),
        (AVAILABILITY, {"down": ("small",)}, True),
        (TOKENS, {"down": ("small",)}, False),
        (RATE, {"down": ("small",)}, False),
        (TOKENS, {"content": StatedContent(has_images=True)}, False),
        (AVAILABILITY, {"content": StatedContent(has_images=True)}, False),
    ],
)
def test_a_trigger_at_planning(
    trigger: FallbackTrigger, facts: dict[str, Any], tried: bool
) -> None:
    """Too small is `token_limit`, down is `availability`; nothing else opens the fallback."""
    if tried:
        plan = plan_for(["small"], ["fixed"], trigger, **facts)
        assert (plan.attempts, plan.only_after) == (("fixed",), {})
        assert reasons(plan)["fixed"] == "fallback of the roster: usable"
        return
    with pytest.raises(NoAttempt) as refused:
        plan_for(["small"], ["fixed"], trigger, **facts)
    assert reasons(refused.value)["fixed"] == (
        f"fallback of the roster: is not tried: nothing of the route was skipped for {trigger}"
    )


def test_a_fallback_that_is_not_tried_is_no_outage() -> None:
    """The route cannot do it, the fallback is down and not asked: 400, not 529."""
    with pytest.raises(NoAttempt) as refused:
        plan_for(["small"], ["any"], content=StatedContent(has_images=True), down=("any",))
    assert not refused.value.outage


def test_a_trigger_that_came_up_for_a_part_of_the_route() -> None:
    """One candidate is down, another usable: the fallback waits for nothing."""
    plan = plan_for(["opus", "small"], ["large"], AVAILABILITY, down=("opus",))
    assert (plan.attempts, plan.only_after) == (("small", "large"), {})


def test_privacy_holds_behind_the_route() -> None:
    """`local_only` skips a fallback that leaves the host, and says so."""
    plan = plan_for(["small"], ["fixed", "large"], policies={"privacy": "local_only"})
    assert plan.attempts == ("small", "large")
    assert reasons(plan)["fixed"] == (
        "fallback of the roster: leaves the host, and privacy is local_only"
    )


def test_on_overflow_error_ends_the_fallback_too() -> None:
    """The table says that the client is to be told: the roster's fallback does not undo that."""
    plan = plan_for(
        ["small"],
        ["large"],
        policies={"on_overflow": "error"},
        content=StatedContent(input_tokens=5000),
    )
    assert plan.attempts == ("small",)


@pytest.mark.parametrize(
    ("route", "behind", "model", "asks"),
    [
        (["opus"], ["sonnet"], OPUS, {"sonnet": SONNET}),
        (["opus", "sonnet"], ["sonnet"], OPUS, {"sonnet": SONNET}),
        (["opus"], ["sonnet"], "claude-sonnet-4-6", {}),
        (["opus"], ["sonnet"], "gpt-4o", {}),
        (["sonnet"], ["sonnet"], OPUS, {}),
        (["large", "sonnet"], ["sonnet"], OPUS, {}),
        (["large"], ["sonnet"], OPUS, {"sonnet": SONNET}),
        (["opus"], ["any", "fixed"], OPUS, {}),
        (["sonnet", "opus"], ["opus"], OPUS, {}),
        (["opus", "sonnet"], ["large"], OPUS, {}),
    ],
)
def test_the_model_that_claude_is_asked_for(
    route: list[str], behind: list[str], model: str, asks: dict[str, str]
) -> None:
    """A model of the block's tier, but at the route's first Claude; never one of another tier."""
    assert plan_for(route, behind, model=model).asks == asks


def test_the_model_that_is_asked_for_is_told_and_priced() -> None:
    """The trace names it, and a cost limit is held against its price."""
    plan = plan_for(["opus", "sonnet"], ["sonnet"])
    assert reasons(plan)["sonnet"] == f"usable; asks for {SONNET}, by the roster's fallback"

    dear = Price(Rates(50_000_000, 50_000_000, 0, 0, 0))
    limited = plan_for(
        ["opus", "sonnet"],
        ["sonnet"],
        policies={"max_cost_usd_per_request": 0.01},
        prices=PriceList("2026-01-01", {OPUS: dear, SONNET: FREE}),
        content=StatedContent(input_tokens=1000),
    )
    assert limited.attempts == ("sonnet",)


@pytest.mark.parametrize(
    "facts", [{"model": "opus"}, {"request_class": RequestClass.SAFETY_CLASSIFIER}]
)
def test_where_there_is_no_fallback(facts: dict[str, Any]) -> None:
    """A deployment asked for by name, and a safety call, are what they are."""
    plan = plan_for(["opus"], ["sonnet"], **facts)
    assert (plan.only_after, plan.asks) == ({}, {})
    assert not any("fallback" in reason for reason in reasons(plan).values())


def test_every_trigger_has_its_failures() -> None:
    """No failure is two triggers, and what no other deployment cures is none."""
    assert set(CLASSES) == set(FallbackTrigger)
    assert sum(map(len, CLASSES.values())) == len(classes_of(FallbackTrigger))
    assert not classes_of(FallbackTrigger) & {
        FailureClass.CLIENT_FAULT,
        FailureClass.CAPABILITY_MISSING,
        FailureClass.MALFORMED_OUTPUT,
        FailureClass.PROXY_ERROR,
    }
