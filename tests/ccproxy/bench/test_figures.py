"""Medians, rates and ratios with intervals."""

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccproxy.bench.figures import LEAST_VALUES, median, rate, ratio, resampled_medians

VALUES = st.lists(st.floats(0.001, 1_000), min_size=LEAST_VALUES, max_size=30)


@pytest.mark.parametrize("count", [5, 8, 15])
def test_resampled_medians_are_those_of_drawn_resamples(count):
    """Quartiles and ends agree with resamples that are drawn one by one, for odd and even counts."""
    draw = random.Random(count)  # noqa: S311
    values = [draw.expovariate(1) for _ in range(count)]
    drawn = sorted(statistics.median(draw.choices(values, k=count)) for _ in range(10_000))
    made = sorted(resampled_medians(values, "key"))

    for share in (0.025, 0.25, 0.5, 0.75, 0.975):
        ours = made[round(share * (len(made) - 1))]
        # Where in the drawn ones ours would stand: within two hundredths of its share.
        below = sum(each < ours - 1e-9 for each in drawn) / len(drawn)
        upto = sum(each <= ours + 1e-9 for each in drawn) / len(drawn)
        assert below - 0.02 <= share <= upto + 0.02


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    """Of 60 samples of 25 values about 95 in 100 intervals hold it."""
    draw = random.Random(3)  # noqa: S311
    held = 0
    for number in range(60):
        found = median([draw.gauss(10, 2) for _ in range(25)], str(number))
        held += found.low <= 10 <= found.high

    assert 0.88 <= held / 60 <= 1.0


@settings(max_examples=10)
@given(VALUES)
def test_an_interval_holds_its_median_and_lies_within_the_values(values):
    """Low, value, high are in order; nothing is made up beyond what was measured."""
    found = median(values, "key")

    assert min(values) <= found.low <= found.value <= found.high <= max(values)
    assert found.value == statistics.median(values)
    assert found == median(list(reversed(values)), "key")


def test_of_few_values_no_interval_is_told():
    """Four measurements have a median and nothing that could be called an interval."""
    assert (2.5, None, None, 4) == tuple(median([1, 2, 3, 4], "k").told().values())
    assert (None, None, None, 0) == tuple(median([], "k").told().values())
    assert ratio([1, 2, 3], [2, 4, 6], "k").low is None


@settings(max_examples=10)
@given(VALUES, st.floats(0.5, 3))
def test_a_ratio_is_that_of_the_medians(values, factor):
    """Its interval holds it."""
    found = ratio([value * factor for value in values], values, "key")

    assert found.value == pytest.approx(factor)
    assert found.low <= found.value * (1 + 1e-9)
    assert found.value <= found.high * (1 + 1e-9)


def test_there_is_no_ratio_to_nothing():
    """A median of 0, e.g. the cost of a local model, or no value at all."""
    assert ratio([1] * 9, [0] * 9, "k").value is None
    assert ratio([], [1] * 9, "k").value is None


@pytest.mark.parametrize(
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_rates_have_wilsons_interval(hits, of, low, high):
    """As published."""
    found = rate(hits, of)

    assert (low, high) == (pytest.approx(found.low, abs=1e-4), pytest.approx(found.high, abs=1e-4))


def test_a_rate_of_nothing_is_unknown():
    """No request, no rate; all or none reach the end of the scale."""
    assert rate(0, 0).value is None
    assert 1.0 == rate(7, 7).high
