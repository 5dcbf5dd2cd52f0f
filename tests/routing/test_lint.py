"""Warnings about a valid table."""

from __future__ import annotations

import pytest

from routing.table import compile_table
from routing.types import Agent, Roster, Tier
from tests.support.routing_samples import DEPLOYMENTS, ROSTER, table_of

LOCAL_DEFAULT = {"route": ["qwen"]}
NOBODY = "no deployment may serve these agents"


def warnings_of(mapping: dict[str, object], roster: Roster = ROSTER) -> list[str]:
    """Return the warnings of a valid table."""
    return [str(each) for each in compile_table(mapping, DEPLOYMENTS, roster)[1]]


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        pytest.param({"default": LOCAL_DEFAULT, "privacy": "local_only"}, [], id="fine"),
        pytest.param(
            {"default": {"route": ["claude", "qwen"]}, "privacy": "local_only"}, [], id="mixed"
        ),
        pytest.param(
            {"default": {"route": ["claude-keyless", "qwen-down"]}}, [], id="down is no warning"
        ),
        pytest.param(
            {
                "default": LOCAL_DEFAULT,
                "unknown": {"route": ["claude", "qwen-cloud"], "privacy": "local_only"},
            },
            ["unknown: is local_only, and every deployment of its route leaves the host"],
            id="cloud only",
        ),
        pytest.param(
            {
                "default": LOCAL_DEFAULT,
                "categories": {"architect": {"route": ["claude"]}},
                "agents": {"chief": {"privacy": "local_only"}},
            },
            [f": {NOBODY}: chief"],
            id="agent without an attempt",
        ),
        pytest.param(
            {"tiers": {"opus": LOCAL_DEFAULT, "sonnet": LOCAL_DEFAULT}},
            [f": {NOBODY}: clerk"],
            id="agent without a route",
        ),
        pytest.param(
            {
                "default": LOCAL_DEFAULT,
                "privacy": "local_only",
                "agents": {"coder": {"route": ["qwen"], "privacy": "any"}},
            },
            [
                (
                    "agents.coder.privacy: has no effect: privacy only tightens, and here it is "
                    "local_only"
                )
            ],
            id="privacy cannot be taken back",
        ),
        pytest.param(
            {"default": LOCAL_DEFAULT, "privacy": "any", "agents": {"coder": {"privacy": "any"}}},
            [],
            id="any among any",
        ),
    ],
)
def test_each_warning(profile: dict[str, object], expected: list[str]) -> None:
    """What makes only some requests unservable, or has no effect, is a warning at its place."""
    places = [f"profiles.main.{each}".replace(".:", ":") for each in expected]
    assert warnings_of(table_of(profile)) == places


def test_a_child_inherits_the_warning() -> None:
    """A profile that only becomes unservable through its parent is reported under its own name."""
    main: dict[str, object] = {"default": {"route": ["claude"]}}
    found = warnings_of(table_of(main, strict={"extends": "main", "privacy": "local_only"}))
    assert found == [
        "profiles.strict.default: is local_only, and every deployment of its route leaves the host",
        f"profiles.strict: {NOBODY}: chief, coder, auditor, clerk",
    ]


def test_many_agents_are_counted() -> None:
    """A warning names a few agents and counts the rest."""
    agents = {f"a{index}": Agent(f"a{index}", "A", Tier.OPUS, "c") for index in range(8)}
    assert warnings_of(table_of({}), Roster(agents)) == [
        f"profiles.main: {NOBODY}: a0, a1, a2, a3, a4 and 3 more"
    ]
