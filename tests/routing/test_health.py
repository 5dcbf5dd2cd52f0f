"""What is published of a backend: tables, and what holds for any order of events and any clock."""

from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.elapsed import LONGEST_STEP_S, NOT_STARTED
from routing.failures import FailureClass
from routing.health import (
    DEFAULT_RULES,
    UNKNOWN,
    Health,
    HealthRules,
    HealthState,
    observation_of,
    observed,
    probe_delay_s,
    time_to_down_s,
    time_to_up_s,
)
from routing.transitions import KEPT_TRANSITIONS, WHY_LIMIT, Transition

UP, DOWN = HealthState.UP, HealthState.DOWN
RULES = HealthRules(failures_to_down=3, of_last=5, successes_to_up=2, dwell_s=10, apart_s=0.5)


def after(events, health=UNKNOWN, rules=RULES):
    """Return what is known after `(seconds, answered)` events."""
    for now_s, ok in events:
        health = observed(health, ok=ok, now_s=now_s, why="fine" if ok else "refused", rules=rules)
    return health


def every_second(results, start_s=0.0):
    """Return events: `+` is an answer, `-` is none."""
    return [(start_s + number, result == "+") for number, result in enumerate(results)]


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("+", UP),
        ("-", DOWN),
        ("+---", UP),  # within the dwell time of the first decision
        ("+" * 11 + "--", UP),
        ("+" * 11 + "---", DOWN),
        ("+" * 11 + "--+-", DOWN),
        ("+" * 11 + "-+-+-", DOWN),
        ("+" * 11 + "-++-++-", UP),
        ("+" * 5 + "-" * 5, UP),
        ("+" * 5 + "-" * 6, DOWN),
        ("+" * 5 + "-" * 5 + "+", UP),  # a success takes nothing down, however late
        ("-" * 11 + "+", DOWN),
        ("-" * 11 + "++", UP),
        ("-" * 11 + "+-+", DOWN),
        ("-+", DOWN),
        ("-++", UP),  # the first decision, if it was against it, holds nobody up
        ("-++---", UP),
    ],
)
def test_what_is_published(results, state):
    """Three of the last five take it down, two in a row bring it back, ten seconds apart."""
    assert after(every_second(results)).state is state


def test_a_burst_is_one_observation():
    """Fifty requests that break off at once are one failure, and so are fifty answers one."""
    steady = after(every_second("+" * 12))
    broken = after([(20 + number / 1000, False) for number in range(50)], steady)
    assert (broken.state, broken.failures) == (UP, 50)
    assert after([(21, False), (22, False)], broken).state is DOWN

    dead = after(every_second("-" * 12))
    assert after([(20 + number / 1000, True) for number in range(50)], dead).state is DOWN


def test_traffic_without_a_pause_counts_twice_a_second():
    """Outcomes in close succession are not one endless burst."""
    broken = after(
        [(20 + number * 0.3, False) for number in range(5)], after(every_second("+" * 12))
    )
    assert broken.state is DOWN
    assert after([(40 + number * 0.3, True) for number in range(3)], broken).state is UP


def test_what_took_it_down_does_not_count_again():
    """After it came back the next failure is its first."""
    back = after([(20, True), (21, True)], after(every_second("-" * 12)))
    assert after([(40, False)], back).state is UP


def test_a_failure_in_a_burst_ends_a_row_of_successes():
    """What answers now and then is not up, even where the failure is too close to count."""
    dead = after(every_second("-" * 12))
    assert after([(20, True), (20.4, False), (20.6, True), (20.7, False), (21.2, True)], dead).state is DOWN  # fmt: skip
    assert after([(20, True), (20.6, True)], dead).state is UP


def test_what_is_told_of_a_change():
    """Since when, why, what was before, and what failed last; the time is the caller's."""
    health = after(every_second("+" * 12, start_s=1000))
    assert (health.since_s, health.why) == (1000, "fine")

    health = observed(health, ok=False, now_s=1012, why="timed out", rules=RULES)
    assert (health.state, health.last_failure, health.is_doubtful) == (UP, "timed out", True)

    health = after(every_second("--", start_s=1013), health)
    assert (health.state, health.since_s, health.why) == (DOWN, 1014, "refused")
    assert health.transitions == (Transition(1000, UP, "fine"), Transition(1014, DOWN, "refused"))
    assert (health.successes, health.failures) == (12, 3)


def test_a_clock_that_was_set_back_does_not_stop_the_time():
    """Twelve seconds after the jump the change is made, as if nothing had happened."""
    health = after([(10_000, True)])
    health = after(every_second("-" * 12, start_s=5), health)
    assert health.state is DOWN
    assert health.since_s == 15


@pytest.mark.parametrize("broken_s", [float("nan"), float("inf"), float("-inf")])
def test_a_clock_that_says_nonsense_is_passed_over(broken_s):
    """No time has passed, and the next reading counts."""
    health = after([(broken_s, True)])
    assert (health.state, health.since_s) == (UP, None)
    assert after([(broken_s, False), *every_second("-" * 11)], health).state is DOWN


def test_a_step_of_a_broken_clock_is_bounded():
    """A jump of ages does not swallow the seconds that follow."""
    elapsed = NOT_STARTED.until(0.0).until(1e30).until(0.0).until(1.0)
    assert elapsed.total_s == LONGEST_STEP_S + 1.0


@pytest.mark.parametrize(
    ("results", "delay_s"),
    [
        ("", 1.0),
        ("+", 10.0),
        ("+-", 1.0),
        ("+-++++", 1.0),
        ("+-+++++", 10.0),
        ("-", 1.0),
        ("--", 1.6),
        ("---", 2.56),
        ("-" * 20, 15.0),
        ("-" * 20 + "+", 1.0),
        ("-" * 20 + "+-", 15.0),
    ],
)
def test_pauses_between_probes(results, delay_s):
    """Regular while up, short while in doubt, longer and longer while down, with jitter on top."""
    health = after(every_second(results))
    assert probe_delay_s(health, RULES) == pytest.approx(delay_s)
    assert probe_delay_s(health, RULES, jitter=0.5) == pytest.approx(delay_s * 1.1)


@pytest.mark.parametrize("failure", [None, *FailureClass])
def test_busy_is_not_down(failure):
    """An answer speaks for a backend, no connection against it, and nothing else says anything."""
    said = {None: True, FailureClass.CONNECT_ERROR: False}
    assert observation_of(failure) is said.get(failure)


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures_to_down": 0},
        {"failures_to_down": 6},
        {"successes_to_up": 0},
        {"apart_s": 1.5},
        {"apart_s": -1},
        {"doubtful_s": 10.5},
        {"doubtful_s": 9, "down_longest_s": 8},
        {"down_factor": 0.5},
        {"down_longest_s": 0.5},
    ],
)
def test_rules_that_cannot_work_are_refused(wrong):
    """Before anything is watched by them."""
    with pytest.raises(ValueError, match=r"needs|must not"):
        replace(DEFAULT_RULES, **wrong)


clocks = st.floats() | st.floats(0, 100)
events = st.lists(st.tuples(clocks, st.booleans()), max_size=60)


@given(events)
def test_no_change_within_the_dwell_time(happened):
    """Whatever is observed and whatever the clock says, and the state stays small."""
    health, changes = UNKNOWN, []
    for now_s, ok in happened:
        before = health
        health = observed(health, ok=ok, now_s=now_s, why="x" * 1000, rules=RULES)
        is_first_down = before.state is DOWN and len(before.transitions) == 1
        if health.state is not before.state:
            changes = [] if is_first_down else changes
            changes.append(health.clock.total_s)
        assert (health.state, before.state) != (DOWN, UP) or not ok
        assert (health.state, before.state) != (UP, DOWN) or ok
        assert len(health.recent) <= RULES.of_last
        assert len(health.transitions) <= KEPT_TRANSITIONS
        assert len(health.why) <= WHY_LIMIT
        assert 0 < probe_delay_s(health, RULES) <= 15
    assert all(later - earlier >= RULES.dwell_s for earlier, later in pairwise(changes))
    assert health.successes + health.failures == len(happened)


def test_a_backend_that_flaps_every_second():
    """Its published state changes at most once per dwell time (issue 5), and is never stuck."""
    flapping = [(number / 4, number // 4 % 2 == 0) for number in range(4 * 600)]
    changed_s, health = [], UNKNOWN
    for event in flapping:
        before, health = health, after([event], health)
        if health.state is not before.state:
            changed_s.append(event[0])
    assert all(later - earlier >= RULES.dwell_s for earlier, later in pairwise(changed_s))
    assert len(health.transitions) == KEPT_TRANSITIONS < len(changed_s)
    assert after(every_second("++++++++++++", start_s=700), health).state is UP


@dataclass
class Watch:
    """A backend that is probed as the rules say, by a clock of its own."""

    rules: HealthRules
    jitter: float
    slow: float
    """Of the probe's timeout, which share a failing probe takes; an answer comes at once."""
    now_s: float = 0.0
    health: Health = UNKNOWN

    def probe(self, *, ok: bool) -> None:
        self.now_s += 0.0 if ok else self.slow * self.rules.probe_timeout_s
        self.health = observed(self.health, ok=ok, now_s=self.now_s, why="probe", rules=self.rules)

    def pause(self) -> None:
        self.now_s += probe_delay_s(self.health, self.rules, self.jitter)

    def run(self, *, ok: bool, until: HealthState) -> None:
        """Probe until that is published."""
        for _ in range(1000):
            self.pause()
            self.probe(ok=ok)
            if self.health.state is until:
                return
        pytest.fail(f"never {until}")


rules_of_all_kinds = st.builds(
    HealthRules,
    failures_to_down=st.integers(1, 3),
    of_last=st.integers(3, 6),
    successes_to_up=st.integers(1, 4),
    dwell_s=st.floats(0, 60),
    apart_s=st.floats(0, 1),
    interval_s=st.floats(5, 60),
    doubtful_s=st.floats(1, 5),
    down_first_s=st.floats(1, 5),
    down_factor=st.floats(1, 3),
    down_longest_s=st.floats(5, 120),
    jitter_share=st.floats(0, 1),
    probe_timeout_s=st.floats(0, 10),
)
shares = st.floats(0, 1)


@given(rules_of_all_kinds, st.lists(st.booleans(), max_size=30), shares, shares, shares)
def test_dead_and_back_within_the_stated_times(rules, past, jitter, slow, moment):
    """By probes alone, whatever was before, at whatever moment it dies and comes back (issue 5)."""
    watch = Watch(rules, jitter, slow)
    watch.probe(ok=True)
    for ok in past:
        watch.pause()
        watch.probe(ok=ok)
    if watch.health.state is DOWN:
        watch.run(ok=True, until=UP)

    died_s = watch.now_s
    watch.run(ok=False, until=DOWN)
    assert watch.now_s - died_s <= time_to_down_s(rules) * 1.000001

    for _ in past:
        watch.pause()
        watch.probe(ok=False)
    # It comes back while a probe hangs that is lost already.
    came_back_s = watch.now_s - moment * slow * rules.probe_timeout_s
    watch.run(ok=True, until=UP)
    assert watch.now_s - came_back_s <= time_to_up_s(rules) * 1.000001


def test_a_long_dwell_time_decides():
    """What has just come up stays so for the dwell time, and what has just gone down too."""
    rules = replace(DEFAULT_RULES, dwell_s=100)
    watch = Watch(rules, jitter=0.9, slow=1.0)
    watch.probe(ok=True)
    watch.run(ok=False, until=DOWN)
    assert 100 < watch.now_s <= time_to_down_s(rules) == pytest.approx(103.2)
    died_s = watch.now_s
    watch.run(ok=True, until=UP)
    assert 100 < watch.now_s - died_s <= time_to_up_s(rules) == pytest.approx(105.2)


def test_the_stated_times_are_not_far_off():
    """The worst case comes close to them, so that they say something."""
    worst = Watch(DEFAULT_RULES, jitter=1.0, slow=1.0)
    for _ in range(10):
        worst.probe(ok=True)
        worst.pause()
    worst.now_s -= probe_delay_s(worst.health, DEFAULT_RULES, 1.0)
    died_s = worst.now_s
    worst.run(ok=False, until=DOWN)
    assert worst.now_s - died_s == pytest.approx(time_to_down_s(), abs=0.01)

    for _ in range(10):
        worst.pause()
        worst.probe(ok=False)
    came_back_s = worst.now_s - DEFAULT_RULES.probe_timeout_s
    worst.run(ok=True, until=UP)
    # Answers come at once here, and the two that are waited for may take their whole time.
    slack_s = DEFAULT_RULES.successes_to_up * DEFAULT_RULES.probe_timeout_s
    assert worst.now_s - came_back_s == pytest.approx(time_to_up_s() - slack_s, abs=0.01)
