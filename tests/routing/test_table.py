"""Compiling a table."""

from __future__ import annotations

import pytest

from routing.errors import InvalidTable
from routing.table import compile_table
from routing.types import Privacy, RouteRule, Tier
from tests.support.routing_samples import DEPLOYMENTS, ROSTER, table_of

ROUTE = {"route": ["qwen"]}


def errors_of(mapping: dict[str, object]) -> list[str]:
    """Return the errors that refuse a table."""
    with pytest.raises(InvalidTable) as caught:
        compile_table(mapping, DEPLOYMENTS, ROSTER)
    return [str(problem) for problem in caught.value.problems]


def test_a_table_is_compiled() -> None:
    """Every key of the language arrives where it belongs, with `extends` resolved."""
    table, warnings = compile_table(
        table_of(
            {
                "extends": "base",
                "agents": {"auditor": {"route": ["qwen", "claude"], "privacy": "local_only"}},
                "unknown": {"privacy": "local_only"},
            },
            base={
                "tiers": {"opus": {"route": ["claude"]}},
                "categories": {"securityAgents": {"privacy": "local_only"}},
                "default": ROUTE,
            },
        ),
        DEPLOYMENTS,
        ROSTER,
    )
    assert warnings == []
    assert set(table.profiles) == {"main", "base"}
    assert table.active is table.profiles["main"]
    assert table.active.tiers == {Tier.OPUS: RouteRule(("claude",))}
    assert table.active.categories == {"securityAgents": RouteRule(None, Privacy.LOCAL_ONLY)}
    assert table.active.agents == {"auditor": RouteRule(("qwen", "claude"), Privacy.LOCAL_ONLY)}
    assert table.active.default == RouteRule(("qwen",))
    assert table.active.unknown == RouteRule(None, Privacy.LOCAL_ONLY)
    assert table.profiles["base"].unknown is None


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        pytest.param(
            {"active_profile": "main", "profiles": {"main": {}}},
            "version: is missing; this program reads `version: 1`",
            id="no version",
        ),
        pytest.param(
            {**table_of({}), "version": True},
            "version: is True; this program reads `version: 1`",
            id="version true",
        ),
        pytest.param(
            {**table_of({}), "active_profile": "mian"},
            "active_profile: there is no profile 'mian'. Did you mean 'main'?",
            id="unknown active profile",
        ),
        pytest.param(
            {"version": 1, "profiles": {"main": {}}},
            "active_profile: must name one of the profiles",
            id="no active profile",
        ),
        pytest.param(
            {**table_of({}), "profile": {}},
            "profile: unknown key 'profile'. Did you mean 'profiles'?",
            id="unknown root key",
        ),
        pytest.param(
            table_of({"extends": "mein"}),
            "profiles.main.extends: there is no profile 'mein'. Did you mean 'main'?",
            id="unknown parent",
        ),
        pytest.param(
            table_of({"extends": "main"}),
            "profiles.main.extends: profiles extend each other in a circle: main -> main",
            id="self",
        ),
    ],
)
def test_each_error_names_place_and_fix(mapping: dict[str, object], expected: str) -> None:
    """A broken table is refused with the key path and what is wrong."""
    assert errors_of(mapping) == [expected]


def test_every_profile_on_a_circle_is_reported() -> None:
    """A circle is reported at each `extends` in it, and not at those that lead to it."""
    mapping = table_of({"extends": "a"}, a={"extends": "b"}, b={"extends": "a"})
    assert errors_of(mapping) == [
        "profiles.a.extends: profiles extend each other in a circle: a -> b -> a",
        "profiles.b.extends: profiles extend each other in a circle: b -> a -> b",
    ]


def test_all_errors_are_reported_at_once() -> None:
    """One pass over a bad table names each of its errors."""
    mapping = table_of(
        {"tiers": {"opsu": ROUTE}, "agents": {"auditer": {"route": ["clade"]}}, "rules": {}}
    )
    assert len(errors_of({**mapping, "version": 2})) == 4


def test_version_is_of_the_content() -> None:
    """The version changes with any value, and not with the order of keys."""

    def version(profile: dict[str, object]) -> str:
        return compile_table(table_of(profile), DEPLOYMENTS, ROSTER)[0].version

    one = version({"default": ROUTE, "unknown": ROUTE})
    assert version({"unknown": ROUTE, "default": ROUTE}) == one
    assert version({"unknown": ROUTE, "default": {"route": ["qwen", "claude"]}}) != one
    assert len(one) == 12
