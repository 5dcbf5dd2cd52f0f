"""Where a request goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import NoAttempt, RoutingError, UnknownAgent, UnknownModel
from routing.identify import UNKNOWN, identify
from routing.plan import build_plan, privacy_of
from routing.table import compile_table
from routing.types import (
    AgentMatch,
    AgentSource,
    Plan,
    Privacy,
    Profile,
    RequestFacts,
    RouteRule,
    RoutingTable,
    Tier,
    TraceEntry,
)
from tests.support.routing_samples import DEPLOYMENTS, ROSTER, table_of

PROFILE: dict[str, Any] = {
    "tiers": {
        "opus": {"route": ["claude", "qwen"]},
        "sonnet": {"route": ["qwen", "claude"]},
    },
    "categories": {"securityAgents": {"route": ["qwen-fast", "claude"]}},
    "agents": {"chief": {"route": ["qwen-cloud", "qwen"]}, "auditor": {"privacy": "local_only"}},
    "default": {"route": ["qwen-fast"]},
}


def plan_for(facts: RequestFacts, profile: dict[str, Any] | None = None) -> Plan:
    """Identify and plan one request under a table with one profile."""
    mapping = table_of(PROFILE if profile is None else profile)
    table, _ = compile_table(mapping, DEPLOYMENTS, ROSTER)
    return build_plan(facts, identify(facts, ROSTER, table.deployments), table, ROSTER)


def as_agent(slug: str, model: str = "claude-opus-4-5") -> RequestFacts:
    """Return a request under `/agents/{slug}`."""
    return RequestFacts(model, path_agent=slug)


@pytest.mark.parametrize(
    ("facts", "attempts", "tier"),
    [
        pytest.param(as_agent("chief"), ("qwen-cloud", "qwen"), Tier.OPUS, id="agent entry"),
        pytest.param(as_agent("coder"), ("qwen", "claude"), Tier.SONNET, id="agent's tier"),
        pytest.param(as_agent("clerk"), ("qwen-fast",), Tier.HAIKU, id="default"),
        pytest.param(
            as_agent("auditor"), ("qwen-fast",), Tier.SONNET, id="privacy on top of category"
        ),
        pytest.param(
            RequestFacts("claude-opus-4-5"), ("claude", "qwen"), Tier.OPUS, id="requested tier"
        ),
        pytest.param(RequestFacts("gpt-4o"), ("qwen-fast",), None, id="other model"),
        pytest.param(RequestFacts("qwen-cloud"), ("qwen-cloud",), None, id="deployment"),
        pytest.param(
            as_agent("coder", "qwen-cloud"), ("qwen-cloud",), Tier.SONNET, id="deployment, agent"
        ),
        pytest.param(as_agent("auditor", "qwen"), ("qwen",), Tier.SONNET, id="local deployment"),
        pytest.param(RequestFacts("agent/coder"), ("qwen", "claude"), Tier.SONNET, id="by model"),
    ],
)
def test_the_most_specific_route_decides(
    facts: RequestFacts, attempts: tuple[str, ...], tier: Tier | None
) -> None:
    """Agent before category before tier before default; a named deployment before all."""
    plan = plan_for(facts)
    assert (plan.attempts, plan.tier) == (attempts, tier)


ROUTE_ANYWHERE = {"route": ["claude", "qwen"]}
LOCAL = {"privacy": "local_only"}


@pytest.mark.parametrize(
    ("facts", "extra"),
    [
        pytest.param(RequestFacts("x"), LOCAL, id="profile"),
        pytest.param(RequestFacts("x"), {"unknown": LOCAL}, id="unknown caller"),
        pytest.param(RequestFacts("x"), {"default": {**ROUTE_ANYWHERE, **LOCAL}}, id="default"),
        pytest.param(as_agent("coder"), {"agents": {"coder": LOCAL}}, id="agent"),
        pytest.param(as_agent("coder"), {"categories": {"codingAgents": LOCAL}}, id="category"),
        pytest.param(as_agent("coder"), {"tiers": {"sonnet": LOCAL}}, id="tier"),
        pytest.param(
            as_agent("coder"),
            {"agents": {"coder": ROUTE_ANYWHERE}, "categories": {"codingAgents": LOCAL}},
            id="category although the agent has the route",
        ),
        pytest.param(
            RequestFacts("claude-haiku-4-5"), {"tiers": {"haiku": LOCAL}}, id="requested tier"
        ),
    ],
)
def test_local_only_anywhere_wins(facts: RequestFacts, extra: dict[str, Any]) -> None:
    """`local_only` on any level that applies removes what leaves the host."""
    plan = plan_for(facts, {"default": ROUTE_ANYWHERE, **extra})
    assert plan.privacy is Privacy.LOCAL_ONLY
    assert plan.attempts == ("qwen",)


@pytest.mark.parametrize(
    ("facts", "extra"),
    [
        pytest.param(as_agent("coder"), {"unknown": LOCAL}, id="unknown, for an agent"),
        pytest.param(as_agent("coder"), {"agents": {"clerk": LOCAL}}, id="another agent"),
        pytest.param(
            as_agent("coder"), {"tiers": {"opus": LOCAL}}, id="the requested tier, for an agent"
        ),
        pytest.param(
            as_agent("coder"),
            {"agents": {"coder": ROUTE_ANYWHERE}, "default": {"route": ["qwen"], **LOCAL}},
            id="a default that was not reached",
        ),
    ],
)
def test_privacy_of_others_does_not_count(facts: RequestFacts, extra: dict[str, Any]) -> None:
    """An entry that does not apply to the request restricts nothing."""
    plan = plan_for(facts, {"default": ROUTE_ANYWHERE, **extra})
    assert plan.privacy is Privacy.ANY
    assert plan.attempts == ("claude", "qwen")


def test_a_route_for_unknown_callers() -> None:
    """`unknown` may have a route of its own, which comes before that of the tier."""
    profile = {"unknown": {"route": ["qwen-fast"]}, "tiers": {"opus": {"route": ["claude"]}}}
    assert plan_for(RequestFacts("claude-opus-4-5"), profile).attempts == ("qwen-fast",)


def test_an_agent_that_left_the_roster_is_unknown() -> None:
    """A match that the roster no longer has is held to the entry for unknown callers."""
    profile = {"default": ROUTE_ANYWHERE, "unknown": LOCAL}
    table, _ = compile_table(table_of(profile), DEPLOYMENTS, ROSTER)
    match = AgentMatch("gone", AgentSource.TOKEN)
    assert build_plan(RequestFacts("x"), match, table, ROSTER).attempts == ("qwen",)


@pytest.mark.parametrize(
    ("facts", "profile", "outage", "message"),
    [
        pytest.param(
            as_agent("auditor", "claude"), PROFILE, False, "claude leaves the host", id="named"
        ),
        pytest.param(
            RequestFacts("x"),
            {"default": {"route": ["claude", "qwen-cloud"], **LOCAL}},
            False,
            "claude leaves the host.*qwen-cloud leaves the host",
            id="cloud only",
        ),
        pytest.param(
            RequestFacts("x"),
            {"default": {"route": ["claude-keyless"], **LOCAL}},
            False,
            "claude-keyless leaves the host",
            id="an outage of what is forbidden anyway is none",
        ),
        pytest.param(
            RequestFacts("x"),
            {"default": {"route": ["claude", "qwen-down"], **LOCAL}},
            True,
            "qwen-down is unavailable",
            id="an outage among them",
        ),
        pytest.param(
            RequestFacts("claude-keyless"), PROFILE, True, "is unavailable", id="deployment down"
        ),
    ],
)
def test_nothing_left(
    facts: RequestFacts, profile: dict[str, Any], *, outage: bool, message: str
) -> None:
    """A route of which nothing is left is refused, with what decides between 400 and 529."""
    with pytest.raises(NoAttempt, match=message) as caught:
        plan_for(facts, profile)
    assert caught.value.outage is outage
    assert not any(entry.kept for entry in caught.value.trace if entry.kind == "candidate")
    assert "KEY is not set" not in str(caught.value)


def test_no_route_is_an_unknown_model() -> None:
    """Without a default, a model nobody routes does not exist."""
    with pytest.raises(UnknownModel, match="model: gpt-4o"):
        plan_for(RequestFacts("gpt-4o"), {"tiers": {"opus": {"route": ["claude"]}}})


def test_an_unknown_agent_as_model_is_refused_here_too() -> None:
    """`agent/<slug>` with an unknown slug never reaches the default route."""
    table, _ = compile_table(table_of(PROFILE), DEPLOYMENTS, ROSTER)
    match = AgentMatch(None, AgentSource.NONE)
    with pytest.raises(UnknownAgent):
        build_plan(RequestFacts("agent/nobody"), match, table, ROSTER)


@pytest.mark.parametrize(
    ("slug", "extra", "expected"),
    [
        ("coder", {}, Privacy.ANY),
        ("coder", {"unknown": LOCAL, "agents": {"clerk": LOCAL}}, Privacy.ANY),
        ("coder", LOCAL, Privacy.LOCAL_ONLY),
        ("coder", {"agents": {"coder": LOCAL}}, Privacy.LOCAL_ONLY),
        ("coder", {"categories": {"codingAgents": LOCAL}}, Privacy.LOCAL_ONLY),
        ("coder", {"tiers": {"sonnet": LOCAL}}, Privacy.LOCAL_ONLY),
        (None, {"tiers": {"sonnet": LOCAL}}, Privacy.ANY),
        (None, {"unknown": LOCAL}, Privacy.LOCAL_ONLY),
    ],
)
def test_privacy_without_a_model(
    slug: str | None, extra: dict[str, Any], expected: Privacy
) -> None:
    """What has no requested model is as private as its caller and the profile."""
    table, _ = compile_table(table_of({"default": ROUTE_ANYWHERE, **extra}), DEPLOYMENTS, ROSTER)
    assert privacy_of(AgentMatch(slug, AgentSource.PATH), table, ROSTER) is expected


def test_a_tokens_privacy_is_combined_with_everything() -> None:
    """A `local_only` token takes away what leaves the host, a deployment asked for by name too."""
    profile = {"default": {"route": ["claude", "qwen"]}}
    open_plan = plan_for(RequestFacts("x"), profile)
    plan = plan_for(RequestFacts("x", token_privacy=Privacy.LOCAL_ONLY), profile)

    assert open_plan.attempts == ("claude", "qwen")
    assert (plan.privacy, plan.attempts) == (Privacy.LOCAL_ONLY, ("qwen",))
    assert "local_only, from token" in [step.reason for step in plan.trace]
    with pytest.raises(NoAttempt):
        plan_for(RequestFacts("claude", token_privacy=Privacy.LOCAL_ONLY), profile)
    table, _ = compile_table(table_of(profile), DEPLOYMENTS, ROSTER)
    for token_privacy in Privacy:
        facts = RequestFacts("", token_privacy=token_privacy)
        assert privacy_of(UNKNOWN, table, ROSTER, facts) is token_privacy


@pytest.mark.parametrize(
    ("profile", "private"),
    [
        ({"categories": {"supportAgents": LOCAL}}, True),
        ({"categories": {"supportAgents": {"route": ["claude"], **LOCAL}}}, True),
        ({"rules": [{"name": "r", "when": {"category": "supportAgents"}, **LOCAL}]}, True),
        ({"categories": {"supportAgents": {"route": ["claude"], "deadline_s": 5}}}, False),
        ({"categories": {"securityAgents": LOCAL}}, False),
    ],
    ids=["entry", "entry with a route", "rule", "other settings", "another category"],
)
def test_an_agent_in_two_categories(profile: dict[str, Any], *, private: bool) -> None:
    """Of a second category the privacy and the rules count, its route and policies do not."""
    coder = replace(ROSTER.agents["coder"], further_categories=("supportAgents",))
    roster = replace(ROSTER, agents={**ROSTER.agents, "coder": coder})
    mapping = table_of({"default": {"route": ["qwen", "claude"]}, **profile})
    table, _ = compile_table(mapping, DEPLOYMENTS, roster)
    match = AgentMatch("coder", AgentSource.PATH)

    plan = build_plan(RequestFacts("x"), match, table, roster)

    assert plan.attempts == (("qwen",) if private else ("qwen", "claude"))
    assert plan.deadline_s is None
    assert (plan.privacy is Privacy.LOCAL_ONLY) is private
    assert (privacy_of(match, table, roster) is Privacy.LOCAL_ONLY) is private


def test_a_category_that_is_nobodys_first() -> None:
    """A table may name it all the same."""
    coder = replace(ROSTER.agents["coder"], further_categories=("secondAgents",))
    mapping = table_of({"default": ROUTE_ANYWHERE, "categories": {"secondAgents": LOCAL}})
    table, _ = compile_table(mapping, DEPLOYMENTS, replace(ROSTER, agents={"coder": coder}))

    assert set(table.active.categories) == {"secondAgents"}


def test_the_trace_tells_the_whole_decision() -> None:
    """Each level and each candidate is in the trace, in order, with its reason."""
    profile = {**PROFILE, "tiers": {"sonnet": {"route": ["claude", "qwen-down", "qwen"]}}}
    del profile["categories"]
    assert plan_for(as_agent("auditor"), profile).trace == (
        TraceEntry("rule", "agents.auditor", kept=False, reason="the entry names no route"),
        TraceEntry(
            "rule",
            "categories.securityAgents",
            kept=False,
            reason="the profile has no such entry",
        ),
        TraceEntry("rule", "tiers.sonnet", kept=True, reason="most specific entry with a route"),
        TraceEntry("rule", "default", kept=False, reason="tiers.sonnet decided"),
        TraceEntry("rule", "privacy", kept=True, reason="local_only, from agents.auditor"),
        TraceEntry(
            "candidate",
            "claude",
            kept=False,
            reason="leaves the host, and privacy is local_only",
        ),
        TraceEntry("candidate", "qwen-down", kept=False, reason="unavailable: no such model"),
        TraceEntry("candidate", "qwen", kept=True, reason="usable"),
    )


# --- properties over arbitrary tables, also such as the reader would refuse ----------------------

NAMES = (*DEPLOYMENTS, "missing")
privacies = st.sampled_from(Privacy)
rules = st.builds(
    RouteRule,
    route=st.none() | st.lists(st.sampled_from(NAMES), max_size=5).map(tuple),
    privacy=privacies,
)
profiles = st.builds(
    Profile,
    name=st.just("main"),
    tiers=st.dictionaries(st.sampled_from(Tier), rules),
    categories=st.dictionaries(st.sampled_from(["codingAgents", "securityAgents"]), rules),
    agents=st.dictionaries(st.sampled_from(list(ROSTER.agents)), rules),
    default=st.none() | rules,
    unknown=st.none() | rules,
    privacy=privacies,
)
requests = st.builds(
    RequestFacts,
    requested_model=st.sampled_from([*NAMES, "claude-opus-4-5", "agent/coder", "agent/x", "?"])
    | st.text(),
    path_agent=st.none() | st.sampled_from([*ROSTER.agents, "x"]),
    token_agents=st.sampled_from([(), ("coder",), ("coder", "clerk")]),
)


def decide(facts: RequestFacts, profile: Profile) -> Plan | RoutingError:
    """Return the plan or the refusal."""
    table = RoutingTable(profile, {"main": profile}, DEPLOYMENTS, "v")
    try:
        return build_plan(facts, identify(facts, ROSTER, DEPLOYMENTS), table, ROSTER)
    except RoutingError as error:
        return error


@given(requests, profiles)
def test_every_request_gets_one_verdict(facts: RequestFacts, profile: Profile) -> None:
    """A plan has attempts, none twice, none of them unusable, and a trace that explains each."""
    verdict = decide(facts, profile)
    if isinstance(verdict, NoAttempt):
        assert not any(entry.kept for entry in verdict.trace if entry.kind == "candidate")
        return
    if isinstance(verdict, RoutingError):
        assert isinstance(verdict, UnknownAgent | UnknownModel)
        return
    assert verdict.attempts
    assert len(set(verdict.attempts)) == len(verdict.attempts)
    assert all(DEPLOYMENTS[name].unavailable is None for name in verdict.attempts)
    candidates = [entry for entry in verdict.trace if entry.kind == "candidate"]
    assert tuple(entry.name for entry in candidates if entry.kept) == verdict.attempts
    assert all(entry.reason for entry in verdict.trace)
    if verdict.privacy is Privacy.LOCAL_ONLY:
        assert not any(DEPLOYMENTS[name].leaves_host for name in verdict.attempts)


@given(requests, profiles)
def test_the_trace_names_every_candidate(facts: RequestFacts, profile: Profile) -> None:
    """What the deciding rule lists is what the trace goes through, skipped or not."""
    verdict = decide(facts, profile)
    if not isinstance(verdict, Plan | NoAttempt):
        return
    decided = [e.name for e in verdict.trace if e.kind == "rule" and e.kept and e.name != "privacy"]
    assert len(decided) == 1
    routes = {
        "requested model": (facts.requested_model,),
        "default": profile.default and profile.default.route,
        "unknown": profile.unknown and profile.unknown.route,
        **{f"tiers.{key}": rule.route for key, rule in profile.tiers.items()},
        **{f"categories.{key}": rule.route for key, rule in profile.categories.items()},
        **{f"agents.{key}": rule.route for key, rule in profile.agents.items()},
    }
    candidates = tuple(entry.name for entry in verdict.trace if entry.kind == "candidate")
    assert candidates == routes[decided[0]]


@given(requests, profiles, st.sampled_from(["profile", "agents", "categories", "tiers", "unknown"]))
def test_adding_privacy_never_adds_an_attempt(
    facts: RequestFacts, profile: Profile, where: str
) -> None:
    """Tightening any level leaves the same attempts or fewer, in the same order."""
    tightened = _tighten(profile, where)
    before, after = decide(facts, profile), decide(facts, tightened)
    if not isinstance(after, Plan):
        return
    assert isinstance(before, Plan)
    assert after.attempts == tuple(name for name in before.attempts if name in after.attempts)


def _tighten(profile: Profile, where: str) -> Profile:
    """Return the profile with `local_only` on one level."""
    if where == "profile":
        return replace(profile, privacy=Privacy.LOCAL_ONLY)
    if where == "unknown":
        rule = profile.unknown or RouteRule()
        return replace(profile, unknown=replace(rule, privacy=Privacy.LOCAL_ONLY))
    rules_there: dict[Any, RouteRule] = getattr(profile, where)
    tight: dict[str, Any] = {
        where: {key: replace(rule, privacy=Privacy.LOCAL_ONLY) for key, rule in rules_there.items()}
    }
    return replace(profile, **tight)
