"""Savings as a range, in words that do not boast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.savings import Savings, SavingsSums, savings_of, told

USD = 1_000_000
SUMS = SavingsSums(
    compared=1200,
    would_low_microusd=10 * USD,
    would_expected_microusd=25 * USD,
    would_high_microusd=40 * USD,
    cost_microusd=5 * USD,
)


def sums(**changes):
    return SavingsSums(**{name: getattr(SUMS, name) for name in SUMS.__slots__} | changes)


@pytest.mark.parametrize(
    ("changes", "saved"),
    [
        ({}, Savings(5 * USD, 20 * USD, 35 * USD)),
        ({"wasted_microusd": 6 * USD}, Savings(-USD, 14 * USD, 29 * USD)),
        ({"cost_microusd": 0}, Savings(10 * USD, 25 * USD, 40 * USD)),
        ({"uncompared": 9, "unpriced": 9}, Savings(5 * USD, 20 * USD, 35 * USD)),
    ],
)
def test_what_is_saved(changes, saved):
    """Less what local answers cost, and less what failed attempts cost."""
    assert savings_of(sums(**changes)) == saved


PARTS = "1,200 local answers would have cost $10.00 to $40.00 at Claude and cost $5.00"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, f"Saved $5.00 to $35.00, $20.00 as a rule. {PARTS}."),
        (
            {"wasted_microusd": 6 * USD},
            f"Between a loss of $1.00 and a saving of $29.00, $14.00 as a rule. {PARTS}; failed attempts of other requests cost $6.00.",
        ),
        (
            {"wasted_microusd": 30 * USD},
            f"Between a loss of $25.00 and a saving of $5.00, a loss of $10.00 as a rule. {PARTS}; failed attempts of other requests cost $30.00.",
        ),
        (
            {"wasted_microusd": 50 * USD},
            f"Lost $15.00 to $45.00, $30.00 as a rule. {PARTS}; failed attempts of other requests cost $50.00.",
        ),
        (
            {"uncompared": 1},
            f"Saved $5.00 to $35.00, $20.00 as a rule. {PARTS}. Left out: 1 local answer that could not be compared.",
        ),
        (
            {"unpriced": 2},
            f"Saved $5.00 to $35.00, $20.00 as a rule. {PARTS}. What 2 requests cost is not known, so that the true saving is smaller.",
        ),
        ({"compared": 0}, "Nothing can be said: no local answer could be compared with Claude."),
    ],
)  # fmt: skip
def test_words(changes, words):
    """A range, its parts, and what is left out."""
    assert told(sums(**changes)) == words


@pytest.mark.parametrize(
    ("low", "high", "spent", "words"),
    [
        (20, 30, 0, "Saved less than $0.01. 1 local answer would have cost less than $0.01 at Claude and cost $0.00."),
        (USD, USD + 9, 0, "Saved $1.00. 1 local answer would have cost $1.00 at Claude and cost $0.00."),
        (0, 0, 0, "Saved $0.00. 1 local answer would have cost $0.00 at Claude and cost $0.00."),
        (0, 9, USD, "Lost $1.00. 1 local answer would have cost $0.00 to less than $0.01 at Claude and cost $1.00."),
        (0, 9, 5, "Between a loss of less than $0.01 and a saving of less than $0.01, a loss of less than $0.01 as a rule. 1 local answer would have cost $0.00 to less than $0.01 at Claude and cost less than $0.01."),
    ],
)  # fmt: skip
def test_a_range_whose_ends_are_told_alike(low, high, spent, words):
    """It is one amount."""
    assert told(SavingsSums(1, low, low, high, spent)) == words


@pytest.mark.parametrize(
    ("microusd", "words"),
    [(0, "$0.00"), (1, "less than $0.01"), (9999, "less than $0.01"), (10_000, "$0.01"), (14_999, "$0.01"), (15_000, "$0.02"), (1_234_567_890_000, "$1,234,567.89")],
)  # fmt: skip
def test_money(microusd, words):
    """To the cent, and never 0 for something."""
    assert told(sums(cost_microusd=microusd)).endswith(f"and cost {words}.")


@given(st.lists(st.integers(0, 10**12), min_size=3, max_size=3).map(sorted), st.integers(0, 10**12))
def test_the_range_is_in_order(would, spent):
    """Whatever was spent."""
    low, expected, high = would
    saved = savings_of(SavingsSums(1, low, expected, high, spent))

    assert saved.low_microusd <= saved.expected_microusd <= saved.high_microusd
