"""Reading policies, and which of several counts."""

from __future__ import annotations

import pytest

from routing.diagnostics import Diagnostics
from routing.policies import (
    NO_POLICIES,
    OnOverflow,
    Policies,
    ThinkingMode,
    ThinkingPolicy,
    combine,
)
from routing.policy_reader import read_policies

CAP = ThinkingPolicy(ThinkingMode.CAP, 2000)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, NO_POLICIES),
        ({"deadline_s": 2.5}, Policies(deadline_s=2.5)),
        ({"max_cost_usd_per_request": 0.1}, Policies(max_cost_microusd=100_000)),
        ({"max_cost_usd_per_request": 0}, Policies(max_cost_microusd=0)),
        ({"thinking": "keep"}, Policies(thinking=ThinkingPolicy())),
        ({"thinking": "strip"}, Policies(thinking=ThinkingPolicy(ThinkingMode.STRIP))),
        ({"thinking": {"max_budget_tokens": 2000}}, Policies(thinking=CAP)),
        ({"on_overflow": "error"}, Policies(on_overflow=OnOverflow.ERROR)),
    ],
)
def test_policies_are_read(body: dict[str, object], expected: Policies) -> None:
    """Money is whole microdollars inside, and what is not said stays unsaid."""
    found = Diagnostics()
    assert read_policies(body, (), found) == expected
    assert found.errors == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"deadline_s": 0}, "deadline_s: must be a number above 0, not 0"),
        ({"deadline_s": "1m"}, "deadline_s: must be a number above 0, not '1m'"),
        ({"deadline_s": float("inf")}, "deadline_s: must be a number above 0, not inf"),
        ({"deadline_s": float("nan")}, "deadline_s: must be a number above 0, not nan"),
        (
            {"max_cost_usd_per_request": -1},
            "max_cost_usd_per_request: must be a number of at least 0, not -1",
        ),
        ({"thinking": True}, "thinking: must be keep, strip or {max_budget_tokens: N}, not True"),
        ({"thinking": "cap"}, "thinking: must be keep, strip or {max_budget_tokens: N}, not 'cap'"),
        ({"thinking": {}}, "thinking: needs max_budget_tokens"),
        (
            {"thinking": {"max_budget_tokens": 0}},
            "thinking.max_budget_tokens: must be a whole number above 0, not 0",
        ),
        ({"on_overflow": "retry"}, "on_overflow: must be reroute or error, not 'retry'"),
    ],
)
def test_each_mistake_names_place_and_fix(body: dict[str, object], expected: str) -> None:
    """A policy that cannot be read is one error at its key path."""
    found = Diagnostics()
    read_policies(body, (), found)
    assert [str(each) for each in found.errors] == [expected]


def test_the_most_specific_counts_each_for_itself() -> None:
    """A more specific entry overrides what it says and leaves the rest."""
    assert combine(
        [
            Policies(deadline_s=1, thinking=CAP),
            NO_POLICIES,
            Policies(deadline_s=9, max_cost_microusd=0),
            Policies(max_cost_microusd=5, on_overflow=OnOverflow.ERROR),
        ]
    ) == Policies(1, 0, CAP, OnOverflow.ERROR)
