"""A deployment's circuit breaker: after repeated failures it is left alone for a while.

Pure: the caller passes outcomes and the time, and keeps the state that is returned. Rules:

1. CLOSED admits every attempt. It opens when `failures_to_open` of the last `of_last` outcomes
   within `window_s` are failures.
2. It also opens at a single failure whose upstream names a wait of `wait_to_open_s` or more: asking
   again would only confirm it.
3. OPEN admits nobody for `first_open_s`, twice as long each time it opens again, at most
   `longest_open_s`; longer where the upstream names a longer wait, at most `longest_wait_s`.
4. Then it is HALF_OPEN, and admits `trials` attempts at a time. `successes_to_close` of them close
   it, one failure opens it again.
5. An outcome that says nothing of the deployment (the client left, a fault that counts against
   somebody else) changes nothing; a trial that ends so makes room for another.
6. An outcome counts only in the state in which its attempt was admitted: what began before the
   breaker opened neither closes it nor opens it again.
7. A trial of which nothing is heard for `trial_limit_s` makes room for another, and counts no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Final

from routing.elapsed import NOT_STARTED, Elapsed
from routing.failures import CONSEQUENCES, Blame, FailureClass
from routing.records import record
from routing.transitions import WHY_LIMIT, Transition, with_latest

_LARGEST_EXPONENT: Final = 64


class BreakerState(StrEnum):
    """Who is admitted."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Verdict(StrEnum):
    """What an attempt says of its deployment."""

    SUCCESS = "success"
    FAILURE = "failure"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When it opens and closes; docs/reliability.md has the sources.

    Raises:
        ValueError: It could never open, or never close.
    """

    failures_to_open: int = 10
    """Ours, and in a row by default. Envoy's `consecutive_5xx` is 5; where three of ten requests
    fail by chance, as with Claude's 529 in a busy hour, five of ten come up within minutes, and
    clients that would be served at their next try would be refused."""
    of_last: int = 10
    """Helidon's `volume`."""
    window_s: float = 1800.0
    """Ours: ten timeouts in a row of one patient client still fall into it."""
    first_open_s: float = 5.0
    """Polly's `BreakDuration`, LiteLLM's cooldown."""
    longest_open_s: float = 60.0
    """What gobreaker and Resilience4j take from the beginning."""
    wait_to_open_s: float = 5.0
    """Ours; as long as it would be open anyway."""
    longest_wait_s: float = 300.0
    """Envoy's `max_ejection_time`."""
    trials: int = 2
    """Ours. gobreaker admits one, Resilience4j ten; a local model has few slots."""
    successes_to_close: int = 2
    """Ours: as many as there are trials, so that one attempt's time is enough."""
    trial_limit_s: float = 600.0
    """As long as Claude may be silent (conformance 276)."""

    def __post_init__(self) -> None:
        """Check what the rest relies on."""
        if not 1 <= self.failures_to_open <= self.of_last:
            raise ValueError("needs 1 <= failures_to_open <= of_last")
        if min(self.trials, self.successes_to_close) < 1:
            raise ValueError("needs trials and successes_to_close of 1 or more")


DEFAULT_RULES: Final = BreakerRules()


@record(frozen=True, slots=True)
class Lease:
    """Leave to make one attempt; to be reported once, however the attempt ends."""

    generation: int
    """Counts the breaker's changes of state."""
    trial: int | None = None
    """A number of its own for a trial."""


@record(frozen=True, slots=True)
class Breaker:
    """What is known of one deployment; its size is bounded."""

    state: BreakerState = BreakerState.CLOSED
    since_s: float | None = None
    """When it became so, by the caller's clock; None if it was never otherwise."""
    why: str = "never opened"
    transitions: tuple[Transition[BreakerState], ...] = ()
    successes: int = 0
    failures: int = 0
    openings: int = 0
    generation: int = 0
    recent: tuple[tuple[float, bool], ...] = ()
    """When by `clock.total_s`, and whether it was a success; of the present generation."""
    openings_in_row: int = 0
    """Begins anew at an opening after `window_s` of being closed."""
    trials: tuple[tuple[int, float], ...] = ()
    """Number, and when it was admitted by `clock.total_s`; those that run."""
    trials_admitted: int = 0
    clock: Elapsed = NOT_STARTED
    changed_s: float = 0.0
    """These are by `clock.total_s`."""
    open_until_s: float = 0.0


NEVER_OPENED: Final = Breaker()


def verdict_of(failure: FailureClass | None) -> Verdict:
    """Return what the outcome of an attempt says of its deployment.

    Args:
        failure: None for an answer. Where the client left, say `Verdict.NOTHING` instead.
    """
    if failure is None:
        return Verdict.SUCCESS
    is_its_own = CONSEQUENCES[failure].blame is Blame.DEPLOYMENT
    return Verdict.FAILURE if is_its_own else Verdict.NOTHING


def admits(breaker: Breaker, now_s: float, rules: BreakerRules = DEFAULT_RULES) -> bool:
    """Return whether an attempt would be admitted now; changes nothing."""
    return admit(breaker, now_s, rules)[1] is not None


def state_at(breaker: Breaker, now_s: float) -> BreakerState:
    """Return the state as people see it: open only as long as nobody would be admitted."""
    is_over = breaker.state is BreakerState.OPEN and wait_s(breaker, now_s) == 0
    return BreakerState.HALF_OPEN if is_over else breaker.state


def wait_s(breaker: Breaker, now_s: float) -> float:
    """Return how long it stays open; 0 if it is not."""
    if breaker.state is not BreakerState.OPEN:
        return 0.0
    return max(0.0, breaker.open_until_s - breaker.clock.until(now_s).total_s)


def admit(
    breaker: Breaker, now_s: float, rules: BreakerRules = DEFAULT_RULES
) -> tuple[Breaker, Lease | None]:
    """Return the state after somebody asked for an attempt, and the leave to make it, if any.

    Args:
        breaker: Before.
        now_s: Any clock in seconds, best a monotonic one; it may jump.
        rules: How many trials there may be.
    """
    if breaker.state is BreakerState.CLOSED:
        return breaker, Lease(breaker.generation)
    breaker = replace(breaker, clock=breaker.clock.until(now_s))
    total_s = breaker.clock.total_s
    if breaker.state is BreakerState.OPEN:
        if total_s < breaker.open_until_s:
            return breaker, None
        breaker = _changed(breaker, BreakerState.HALF_OPEN, "the time is up")
    running = tuple(
        (number, since_s)
        for number, since_s in breaker.trials
        if total_s - since_s < rules.trial_limit_s
    )
    if len(running) >= rules.trials:
        return replace(breaker, trials=running), None
    number = breaker.trials_admitted + 1
    breaker = replace(breaker, trials=(*running, (number, total_s)), trials_admitted=number)
    return breaker, Lease(breaker.generation, number)


def reported(
    breaker: Breaker,
    lease: Lease,
    verdict: Verdict,
    *,
    now_s: float,
    why: str = "",
    upstream_wait_s: float | None = None,
    rules: BreakerRules = DEFAULT_RULES,
) -> Breaker:
    """Return the state after an attempt ended, or was given up.

    Args:
        breaker: Before.
        lease: What the attempt was admitted with.
        verdict: What it says of the deployment.
        now_s: As for `admit`.
        why: What was seen, in words for people; the first `WHY_LIMIT` characters are kept.
        upstream_wait_s: The upstream's own `retry-after`, if it named one.
        rules: How many outcomes it takes.
    """
    clock, ok = breaker.clock.until(now_s), verdict is Verdict.SUCCESS
    running = tuple([trial for trial in breaker.trials if trial[0] != lease.trial])
    is_heard = lease.generation == breaker.generation and (
        lease.trial is None or running != breaker.trials
    )
    counts = is_heard and verdict is not Verdict.NOTHING
    breaker = replace(
        breaker,
        clock=clock,
        successes=breaker.successes + ok,
        failures=breaker.failures + (verdict is Verdict.FAILURE),
        trials=running if is_heard else breaker.trials,
        recent=_recent(breaker, clock.total_s, ok=ok, rules=rules) if counts else breaker.recent,
    )
    if not counts:
        return breaker
    waits_s = _usable(upstream_wait_s)
    if breaker.state is BreakerState.HALF_OPEN:
        if not ok:
            return _opened(breaker, why, waits_s, rules)
        if len(breaker.recent) < rules.successes_to_close:
            return breaker
        return _changed(breaker, BreakerState.CLOSED, "trials succeeded")
    if ok:
        return breaker
    failures = sum(not was_ok for _, was_ok in breaker.recent)
    if failures < rules.failures_to_open and waits_s < rules.wait_to_open_s:
        return breaker
    return _opened(breaker, why, waits_s, rules)


def _recent(
    breaker: Breaker, now_s: float, *, ok: bool, rules: BreakerRules
) -> tuple[tuple[float, bool], ...]:
    """Return the outcomes that count, with the latest; `now_s` is by `clock.total_s`."""
    if breaker.state is BreakerState.HALF_OPEN:
        return (*breaker.recent, (now_s, ok))
    fresh = [outcome for outcome in breaker.recent if now_s - outcome[0] <= rules.window_s]
    return (*fresh, (now_s, ok))[-rules.of_last :]


def _opened(breaker: Breaker, why: str, waits_s: float, rules: BreakerRules) -> Breaker:
    """Return it open, for longer than the last time unless that is long ago."""
    total_s = breaker.clock.total_s
    was_well = (
        breaker.state is BreakerState.CLOSED and total_s - breaker.changed_s >= rules.window_s
    )
    in_row = 1 if was_well else breaker.openings_in_row + 1
    exponent = min(in_row - 1, _LARGEST_EXPONENT)
    own_s = min(rules.first_open_s * 2.0**exponent, rules.longest_open_s)
    return replace(
        _changed(breaker, BreakerState.OPEN, why[:WHY_LIMIT]),
        openings=breaker.openings + 1,
        openings_in_row=in_row,
        open_until_s=total_s + max(own_s, min(waits_s, rules.longest_wait_s)),
    )


def _changed(breaker: Breaker, state: BreakerState, why: str) -> Breaker:
    at_s = breaker.clock.clock_s
    return replace(
        breaker,
        state=state,
        since_s=at_s,
        why=why,
        transitions=with_latest(breaker.transitions, Transition(at_s, state, why)),
        generation=breaker.generation + 1,
        recent=(),
        trials=(),
        changed_s=breaker.clock.total_s,
    )


def _usable(upstream_wait_s: float | None) -> float:
    """Return a wait that can be reckoned with; what makes no sense is none."""
    if upstream_wait_s is None or not isfinite(upstream_wait_s):
        return 0.0
    return max(0.0, upstream_wait_s)
