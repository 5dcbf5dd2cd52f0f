"""Where each agent's requests go under a table, before anything is known of a request's content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from routing.capabilities import NOTHING_KNOWN
from routing.errors import NoAttempt, UnknownModel
from routing.plan import build_plan
from routing.policies import Policies
from routing.types import AgentMatch, AgentSource, RequestFacts, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from routing.capabilities import FleetSnapshot
    from routing.types import Plan, Roster, RoutingTable, TraceEntry

NOBODY = AgentMatch(None, AgentSource.NONE)


@dataclass(frozen=True, slots=True)
class ResolvedRoute:
    """Where one agent's requests go; `problem` is set exactly where `route` is empty."""

    agent: str
    tier: str
    category: str
    route: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Candidates that are left out, each with the reason."""
    privacy: str | None = None
    """None where no plan came about, here and below."""
    deadline_s: float | None = None
    max_cost_microusd: int | None = None
    thinking: str | None = None
    thinking_max_budget_tokens: int | None = None
    on_overflow: str | None = None
    only_after: tuple[str, ...] = ()
    """Deployments of the route that wait for a trigger of the roster's fallback."""
    problem: str | None = None


def agent_routes(
    table: RoutingTable, roster: Roster, fleet: FleetSnapshot = NOTHING_KNOWN
) -> Iterator[ResolvedRoute]:
    """Yield the route of every agent, in the order of the roster; `fleet` as for `build_plan`."""
    for agent in roster.agents.values():
        line = ResolvedRoute(agent.slug, agent.tier.value, agent.category)
        match = AgentMatch(agent.slug, AgentSource.PATH)
        yield _resolve(line, RequestFacts(requested_model=""), match, table, roster, fleet)


def stranger_routes(
    table: RoutingTable, roster: Roster, fleet: FleetSnapshot = NOTHING_KNOWN
) -> Iterator[ResolvedRoute]:
    """Yield the routes of callers that are not recognised: one for each tier, one for the rest."""
    for tier in Tier:
        # No model has this id, so that only its tier decides.
        facts = RequestFacts(requested_model=f"claude-{tier}-0")
        line = ResolvedRoute(f"(unknown, {tier} model)", tier.value, "")
        yield _resolve(line, facts, NOBODY, table, roster, fleet)
    line = ResolvedRoute("(unknown, other model)", "", "")
    yield _resolve(line, RequestFacts(requested_model=""), NOBODY, table, roster, fleet)


def policies_told(route: ResolvedRoute) -> str:
    """Return what there is to say besides route and privacy, in words; empty where nothing."""
    said = []
    if route.deadline_s is not None:
        said.append(f"deadline {route.deadline_s:g} s")
    if route.max_cost_microusd is not None:
        limit = Policies(max_cost_microusd=route.max_cost_microusd).told("max_cost_microusd")
        said.append(f"at most {limit}")
    if route.thinking not in (None, "keep"):
        budget = route.thinking_max_budget_tokens
        said.append(f"thinking {route.thinking}{'' if budget is None else f' at {budget}'}")
    if route.on_overflow not in (None, "reroute"):
        said.append(f"overflow {route.on_overflow}")
    if route.only_after:
        said.append(f"{', '.join(route.only_after)} by the roster's fallback")
    return ", ".join(said)


def ignoring_outages(table: RoutingTable) -> RoutingTable:
    """Return the table as it would be if every deployment had its key and its model."""
    deployments = {
        name: replace(each, unavailable=None) for name, each in table.deployments.items()
    }
    return replace(table, deployments=deployments)


def _resolve(
    line: ResolvedRoute,
    facts: RequestFacts,
    match: AgentMatch,
    table: RoutingTable,
    roster: Roster,
    fleet: FleetSnapshot,
) -> ResolvedRoute:
    try:
        plan = build_plan(facts, match, table, roster, fleet)
    except NoAttempt as refusal:
        return replace(line, skipped=_skipped(refusal.trace), problem=str(refusal))
    except UnknownModel:
        return replace(line, problem="No entry of the profile has a route for it.")
    return _planned(line, plan)


def _planned(line: ResolvedRoute, plan: Plan) -> ResolvedRoute:
    return replace(
        line,
        route=plan.attempts,
        skipped=_skipped(plan.trace),
        privacy=plan.privacy.value,
        deadline_s=plan.deadline_s,
        max_cost_microusd=plan.max_cost_microusd,
        thinking=plan.thinking.mode.value,
        thinking_max_budget_tokens=plan.thinking.max_budget_tokens,
        on_overflow=plan.on_overflow.value,
        only_after=tuple(name for name in plan.attempts if name in plan.only_after),
    )


def _skipped(trace: Sequence[TraceEntry]) -> tuple[str, ...]:
    return tuple(
        f"{step.name}: {step.reason}"
        for step in trace
        if step.kind == "candidate" and not step.kept
    )
