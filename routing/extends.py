"""Inheritance between the profiles of a routing table.

Rules:
1. Maps merge key by key; within an entry a child's `route` replaces the parent's.
2. `privacy` only tightens: `local_only` of the parent stays, whatever the child says.
3. Of the other policies each is the child's where the child has one, else the parent's.
4. A child's rules come before the parent's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from routing.types import Privacy, Profile, RouteRule

if TYPE_CHECKING:
    from collections.abc import Mapping

Key = TypeVar("Key", bound=str)


def tightest(*privacies: Privacy) -> Privacy:
    """Return `local_only` if any argument is, else `any`."""
    return Privacy.LOCAL_ONLY if Privacy.LOCAL_ONLY in privacies else Privacy.ANY


def find_cycle(name: str, parents: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the chain from `name` back to `name`, or None if it is not on a cycle.

    Args:
        name: Where to start.
        parents: Profile -> the profile it extends.
    """
    chain = [name]
    while (parent := parents.get(chain[-1])) is not None:
        if parent == name:
            return (*chain, name)
        if parent in chain:
            return None
        chain.append(parent)
    return None


def resolve_profile(
    name: str, profiles: Mapping[str, Profile], parents: Mapping[str, str]
) -> Profile:
    """Return profile `name` with everything it inherits; `parents` must have no cycle."""
    parent = parents.get(name)
    if parent is None:
        return profiles[name]
    return merge_profiles(resolve_profile(parent, profiles, parents), profiles[name])


def merge_profiles(parent: Profile, child: Profile) -> Profile:
    """Return `child` on top of `parent`, with the child's name."""
    return Profile(
        name=child.name,
        tiers=_merge_maps(parent.tiers, child.tiers),
        categories=_merge_maps(parent.categories, child.categories),
        agents=_merge_maps(parent.agents, child.agents),
        default=_merge_rules(parent.default, child.default),
        unknown=_merge_rules(parent.unknown, child.unknown),
        privacy=tightest(parent.privacy, child.privacy),
        policies=child.policies.over(parent.policies),
        rules=(*child.rules, *parent.rules),
    )


def _merge_maps(
    parent: Mapping[Key, RouteRule], child: Mapping[Key, RouteRule]
) -> dict[Key, RouteRule]:
    """Return both maps; where both have a key, the child's rule on top of the parent's."""
    merged = dict(parent)
    for key, rule in child.items():
        merged[key] = _on_top(merged[key], rule) if key in merged else rule
    return merged


def _merge_rules(parent: RouteRule | None, child: RouteRule | None) -> RouteRule | None:
    """Return the child's rule on top of the parent's; either may be missing."""
    if parent is None or child is None:
        return child or parent
    return _on_top(parent, child)


def _on_top(parent: RouteRule, child: RouteRule) -> RouteRule:
    """Return the child's route and policies where it has them, and the tighter privacy."""
    route = parent.route if child.route is None else child.route
    privacy = tightest(parent.privacy, child.privacy)
    return RouteRule(route, privacy, child.policies.over(parent.policies))
