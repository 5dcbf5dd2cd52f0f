"""The circuit breaker: tables, and what holds for any order of events and any clock."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.breaker import (
    DEFAULT_RULES,
    NEVER_OPENED,
    BreakerRules,
    BreakerState,
    Verdict,
    admit,
    admits,
    reported,
    state_at,
    verdict_of,
    wait_s,
)
from routing.failures import FailureClass
from routing.transitions import KEPT_TRANSITIONS, WHY_LIMIT

CLOSED, OPEN, HALF_OPEN = BreakerState
SUCCESS, FAILURE, NOTHING = Verdict
RULES = BreakerRules(
    failures_to_open=3,
    of_last=5,
    window_s=100,
    first_open_s=5,
    longest_open_s=30,
    wait_to_open_s=5,
    longest_wait_s=300,
    trials=2,
    successes_to_close=2,
    trial_limit_s=60,
)


def attempt(breaker, verdict, now_s, **told):
    """Return the state after one attempt that takes no time and must be admitted."""
    breaker, lease = admit(breaker, now_s, RULES)
    assert lease is not None
    return reported(breaker, lease, verdict, now_s=now_s, rules=RULES, **told)


def after(verdicts, breaker=NEVER_OPENED, start_s=0.0):
    """Return the state after attempts a second apart: `+` success, `-` failure, `.` says nothing."""
    said = {"+": SUCCESS, "-": FAILURE, ".": NOTHING}
    for number, verdict in enumerate(verdicts):
        breaker = attempt(breaker, said[verdict], start_s + number, why="broke off")
    return breaker


TRIPPED = after("---")
"""Open since 2 s, until 7 s."""


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ("", CLOSED),
        ("--", CLOSED),
        ("---", OPEN),
        ("-+-+-", OPEN),
        ("-++-+-", CLOSED),
        ("--+++-", CLOSED),
        ("--...-", OPEN),
        (".....", CLOSED),
    ],
)
def test_when_it_opens(verdicts, state):
    """Three failures among the last five outcomes; what says nothing is no outcome."""
    assert after(verdicts).state is state
    assert state_at(after(verdicts), 5) is state


def test_old_failures_do_not_count():
    """Only outcomes within the window are looked at, its end included."""
    assert after("-", after("--"), start_s=101).state is CLOSED
    assert after("-", after("--"), start_s=100).state is OPEN


def test_open_admits_nobody_until_its_time_is_up():
    """After five seconds it is half open, to whoever looks and to whoever asks."""
    assert (admits(TRIPPED, 6.9, RULES), wait_s(TRIPPED, 6.5), state_at(TRIPPED, 6.9)) == (
        False,
        0.5,
        OPEN,
    )
    assert (admits(TRIPPED, 7.0, RULES), wait_s(TRIPPED, 7.0), state_at(TRIPPED, 7.0)) == (
        True,
        0.0,
        HALF_OPEN,
    )
    assert admit(TRIPPED, 7.0, RULES)[0].state is HALF_OPEN


def test_trials_are_bounded_and_close_it():
    """Two at a time; two successes close it, and what failed before is forgotten."""
    breaker, first = admit(TRIPPED, 10, RULES)
    breaker, second = admit(breaker, 10, RULES)
    breaker, third = admit(breaker, 10, RULES)
    assert (first is None, second is None, third is None) == (False, False, True)

    breaker = reported(breaker, first, SUCCESS, now_s=11, rules=RULES)
    assert (breaker.state, admits(breaker, 11, RULES)) == (HALF_OPEN, True)
    breaker = reported(breaker, second, SUCCESS, now_s=12, rules=RULES)
    assert (breaker.state, breaker.since_s) == (CLOSED, 12)
    assert after("--", breaker, start_s=13).state is CLOSED


def test_a_trial_that_fails_opens_it_again_for_longer():
    """5, 10, 20, then never more than 30 seconds."""
    breaker, now_s, open_for_s = TRIPPED, 2.0, []
    for _ in range(5):
        open_for_s.append(wait_s(breaker, now_s))
        now_s += open_for_s[-1]
        breaker = attempt(breaker, FAILURE, now_s)
        assert breaker.state is OPEN
    assert open_for_s == [5, 10, 20, 30, 30]


def test_the_lengthening_is_forgotten_after_a_while_of_being_well():
    """Opened again soon after it closed it stays open for longer, else for as long as at first."""
    tripped = after("---", after("+++"), start_s=500)
    closed = after("++", tripped, start_s=510)
    assert wait_s(tripped, 502) == 5
    assert wait_s(after("---", closed, start_s=520), 522) == 10
    assert wait_s(after("---", closed, start_s=700), 702) == 5


def test_trials_of_an_earlier_time_take_no_room():
    """Whatever still ran when it opened again, the next time two are admitted."""
    breaker, _ = admit(TRIPPED, 10, RULES)
    breaker = attempt(breaker, FAILURE, 10)
    breaker, first = admit(breaker, 20, RULES)
    breaker, second = admit(breaker, 20, RULES)
    assert None not in {first, second}


def test_a_client_that_leaves_says_nothing():
    """Its trial makes room for another, and nothing else has changed."""
    breaker, lease = admit(TRIPPED, 10, RULES)
    breaker, _ = admit(breaker, 10, RULES)
    left = reported(breaker, lease, NOTHING, now_s=11, rules=RULES)
    assert (left.state, admits(breaker, 11, RULES), admits(left, 11, RULES)) == (
        HALF_OPEN,
        False,
        True,
    )


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize(("now_s", "state"), [(5, OPEN), (10, HALF_OPEN), (20, CLOSED)])
def test_outcomes_from_before_it_opened_are_late(verdict, now_s, state):
    """They neither close it nor open it, whatever became of it meanwhile; they are counted."""
    early, lease = admit(NEVER_OPENED, 0, RULES)
    breaker = after("---", early)
    if state is not OPEN:
        breaker, _ = admit(breaker, 8, RULES)
    if state is CLOSED:
        breaker = after("++", breaker, start_s=9)
    assert breaker.state is state

    for _ in range(5):
        late = reported(breaker, lease, verdict, now_s=now_s, upstream_wait_s=99, rules=RULES)
        assert (late.state, late.recent, late.trials) == (state, breaker.recent, breaker.trials)
    assert late.failures == breaker.failures + (verdict is FAILURE)


def test_a_trial_is_reported_once():
    """A second report of the same one is not a second success."""
    breaker, lease = admit(TRIPPED, 10, RULES)
    for _ in range(3):
        breaker = reported(breaker, lease, SUCCESS, now_s=11, rules=RULES)
    assert breaker.state is HALF_OPEN


def test_a_trial_that_is_never_reported_does_not_block():
    """After a minute others are admitted, and what it says then is not heard."""
    breaker, lost = admit(TRIPPED, 10, RULES)
    breaker, _ = admit(breaker, 10, RULES)
    assert not admits(breaker, 69, RULES)
    breaker, lease = admit(breaker, 70, RULES)
    assert lease is not None
    assert reported(breaker, lost, FAILURE, now_s=71, rules=RULES).state is HALF_OPEN


@pytest.mark.parametrize(
    ("upstream_wait_s", "open_s"),
    [
        (None, 0),
        (4.9, 0),
        (-10, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (5, 5),
        (20, 20),
        (10_000, 300),
    ],
)
def test_an_upstream_that_names_a_wait_is_believed(upstream_wait_s, open_s):
    """A long wait opens at the first failure and for as long, within bounds."""
    breaker = attempt(NEVER_OPENED, FAILURE, 0, upstream_wait_s=upstream_wait_s)
    assert (breaker.state is OPEN, wait_s(breaker, 0)) == (open_s > 0, open_s)


def test_a_named_wait_shortens_nothing():
    """It is left alone for its own time where that is longer; a success opens nothing."""
    again = attempt(TRIPPED, FAILURE, 10, upstream_wait_s=6)
    assert wait_s(again, 10) == 10
    assert attempt(NEVER_OPENED, SUCCESS, 0, upstream_wait_s=60).state is CLOSED


def test_what_is_told_of_a_change():
    """Since when, why, and what was before; the time is the caller's."""
    breaker = after("++", after("---", start_s=1000), start_s=1010)
    assert [(each.at_s, each.state, each.why) for each in breaker.transitions] == [
        (1002, OPEN, "broke off"),
        (1010, HALF_OPEN, "the time is up"),
        (1011, CLOSED, "trials succeeded"),
    ]
    assert (breaker.since_s, breaker.why) == (1011, "trials succeeded")
    assert (breaker.successes, breaker.failures, breaker.openings) == (2, 3, 1)


def test_a_clock_that_was_set_back_does_not_keep_it_open():
    """Five seconds after the jump it is half open."""
    breaker = after("---", start_s=10_000)
    breaker, _ = admit(breaker, 3, RULES)
    assert (admits(breaker, 7.9, RULES), admits(breaker, 8, RULES)) == (False, True)


COUNTED = {
    FailureClass.RATE_LIMIT,
    FailureClass.OVERLOADED,
    FailureClass.TIMEOUT_FIRST_BYTE,
    FailureClass.TIMEOUT_BETWEEN_BYTES,
    FailureClass.BROKEN_STREAM,
    FailureClass.MALFORMED_OUTPUT,
}


@pytest.mark.parametrize("failure", FailureClass)
def test_which_failures_count(failure):
    """The deployment's own; a client's fault, ours and the backend's say nothing of it (design 5)."""
    assert verdict_of(failure) is (FAILURE if failure in COUNTED else NOTHING)
    assert verdict_of(None) is SUCCESS


@pytest.mark.parametrize(
    "wrong",
    [{"failures_to_open": 0}, {"failures_to_open": 11}, {"trials": 0}, {"successes_to_close": 0}],
)
def test_rules_that_cannot_work_are_refused(wrong):
    """Before anything is routed by them."""
    with pytest.raises(ValueError, match="needs"):
        replace(DEFAULT_RULES, **wrong)


clocks = st.floats() | st.floats(0, 200)
waits = st.none() | st.floats()
asked = st.tuples(st.just("ask"), clocks)
ended = st.tuples(st.integers(0, 99), clocks, st.sampled_from(Verdict), waits)


@given(st.lists(asked | ended, max_size=80))
def test_whatever_happens(events):
    """Trials are bounded, the state stays small, and it always comes round to admitting again."""
    breaker, leases = NEVER_OPENED, []
    for event in events:
        if event[0] == "ask":
            breaker, lease = admit(breaker, event[1], RULES)
            assert lease is not None or breaker.state is not CLOSED
            leases += [lease] if lease is not None else []
        elif leases:
            # Taken from the list or not: some are reported twice.
            lease = leases[event[0] % len(leases)]
            breaker = reported(
                breaker,
                lease,
                event[2],
                now_s=event[1],
                why="x" * 999,
                upstream_wait_s=event[3],
                rules=RULES,
            )
        assert len(breaker.trials) <= RULES.trials
        assert len({number for number, _ in breaker.trials}) == len(breaker.trials)
        assert len(breaker.recent) <= RULES.of_last
        assert len(breaker.transitions) <= KEPT_TRANSITIONS
        assert len(breaker.why) <= WHY_LIMIT
        assert 0 <= wait_s(breaker, event[1]) <= RULES.longest_wait_s
    # By a clock that is in order again, the longest wait later at the latest.
    start, _ = admit(breaker, 0.0, RULES)
    assert admits(start, RULES.longest_wait_s, RULES)


@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60))
def test_trials_that_run_at_once(steps):
    """Half open, there are never more leaves without an outcome than the limit."""
    breaker, now_s, running = TRIPPED, 2.0, {}
    for pause_s, asks in steps:
        now_s += pause_s
        if asks or not running:
            breaker, lease = admit(breaker, now_s, RULES)
            if lease is not None:
                running[lease] = now_s
        else:
            lease = next(iter(running))
            del running[lease]
            breaker = reported(breaker, lease, NOTHING, now_s=now_s, rules=RULES)
        heard_of = [
            since_s for since_s in running.values() if now_s - since_s < RULES.trial_limit_s
        ]
        assert len(heard_of) <= RULES.trials


def test_it_opens_again_and_again_without_growing():
    """A thousand failed trials leave the last eight changes and a bounded wait."""
    breaker, now_s = TRIPPED, 2.0
    for _ in range(1000):
        now_s += 30
        breaker = attempt(breaker, FAILURE, now_s)
    assert (len(breaker.transitions), breaker.openings) == (KEPT_TRANSITIONS, 1001)
    assert wait_s(breaker, now_s) == 30
