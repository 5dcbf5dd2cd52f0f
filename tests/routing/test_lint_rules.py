"""Warnings about ordered rules."""

from __future__ import annotations

from typing import Any

import pytest

from routing.errors import InvalidTable
from routing.table import compile_table
from tests.support.routing_samples import DEPLOYMENTS, ROSTER, table_of

DEFAULT = {"default": {"route": ["qwen"]}}


def warnings_of(profile: dict[str, Any], **others: Any) -> list[str]:
    """Return the warnings of a valid table."""
    found = compile_table(table_of({**DEFAULT, **profile}, **others), DEPLOYMENTS, ROSTER)[1]
    return [str(each).removeprefix("profiles.") for each in found]


def rules(*whens: dict[str, Any], **says: Any) -> dict[str, Any]:
    """Return a profile's rules, named a, b, c, with a route unless they say something else."""
    body = says or {"route": ["qwen"]}
    return {
        "rules": [{"name": "abc"[index], "when": when, **body} for index, when in enumerate(whens)]
    }


@pytest.mark.parametrize(
    "profile",
    [
        rules({"agent": "coder"}, {"tier": "sonnet"}),
        rules({}, {"agent": "coder"}, privacy="local_only"),
        rules({"time": {"days": "mon-fri"}}, {"time": {"days": "sat"}}),
    ],
)
def test_rules_that_all_matter(profile: dict[str, Any]) -> None:
    """Narrow before wide is fine, and rules without a route hide nothing."""
    assert warnings_of(profile) == []


def test_a_rule_that_is_never_reached() -> None:
    """A rule under one with the same or weaker conditions is reported where it stands."""
    assert warnings_of(
        rules({"category": "codingAgents"}, {"tier": "opus"}, {"agent": "coder"})
    ) == [
        (
            "main.rules.2: the rule 'c' is never reached: 'a' above applies to every request that it "
            "applies to. Move it up, or take it out"
        )
    ]


def test_a_rule_that_never_applies() -> None:
    """Conditions that contradict each other are reported."""
    assert warnings_of(rules({"agent": "coder", "tier": "opus"})) == [
        "main.rules.0: the rule 'a' never applies: none of its agents has one of its tiers"
    ]


def test_a_rule_that_does_nothing() -> None:
    """A rule without route and policy is reported."""
    assert warnings_of({"rules": [{"name": "a", "when": {}}]}) == [
        "main.rules.0: sets nothing and changes nothing"
    ]


def test_overriding_a_parents_rule_is_meant() -> None:
    """A child's rule may take everything of its parent's; each table is judged by itself."""
    base = {**DEFAULT, **rules({"agent": "coder"})}
    own = {"extends": "base", **rules({"tier": "sonnet"})}
    assert warnings_of(own, base=base) == []


def test_a_private_rule_with_cloud_only() -> None:
    """A rule that is `local_only` and names only what leaves the host is reported."""
    profile = rules({"agent": "coder"}, route=["claude"], privacy="local_only")
    assert warnings_of(profile) == [
        "main: no deployment may serve these agents: coder",
        "main.rules.0: is local_only, and every deployment of its route leaves the host",
    ]


def test_a_private_profile_inherits_a_cloud_rule() -> None:
    """The profile that cannot serve what its parent's rule takes is told, unless it overrides."""
    base = {**DEFAULT, **rules({"project": "x"}, route=["claude"])}
    own = {"extends": "base", "privacy": "local_only"}
    assert warnings_of(own, base=base) == [
        (
            "main: is local_only and inherits the rule 'a' of 'base', of whose route every deployment "
            "leaves the host; give it a rule of its own for that"
        )
    ]
    assert warnings_of({**own, **rules({"project": "*"})}, base=base) == []


def test_unknown_names_in_rules_are_errors_with_the_nearest() -> None:
    """Agents, deployments and names of rules are checked like everywhere else."""
    bad = {
        "rules": [
            {"name": "a", "when": {"agent": "codr"}, "route": ["qwne"]},
            {"name": "a", "when": {}, "route": ["qwen"]},
            {"when": {}, "route": ["qwen"]},
            {"name": "d", "route": ["qwen"]},
            {"name": "e", "when": {}, "rout": []},
            "f",
            None,
        ]
    }
    with pytest.raises(InvalidTable) as caught:
        compile_table(table_of(bad), DEPLOYMENTS, ROSTER)
    assert [str(each).removeprefix("profiles.main.") for each in caught.value.problems] == [
        "rules.0.when.agent: there is no agent 'codr'. Did you mean 'coder'?",
        "rules.0.route.0: there is no deployment 'qwne' in model_list. Did you mean 'qwen'?",
        "rules.1.name: there is a rule 'a' above; rename one",
        "rules.2: needs a `name`, by which it is shown in decisions",
        "rules.3: needs a `when`; `when: {}` always holds",
        "rules.4.rout: unknown key 'rout'. Did you mean 'route'?",
        "rules.5: must be a map of `name: value`, not 'f'",
        "rules.6: is empty; a rule has name, when, and what follows",
    ]
