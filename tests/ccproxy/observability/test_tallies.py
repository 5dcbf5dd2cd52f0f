"""Counters and histograms as Prometheus reads them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from ccproxy.observability.tallies import CounterTally, HistogramTally
from tests.support.metrics import samples_of

BOUNDS_S = (0.1, 1, 600)


def test_each_label_is_counted_by_itself():
    """What was never counted has no series."""
    registry = CollectorRegistry()
    tally = CounterTally(registry, "a_requests", "Requests.", ("route",))
    tally.add(("local",))
    tally.add(("local",), 4)
    tally.add(("claude",))

    assert samples_of(registry) == {
        ("a_requests_total", "local"): 5.0,
        ("a_requests_total", "claude"): 1.0,
    }


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=50))
def test_no_cent_is_lost(amounts):
    """A million small amounts are shown as their exact sum, rounded once."""
    registry = CollectorRegistry()
    tally = CounterTally(registry, "a_cost_usd", "Cost.", ("use",), per=1_000_000)
    for amount in amounts:
        tally.add(("x",), amount)

    assert samples_of(registry)["a_cost_usd_total", "x"] == float(Fraction(sum(amounts), 1_000_000))


@pytest.mark.parametrize(
    ("seconds", "buckets"),
    [
        (0.0, [1, 1, 1, 1]),
        (0.1, [1, 1, 1, 1]),
        (0.11, [0, 1, 1, 1]),
        (600.0, [0, 0, 1, 1]),
        (601.0, [0, 0, 0, 1]),
    ],
)
def test_a_bucket_holds_what_is_at_most_its_bound(seconds, buckets):
    """Buckets are cumulative, and the last one has everything."""
    registry = CollectorRegistry()
    tally = HistogramTally(registry, "a_seconds", "Time.", ("route",), BOUNDS_S)
    tally.observe(("local",), seconds)
    found = samples_of(registry)

    bounds = ["0.1", "1.0", "600.0", "+Inf"]
    assert [found["a_seconds_bucket", "local", bound] for bound in bounds] == buckets
    assert found["a_seconds_count", "local"] == 1
    assert found["a_seconds_sum", "local"] == seconds


def test_two_of_one_name_are_refused():
    """As the library's own metrics are."""
    registry = CollectorRegistry()
    CounterTally(registry, "a_requests", "Requests.")

    with pytest.raises(ValueError, match="Duplicated"):
        CounterTally(registry, "a_requests", "Requests.")
    HistogramTally(registry, "a_seconds", "Time.", (), BOUNDS_S)
    with pytest.raises(ValueError, match="Duplicated"):
        HistogramTally(registry, "a_seconds", "Time.", (), BOUNDS_S)
