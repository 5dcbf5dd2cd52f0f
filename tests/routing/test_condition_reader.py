"""Reading the conditions of a rule."""

from __future__ import annotations

import pytest

from routing.condition_reader import read_when
from routing.conditions import TimeWindow, When
from routing.diagnostics import Diagnostics, Names
from routing.types import RequestClass, Tier

NAMES = Names(frozenset({"qwen"}), frozenset({"auditor"}), frozenset({"securityAgents"}))


def read(raw: object) -> tuple[When, list[str]]:
    """Return the conditions and the errors."""
    found = Diagnostics()
    return read_when(raw, ("when",), found, NAMES), [str(each) for each in found.errors]


def test_every_key_arrives() -> None:
    """Each key of the language is read, one item or a list of them alike."""
    assert read(
        {
            "min_input_tokens": 0,
            "max_input_tokens": 9,
            "has_images": True,
            "has_documents": False,
            "has_server_tools": True,
            "thinking": False,
            "tool_names": "mcp__*",
            "requested_model": ["GPT-*", "x"],
            "agent": "auditor",
            "category": ["securityAgents"],
            "tier": ["opus", "haiku"],
            "principal": "ci",
            "project": ["a", "b"],
            "header": {"X-Team": "r*"},
            "time": {"days": ["sat-mon", "wed"], "between": "22:00-24:00"},
            "request_class": ["title", "safety_classifier"],
        }
    ) == (
        When(
            min_input_tokens=0,
            max_input_tokens=9,
            has_images=True,
            has_documents=False,
            has_server_tools=True,
            thinking=False,
            tool_names=("mcp__*",),
            requested_model=("gpt-*", "x"),
            agent=frozenset({"auditor"}),
            category=frozenset({"securityAgents"}),
            tier=frozenset({Tier.OPUS, Tier.HAIKU}),
            principal=("ci",),
            project=("a", "b"),
            header={"x-team": ("r*",)},
            time=TimeWindow(frozenset({5, 6, 0, 2}), 22 * 60, 24 * 60),
            request_class=frozenset({RequestClass.TITLE, RequestClass.SAFETY_CLASSIFIER}),
        ),
        [],
    )


@pytest.mark.parametrize("empty", [None, {}])
def test_no_condition_always_holds(empty: object) -> None:
    """An empty `when` restricts nothing."""
    assert read(empty) == (When(), [])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"agents": "x"}, "when.agents: unknown key 'agents'. Did you mean 'agent'?"),
        ({"agent": "auditer"}, "when.agent: there is no agent 'auditer'. Did you mean 'auditor'?"),
        (
            {"agent": ["auditor", "x"]},
            "when.agent.1: there is no agent 'x'.",
        ),
        (
            {"category": "securityAgent"},
            "when.category: there is no category 'securityAgent'. Did you mean 'securityAgents'?",
        ),
        ({"tier": "opsu"}, "when.tier: there is no tier 'opsu'. Did you mean 'opus'?"),
        (
            {"request_class": "titles"},
            "when.request_class: there is no request class 'titles'. Did you mean 'title'?",
        ),
        (
            {"project": []},
            "when.project: is an empty list, which nothing could match; leave the key out",
        ),
        ({"principal": 3}, "when.principal: must be a text, not 3; quote it if it is meant as one"),
        ({"has_images": "yes"}, "when.has_images: must be true or false, not 'yes'"),
        (
            {"min_input_tokens": -1},
            "when.min_input_tokens: must be a whole number of at least 0, not -1",
        ),
        (
            {"max_input_tokens": 1.5},
            "when.max_input_tokens: must be a whole number of at least 0, not 1.5",
        ),
        (
            {"min_input_tokens": True},
            "when.min_input_tokens: must be a whole number of at least 0, not True",
        ),
        (
            {"header": {"Authorization": "*"}},
            "when.header.Authorization: holds a credential; ask for principal instead",
        ),
        (
            {"time": {}},
            "when.time: needs days, between, or both, e.g. {days: mon-fri, between: 22:00-06:00}",
        ),
        ({"time": {"day": "mon"}}, "when.time.day: unknown key 'day'. Did you mean 'days'?"),
        (
            {"time": {"days": "monday"}},
            "when.time.days: must be a day such as mon, or mon-fri, not 'monday'. Did you mean 'mon'?",
        ),
        (
            {"time": {"between": "9-17"}},
            "when.time.between: must be HH:MM-HH:MM, e.g. 22:00-06:00, not '9-17'",
        ),
        (
            {"time": {"between": "09:00-24:01"}},
            "when.time.between: ends after 24:00: '09:00-24:01'",
        ),
        (
            {"time": {"between": "09:00-09:00"}},
            "when.time.between: begins where it ends: '09:00-09:00'; leave it out for the whole day",
        ),
    ],
)
def test_each_mistake_names_place_and_fix(raw: object, expected: str) -> None:
    """A condition that cannot be read is one error at its key path."""
    assert read(raw)[1] == [expected]
