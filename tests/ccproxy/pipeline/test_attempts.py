"""The attempt loop as a decision table."""

from dataclasses import dataclass, field
from time import monotonic

import pytest

from ccproxy.outcome import Outcome
from ccproxy.pipeline.attempts import Attempts
from ccproxy.pipeline.deadline import Deadline
from ccproxy.pipeline.leave import Leave
from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import ApiError, invalid_request
from routing.failures import CONSEQUENCES, FailureClass
from routing.types import Side
from tests.support.health import NotedHealth


@dataclass
class Reply:
    failure: FailureClass | None = None
    closed: bool = False
    tells_of_deployment: bool = True
    status: int = 500
    headers: tuple = ()

    async def aclose(self):
        self.closed = True


@dataclass
class Deployment:
    """Does one thing when it is opened."""

    does: object
    side: Side = Side.LOCAL
    headers: tuple = ((b"Retry-After", b"70"),)
    opened: int = 0
    replies: list = field(default_factory=list)

    def model_for(self, _request):
        return "m"

    async def open(self, _request):
        self.opened += 1
        if isinstance(self.does, Exception):
            raise self.does
        reply = Reply(self.does, headers=self.headers)
        self.replies.append(reply)
        return reply


@dataclass
class Request:
    counting: bool = False


NO_DEADLINE = Deadline()


def fails(failure):
    return AttemptFailed(failure, f"words of {failure}", retry_after_s=30)


def fails_now(failure):
    return AttemptFailed(failure, f"words of {failure}")


async def run(*does, only_after=None, health=None, deadline=NO_DEADLINE, counting=False):
    deployments = {
        f"d{number}": what if isinstance(what, Deployment) else Deployment(what)
        for number, what in enumerate(does)
    }
    outcome = Outcome("req_1", "messages", 0.0)
    attempts = Attempts(
        list(deployments),
        deployments,
        Request(counting),
        outcome,
        leave=Leave(health or NotedHealth()),
        deadline=deadline,
        only_after=only_after or {},
    )
    try:
        result = await attempts.first_reply()
    except ApiError as refusal:
        result = refusal
    return result, outcome, list(deployments.values())


FALLING = [failure for failure in FailureClass if CONSEQUENCES[failure].fall_back]
FINAL = [failure for failure in FailureClass if not CONSEQUENCES[failure].fall_back]


@pytest.mark.parametrize("failure", FALLING)
@pytest.mark.parametrize("answered", [False, True], ids=["no answer", "an error answer"])
async def test_trouble_goes_to_the_next(failure, answered):
    """The second serves; what the first opened is released (conformance 273)."""
    reply, outcome, tried = await run(failure if answered else fails(failure), None)

    assert None is reply.failure
    assert [f"d0:{failure}", "d1:ok"] == outcome.attempts
    assert "d1" == outcome.deployment
    assert all(earlier.closed for earlier in tried[0].replies)
    assert not reply.closed


@pytest.mark.parametrize("failure", FINAL)
async def test_what_does_not_fall_back(failure):
    """The request's own fault, and ours, end the plan at once (design 5)."""
    refusal, outcome, tried = await run(fails(failure), None)
    reply, _, also_tried = await run(failure, None)

    assert CONSEQUENCES[failure].status == refusal.status
    assert [f"d0:{failure}"] == outcome.attempts
    assert failure == reply.failure
    assert not reply.closed
    assert [0, 0] == [tried[1].opened, also_tried[1].opened]


@pytest.mark.parametrize("failure", list(FailureClass))
async def test_the_last_failure_is_told(failure):
    """Among failures of equal weight the last one gives status, type, words and pause (conformance 047)."""
    refusal, _, _ = await run(fails(FailureClass.MODEL_MISSING), fails(failure))

    expected = CONSEQUENCES[failure]
    assert (expected.status, expected.error_type) == (refusal.status, refusal.error_type)
    assert expected.should_retry == refusal.should_retry
    assert (f"words of {failure}", 30) == (refusal.message, refusal.retry_after_s)


CURED_BY_NO_RETRY = [failure for failure in FALLING if not CONSEQUENCES[failure].should_retry]


@pytest.mark.parametrize("failure", CURED_BY_NO_RETRY)
async def test_an_outage_that_passes_outweighs_what_no_retry_cures(failure):
    """Claude busy, local model too small: the client waits as Claude asked, and compacts nothing."""
    refusal, _, tried = await run(FailureClass.OVERLOADED, fails(failure))

    assert (529, True, 70) == (refusal.status, refusal.should_retry, refusal.retry_after_s)
    assert all(earlier.closed for earlier in tried[0].replies)


@pytest.mark.parametrize("failure", list(FailureClass))
async def test_the_last_error_answer_is_relayed(failure):
    """An upstream's own error is handed on open, not closed and reworded (conformance 064)."""
    reply, outcome, _ = await run(fails(FailureClass.OVERLOADED), failure)

    assert failure == reply.failure
    assert not reply.closed
    assert f"d1:{failure}" == outcome.attempts[-1]


async def test_a_refused_request_ends_the_plan():
    """A 400 of the validation is the client's, whoever comes next (conformance 051)."""
    refusal, outcome, tried = await run(invalid_request("max_tokens: no"), None)

    assert (400, "max_tokens: no") == (refusal.status, refusal.message)
    assert ["d0:client_fault"] == outcome.attempts
    assert 0 == tried[1].opened


async def test_a_later_validation_does_not_blame_the_client():
    """What Claude took and a local model's stricter rules refuse is told as Claude's failure."""
    refusal, outcome, _ = await run(fails(FailureClass.OVERLOADED), invalid_request("no"))

    assert 529 == refusal.status
    assert ["d0:overloaded", "d1:client_fault"] == outcome.attempts


async def test_a_later_validation_after_an_error_answer():
    """The same where Claude answered with an error: an outage is not the client's fault."""
    refusal, outcome, _ = await run(FailureClass.OVERLOADED, invalid_request("no"))

    assert 529 == refusal.status
    assert ["d0:overloaded", "d1:client_fault"] == outcome.attempts


async def test_nothing_is_tried_twice():
    """Each deployment is opened once, in order."""
    _, outcome, tried = await run(*[fails(FailureClass.OVERLOADED)] * 4)

    assert [1, 1, 1, 1] == [deployment.opened for deployment in tried]
    assert ["d0", "d1", "d2", "d3"] == [entry.partition(":")[0] for entry in outcome.attempts]


AFTER = {"d1": frozenset({FailureClass.RATE_LIMIT, FailureClass.OVERLOADED})}


@pytest.mark.parametrize("failure", FALLING)
@pytest.mark.parametrize("answered", [False, True], ids=["no answer", "an error answer"])
async def test_what_waits_for_a_trigger(failure, answered):
    """A deployment with a condition is tried after such a failure only; the rest is told as ever."""
    does = failure if answered else fails(failure)
    reply, outcome, tried = await run(does, None, only_after=AFTER)

    if failure in AFTER["d1"]:
        assert [f"d0:{failure}", "d1:ok"] == outcome.attempts
    else:
        assert 0 == tried[1].opened
        assert [f"d0:{failure}"] == outcome.attempts
        assert (failure if answered else CONSEQUENCES[failure].status) == (
            reply.failure if answered else reply.status
        )


async def test_a_trigger_that_has_come_up_stays_up():
    """Whatever the attempt right before it failed with; and what is behind it waits for nothing."""
    rate, missing = fails(FailureClass.RATE_LIMIT), fails(FailureClass.CAPABILITY_MISSING)
    after = {"d2": AFTER["d1"]}
    _, outcome, _ = await run(rate, missing, None, only_after=after)
    _, skipping, _ = await run(
        missing, missing, fails(FailureClass.RATE_LIMIT), None, only_after=after
    )

    assert ["d0:rate_limit", "d1:capability_missing", "d2:ok"] == outcome.attempts
    assert ["d0:capability_missing", "d1:capability_missing", "d3:ok"] == skipping.attempts


# --- retries ------------------------------------------------------------------------------------


class Sequence(Deployment):
    """Does one thing after another."""

    def model_for(self, _request):
        return "m"

    async def open(self, request):
        steps, self.does = self.does, self.does[0]
        try:
            return await super().open(request)
        finally:
            self.does = steps[1:]


@pytest.mark.parametrize("failure", FALLING)
async def test_the_only_one_is_tried_again_as_the_table_says(failure):
    """With nobody else left, as often as the failure's class allows (conformance 272)."""
    retries = CONSEQUENCES[failure].retries
    only = Sequence([fails_now(failure)] * 3)
    _, outcome, _ = await run(only)

    assert [f"d0:{failure}"] * (1 + retries) == outcome.attempts
    assert 1 + retries == only.opened


async def test_the_second_try_serves():
    """What was otherwise a moment later is the answer."""
    reply, outcome, _ = await run(Sequence([fails_now(FailureClass.CONNECT_ERROR), None]))

    assert reply.failure is None
    assert ["d0:connect_error", "d0:ok"] == outcome.attempts


async def test_a_moments_rate_limit_is_waited_for_before_another_answers():
    """Once; then the next one answers."""
    limited = AttemptFailed(FailureClass.RATE_LIMIT, "slow down", retry_after_s=0.001)
    once, outcome, _ = await run(Sequence([limited, None]), None)
    _, twice, _ = await run(Sequence([limited, limited]), None)

    assert once.failure is None
    assert ["d0:rate_limit", "d0:ok"] == outcome.attempts
    assert ["d0:rate_limit", "d0:rate_limit", "d1:ok"] == twice.attempts


class Opening(NotedHealth):
    """Leaves a deployment alone after its first failure, like a breaker that opens."""

    def report(self, deployment, lease, failure, *, why="", wait_s=None):
        super().report(deployment, lease, failure, why=why, wait_s=wait_s)
        self.left_alone = {*self.left_alone, deployment}


async def test_a_pause_is_made_once():
    """Where the deployment that was waited for is left alone after all, the next is asked at once."""
    limited = AttemptFailed(FailureClass.RATE_LIMIT, "slow down", retry_after_s=0.1)
    began = monotonic()
    _, outcome, _ = await run(limited, None, health=Opening())

    assert ["d0:rate_limit", "d0:left_alone", "d1:ok"] == outcome.attempts
    assert monotonic() - began < 0.19


async def test_retries_of_one_are_not_counted_against_the_next():
    """Also where the one that was to be tried again is left alone by then."""
    limited = AttemptFailed(FailureClass.RATE_LIMIT, "slow down", retry_after_s=0.001)
    lost = fails_now(FailureClass.CONNECT_ERROR)
    health = Opening()
    _, outcome, _ = await run(limited, Sequence([lost, None]), health=health)

    assert ["d0:rate_limit", "d0:left_alone"] == outcome.attempts[:2]
    assert ["d1:connect_error", "d1:left_alone"] == outcome.attempts[2:]


@pytest.mark.parametrize("digits", [10, 400, 5000])
async def test_a_wait_that_is_no_time(digits):
    """It is as if none were named."""
    endless = Deployment(FailureClass.RATE_LIMIT)
    endless.headers = ((b"retry-after", b"9" * digits),)
    health = NotedHealth()
    _, outcome, _ = await run(endless, None, health=health)

    assert ["d0:rate_limit", "d1:ok"] == outcome.attempts
    assert [None] == health.waits_s


async def test_attempts_are_counted():
    """Nobody is served by the sixth: five attempts are all that one request gets."""
    _, outcome, tried = await run(*[fails(FailureClass.OVERLOADED)] * 7)

    assert 5 == len(outcome.attempts) == sum(each.opened for each in tried)


async def test_nothing_is_tried_after_the_deadline():
    """The failure that used up the time is told."""
    refusal, outcome, tried = await run(
        fails(FailureClass.OVERLOADED), None, deadline=Deadline(1.0, monotonic() - 2)
    )

    assert 529 == refusal.status
    assert ["d0:overloaded"] == outcome.attempts
    assert 0 == tried[1].opened


# --- what the deployments' health says and hears ------------------------------------------------


async def test_who_is_to_be_left_alone_is_passed_over():
    """It is not asked, and the next one is."""
    health = NotedHealth(left_alone={"d0"})
    _, outcome, tried = await run(None, None, health=health)

    assert ["d0:left_alone", "d1:ok"] == outcome.attempts
    assert 0 == tried[0].opened


async def test_all_are_to_be_left_alone():
    """The client may come again in a moment; nobody was asked."""
    refusal, outcome, _ = await run(None, None, health=NotedHealth(left_alone={"d0", "d1"}))

    assert (529, True) == (refusal.status, refusal.should_retry)
    assert ["d0:left_alone", "d1:left_alone"] == outcome.attempts


@pytest.mark.parametrize("left_alone", ["d0", "d1"])
async def test_what_really_failed_is_told_rather_than_who_was_not_asked(left_alone):
    """With its own status, words and pause, whichever of the two came last."""
    failures = [fails(FailureClass.TIMEOUT_FIRST_BYTE)] * 2
    refusal, outcome, _ = await run(*failures, health=NotedHealth(left_alone={left_alone}))

    assert (504, "words of timeout_first_byte", 30) == (
        refusal.status,
        refusal.message,
        refusal.retry_after_s,
    )
    assert f"{left_alone}:left_alone" in outcome.attempts


@pytest.mark.parametrize("failure", CURED_BY_NO_RETRY)
@pytest.mark.parametrize("left_alone", ["d0", "d1"])
async def test_who_may_serve_in_a_moment_outweighs_what_no_retry_cures(left_alone, failure):
    """The client comes again, and is told of the failure by its class, without its words (064)."""
    failures = [fails(failure)] * 2
    refusal, _, _ = await run(*failures, health=NotedHealth(left_alone={left_alone}))

    assert (529, True) == (refusal.status, refusal.should_retry)
    assert f"{left_alone} is left alone" in refusal.message
    assert refusal.message.endswith(f"failed: {failure}.")
    assert "words of" not in refusal.message


async def test_every_failed_attempt_is_told():
    """With what the upstream asks for; a queue of ours says nothing of the deployment."""
    health = NotedHealth()
    queue = AttemptFailed(FailureClass.OVERLOADED, "our queue", tells_of_deployment=False)
    await run(
        fails(FailureClass.RATE_LIMIT),
        queue,
        FailureClass.OVERLOADED,
        invalid_request("no"),
        health=health,
    )

    assert [
        ("d0", FailureClass.RATE_LIMIT),
        ("d1", "withdrawn"),
        ("d2", FailureClass.OVERLOADED),
        ("d3", FailureClass.CLIENT_FAULT),
    ] == health.heard
    assert [30, 70, None] == health.waits_s
    assert 0 == health.running


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("does", [None, FailureClass.RATE_LIMIT], ids=["counted", "limited"])
async def test_counting_is_no_news_of_a_deployment(does, side):
    """Its rate limits are its own (Claude's docs, *Token counting*), and no model is asked."""
    health = NotedHealth(left_alone={"d0"})
    _, outcome, _ = await run(Deployment(does, side), health=health, counting=True)

    assert [f"d0:{does or 'ok'}"] == outcome.attempts
    assert [] == health.heard
