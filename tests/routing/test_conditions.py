"""When a rule applies."""

from __future__ import annotations

import pytest

from routing.conditions import Subject, TimeWindow, When, could_hold, first_unmet
from routing.content import StatedContent
from routing.types import RequestClass, RequestFacts, Tier
from tests.support.routing_samples import ROSTER

FACTS = RequestFacts(
    "Claude-Sonnet-5",
    request_class=RequestClass.TITLE,
    principal="ci-nightly",
    project="blue",
    headers={"x-team": "red"},
    content=StatedContent(
        input_tokens=1000, has_images=True, tool_names=frozenset({"Bash", "mcp__git__log"})
    ),
    local_minute=(0, 600),
)
CODER = Subject(FACTS, ROSTER.agents["coder"], Tier.SONNET)
STRANGER = Subject(FACTS, None, None)
NOTHING = Subject(RequestFacts("x"), None, None)


@pytest.mark.parametrize(
    "when",
    [
        When(),
        When(min_input_tokens=1000),
        When(max_input_tokens=1000),
        When(has_images=True, has_documents=False, has_server_tools=False, thinking=False),
        When(tool_names=("Read", "mcp__*")),
        When(requested_model=("claude-*",)),
        When(agent=frozenset({"chief", "coder"})),
        When(category=frozenset({"codingAgents"})),
        When(tier=frozenset({Tier.SONNET, Tier.OPUS})),
        When(principal=("ops", "ci-*")),
        When(project=("blue",)),
        When(header={"x-team": ("r?d",)}),
        When(time=TimeWindow(frozenset({0}), 600, 601)),
        When(request_class=frozenset({RequestClass.TITLE})),
    ],
)
def test_conditions_that_hold(when: When) -> None:
    """Bounds include themselves, patterns fit the whole text, one of a list is enough."""
    assert first_unmet(when, CODER) is None


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (When(min_input_tokens=1001), "about 1000 input tokens, fewer than 1001"),
        (When(max_input_tokens=999), "about 1000 input tokens, more than 999"),
        (When(has_images=False), "has_images is true"),
        (When(has_documents=True), "has_documents is false"),
        (When(thinking=True), "thinking is false"),
        (When(tool_names=("bash", "mcp")), "tool_names: no such tool is offered"),
        (When(requested_model=("sonnet",)), "requested_model is another"),
        (When(agent=frozenset({"chief"})), "agent is coder"),
        (When(category=frozenset({"architect"})), "category is codingAgents"),
        (When(tier=frozenset({Tier.OPUS})), "tier is sonnet"),
        (When(principal=("ci",)), "principal is ci-nightly"),
        (When(project=("green",)), "project is blue"),
        (When(header={"x-team": ("RED",)}), "header x-team does not match"),
        (When(header={"x-team": ("*",), "x-b": ("*",)}), "header x-b is absent"),
        (When(time=TimeWindow(frozenset({1}))), "time is mon 10:00"),
        (When(request_class=frozenset({RequestClass.TURN})), "request_class is title"),
        (When(has_images=True, agent=frozenset({"chief"})), "agent is coder"),
    ],
)
def test_conditions_that_do_not_hold(when: When, reason: str) -> None:
    """The first condition that does not hold is named, with what was found instead."""
    assert first_unmet(when, CODER) == reason


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        (When(min_input_tokens=0), "the number of input tokens is unknown"),
        (When(has_images=False), "has_images is unknown"),
        (When(tool_names=("*",)), "tool_names: no such tool is offered"),
        (When(agent=frozenset({"coder"})), "agent is unknown"),
        (When(category=frozenset({"codingAgents"})), "category is unknown"),
        (When(tier=frozenset({Tier.OPUS})), "tier is unknown"),
        (When(project=("*",)), "project is unknown"),
        (When(time=TimeWindow()), "time is unknown"),
    ],
)
def test_what_is_not_known_holds_for_nothing(when: When, reason: str) -> None:
    """Neither `true` nor `false`, nor any pattern, fits what nobody knows."""
    assert first_unmet(when, NOTHING) == reason


class Unasked:
    """A body whose length must not be asked for."""

    has_images = has_documents = has_server_tools = wants_thinking = False
    wants_structured_output = False
    tool_names: frozenset[str] = frozenset()
    input_tokens_at_most = 100

    @property
    def input_tokens(self) -> int:
        raise AssertionError("the estimate was asked for")


def test_the_estimate_is_asked_for_last() -> None:
    """A rule that fails for another reason, or by a bound, costs no estimate."""
    subject = Subject(RequestFacts("x", content=Unasked()), None, None)
    assert first_unmet(When(min_input_tokens=1, project=("blue",)), subject) is not None
    assert first_unmet(When(min_input_tokens=101), subject) == (
        "at most 100 input tokens, fewer than 101"
    )
    with pytest.raises(AssertionError, match="was asked for"):
        first_unmet(When(min_input_tokens=1), subject)


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (TimeWindow(), [(0, 0), (6, 1439)], []),
        (TimeWindow(start_minute=540, end_minute=1020), [(3, 540), (3, 1019)], [(3, 1020)]),
        (
            TimeWindow(frozenset({4}), 1320, 360),
            [(4, 1320), (4, 1439), (5, 0), (5, 359)],
            [(4, 0), (4, 359), (5, 360), (5, 1320), (6, 0)],
        ),
        (TimeWindow(frozenset({6}), 1320, 360), [(6, 1320), (0, 0)], [(1, 0)]),
    ],
)
def test_a_window_belongs_to_the_day_it_begins(
    window: TimeWindow, inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    """The end is outside, and what crosses midnight goes on into the next day, Sunday to Monday."""
    assert all(window.holds(*moment) for moment in inside)
    assert not any(window.holds(*moment) for moment in outside)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (When(has_documents=True, min_input_tokens=10**6), True),
        (When(agent=frozenset({"coder"})), True),
        (When(agent=frozenset({"chief"})), False),
        (When(principal=("ops",)), False),
        (When(request_class=frozenset({RequestClass.TURN})), False),
    ],
)
def test_what_could_hold_of_a_body_nobody_reads(when: When, expected: bool) -> None:
    """Whatever asks about content may hold; what is known to differ does not."""
    assert could_hold(when, CODER) is expected


def test_an_unknown_principal_could_be_any() -> None:
    """Where nothing but the agent is known, principal, project, headers and time may fit."""
    when = When(principal=("ops",), project=("x",), header={"x-a": ("b",)}, time=TimeWindow())
    assert could_hold(when, NOTHING)
    assert not could_hold(When(requested_model=("gpt*",)), Subject(RequestFacts(""), None, None))
