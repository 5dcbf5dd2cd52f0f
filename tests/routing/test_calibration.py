"""What a model's counts teach about estimates, and when they are an alarm instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.calibration import (
    HIGHEST_RATIO,
    LOWEST_RATIO,
    UNKNOWN_RATIO,
    TokenRatio,
    is_truncated,
    learned,
    restored,
)

RATIOS = st.builds(
    TokenRatio, st.floats(LOWEST_RATIO, HIGHEST_RATIO), st.integers(0, 10_000)
) | st.just(UNKNOWN_RATIO)
TOKENS = st.integers(1, 10_000_000)


def after(counts: list[int], *, estimated: int = 10_000) -> float:
    """Return the ratio after prompts of one estimate were counted like this."""
    known = UNKNOWN_RATIO
    for count in counts:
        known = learned(known, estimated, count)
    return known.ratio


@pytest.mark.parametrize("quotient", [0.62, 0.7, 0.85, 1.0, 1.2, 1.5, 1.79])
def test_a_steady_model_is_learned(quotient: float) -> None:
    """Whatever the true ratio is within the bounds, the calibrated estimate comes to meet it."""
    count = round(10_000 * quotient)
    # Not below three quarters of what is known at a time: a very different model takes two steps.
    counts = [8_000] * 200 + [count] * 200 if quotient < 0.75 else [count] * 200
    assert after(counts) == pytest.approx(quotient, abs=0.01)


def test_up_at_once_and_down_slowly() -> None:
    """One high count moves the ratio eight times as far as one equally low."""
    assert after([12_000]) - 1 == pytest.approx(0.05)
    assert 1 - after([8_000]) == pytest.approx(0.2 / 32)


@pytest.mark.parametrize(
    ("estimated", "counted", "exact"),
    [
        (255, 255, True),
        (10_000, 10_000, False),
        (10_000, 18_001, True),
        (10_000, 5_999, True),
        (10_000, 7_499, True),
        (10_000, 0, True),
        (10_000, 1, True),
    ],
    ids=["short", "images", "far too high", "far too low", "far below", "none", "cached"],
)
def test_what_is_not_plausible_teaches_nothing(estimated: int, counted: int, exact: bool) -> None:
    """A count that may have other reasons than the vocabulary changes nothing (conformance 219)."""
    assert learned(UNKNOWN_RATIO, estimated, counted, exact=exact) is UNKNOWN_RATIO


def test_counts_without_the_cached_prefix_do_not_drag_the_ratio_down() -> None:
    """Turns of an agent at an Ollama that counts only what it evaluated: the estimate stays safe.

    Every tenth turn begins a conversation; the others count whatever was new (conformance 219).
    """
    turns = [10_000 if turn % 10 == 0 else 200 + (turn * 7919) % 9_800 for turn in range(3_000)]
    assert after(turns) > 0.93


@given(RATIOS, TOKENS, st.integers(0, 100_000_000), st.booleans())
def test_the_ratio_stays_within_its_bounds(
    known: TokenRatio, estimated: int, counted: int, exact: bool
) -> None:
    """Whatever a model claims to have counted."""
    better = learned(known, estimated, counted, exact=exact)
    assert LOWEST_RATIO <= better.ratio <= HIGHEST_RATIO
    assert better is known or better.samples == known.samples + 1


@given(RATIOS, TOKENS, TOKENS)
def test_calibrated_is_monotone_and_at_least_one(known: TokenRatio, one: int, other: int) -> None:
    """More text is never fewer tokens, equal text equally many, none is 0 (conformance 244)."""
    low, high = sorted((one, other))
    assert 1 <= known.tokens(low) <= known.tokens(high)
    assert known.tokens(low) == known.tokens(low)
    assert UNKNOWN_RATIO.tokens(low) == low


@pytest.mark.parametrize(
    ("known", "estimated", "counted", "exact", "truncated"),
    [
        (UNKNOWN_RATIO, 20_000, 4_095, True, True),
        (UNKNOWN_RATIO, 20_000, 9_999, True, True),
        (UNKNOWN_RATIO, 20_000, 10_000, True, False),
        (UNKNOWN_RATIO, 20_000, 25_000, True, False),
        (UNKNOWN_RATIO, 1_024, 500, True, True),
        (UNKNOWN_RATIO, 1_023, 500, True, False),
        (UNKNOWN_RATIO, 20_000, 4_095, False, False),
        (TokenRatio(0.6, 9), 20_000, 6_000, True, False),
        (TokenRatio(1.8, 9), 20_000, 17_999, True, True),
    ],
)
def test_a_count_far_below_is_an_alarm(
    known: TokenRatio, estimated: int, counted: int, exact: bool, truncated: bool
) -> None:
    """Less than half of the calibrated estimate was read: the prompt was cut (conformance 228)."""
    assert is_truncated(known, estimated, counted, exact=exact) is truncated


@pytest.mark.parametrize(
    ("ratio", "samples", "expected"),
    [
        (1.2, 3, TokenRatio(1.2, 3)),
        (0.1, 3, UNKNOWN_RATIO),
        (9.0, 3, UNKNOWN_RATIO),
        (float("nan"), 3, UNKNOWN_RATIO),
        (1.2, 0, UNKNOWN_RATIO),
        (1.2, -1, UNKNOWN_RATIO),
    ],
)
def test_what_was_stored_is_not_trusted(ratio: float, samples: int, expected: TokenRatio) -> None:
    """A value that cannot have been learned counts as nothing known."""
    assert restored(ratio, samples) == expected
