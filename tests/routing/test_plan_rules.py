"""Ordered rules, policies, abilities and safety calls in a plan."""

from __future__ import annotations

from typing import Any

import pytest

from routing.calibration import TokenRatio
from routing.capabilities import Capabilities, FleetSnapshot
from routing.content import StatedContent
from routing.errors import NoAttempt
from routing.identify import identify
from routing.pace import Pace
from routing.plan import build_plan
from routing.policies import OnOverflow, ThinkingMode, ThinkingPolicy
from routing.table import compile_table
from routing.types import Plan, Privacy, RequestClass, RequestFacts, Side, TraceEntry
from tests.support.routing_samples import CAPABLE_DEPLOYMENTS, ROSTER, table_of

EVERYONE = ["plain", "claude"]
NOTHING_KNOWN = FleetSnapshot()


def plan_for(
    profile: dict[str, Any],
    facts: RequestFacts,
    fleet: FleetSnapshot = NOTHING_KNOWN,
    **others: Any,
) -> Plan:
    """Identify and plan one request."""
    table, _ = compile_table(table_of(profile, **others), CAPABLE_DEPLOYMENTS, ROSTER)
    match = identify(facts, ROSTER, table.deployments)
    return build_plan(facts, match, table, ROSTER, fleet)


def as_agent(slug: str, **facts: Any) -> RequestFacts:
    """Return a request under `/agents/{slug}`."""
    return RequestFacts("claude-opus-5-5", path_agent=slug, **facts)


def route_for(route: list[str], content: StatedContent, **facts: Any) -> Plan:
    """Plan a request with such content under a table with one route."""
    fleet = facts.pop("fleet", NOTHING_KNOWN)
    entry = {"route": route, **facts}
    return plan_for({"default": entry}, RequestFacts("x", content=content), fleet)


def rule(name: str, when: dict[str, Any], **says: Any) -> dict[str, Any]:
    """Return a rule as the file has it."""
    return {"name": name, "when": when, **says}


def test_the_first_rule_that_applies_comes_before_everything() -> None:
    """A rule's route comes before the agent's own; a later rule is not tried."""
    profile = {
        "rules": [
            rule("no", {"agent": "clerk"}, route=["small"]),
            rule("yes", {"agent": ["clerk", "coder"]}, route=["plain"]),
            rule("late", {}, route=["claude"], privacy="local_only"),
        ],
        "agents": {"coder": {"route": ["claude"]}},
    }
    plan = plan_for(profile, as_agent("coder"))
    assert (plan.attempts, plan.rule, plan.privacy) == (("plain",), "yes", Privacy.ANY)
    assert plan.trace == (
        TraceEntry("rule", "rules.no", kept=False, reason="agent is coder"),
        TraceEntry(
            "rule", "rules.yes", kept=True, reason="first rule that applies and has a route"
        ),
        TraceEntry("rule", "rules.late", kept=False, reason="rules.yes decided"),
        TraceEntry("rule", "agents.coder", kept=False, reason="rules.yes decided"),
        TraceEntry("rule", "categories.codingAgents", kept=False, reason="rules.yes decided"),
        TraceEntry("rule", "tiers.sonnet", kept=False, reason="rules.yes decided"),
        TraceEntry("rule", "default", kept=False, reason="rules.yes decided"),
        TraceEntry("rule", "privacy", kept=False, reason="nothing restricts it"),
        TraceEntry("candidate", "plain", kept=True, reason="usable"),
    )


def test_a_rule_without_a_route_only_adds() -> None:
    """Its privacy and policies apply, and the next rule is tried."""
    profile = {
        "rules": [
            rule("private", {"project": "blue"}, privacy="local_only", deadline_s=5),
            rule("route", {"project": "blue"}, route=EVERYONE, deadline_s=9, thinking="strip"),
        ],
        "default": {"route": ["claude"]},
    }
    plan = plan_for(profile, RequestFacts("x", project="blue"))
    assert (plan.attempts, plan.rule) == (("plain",), "route")
    assert (plan.privacy, plan.deadline_s) == (Privacy.LOCAL_ONLY, 5)
    assert plan.thinking == ThinkingPolicy(ThinkingMode.STRIP)
    reasons = {step.name: step.reason for step in plan.trace}
    assert reasons["rules.private"] == "it applies and names no route: the next is tried"
    assert reasons["privacy"] == "local_only, from rules.private"
    assert reasons["deadline_s"] == "5 s, from rules.private"
    assert reasons["thinking"] == "strip, from rules.route"


def test_a_childs_rules_come_first() -> None:
    """Of two profiles' rules for the same request, the child's is tried before the parent's."""
    base = {"rules": [rule("parent", {}, route=["claude"])]}
    own = {"extends": "base", "rules": [rule("child", {"tier": "opus"}, route=["plain"])]}
    assert plan_for(own, RequestFacts("claude-opus-5-5"), base=base).rule == "child"
    assert plan_for(own, RequestFacts("claude-haiku-4-5"), base=base).rule == "parent"


def test_a_named_deployment_is_still_under_the_rules() -> None:
    """Asking for a deployment by name takes its route from the rules, not their privacy."""
    profile = {
        "rules": [rule("all", {}, route=["plain"], deadline_s=3)],
        "default": {"route": ["claude"]},
    }
    plan = plan_for(profile, RequestFacts("claude"))
    assert (plan.attempts, plan.rule, plan.deadline_s) == (("claude",), None, 3)
    private = {"rules": [rule("all", {}, privacy="local_only")]}
    with pytest.raises(NoAttempt, match="privacy is local_only"):
        plan_for(private, RequestFacts("claude"))


def test_each_policy_is_the_most_specific() -> None:
    """Rule before agent before category before tier before default before profile."""
    profile = {
        "on_overflow": "error",
        "deadline_s": 100,
        "max_cost_usd_per_request": 1,
        "thinking": "strip",
        "default": {"route": EVERYONE, "max_cost_usd_per_request": 9, "deadline_s": 9},
        "tiers": {"sonnet": {"deadline_s": 50, "route": EVERYONE}},
        "categories": {"codingAgents": {"deadline_s": 40, "thinking": {"max_budget_tokens": 7}}},
        "agents": {"coder": {"thinking": "keep"}},
        "rules": [rule("r", {"thinking": True}, thinking="strip")],
    }
    plan = plan_for(profile, as_agent("coder"))
    assert (plan.deadline_s, plan.max_cost_microusd) == (40, 1_000_000)
    assert (plan.thinking, plan.on_overflow) == (ThinkingPolicy(), OnOverflow.ERROR)
    thinking = as_agent("coder", content=StatedContent(wants_thinking=True))
    assert plan_for(profile, thinking).thinking.mode is ThinkingMode.STRIP
    stranger = plan_for(profile, RequestFacts("x"))
    assert (stranger.deadline_s, stranger.max_cost_microusd) == (9, 9_000_000)


def test_nothing_said_is_nothing_limited() -> None:
    """Without policies a plan has no limits, keeps thinking and reroutes what is too long."""
    plan = plan_for({"default": {"route": EVERYONE}}, RequestFacts("x"))
    assert (plan.deadline_s, plan.max_cost_microusd) == (None, None)
    assert (plan.thinking, plan.on_overflow) == (ThinkingPolicy(), OnOverflow.REROUTE)


EVERY_ONE = ["small", "seeing", "plain", "foreign", "claude"]
TOOLS = frozenset({"Bash"})


@pytest.mark.parametrize(
    ("content", "attempts"),
    [
        (StatedContent(), EVERY_ONE),
        (StatedContent(tool_names=TOOLS), ["seeing", "plain", "foreign", "claude"]),
        (StatedContent(has_images=True), ["seeing", "claude"]),
        (StatedContent(has_documents=True), ["claude"]),
        (StatedContent(has_server_tools=True), ["claude"]),
        (StatedContent(wants_structured_output=True), ["small", "plain", "foreign", "claude"]),
        (StatedContent(wants_thinking=True), EVERY_ONE),
        (StatedContent(input_tokens=875), EVERY_ONE),
        (StatedContent(input_tokens=876), EVERY_ONE[1:]),
        (StatedContent(input_tokens=4000), EVERY_ONE[1:]),
        (StatedContent(input_tokens=4001), EVERY_ONE[2:]),
        (StatedContent(input_tokens=10**7), EVERY_ONE[2:]),
    ],
)
def test_who_can_serve(content: StatedContent, attempts: list[str]) -> None:
    """What is known not to fit is left out; the unknown is trusted with text, tools and schemas."""
    assert list(route_for(EVERY_ONE, content).attempts) == attempts


def test_what_was_seen_fills_in_and_the_config_wins() -> None:
    """An ability that the config does not tell is taken from what was seen of the model."""
    images = StatedContent(has_images=True)
    seen = FleetSnapshot(
        capabilities={
            "plain": Capabilities(vision=True),
            "seeing": Capabilities(vision=False),
            "claude": Capabilities(vision=False),
        }
    )
    assert route_for(EVERY_ONE, images, fleet=seen).attempts == ("seeing", "plain")


def test_a_missing_ability_is_no_outage() -> None:
    """A route of which nothing can do it is refused as such, with each reason."""
    with pytest.raises(NoAttempt, match="plain is not known to do images") as caught:
        route_for(["small", "plain", "gone"], StatedContent(has_images=True))
    assert not caught.value.outage
    assert "gone is not known to do images" in str(caught.value)


def test_an_outage_is_told_of_what_could_have_served() -> None:
    """Down at the moment and otherwise able: the client may try again, and hears why."""
    down = FleetSnapshot(unavailable={"seeing": "connection refused"})
    with pytest.raises(NoAttempt) as caught:
        route_for(["plain", "seeing"], StatedContent(has_images=True), fleet=down)
    assert caught.value.outage
    assert "seeing is unavailable: connection refused" in str(caught.value)
    assert caught.value.trace[-1].reason == "unavailable: connection refused"


def test_a_prompt_too_long_for_all_is_said_in_claudes_words() -> None:
    """The client learns the largest limit, in the words at which Claude Code compacts."""
    with pytest.raises(NoAttempt) as caught:
        route_for(["small", "seeing"], StatedContent(input_tokens=5000))
    assert str(caught.value) == "prompt is too long: 5000 tokens > 4000 maximum"
    assert not caught.value.outage


def test_on_overflow_error_stops_there() -> None:
    """The first candidate that is too small is the last that is tried."""
    long = StatedContent(input_tokens=2000)
    plan = route_for(["foreign", "small", "claude"], long, on_overflow="error")
    assert plan.attempts == ("foreign", "small")
    assert plan.trace[-1] == TraceEntry(
        "candidate",
        "claude",
        kept=False,
        reason="on_overflow is error, and the prompt is too long for small",
    )
    assert route_for(["small", "claude"], StatedContent(), on_overflow="error").attempts == (
        "small",
        "claude",
    )


def safety(model: str = "claude-sonnet-5", **facts: Any) -> RequestFacts:
    """Return Claude Code's question whether a tool call is dangerous."""
    return RequestFacts(model, request_class=RequestClass.SAFETY_CLASSIFIER, **facts)


LOCAL_FIRST = {"tiers": {"sonnet": {"route": ["plain", "claude"]}}, "thinking": "strip"}


@pytest.mark.parametrize(
    ("profile", "facts", "attempts"),
    [
        pytest.param(LOCAL_FIRST, safety(), ("claude", "claude-fixed"), id="local is left out"),
        pytest.param(
            {"default": {"route": ["plain"]}},
            safety(),
            ("claude", "claude-fixed"),
            id="Claude although the route has none",
        ),
        pytest.param({}, safety(), ("claude", "claude-fixed"), id="no route at all"),
        pytest.param(
            LOCAL_FIRST, safety("claude-haiku-4-5"), ("claude",), id="never another model"
        ),
        pytest.param(LOCAL_FIRST, safety("plain"), ("claude-fixed",), id="asked for by name"),
        pytest.param(
            {**LOCAL_FIRST, "rules": [rule("r", {"tier": "sonnet"}, route=["plain"])]},
            safety(),
            ("claude", "claude-fixed"),
            id="a rule about something else",
        ),
        pytest.param(
            {
                **LOCAL_FIRST,
                "rules": [rule("r", {"request_class": "safety_classifier"}, route=["plain"])],
            },
            safety(),
            ("plain",),
            id="a rule that names it",
        ),
    ],
)
def test_a_safety_call_is_claudes(
    profile: dict[str, Any], facts: RequestFacts, attempts: tuple[str, ...]
) -> None:
    """No local model judges what is dangerous, unless a rule says so by name."""
    assert plan_for(profile, facts).attempts == attempts


def test_a_safety_call_keeps_its_thinking() -> None:
    """It goes to Claude as it came; a thinking policy of the table is not for it."""
    assert plan_for(LOCAL_FIRST, safety()).thinking.mode is ThinkingMode.KEEP


def test_a_private_safety_call_is_refused() -> None:
    """Under `local_only` nobody answers it, and the reason is told."""
    with pytest.raises(NoAttempt, match="safety check of a tool call") as caught:
        plan_for({**LOCAL_FIRST, "privacy": "local_only"}, safety())
    assert "claude leaves the host, and privacy is local_only" in str(caught.value)
    assert not caught.value.outage


def test_an_ordinary_turn_is_routed_normally() -> None:
    """Only the class counts."""
    assert plan_for(LOCAL_FIRST, RequestFacts("claude-sonnet-5")).attempts == ("plain", "claude")


def test_headers_that_rules_ask_for_are_known_beforehand() -> None:
    """The table says which headers its active profile wants to see, inherited rules included."""
    base = {"rules": [rule("b", {"header": {"X-Team": "red"}})]}
    own = {"extends": "base", "rules": [rule("a", {"header": {"x-b": "*"}}, route=["plain"])]}
    table, _ = compile_table(table_of(own, base=base), CAPABLE_DEPLOYMENTS, ROSTER)
    assert table.asked_headers == {"x-team", "x-b"}


def test_a_models_own_counts_decide_whether_a_prompt_fits() -> None:
    """What was learned of a deployment's token counts is applied at that candidate alone."""
    seen = FleetSnapshot(token_ratios={"small": TokenRatio(1.25, 40), "seeing": TokenRatio(0.8, 9)})
    assert route_for(EVERY_ONE, StatedContent(input_tokens=700), fleet=seen).attempts[0] == "small"
    longer = route_for(EVERY_ONE, StatedContent(input_tokens=701), fleet=seen)
    assert longer.attempts == tuple(EVERY_ONE[1:])
    assert "holds 875 tokens, and the prompt has about 877" in [
        entry.reason for entry in longer.trace
    ]
    assert "seeing" in route_for(EVERY_ONE, StatedContent(input_tokens=5000), fleet=seen).attempts
    with pytest.raises(NoAttempt, match=r"prompt is too long: 4001 tokens > 4000 maximum"):
        route_for(["small", "seeing"], StatedContent(input_tokens=5001), fleet=seen)


@pytest.mark.parametrize(
    ("loop", "fleet", "expected", "reason"),
    [
        (None, NOTHING_KNOWN, ("plain", "claude", "foreign", "claude-fixed"), None),
        (
            Side.CLAUDE,
            NOTHING_KNOWN,
            ("claude", "claude-fixed", "plain", "foreign"),
            "Claude made the calls that are answered here: candidates of that kind come first",
        ),
        (
            Side.LOCAL,
            NOTHING_KNOWN,
            ("plain", "foreign", "claude", "claude-fixed"),
            (
                "a translated deployment made the calls that are answered here: candidates of that "
                "kind come first"
            ),
        ),
        (
            Side.CLAUDE,
            FleetSnapshot(unavailable={"claude": "down", "claude-fixed": "down"}),
            ("plain", "foreign"),
            "Claude made the calls that are answered here: none of that kind is usable",
        ),
    ],
)
def test_a_tool_loop_stays_on_its_side(
    loop: Side | None, fleet: FleetSnapshot, expected: tuple[str, ...], reason: str | None
) -> None:
    """The side that made the calls comes first, unless it is down; the trace says so."""
    route = ["plain", "claude", "foreign", "claude-fixed"]
    plan = route_for(route, StatedContent(tool_loop_side=loop), fleet=fleet)
    assert plan.attempts == expected
    told = [(step.reason, step.kept) for step in plan.trace if step.name == "tool loop"]
    assert told == ([(reason, len(expected) == 4)] if reason is not None else [])


def test_who_would_be_late_does_not_go_on_with_a_loop() -> None:
    """The loop's side comes last where the client would have given up before its first word."""
    slow = FleetSnapshot(paces={"plain": Pace(prefill_tokens_per_s=0.01, prefills=9)})
    content = StatedContent(100, tool_loop_side=Side.LOCAL)
    plan = route_for(["plain", "claude"], content, fleet=slow)
    assert plan.attempts == ("claude", "plain")


def test_a_compaction_ends_the_loop() -> None:
    """Its answer takes the conversation's place, so the table's order holds; a count stays."""
    content = StatedContent(tool_loop_side=Side.CLAUDE)
    profile = {"default": {"route": ["plain", "claude"]}}
    for kind, first in ((RequestClass.COMPACTION, "plain"), (RequestClass.COUNT, "claude")):
        facts = RequestFacts("x", content=content, request_class=kind)
        assert plan_for(profile, facts).attempts[0] == first
