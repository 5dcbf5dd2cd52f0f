"""Inheritance between profiles."""

from __future__ import annotations

import pytest

from routing.extends import find_cycle, merge_profiles, resolve_profile, tightest
from routing.types import Privacy, Profile, RouteRule, Tier

LOCAL = Privacy.LOCAL_ONLY


def test_maps_merge_and_routes_are_replaced() -> None:
    """A child's key joins the parent's keys; where both have one, the child's route counts."""
    parent = Profile(
        "parent",
        tiers={Tier.OPUS: RouteRule(("a", "b")), Tier.HAIKU: RouteRule(("c",))},
        agents={"x": RouteRule(("a",), LOCAL)},
        default=RouteRule(("a",)),
        unknown=RouteRule(None, LOCAL),
    )
    child = Profile(
        "child",
        tiers={Tier.OPUS: RouteRule(("c",)), Tier.SONNET: RouteRule(("d",))},
        categories={"k": RouteRule(("k",))},
        agents={"x": RouteRule(("b",))},
        default=RouteRule(("z",)),
    )
    assert merge_profiles(parent, child) == Profile(
        "child",
        tiers={
            Tier.OPUS: RouteRule(("c",)),
            Tier.HAIKU: RouteRule(("c",)),
            Tier.SONNET: RouteRule(("d",)),
        },
        categories={"k": RouteRule(("k",))},
        agents={"x": RouteRule(("b",), LOCAL)},
        default=RouteRule(("z",)),
        unknown=RouteRule(None, LOCAL),
    )


def test_an_entry_without_a_route_keeps_the_parents() -> None:
    """Tightening an entry in a child leaves its route alone."""
    parent = Profile("p", agents={"x": RouteRule(("a",))})
    child = Profile("c", agents={"x": RouteRule(None, LOCAL)})
    assert merge_profiles(parent, child).agents == {"x": RouteRule(("a",), LOCAL)}


@pytest.mark.parametrize("parent", list(Privacy))
@pytest.mark.parametrize("child", list(Privacy))
def test_privacy_only_tightens(parent: Privacy, child: Privacy) -> None:
    """The merged privacy is `local_only` if either is."""
    merged = merge_profiles(Profile("p", privacy=parent), Profile("c", privacy=child))
    assert merged.privacy is tightest(parent, child)
    assert (merged.privacy is LOCAL) == (LOCAL in (parent, child))


def test_grandparents_count() -> None:
    """A chain of profiles is resolved from its root."""
    profiles = {
        "a": Profile("a", privacy=LOCAL),
        "b": Profile("b", default=RouteRule(("x",))),
        "c": Profile("c"),
    }
    resolved = resolve_profile("c", profiles, {"c": "b", "b": "a"})
    assert resolved == Profile("c", default=RouteRule(("x",)), privacy=LOCAL)


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({}, None),
        ({"a": "b"}, None),
        ({"a": "a"}, ("a", "a")),
        ({"a": "b", "b": "c", "c": "a"}, ("a", "b", "c", "a")),
        ({"a": "b", "b": "c", "c": "b"}, None),
    ],
)
def test_a_cycle_is_found_from_inside(
    parents: dict[str, str], expected: tuple[str, ...] | None
) -> None:
    """A profile on a circle yields the circle; one that only leads to a circle does not."""
    assert find_cycle("a", parents) == expected
