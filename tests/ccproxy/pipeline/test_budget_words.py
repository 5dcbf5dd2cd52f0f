"""What people are told of a budget that is reached, and when a client is to ask again."""

import time

import pytest

from ccproxy.pipeline.budget_clock import BudgetClock, spans_at
from ccproxy.pipeline.budget_words import refusal, told
from routing.budget_book import Budget, BudgetScope, Counted, OnReach, Reached, Window

NOON_S = 1_793_444_400.0
"""2026-10-31 12:00 in Berlin, a week after its clocks were set back."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    """Local time is Berlin's."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def reached(counts, window, used, reserved=0, limit=100, on_reach=OnReach.REFUSE, whose=None):
    scope = BudgetScope.AGENT if whose else BudgetScope.TOTAL
    budget = Budget("b", scope, whose or "", counts, window, limit, on_reach)
    opens_at_s = None if window is None else spans_at(NOON_S)[window].end_s
    return Reached(budget, whose or "", used, reserved, opens_at_s)


USED_UP = "Budget b is used up: 100 requests of 100 requests this minute; it opens again at "
MONTH, DAY, MINUTE = Window.MONTH, Window.DAY, Window.MINUTE


@pytest.mark.parametrize(
    ("case", "retry", "after_s", "words"),
    [
        (
            {"counts": Counted.USD, "window": MONTH, "used": 1_000_500, "limit": 1_000_000},
            False,
            None,
            "Budget b is used up: $1.00 of $1.00 this month; it opens again at 2026-11-01 00:00 +0100.",
        ),
        (
            {"counts": Counted.USD, "window": DAY, "used": 60_000, "reserved": 5, "limit": 60_004},
            True,
            5,
            "Budget b has no room at the moment: $0.0600 of $0.0600 is used today, and requests in flight may use $0.000005.",
        ),
        (
            {"counts": Counted.TOKENS, "window": DAY, "used": 2000, "whose": "debugger"},
            False,
            12 * 3600,
            "Budget b is used up: 2,000 tokens of 100 tokens by agent debugger today; it opens again at 2026-11-01 00:00 +0100.",
        ),
        (
            {"counts": Counted.REQUESTS, "window": MINUTE, "used": 90, "reserved": 10},
            True,
            60,
            f"{USED_UP}2026-10-31 12:01 +0100.",
        ),
        (
            {"counts": Counted.CONCURRENCY, "window": None, "used": 0, "reserved": 100},
            True,
            5,
            "Budget b: 100 of 100 requests at a time are in flight.",
        ),
        (
            {
                "counts": Counted.REQUESTS,
                "window": MINUTE,
                "used": 100,
                "on_reach": OnReach.LOCAL_ONLY,
            },
            True,
            60,
            f"{USED_UP}2026-10-31 12:01 +0100; until then only models on this host serve, and none of them may serve this.",
        ),
    ],
)
def test_a_refusal(case, retry, after_s, words):
    """Money that is used up is not worth a retry, nor a wait that no client waits (conformance 051)."""
    said = refusal(reached(**case), NOON_S)

    assert (429, "rate_limit_error") == (said.status, said.error_type)
    assert (retry, after_s, words) == (said.should_retry, said.retry_after_s, said.message)


def test_a_wait_is_never_longer_than_the_window():
    """What is held in the last second of a day is free with the next."""
    held = reached(Counted.TOKENS, Window.DAY, 50, 60)

    assert 1 == refusal(held, held.opens_at_s - 0.2).retry_after_s
    assert told(held).startswith("budget b has no room")


def test_days_and_months_are_those_of_the_calendar():
    """The day on which clocks are set back has 25 hours; a month ends where the next one begins."""
    spans = spans_at(1_792_900_000.0)  # 2026-10-25, a Sunday
    october = spans[Window.MONTH]

    assert 25 * 3600 == spans[Window.DAY].end_s - spans[Window.DAY].start_s
    assert 31 * 24 * 3600 + 3600 == october.end_s - october.start_s
    assert october == spans_at(october.start_s)[Window.MONTH]
    assert october.end_s == spans_at(october.end_s)[Window.MONTH].start_s
    assert 60 == spans[Window.MINUTE].end_s - spans[Window.MINUTE].start_s


@pytest.mark.parametrize("moment_s", [NOON_S, NOON_S + 12 * 3600 - 0.5, 1_798_761_599.0])
def test_a_window_holds_its_moment(moment_s):
    """Whether just after its beginning or just before its end, a year's included."""
    clock = BudgetClock()
    for now_s in (moment_s, moment_s + 1, moment_s - 61):
        assert spans_at(now_s) == clock.spans(now_s)
        assert all(span.start_s <= now_s < span.end_s for span in clock.spans(now_s).values())
