"""Whether a backend or a model answers, debounced: what is published does not follow every blink.

Pure: whoever watches passes what was observed and the time, and keeps the state that is returned.
Observations come from real traffic and from probes alike. Rules:

1. What nobody has observed is UNKNOWN; the first observation decides.
2. UP becomes DOWN at a failure, when `failures_to_down` of the last `of_last` observations failed.
3. DOWN becomes UP at a success, when the last `successes_to_up` observations succeeded.
4. No change comes less than `dwell_s` after the one before it. Only a first DOWN, which a single
   observation decided, is left as soon as rule 3 says so: the backend may have started after us.
5. Observations of one kind within `apart_s` count as one: fifty requests that break off in the same
   moment are one failure. A failure ends a row of successes in any case.
6. Busy is not down, and a fault of ours is not the backend's: such an outcome is no observation.

By probes alone, what dies is published within `time_to_down_s`, and what has come back within
`time_to_up_s`. Traffic makes it sooner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from routing.elapsed import NOT_STARTED, Elapsed
from routing.failures import CONSEQUENCES, Blame, FailureClass
from routing.records import record
from routing.transitions import WHY_LIMIT, Transition, with_latest

_LARGEST_EXPONENT: Final = 64


class HealthState(StrEnum):
    """What is published."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class HealthRules:
    """How an opinion is formed, and how often somebody asks; docs/reliability.md has the sources.

    Raises:
        ValueError: Nothing could ever be published, or the stated times would not hold.
    """

    failures_to_down: int = 3
    """HAProxy's `fall`, Kubernetes' `failureThreshold`."""
    of_last: int = 5
    """Ours. HAProxy and Kubernetes count in a row, and so miss what answers now and then."""
    successes_to_up: int = 2
    """In a row. HAProxy's `rise`."""
    dwell_s: float = 10.0
    """nginx's `fail_timeout`."""
    apart_s: float = 0.5
    """Ours; half the shortest pause between two probes."""
    interval_s: float = 10.0
    """Between probes of what is up. Kubernetes' `periodSeconds`."""
    doubtful_s: float = 1.0
    """Between probes of what is about to change, as HAProxy's `fastinter`; Kubernetes' shortest."""
    down_first_s: float = 1.0
    """The first pause while down; `down_factor` lengthens it. gRPC's connection backoff."""
    down_factor: float = 1.6
    down_longest_s: float = 15.0
    """Ours. gRPC has 120 s; our probes cost nothing, and a user waits for the model."""
    jitter_share: float = 0.2
    """By how much a pause may be longer. gRPC's, which also shortens."""
    probe_timeout_s: float = 2.0
    """What a probe may take. HAProxy's `inter`, which limits its checks; Kubernetes has 1 s."""

    def __post_init__(self) -> None:
        """Check what the rest relies on."""
        if not 1 <= self.failures_to_down <= self.of_last or self.successes_to_up < 1:
            raise ValueError("needs 1 <= failures_to_down <= of_last, and 1 <= successes_to_up")
        if not 0 <= self.apart_s <= min(self.doubtful_s, self.down_first_s, self.interval_s):
            raise ValueError("apart_s must not be longer than a pause between two probes")
        if self.doubtful_s > min(self.interval_s, self.down_longest_s):
            raise ValueError("doubtful_s must not be longer than the pauses that it shortens")
        if self.down_factor < 1 or self.down_longest_s < self.down_first_s:
            raise ValueError("pauses while down must not become shorter")


DEFAULT_RULES: Final = HealthRules()


@record(frozen=True, slots=True)
class Health:
    """What is known of one backend or model; its size is bounded."""

    state: HealthState = HealthState.UNKNOWN
    since_s: float | None = None
    """When it became so, by the caller's clock."""
    why: str = "not observed yet"
    transitions: tuple[Transition[HealthState], ...] = ()
    successes: int = 0
    failures: int = 0
    last_failure: str | None = None
    """The reason of the latest failure, also where it changed nothing."""
    recent: tuple[bool, ...] = ()
    """What counts towards DOWN, oldest first."""
    in_row: int = 0
    """Successes that count towards UP."""
    failed_while_down: int = 0
    clock: Elapsed = NOT_STARTED
    changed_s: float = 0.0
    """These are by `clock.total_s`."""
    success_counted_s: float | None = None
    failure_counted_s: float | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether the latest observations speak against what is published."""
        match self.state:
            case HealthState.UP:
                return False in self.recent
            case HealthState.DOWN:
                return self.in_row > 0
            case HealthState.UNKNOWN:
                return True


UNKNOWN: Final = Health()


def observed(
    health: Health, *, ok: bool, now_s: float, why: str, rules: HealthRules = DEFAULT_RULES
) -> Health:
    """Return what is known after one more observation.

    Args:
        health: Before.
        ok: It answered.
        now_s: Any clock in seconds, best a monotonic one; it may jump.
        why: What was seen, in words for people, e.g. `connection refused`; the first `WHY_LIMIT`
            characters are kept.
        rules: How many observations it takes.
    """
    why = why[:WHY_LIMIT]
    noted = _noted(health, ok=ok, now_s=now_s, why=why, rules=rules)
    target = _target(noted, ok=ok, rules=rules)
    if target is noted.state or not _may_change(noted, rules):
        return noted
    at_s = noted.clock.clock_s
    return replace(
        noted,
        state=target,
        since_s=at_s,
        why=why,
        transitions=with_latest(noted.transitions, Transition(at_s, target, why)),
        recent=(),
        in_row=0,
        failed_while_down=0,
        changed_s=noted.clock.total_s,
    )


def observation_of(failure: FailureClass | None) -> bool | None:
    """Return what the outcome of an attempt says of the backend's health (rule 6).

    Args:
        failure: None for an answer.

    Returns:
        Whether it answers; None if the outcome says nothing of it.
    """
    if failure is None:
        return True
    return False if CONSEQUENCES[failure].blame is Blame.BACKEND else None


def probe_delay_s(health: Health, rules: HealthRules = DEFAULT_RULES, jitter: float = 0.0) -> float:
    """Return the pause from the end of a probe to the next one; the very first needs no pause.

    Args:
        health: After the probe.
        rules: The pauses.
        jitter: Random, from 0 to 1.
    """
    return _pause_s(health, rules) * (1 + rules.jitter_share * jitter)


def time_to_down_s(rules: HealthRules = DEFAULT_RULES) -> float:
    """Return within what time a backend that dies is published as DOWN, by probes alone.

    The longest pause and a probe that hangs, then the others; or a change that had just been made.
    """
    longest_gap_s = _longest_gap_s(rules)
    first_s = rules.interval_s * (1 + rules.jitter_share) + rules.probe_timeout_s
    return max(
        first_s + (rules.failures_to_down - 1) * longest_gap_s, rules.dwell_s + longest_gap_s
    )


def time_to_up_s(rules: HealthRules = DEFAULT_RULES) -> float:
    """Return within what time a backend that has come back is published as UP, by probes alone.

    A probe that was under way and hangs, the longest pause, then the probes that it takes; or that
    very probe took it down.
    """
    longest_gap_s = _longest_gap_s(rules)
    first_s = rules.down_longest_s * (1 + rules.jitter_share) + rules.probe_timeout_s
    return rules.probe_timeout_s + max(
        first_s + (rules.successes_to_up - 1) * longest_gap_s, rules.dwell_s + longest_gap_s
    )


def _longest_gap_s(rules: HealthRules) -> float:
    """Return the longest time between the ends of two probes while in doubt."""
    return rules.doubtful_s * (1 + rules.jitter_share) + rules.probe_timeout_s


def _noted(health: Health, *, ok: bool, now_s: float, why: str, rules: HealthRules) -> Health:
    """Return the observation taken down, whatever it may change."""
    clock = health.clock.until(now_s)
    before_s = health.success_counted_s if ok else health.failure_counted_s
    counts = before_s is None or clock.total_s - before_s >= rules.apart_s
    recent = (*health.recent, ok)[-rules.of_last :] if counts else health.recent
    if ok:
        return replace(
            health,
            clock=clock,
            successes=health.successes + 1,
            recent=recent,
            in_row=health.in_row + counts,
            success_counted_s=clock.total_s if counts else before_s,
        )
    return replace(
        health,
        clock=clock,
        failures=health.failures + 1,
        last_failure=why,
        recent=recent,
        in_row=0,
        failed_while_down=health.failed_while_down + counts,
        failure_counted_s=clock.total_s if counts else before_s,
    )


def _target(health: Health, *, ok: bool, rules: HealthRules) -> HealthState:
    """Return what the observations so far speak for."""
    match health.state:
        case HealthState.UNKNOWN:
            return HealthState.UP if ok else HealthState.DOWN
        case HealthState.UP if not ok and health.recent.count(False) >= rules.failures_to_down:
            return HealthState.DOWN
        case HealthState.DOWN if health.in_row >= rules.successes_to_up:
            return HealthState.UP
        case unchanged:
            return unchanged


def _may_change(health: Health, rules: HealthRules) -> bool:
    is_first_down = health.state is HealthState.DOWN and len(health.transitions) == 1
    return (
        health.state is HealthState.UNKNOWN
        or is_first_down
        or health.clock.total_s - health.changed_s >= rules.dwell_s
    )


def _pause_s(health: Health, rules: HealthRules) -> float:
    if health.is_doubtful:
        return rules.doubtful_s
    if health.state is HealthState.UP:
        return rules.interval_s
    exponent = min(health.failed_while_down, _LARGEST_EXPONENT)
    return min(rules.down_first_s * rules.down_factor**exponent, rules.down_longest_s)
