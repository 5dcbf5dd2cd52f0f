"""Where a request goes: an ordered list of attempts, and how it came about.

Rules:
1. The profile's `rules` are tried in order. The first that applies and has a route gives it, and
   none after it is tried. One that applies without a route only adds its privacy and policies, and
   the next is tried.
2. Where no rule gave it, the route comes from the most specific level that has one: the agent's
   own entry (for an unrecognised caller the `unknown` entry), its category, its tier, the default.
   An agent has the roster's tier; only an unrecognised caller has that of the requested model.
3. A deployment named as the requested model is the whole route. Rules are tried all the same, for
   their privacy and policies.
4. Privacy only tightens. It is combined over the profile, the token, every rule that was found to
   apply and every level of the request, whichever of them gave the route; the default applies only
   where it gave the route. An agent in several categories has the privacy of all of them, and every
   other setting of the first.
5. Every other policy is that of the most specific of these that has it: rules in their order, then
   agent or unknown, category, tier, default, and the profile last.
6. `local_only` removes every deployment that leaves the host, also one that was asked for by name.
7. A candidate that cannot do what the content needs, or is too small for it, is skipped like one
   that privacy forbids; that is no outage.
8. A safety call is Claude's, unchanged, unless the rule that gives the route names its class.
9. A candidate that is predicted to say its first word after 300 s, or after the deadline, comes
   after those that are not.
10. Behind the route of an agent with a `fallback` block in the roster comes what the block adds
    (`routing.roster_fallback` has the rules).
11. Inside an open tool loop the candidates of the side that made its calls come first, otherwise in
    the order of the route; who is late still comes after who is in time. A compaction ends the
    loop, so that it may go anywhere.
12. Every rule, level and candidate appears in the trace, kept or skipped, with the reason.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from routing.candidates import SafetyCall, Terms, in_order, judge_all, loop_entry, refusal
from routing.capabilities import NOTHING_KNOWN
from routing.conditions import Subject
from routing.errors import UnknownModel
from routing.pace import CLIENT_LIMIT_S
from routing.policies import KEEP_THINKING, OnOverflow
from routing.requested_model import RequestedKind, classify_requested_model
from routing.roster_fallback import roster_fallback
from routing.route import decide, privacy_without_content
from routing.types import Plan, Privacy, RequestClass, RequestFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from routing.candidates import Verdict
    from routing.capabilities import FleetSnapshot
    from routing.requested_model import RequestedModel
    from routing.roster_fallback import RosterFallback
    from routing.route import Decision
    from routing.types import (
        Agent,
        AgentMatch,
        Deployment,
        Roster,
        RoutingTable,
        Side,
        Tier,
        TraceEntry,
    )


def build_plan(
    facts: RequestFacts,
    match: AgentMatch,
    table: RoutingTable,
    roster: Roster,
    fleet: FleetSnapshot = NOTHING_KNOWN,
) -> Plan:
    """Return the attempts for one request.

    Args:
        facts: What the request said.
        match: What `identify` returned for the same facts; a slug that the roster does not have
            (any more) is treated as unrecognised. Authorisation is not looked at here.
        table: The table in force.
        roster: The agents.
        fleet: What is known of the deployments at the moment.

    Raises:
        UnknownAgent: The requested model is `agent/<slug>` with a slug that does not exist (404).
        UnknownModel: Nothing in the table has a route for it (404).
        NoAttempt: Every candidate was skipped (400, or 529 if one of them is merely unavailable).
    """
    asked = _ask(facts, match, table, roster)
    decision, safety = asked.decision, asked.safety
    terms = _terms(facts, asked, table, fleet)
    verdicts = judge_all(decision.route or (), terms)
    tell = partial(_told, decision, verdicts, terms.loop_side, table.deployments)
    attempts = in_order(verdicts, terms)
    if not attempts:
        raise refusal(verdicts, terms, tell())
    policies = decision.policies
    kept = [verdict for verdict in verdicts if verdict.skipped is None]
    return Plan(
        match=match,
        tier=asked.tier,
        privacy=decision.privacy,
        attempts=attempts,
        tell=tell,
        table_version=table.version,
        deadline_s=policies.deadline_s,
        max_cost_microusd=policies.max_cost_microusd,
        thinking=KEEP_THINKING if safety is not None else policies.thinking or KEEP_THINKING,
        on_overflow=terms.on_overflow,
        rule=decision.rule.name if decision.rule is not None else None,
        only_after={each.name: each.only_after for each in kept if each.only_after},
        asks={each.name: each.asks for each in kept if each.asks is not None},
        late=tuple([each.name for each in kept if each.late]),
    )


def privacy_asked(
    facts: RequestFacts, match: AgentMatch, table: RoutingTable, roster: Roster
) -> Privacy:
    """Return the privacy that `build_plan` gives a request, whether or not anything may serve it.

    Raises:
        UnknownAgent: As `build_plan`.
        UnknownModel: Likewise.
    """
    return _ask(facts, match, table, roster).decision.privacy


def privacy_of(
    match: AgentMatch, table: RoutingTable, roster: Roster, facts: RequestFacts | None = None
) -> Privacy:
    """Return where something that nobody looks into (an upload, say) may be sent.

    Combines the profile, the token, the agent's own entry, category and tier or the `unknown`
    entry, and every rule that is not known to be about something else. Without `facts` that is
    every rule about this agent, whatever else it asks.
    """
    agent = roster.agents.get(match.slug) if match.slug is not None else None
    tier = agent.tier if agent is not None else None
    subject = Subject(facts or RequestFacts(requested_model=""), agent, tier)
    return privacy_without_content(table.active, subject)


class _Asked(NamedTuple):
    """What is asked for, and what the table says of it."""

    requested: RequestedModel
    agent: Agent | None
    tier: Tier | None
    decision: Decision
    safety: SafetyCall | None


def _ask(facts: RequestFacts, match: AgentMatch, table: RoutingTable, roster: Roster) -> _Asked:
    """Hold a request against the table.

    Raises:
        UnknownAgent: As `build_plan`.
        UnknownModel: Likewise.
    """
    requested = classify_requested_model(facts.requested_model, roster, table.deployments)
    agent = roster.agents.get(match.slug) if match.slug is not None else None
    tier = agent.tier if agent is not None else requested.tier
    decision = decide(table.active, Subject(facts, agent, tier), requested)
    safety = _safety_call(facts, requested, decision)
    if decision.route is None and safety is None:
        raise UnknownModel(facts.requested_model, decision.trace())
    return _Asked(requested, agent, tier, decision, safety)


def _terms(facts: RequestFacts, asked: _Asked, table: RoutingTable, fleet: FleetSnapshot) -> Terms:
    """Return what the candidates of a request are held against."""
    policies = asked.decision.policies
    return Terms(
        privacy=asked.decision.privacy,
        content=facts.content,
        on_overflow=policies.on_overflow or OnOverflow.REROUTE,
        deployments=table.deployments,
        fleet=fleet,
        safety=asked.safety,
        counting=facts.request_class is RequestClass.COUNT,
        requested_model=facts.requested_model,
        max_cost_microusd=policies.max_cost_microusd,
        prices=table.prices,
        limit_s=min(CLIENT_LIMIT_S, policies.deadline_s or CLIENT_LIMIT_S),
        read_tokens=facts.read_tokens,
        fallback=_fallback(asked, table),
        loop_side=_loop_side(facts),
        brings_credential=facts.brings_credential,
    )


def _fallback(asked: _Asked, table: RoutingTable) -> RosterFallback | None:
    """Return what the agent's block in the roster adds to its route, or None where nothing."""
    agent, requested = asked.agent, asked.requested
    if agent is None or agent.fallback is None:
        return None
    if asked.safety is not None or requested.deployment is not None:
        return None
    route = asked.decision.route or ()
    return roster_fallback(agent.fallback, table.active, route, requested.tier, table.deployments)


def _loop_side(facts: RequestFacts) -> Side | None:
    """Return whose tool calls are being answered, or None where nobody has to go on with them."""
    if facts.content is None or facts.request_class is RequestClass.COMPACTION:
        return None
    return facts.content.tool_loop_side


def _told(
    decision: Decision,
    verdicts: Sequence[Verdict],
    loop_side: Side | None,
    deployments: Mapping[str, Deployment],
) -> tuple[TraceEntry, ...]:
    """Return how a decision came about, in the order in which its parts were looked at."""
    loop = loop_entry(verdicts, loop_side, deployments)
    steps = decision.trace() if loop is None else (*decision.trace(), loop)
    return (*steps, *(verdict.entry() for verdict in verdicts))


def _safety_call(
    facts: RequestFacts, requested: RequestedModel, decision: Decision
) -> SafetyCall | None:
    """Return the safety call this is, or None if it is none or a rule has claimed it."""
    if facts.request_class is not RequestClass.SAFETY_CLASSIFIER:
        return None
    rule = decision.rule
    if rule is not None and RequestClass.SAFETY_CLASSIFIER in rule.when.request_class:
        return None
    return SafetyCall(facts.requested_model, requested.kind is RequestedKind.TIER)
