"""Warnings about a valid table: what makes only some requests unservable, or has no effect.

Whether a deployment is available right now does not count: a missing key is reported where the
deployment is configured, and comes back without an edit of the table.
Called by: `routing.table`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from routing.errors import NoAttempt, Problem, UnknownModel
from routing.extends import tightest
from routing.lint_fleet import lint_claude_ids, lint_fallbacks, lint_memory, lint_wishes, shown
from routing.lint_rules import lint_rules
from routing.plan import build_plan
from routing.types import AgentMatch, AgentSource, Privacy, RequestFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from routing.types import Profile, Roster, RouteRule, RoutingTable


def lint_table(
    table: RoutingTable,
    roster: Roster,
    explicit_any: Sequence[tuple[str | int, ...]],
    own: Iterable[Profile] = (),
) -> list[Problem]:
    """Return the warnings about every profile of the table.

    Args:
        table: A table without errors.
        roster: The agents it serves.
        explicit_any: Key paths at which the file says `privacy: any`.
        own: The profiles without what they inherit.
    """
    deployments = {
        name: replace(deployment, unavailable=None)
        for name, deployment in table.deployments.items()
    }
    table = replace(table, deployments=deployments)
    findings: list[Problem] = []
    for profile in table.profiles.values():
        findings.extend(_cloud_only(profile, table))
        findings.extend(_unserved_agents(replace(table, active=profile), roster))
    findings.extend(lint_rules(table, roster))
    findings.extend(lint_claude_ids(own, table.deployments))
    findings.extend(lint_wishes(table, roster))
    findings.extend(lint_fallbacks(table, roster))
    findings.extend(lint_memory(table))
    findings.extend(_useless_any(table, explicit_any))
    return findings


def _entries(profile: Profile) -> Iterator[tuple[tuple[str, ...], RouteRule]]:
    """Yield every entry of a profile with its key path inside the profile."""
    for tier, rule in profile.tiers.items():
        yield ("tiers", tier.value), rule
    for category, rule in profile.categories.items():
        yield ("categories", category), rule
    for slug, rule in profile.agents.items():
        yield ("agents", slug), rule
    for key, optional in (("default", profile.default), ("unknown", profile.unknown)):
        if optional is not None:
            yield (key,), optional


def _cloud_only(profile: Profile, table: RoutingTable) -> Iterator[Problem]:
    """Warn of routes that are `local_only` and name nothing that stays on the host."""
    for path, rule in _entries(profile):
        if not rule.route or tightest(profile.privacy, rule.privacy) is Privacy.ANY:
            continue
        if all(table.deployments[name].leaves_host for name in rule.route):
            message = "is local_only, and every deployment of its route leaves the host"
            yield Problem(("profiles", profile.name, *path), message)


def _unserved_agents(table: RoutingTable, roster: Roster) -> Iterator[Problem]:
    """Warn of agents for which the active profile has no usable attempt."""
    unserved = []
    for slug in roster.agents:
        try:
            build_plan(
                RequestFacts(requested_model=""),
                AgentMatch(slug, AgentSource.PATH),
                table,
                roster,
            )
        except (NoAttempt, UnknownModel):
            unserved.append(slug)
    if unserved:
        message = f"no deployment may serve these agents: {shown(unserved)}"
        yield Problem(("profiles", table.active.name), message)


def _useless_any(
    table: RoutingTable, explicit_any: Sequence[tuple[str | int, ...]]
) -> Iterator[Problem]:
    """Warn of `privacy: any` where `local_only` is inherited or holds for the whole profile."""
    for path in explicit_any:
        profile = table.profiles[str(path[1])]
        inside = path[2:-1]
        own = dict(_entries(profile)).get(tuple(map(str, inside)))
        effective = tightest(profile.privacy, own.privacy if own else Privacy.ANY)
        if effective is Privacy.LOCAL_ONLY:
            yield Problem(path, "has no effect: privacy only tightens, and here it is local_only")
