"""What holds of every plan, whatever the request, the table and the fleet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from routing.capabilities import FleetSnapshot
from routing.conditions import Subject, first_unmet
from routing.errors import NoAttempt, RoutingError, UnknownAgent, UnknownModel
from routing.identify import identify
from routing.plan import build_plan, privacy_of
from routing.policies import KEEP_THINKING
from routing.requested_model import classify_requested_model
from routing.table import compile_table
from routing.types import Plan, Privacy, RequestClass, RequestFacts, RoutingTable, Side
from tests.support.routing_samples import CAPABLE_DEPLOYMENTS, ROSTER
from tests.support.routing_strategies import fleet_snapshots, request_facts, table_mappings
from tests.support.sizes import count

DEPLOYMENTS = CAPABLE_DEPLOYMENTS
REQUESTS = request_facts(DEPLOYMENTS, ROSTER)
TABLES = table_mappings(DEPLOYMENTS, ROSTER)
FLEETS = fleet_snapshots(DEPLOYMENTS)
MOSTLY_REFUSED = settings(
    max_examples=count(quick=8, ci=30, full=2000),
    suppress_health_check=[HealthCheck.filter_too_much],
)
"""For what holds of plans only: three of four random requests get none."""


@dataclass(frozen=True)
class Decided:
    verdict: Plan | RoutingError
    table: RoutingTable
    subject: Subject | None

    @property
    def plan(self) -> Plan:
        assume(isinstance(self.verdict, Plan))
        assert isinstance(self.verdict, Plan)
        return self.verdict


def decide(facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot) -> Decided:
    """Return what comes of a request, and what its conditions were held against."""
    table, _ = compile_table(mapping, DEPLOYMENTS, ROSTER)
    try:
        match = identify(facts, ROSTER, table.deployments)
        agent = ROSTER.agents.get(match.slug) if match.slug else None
        requested = classify_requested_model(facts.requested_model, ROSTER, table.deployments)
        subject = Subject(facts, agent, agent.tier if agent else requested.tier)
        return Decided(build_plan(facts, match, table, ROSTER, fleet), table, subject)
    except UnknownAgent as error:
        return Decided(error, table, None)
    except RoutingError as error:
        return Decided(error, table, subject)


def what_counts(verdict: Plan | RoutingError) -> object:
    """Return a decision without how it came about."""
    if isinstance(verdict, RoutingError):
        return type(verdict), str(verdict)
    return replace(verdict, table_version="")


def with_rerouting(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a table without `on_overflow`.

    With `on_overflow: error` an outage may uncover more than it takes away: what is too small for a
    prompt and down does not end the route.
    """

    def without(part: Any) -> Any:
        if isinstance(part, list):
            return [without(one) for one in part]
        if not isinstance(part, dict):
            return part
        return {key: without(one) for key, one in part.items() if key != "on_overflow"}

    rerouting: dict[str, Any] = without(mapping)
    return rerouting


@given(REQUESTS, TABLES, FLEETS)
def test_every_request_gets_one_verdict(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot
) -> None:
    """A plan has usable attempts, none twice; anything else is one of three refusals."""
    verdict = decide(facts, mapping, fleet).verdict
    if isinstance(verdict, RoutingError):
        assert isinstance(verdict, NoAttempt | UnknownAgent | UnknownModel)
        return
    assert verdict.attempts
    assert len(set(verdict.attempts)) == len(verdict.attempts)
    for name in verdict.attempts:
        assert DEPLOYMENTS[name].unavailable is None
        assert name not in fleet.unavailable


@given(REQUESTS, TABLES, FLEETS)
@MOSTLY_REFUSED
def test_local_only_never_leaves_the_host(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot
) -> None:
    """No plan under `local_only` has a deployment that leaves the host, safety calls included."""
    plan = decide(facts, mapping, fleet).plan
    if plan.privacy is Privacy.LOCAL_ONLY:
        assert not any(DEPLOYMENTS[name].leaves_host for name in plan.attempts)
    private = decide(replace(facts, token_privacy=Privacy.LOCAL_ONLY), mapping, fleet).verdict
    if isinstance(private, Plan):
        assert private.privacy is Privacy.LOCAL_ONLY
        assert not any(DEPLOYMENTS[name].leaves_host for name in private.attempts)


@given(REQUESTS, TABLES, FLEETS)
def test_the_first_rule_that_applies_decides(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot
) -> None:
    """The route is that of the first rule with a route whose conditions hold."""
    decided = decide(facts, mapping, fleet)
    plan, subject = decided.plan, decided.subject
    assert subject is not None
    applying = [
        rule.name
        for rule in decided.table.active.rules
        if rule.entry.route is not None and first_unmet(rule.when, subject) is None
    ]
    named = facts.requested_model in DEPLOYMENTS
    assert plan.rule == (applying[0] if applying and not named else None)


@given(REQUESTS, TABLES, FLEETS, st.data())
@MOSTLY_REFUSED
def test_a_rule_that_does_not_apply_changes_nothing(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot, data: st.DataObject
) -> None:
    """Without a rule whose conditions do not hold, the decision is the same."""
    decided = decide(facts, mapping, fleet)
    subject = decided.subject
    assume(subject is not None)
    assert subject is not None
    idle = [r for r in decided.table.active.rules if first_unmet(r.when, subject) is not None]
    assume(idle)
    gone = data.draw(st.sampled_from(idle))
    profiles = {name: dict(body) for name, body in mapping["profiles"].items()}
    rules = list(profiles[gone.profile]["rules"])
    del rules[gone.index]
    profiles[gone.profile]["rules"] = rules
    without = decide(facts, {**mapping, "profiles": profiles}, fleet)
    assert what_counts(without.verdict) == what_counts(decided.verdict)


@given(REQUESTS, TABLES, FLEETS)
@MOSTLY_REFUSED
def test_the_trace_names_every_rule_and_candidate(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot
) -> None:
    """Each rule in its order and each candidate is there with a reason; kept ones are attempts.

    Inside a tool loop they are tried in another order (`test_a_tool_loop_changes_the_order_only`).
    """
    decided = decide(facts, mapping, fleet)
    verdict = decided.verdict
    assume(isinstance(verdict, Plan | NoAttempt))
    assert isinstance(verdict, Plan | NoAttempt)
    assert all(step.reason for step in verdict.trace)
    tried = [step.name for step in verdict.trace if step.name.startswith("rules.")]
    assert tried == [f"rules.{rule.name}" for rule in decided.table.active.rules]
    candidates = [step for step in verdict.trace if step.kind == "candidate"]
    attempts, late = (verdict.attempts, verdict.late) if isinstance(verdict, Plan) else ((), ())
    kept = [step.name for step in candidates if step.kept]
    assert sorted(kept) == sorted(attempts)
    if facts.content is None or facts.content.tool_loop_side is None:
        assert tuple(sorted(kept, key=lambda name: name in late)) == attempts


@given(REQUESTS, TABLES, FLEETS)
@MOSTLY_REFUSED
def test_a_safety_call_is_claudes(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot
) -> None:
    """Unless the rule that decides names the class, only Claude gets it, and its thinking stays."""
    facts = replace(facts, request_class=RequestClass.SAFETY_CLASSIFIER)
    decided = decide(facts, mapping, fleet)
    plan = decided.plan
    deciding = next((r for r in decided.table.active.rules if r.name == plan.rule), None)
    if deciding is not None and deciding.when.request_class:
        return
    assert all(DEPLOYMENTS[name].side is Side.CLAUDE for name in plan.attempts)
    assert plan.thinking == KEEP_THINKING


@given(REQUESTS, TABLES.map(with_rerouting), FLEETS, st.sampled_from(sorted(DEPLOYMENTS)))
def test_an_outage_takes_away_one_attempt(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot, down: str
) -> None:
    """Whatever goes down, the other attempts stay as they were, and a refusal stays one."""
    before = decide(facts, mapping, fleet).verdict
    worse = replace(fleet, unavailable={**fleet.unavailable, down: "it is down"})
    after = decide(facts, mapping, worse).verdict
    if isinstance(before, RoutingError):
        assert type(after) is type(before)
    elif before.attempts == (down,):
        assert isinstance(after, NoAttempt)
        assert after.outage
    else:
        assert isinstance(after, Plan)
        assert after.attempts == tuple(name for name in before.attempts if name != down)


@given(REQUESTS, TABLES)
@settings(MOSTLY_REFUSED, max_examples=50)
def test_what_nobody_looks_into_is_as_private_as_any_request(
    facts: RequestFacts, mapping: dict[str, Any]
) -> None:
    """An upload is `local_only` wherever a rule about the same caller would have made it so."""
    decided = decide(facts, mapping, FleetSnapshot())
    plan = decided.plan
    match = plan.match
    tight = [
        step.reason
        for step in plan.trace
        if step.name == "privacy" and step.kept and "rules." in step.reason
    ]
    if not tight or facts.request_class is not RequestClass.TURN or not match.slug:
        return
    assert privacy_of(match, decided.table, ROSTER, facts) is Privacy.LOCAL_ONLY


@MOSTLY_REFUSED
@given(REQUESTS, TABLES, FLEETS)
def test_a_tool_loop_changes_the_order_only(
    facts: RequestFacts, mapping: dict[str, Any], fleet: FleetSnapshot
) -> None:
    """The same attempts; those of the loop's side first, each side in the order it would have."""
    assume(facts.content is not None)
    outside = replace(facts, content=replace(facts.content, tool_loop_side=None))
    plan, other = decide(facts, mapping, fleet).plan, decide(outside, mapping, fleet).plan

    assert sorted(plan.attempts) == sorted(other.attempts)
    for is_late in (False, True):
        group = [name for name in plan.attempts if (name in plan.late) is is_late]
        claude = [DEPLOYMENTS[name].side is Side.CLAUDE for name in group]
        before = [name for name in other.attempts if (name in other.late) is is_late]
        for is_claude in (False, True):
            assert [n for n in group if (DEPLOYMENTS[n].side is Side.CLAUDE) is is_claude] == [
                n for n in before if (DEPLOYMENTS[n].side is Side.CLAUDE) is is_claude
            ]
        if facts.content.tool_loop_side is not None and (
            facts.request_class is not RequestClass.COMPACTION
        ):
            is_first = facts.content.tool_loop_side is Side.CLAUDE
            assert claude == sorted(claude, key=lambda each: each is not is_first)
        else:
            assert group == before
