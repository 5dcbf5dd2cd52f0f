"""Where a request goes: an ordered list of attempts, and how it came about.

Rules:
1. The route comes from the most specific level that has one: the agent's own entry (for an
   unrecognised caller the `unknown` entry), its category, its tier, the default. An agent has the
   roster's tier; only an unrecognised caller has that of the requested model.
2. A deployment named as the requested model is the whole route.
3. Privacy only tightens. It is combined over the profile and every level that applies to the
   request, whichever of them gave the route; the default applies only where it gave the route.
4. `local_only` removes every deployment that leaves the host, also one that was asked for by name.
5. Every level and every candidate appears in the trace, kept or skipped, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from routing.errors import NoAttempt, UnknownModel
from routing.requested_model import classify_requested_model
from routing.types import Plan, Privacy, TraceEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from routing.requested_model import RequestedModel
    from routing.types import (
        Agent,
        AgentMatch,
        Deployment,
        Profile,
        RequestFacts,
        Roster,
        RouteRule,
        RoutingTable,
        Tier,
    )


@dataclass(frozen=True, slots=True)
class _Level:
    """One place of the profile that may speak for a request."""

    name: str
    """Its key path inside the profile, e.g. `agents.security-auditor`."""
    rule: RouteRule | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether one candidate becomes an attempt."""

    name: str
    skipped: str | None = None
    """Why not, or None."""
    outage: bool = False
    """Skipped only because it is unavailable now."""

    def entry(self) -> TraceEntry:
        """Return the verdict as a step of the trace."""
        return TraceEntry(
            "candidate", self.name, kept=self.skipped is None, reason=self.skipped or "usable"
        )


@dataclass(frozen=True, slots=True)
class _Route:
    """The candidates, in order, and which level or wish named them."""

    names: tuple[str, ...]
    level: str
    trace: tuple[TraceEntry, ...]


def build_plan(facts: RequestFacts, match: AgentMatch, table: RoutingTable, roster: Roster) -> Plan:
    """Return the attempts for one request.

    `match` is what `identify` returned for the same facts; a slug that the roster does not have
    (any more) is treated as unrecognised. Authorisation is not looked at here.

    Raises:
        UnknownAgent: The requested model is `agent/<slug>` with a slug that does not exist (404).
        UnknownModel: No level has a route (404).
        NoAttempt: Every candidate was skipped (400, or 529 if one of them is merely unavailable).
    """
    profile = table.active
    requested = classify_requested_model(facts.requested_model, roster, table.deployments)
    agent = roster.agents.get(match.slug) if match.slug is not None else None
    tier = agent.tier if agent is not None else requested.tier
    levels = _levels(profile, agent, tier)
    route = _find_route(facts, requested, levels)
    privacy, privacy_trace = _combine_privacy(profile, levels, route)
    verdicts = _judge_all(route, privacy, table.deployments)
    trace = (*route.trace, privacy_trace, *(verdict.entry() for verdict in verdicts))
    attempts = tuple(verdict.name for verdict in verdicts if verdict.skipped is None)
    if not attempts:
        raise _refuse(verdicts, privacy, trace)
    return Plan(match, tier, privacy, attempts, trace, table.version)


def privacy_of(match: AgentMatch, table: RoutingTable, roster: Roster) -> Privacy:
    """Return where something without a requested model (an upload, say) may be sent.

    Combines the profile with the agent's own entry and category, or the `unknown` entry.
    """
    agent = roster.agents.get(match.slug) if match.slug is not None else None
    levels = _levels(table.active, agent, agent.tier if agent is not None else None)
    privacy, _ = _combine_privacy(table.active, levels, _Route((), "none", ()))
    return privacy


def _levels(profile: Profile, agent: Agent | None, tier: Tier | None) -> tuple[_Level, ...]:
    """Return the levels that apply, most specific first, the default last."""
    levels = []
    if agent is not None:
        levels.append(_Level(f"agents.{agent.slug}", profile.agents.get(agent.slug)))
        category = profile.categories.get(agent.category)
        levels.append(_Level(f"categories.{agent.category}", category))
    else:
        levels.append(_Level("unknown", profile.unknown))
    if tier is not None:
        levels.append(_Level(f"tiers.{tier}", profile.tiers.get(tier)))
    levels.append(_Level("default", profile.default))
    return tuple(levels)


def _find_route(facts: RequestFacts, requested: RequestedModel, levels: Sequence[_Level]) -> _Route:
    """Return the route of the first level that has one, or of the deployment asked for."""
    decided: _Route | None = None
    trace = []
    if requested.deployment is not None:
        decided = _Route((requested.deployment,), "requested model", ())
        trace.append(
            TraceEntry("rule", decided.level, kept=True, reason="it names this deployment")
        )
    for level in levels:
        if decided is not None:
            trace.append(
                TraceEntry("rule", level.name, kept=False, reason=f"{decided.level} decided")
            )
        elif level.rule is None:
            trace.append(
                TraceEntry("rule", level.name, kept=False, reason="the profile has no such entry")
            )
        elif level.rule.route is None:
            trace.append(
                TraceEntry("rule", level.name, kept=False, reason="the entry names no route")
            )
        else:
            decided = _Route(level.rule.route, level.name, ())
            trace.append(
                TraceEntry("rule", level.name, kept=True, reason="most specific entry with a route")
            )
    if decided is None:
        raise UnknownModel(facts.requested_model)
    return _Route(decided.names, decided.level, tuple(trace))


def _combine_privacy(
    profile: Profile, levels: Sequence[_Level], route: _Route
) -> tuple[Privacy, TraceEntry]:
    """Return the tightest privacy that applies, and the trace entry that says where it is from."""
    tight = ["profile"] if profile.privacy is Privacy.LOCAL_ONLY else []
    for level in levels:
        applies = level.name != "default" or route.level == "default"
        if applies and level.rule is not None and level.rule.privacy is Privacy.LOCAL_ONLY:
            tight.append(level.name)
    if not tight:
        return Privacy.ANY, TraceEntry("rule", "privacy", kept=False, reason="nothing restricts it")
    reason = f"local_only, from {', '.join(tight)}"
    return Privacy.LOCAL_ONLY, TraceEntry("rule", "privacy", kept=True, reason=reason)


def _judge_all(
    route: _Route, privacy: Privacy, deployments: Mapping[str, Deployment]
) -> tuple[_Verdict, ...]:
    """Return one verdict for each candidate of the route, in order."""
    verdicts: list[_Verdict] = []
    for name in route.names:
        if any(verdict.name == name for verdict in verdicts):
            verdicts.append(_Verdict(name, "the route names it twice"))
        else:
            verdicts.append(_judge(name, privacy, deployments))
    return tuple(verdicts)


def _judge(name: str, privacy: Privacy, deployments: Mapping[str, Deployment]) -> _Verdict:
    """Return whether a deployment may be tried.

    Privacy is asked before availability, so that an outage is only reported of what was allowed.
    """
    deployment = deployments.get(name)
    if deployment is None:
        return _Verdict(name, "not configured")
    if privacy is Privacy.LOCAL_ONLY and deployment.leaves_host:
        return _Verdict(name, "leaves the host, and privacy is local_only")
    if deployment.unavailable is not None:
        return _Verdict(name, f"unavailable: {deployment.unavailable}", outage=True)
    return _Verdict(name)


def _refuse(
    verdicts: Sequence[_Verdict], privacy: Privacy, trace: Sequence[TraceEntry]
) -> NoAttempt:
    """Return the error for a route of which nothing is left.

    The reason of an unavailable deployment stays in the trace: it is the operator's business.
    """
    told = [
        f"{verdict.name} {'is unavailable' if verdict.outage else verdict.skipped}"
        for verdict in verdicts
    ]
    message = f"No deployment may serve this request (privacy: {privacy}): {'; '.join(told)}."
    return NoAttempt(message, outage=any(verdict.outage for verdict in verdicts), trace=trace)
