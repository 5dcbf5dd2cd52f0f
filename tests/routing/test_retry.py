"""What is tried after a failed attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.failures import FailureClass
from routing.retry import (
    DEFAULT_RULES,
    FallBack,
    GiveUp,
    GiveUpReason,
    Retry,
    RetryRules,
    after_failure,
    pause_s,
)

BROKEN = FailureClass.BROKEN_STREAM
FINAL, DEADLINE, ATTEMPTS, NOTHING_LEFT, LONG_WAIT = (GiveUp(reason) for reason in GiveUpReason)
ALONE = {"retries_done": 0, "attempts_done": 1, "others_left": False, "jitter": 0.5}
"""The first attempt of a request failed, and no other deployment is left."""


@pytest.mark.parametrize(
    ("told", "decision"),
    [
        ({"others_left": True}, FallBack()),
        ({"others_left": True, "retries_done": 1, "attempts_done": 4}, FallBack()),
        ({"others_left": True, "retry_after_s": 600}, FallBack()),
        ({"others_left": True, "remaining_s": 0.01}, FallBack()),
        ({"others_left": True, "remaining_s": 0}, DEADLINE),
        ({"others_left": True, "remaining_s": -3}, DEADLINE),
        ({"others_left": True, "attempts_done": 5}, ATTEMPTS),
        ({}, Retry(0.25)),
        ({"attempts_done": 5}, ATTEMPTS),
        ({"retries_done": 1, "attempts_done": 2}, NOTHING_LEFT),
        ({"retry_after_s": 3}, Retry(3)),
        ({"retry_after_s": 5}, Retry(5)),
        ({"retry_after_s": 0.1}, Retry(0.25)),
        ({"retry_after_s": -1}, Retry(0.25)),
        ({"retry_after_s": float("nan")}, Retry(0.25)),
        ({"retry_after_s": 5.1}, LONG_WAIT),
        ({"remaining_s": 0.26}, Retry(0.25)),
        ({"remaining_s": 0.25}, DEADLINE),
        ({"remaining_s": 4, "retry_after_s": 4}, DEADLINE),
    ],
)
def test_what_follows(told, decision):
    """Another deployment at once; the same one within its retries, the attempts and the deadline."""
    assert after_failure(BROKEN, **{**ALONE, **told}) == decision


@pytest.mark.parametrize(
    ("told", "decision"),
    [
        ({"retry_after_s": 1}, Retry(1)),
        ({"retry_after_s": 5}, Retry(5)),
        ({"retry_after_s": 5.1}, FallBack()),
        ({"retry_after_s": 0}, FallBack()),
        ({"retry_after_s": None}, FallBack()),
        ({"retry_after_s": float("nan")}, FallBack()),
        ({"retry_after_s": 1, "retries_done": 1, "attempts_done": 2}, FallBack()),
        ({"retry_after_s": 1, "remaining_s": 1}, FallBack()),
        ({"retry_after_s": 1, "remaining_s": 1.1}, Retry(1)),
        ({"retry_after_s": 1, "attempts_done": 5}, ATTEMPTS),
        ({"retry_after_s": 1, "others_left": False}, NOTHING_LEFT),
    ],
)
def test_a_moments_rate_limit_is_waited_for(told, decision):
    """Once, and only where somebody else would have answered instead (conformance 272)."""
    asked = {**ALONE, "others_left": True, **told}
    assert after_failure(FailureClass.RATE_LIMIT, **asked) == decision
    assert after_failure(FailureClass.OVERLOADED, **asked) != Retry(1)


RETRIED = {
    FailureClass.CONNECT_ERROR,
    FailureClass.BROKEN_STREAM,
    FailureClass.MALFORMED_OUTPUT,
}
ENDS_THE_PLAN = {FailureClass.CLIENT_FAULT, FailureClass.PROXY_ERROR}


@pytest.mark.parametrize("failure", FailureClass)
def test_every_class(failure):
    """A fault of the client's or ours ends the plan, three classes are tried once more (design 5)."""
    with_others = after_failure(failure, **{**ALONE, "others_left": True})
    alone = after_failure(failure, **ALONE)

    assert with_others == (FINAL if failure in ENDS_THE_PLAN else FallBack())
    assert isinstance(alone, Retry) == (failure in RETRIED)
    assert alone == Retry(0.25) or alone == (FINAL if failure in ENDS_THE_PLAN else NOTHING_LEFT)


@pytest.mark.parametrize(
    ("retries_done", "longest_s"), [(0, 0.5), (1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (10**6, 8)]
)
@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
def test_pauses_double_and_are_spread_over_their_whole_length(retries_done, longest_s, jitter):
    """From none to the whole pause, evenly, and never more than eight seconds."""
    assert pause_s(retries_done, jitter) == pytest.approx(jitter * longest_s)


@given(
    st.lists(st.sampled_from(sorted(set(FailureClass) - ENDS_THE_PLAN)), min_size=50, max_size=50),
    st.integers(1, 20),
    st.floats(0.1, 100),
    st.floats(0, 0.999),
    st.none() | st.floats(0, 10),
)
def test_a_request_always_comes_to_an_end(failures, deployments, deadline_s, jitter, asked_s):
    """Within its attempts and its deadline, whatever fails; pauses only before a retry."""
    left, retries, attempts, remaining_s = deployments - 1, 0, 0, deadline_s
    for failure in failures:
        attempts += 1
        decision = after_failure(
            failure,
            retries_done=retries,
            attempts_done=attempts,
            others_left=left > 0,
            jitter=jitter,
            retry_after_s=asked_s,
            remaining_s=remaining_s,
        )
        match decision:
            case FallBack():
                assert left > 0
                left, retries = left - 1, 0
            case Retry(delay_s):
                assert left == 0 or failure is FailureClass.RATE_LIMIT
                assert 0 <= delay_s < remaining_s
                retries, remaining_s = retries + 1, remaining_s - delay_s
            case GiveUp():
                break
    assert isinstance(decision, GiveUp)
    assert attempts <= DEFAULT_RULES.attempts


def test_rules_of_ones_own():
    """What is tried for one request can be set."""
    rules = RetryRules(attempts=2, first_pause_s=2, longest_pause_s=1, longest_wait_s=60)
    assert after_failure(BROKEN, **ALONE, rules=rules) == Retry(0.5)
    assert after_failure(BROKEN, **ALONE, retry_after_s=60, rules=rules) == Retry(60)
    assert after_failure(BROKEN, **{**ALONE, "attempts_done": 2}, rules=rules) == ATTEMPTS
