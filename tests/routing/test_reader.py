"""Reading the parts of a table."""

from __future__ import annotations

import pytest

from routing.reader import Names, TableReader
from routing.types import Privacy, RouteRule, Tier

NAMES = Names(frozenset({"qwen", "claude"}), frozenset({"auditor"}), frozenset({"securityAgents"}))


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ([], "p: must be a map of `name: value`, not []"),
        ({1: {}}, "p.1: the key 1 must be a text; quote it"),
        ({"tires": {}}, "p.tires: unknown key 'tires'. Did you mean 'tiers'?"),
        (
            {"rules": {}},
            "p.rules: must be a list of rules, each with name, when, and what follows",
        ),
        ({"extends": ["a"]}, "p.extends: must be the name of one profile"),
        ({"privacy": "local"}, "p.privacy: must be any or local_only, not 'local'"),
        ({"privacy": None}, "p.privacy: must be any or local_only, not None"),
        ({"tiers": {"opsu": {}}}, "p.tiers.opsu: unknown tier 'opsu'. Did you mean 'opus'?"),
        (
            {"categories": {"securityAgent": {}}},
            (
                "p.categories.securityAgent: unknown category 'securityAgent'. "
                "Did you mean 'securityAgents'?"
            ),
        ),
        (
            {"agents": {"auditer": {}}},
            "p.agents.auditer: unknown agent 'auditer'. Did you mean 'auditor'?",
        ),
        ({"default": "qwen"}, "p.default: must be a map of `name: value`, not 'qwen'"),
        (
            {"default": {"thinking_budget_tokens": 3}},
            (
                "p.default.thinking_budget_tokens: unknown key 'thinking_budget_tokens'; write "
                "thinking: {max_budget_tokens: N}"
            ),
        ),
        (
            {"default": {"route": "qwen"}},
            "p.default.route: must be a list of deployments, e.g. [qwen-coder, claude-sonnet]",
        ),
        (
            {"unknown": {"route": []}},
            "p.unknown.route: is empty; leave the key out to take the route from the next level",
        ),
        (
            {"default": {"route": ["qwen", "qwne"]}},
            "p.default.route.1: there is no deployment 'qwne' in model_list. Did you mean 'qwen'?",
        ),
        (
            {"default": {"route": [3]}},
            "p.default.route.0: must be the name of a deployment, not 3",
        ),
    ],
)
def test_a_wrong_profile_is_refused_where_it_is_wrong(profile: object, expected: str) -> None:
    """Each kind of mistake is one error at its key path."""
    reader = TableReader(NAMES)
    reader.read_profile("x", profile)
    assert [str(error).replace("profiles.x", "p") for error in reader.errors] == [expected]


def test_an_unreadable_privacy_counts_as_local_only() -> None:
    """Whoever used the result of a bad file by mistake would keep the request on the host."""
    assert TableReader(NAMES).read_profile("x", {"privacy": 1}).privacy is Privacy.LOCAL_ONLY


@pytest.mark.parametrize("empty", [None, {}])
def test_a_map_may_be_empty(empty: object) -> None:
    """`agents:` with nothing under it, as YAML leaves it after commenting out, is allowed."""
    reader = TableReader(NAMES)
    profile = reader.read_profile("x", {"agents": empty, "tiers": empty, "categories": empty})
    assert (reader.errors, reader.warnings) == ([], [])
    assert profile.agents == {}


@pytest.mark.parametrize("empty", [None, {}])
def test_an_empty_entry_is_a_warning(empty: object) -> None:
    """An entry that says nothing is allowed and reported."""
    reader = TableReader(NAMES)
    profile = reader.read_profile("x", {"tiers": {"opus": empty}})
    assert profile.tiers == {Tier.OPUS: RouteRule()}
    assert [str(each) for each in reader.warnings] == [
        "profiles.x.tiers.opus: is empty and changes nothing"
    ]


def test_a_repeated_deployment_is_a_warning() -> None:
    """The second mention of a deployment in a route is dropped and reported."""
    reader = TableReader(NAMES)
    profile = reader.read_profile("x", {"default": {"route": ["qwen", "claude", "qwen"]}})
    assert profile.default == RouteRule(("qwen", "claude"))
    assert [str(each) for each in reader.warnings] == [
        "profiles.x.default.route.2: names 'qwen' twice; the second is skipped"
    ]


@pytest.mark.parametrize("profiles", [None, {}, []])
def test_a_table_needs_a_profile(profiles: object) -> None:
    """A table without profiles is refused."""
    reader = TableReader(NAMES)
    reader.read_root({"version": 1, "active_profile": "x", "profiles": profiles})
    assert "profiles: must hold at least one profile" in [str(each) for each in reader.errors]
