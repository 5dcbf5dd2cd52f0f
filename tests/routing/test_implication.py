"""Whether one `when` covers another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given

from routing.condition_reader import read_when
from routing.conditions import Subject, When, first_unmet
from routing.diagnostics import Diagnostics, Names
from routing.implication import contradiction, covers
from routing.table import compile_table
from routing.types import RequestFacts
from tests.support.routing_samples import CAPABLE_DEPLOYMENTS, ROSTER
from tests.support.routing_strategies import request_facts, table_mappings

NAMES = Names(
    frozenset(),
    frozenset(ROSTER.agents),
    frozenset(agent.category for agent in ROSTER.agents.values()),
)


def when(raw: dict[str, Any]) -> When:
    """Return conditions as the file gives them."""
    return read_when(raw, (), Diagnostics(), NAMES)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({}, {}),
        ({}, {"agent": "coder"}),
        ({"min_input_tokens": 10}, {"min_input_tokens": 10, "has_images": True}),
        ({"max_input_tokens": 10}, {"max_input_tokens": 9}),
        ({"agent": ["coder", "clerk"]}, {"agent": "clerk"}),
        ({"category": "codingAgents"}, {"agent": "coder"}),
        ({"tier": ["haiku", "sonnet"]}, {"agent": ["coder", "clerk"]}),
        ({"tier": "opus"}, {"tier": "opus", "category": "architect"}),
        ({"requested_model": "GPT-*"}, {"requested_model": ["gpt-4o", "gpt-*"]}),
        ({"tool_names": "*"}, {"tool_names": "mcp__?"}),
        ({"header": {"X-A": "r*"}}, {"header": {"x-a": "red", "x-b": "*"}}),
        ({"time": {"days": "mon-fri"}}, {"time": {"days": "tue", "between": "09:00-17:00"}}),
        ({"time": {"between": "20:00-07:00"}}, {"time": {"between": "22:00-06:00"}}),
        ({"request_class": ["title", "turn"]}, {"request_class": "title"}),
    ],
)
def test_covered(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    """The same or weaker conditions on every key cover."""
    assert covers(when(wide), when(narrow), ROSTER.agents)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"agent": "coder"}, {}),
        ({"min_input_tokens": 10}, {"min_input_tokens": 9}),
        ({"max_input_tokens": 10}, {"min_input_tokens": 1}),
        ({"has_images": True}, {"has_images": False}),
        ({"agent": "coder"}, {"agent": ["coder", "clerk"]}),
        ({"category": "codingAgents"}, {"agent": ["coder", "clerk"]}),
        ({"agent": "coder"}, {"category": "codingAgents"}),
        ({"requested_model": "gpt-*"}, {"requested_model": "g*"}),
        ({"project": "blue"}, {"project": "b*"}),
        ({"header": {"x-a": "*"}}, {"header": {"x-b": "*"}}),
        ({"time": {"days": "tue"}}, {"time": {"days": "mon-wed"}}),
        ({"request_class": "title"}, {"request_class": ["title", "turn"]}),
    ],
)
def test_not_covered(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    """A stronger or another condition on any key does not."""
    assert not covers(when(wide), when(narrow), ROSTER.agents)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"min_input_tokens": 1, "max_input_tokens": 1}, None),
        (
            {"min_input_tokens": 2, "max_input_tokens": 1},
            "min_input_tokens 2 is above max_input_tokens 1",
        ),
        ({"agent": ["coder", "chief"], "category": "architect"}, None),
        (
            {"agent": "coder", "category": "architect"},
            "none of its agents is in its categories",
        ),
        ({"agent": "coder", "tier": "haiku"}, "none of its agents has one of its tiers"),
    ],
)
def test_conditions_that_contradict_each_other(raw: dict[str, Any], expected: str | None) -> None:
    """What can never hold together is seen where it is simple."""
    assert contradiction(when(raw), ROSTER.agents) == expected


@given(
    table_mappings(CAPABLE_DEPLOYMENTS, ROSTER),
    request_facts(CAPABLE_DEPLOYMENTS, ROSTER),
)
def test_covering_is_never_claimed_wrongly(mapping: dict[str, Any], facts: RequestFacts) -> None:
    """Where one rule is said to cover another, it holds for every request the other holds for."""
    table, _ = compile_table(mapping, CAPABLE_DEPLOYMENTS, ROSTER)
    rules = [rule.when for profile in table.profiles.values() for rule in profile.rules]
    assume(len(rules) > 1)
    agent = ROSTER.agents.get(facts.path_agent or "")
    subject = Subject(facts, agent, agent.tier if agent else None)
    holding = [each for each in rules if first_unmet(each, subject) is None]
    failing = [each for each in rules if first_unmet(each, subject) is not None]
    assert not any(covers(wide, narrow, ROSTER.agents) for wide in failing for narrow in holding)
    assert not any(contradiction(each, ROSTER.agents) for each in holding)
