"""Warnings about a table's ordered rules.

Called by: `routing.lint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.errors import Problem
from routing.extends import tightest
from routing.implication import contradiction, covers
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from routing.types import ConditionalRule, Profile, Roster, RoutingTable


def lint_rules(table: RoutingTable, roster: Roster) -> Iterator[Problem]:
    """Yield the warnings about the rules of every profile."""
    for profile in table.profiles.values():
        yield from _dead_rules(profile, roster)
        yield from _cloud_only_rules(profile, table, roster)


def place_of(rule: ConditionalRule) -> tuple[str | int, ...]:
    """Return where a rule stands in the table."""
    return ("profiles", rule.profile, "rules", rule.index)


def shadowed_by(
    rule: ConditionalRule, before: Sequence[ConditionalRule], roster: Roster
) -> ConditionalRule | None:
    """Return a rule that takes every request of `rule` before it is tried, or None.

    Only a rule with a route ends the search for one.
    """
    for earlier in before:
        if earlier.entry.route is not None and covers(earlier.when, rule.when, roster.agents):
            return earlier
    return None


def _dead_rules(profile: Profile, roster: Roster) -> Iterator[Problem]:
    """Warn of rules that can never apply.

    A rule that a child profile's own rule shadows is not dead but overridden.
    """
    own = [rule for rule in profile.rules if rule.profile == profile.name]
    for index, rule in enumerate(own):
        why = contradiction(rule.when, roster.agents)
        if why is not None:
            yield Problem(place_of(rule), f"the rule {rule.name!r} never applies: {why}")
            continue
        earlier = shadowed_by(rule, own[:index], roster)
        if earlier is not None:
            message = (
                f"the rule {rule.name!r} is never reached: {earlier.name!r} above applies to every "
                "request that it applies to. Move it up, or take it out"
            )
            yield Problem(place_of(rule), message)


def _cloud_only_rules(profile: Profile, table: RoutingTable, roster: Roster) -> Iterator[Problem]:
    """Warn of reachable rules that are `local_only` and name nothing that stays on the host."""
    for index, rule in enumerate(profile.rules):
        entry = rule.entry
        if not entry.route or tightest(profile.privacy, entry.privacy) is Privacy.ANY:
            continue
        if not all(table.deployments[name].leaves_host for name in entry.route):
            continue
        if shadowed_by(rule, profile.rules[:index], roster) is not None:
            continue
        if rule.profile == profile.name:
            message = "is local_only, and every deployment of its route leaves the host"
            yield Problem(place_of(rule), message)
        else:
            message = (
                f"is local_only and inherits the rule {rule.name!r} of {rule.profile!r}, of whose "
                "route every deployment leaves the host; give it a rule of its own for that"
            )
            yield Problem(("profiles", profile.name), message)
