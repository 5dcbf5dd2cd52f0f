"""The share of requests that their first choice did not serve."""

import pytest

from routing.fallback_rate import BUCKETS, FallbackRate, FallbackRules

RULES = FallbackRules(above=0.2, window_s=100, least_requests=10)


def after(*requests):
    """Return the rate after `(time, fell back, how many)`."""
    rate = FallbackRate(RULES)
    for now_s, fell_back, count in requests:
        for _ in range(count):
            rate = rate.counted(fell_back=fell_back, now_s=now_s)
    return rate


@pytest.mark.parametrize(
    ("requests", "now_s", "is_high"),
    [
        ([(0, True, 9)], 0, False),  # too few
        ([(0, True, 2), (1, False, 8)], 2, True),
        ([(0, True, 1), (1, False, 9)], 2, False),
        ([(0, True, 10)], 99, True),
        ([(0, True, 10)], 101, False),  # long ago
        ([(0, True, 10), (101, False, 10)], 101, False),
    ],
)
def test_the_rate_is_that_of_the_window(requests, now_s, is_high):
    """High from the limit on, of enough requests, and of those in the window only."""
    assert after(*requests).judged(now_s).is_high is is_high


def test_it_is_well_again_with_some_distance():
    """Three quarters of the limit; fewer requests than count don't make it well, none failing do."""
    high = after((0, True, 4), (0, False, 16)).judged(0)
    assert high.is_high
    for _ in range(5):
        high = high.counted(fell_back=False, now_s=1)
    assert high.judged(1).is_high  # 16 %
    for _ in range(2):
        high = high.counted(fell_back=False, now_s=1)
    assert not high.judged(1).is_high  # 14.8 %

    few = after((0, True, 10), (90, True, 1)).judged(90)
    assert few.judged(120).is_high
    assert not few.judged(200).is_high


def test_its_size_does_not_depend_on_the_traffic():
    """One bucket for each part of the window, and none without requests; a clock that stands back counts on."""
    rate = after(*((at, True, 3) for at in range(0, 1000, 3)), (0, False, 1))
    assert len(rate.buckets) <= BUCKETS
    assert rate.requests > 0
    assert rate.judged(10_000).requests == 0


@pytest.mark.parametrize(
    "wrong", [{"above": 0}, {"above": 1.1}, {"window_s": 0}, {"least_requests": 0}]
)
def test_rules_that_could_not_work_are_refused(wrong):
    """A share is above 0 and at most 1."""
    with pytest.raises(ValueError, match="needs"):
        FallbackRules(**wrong)
