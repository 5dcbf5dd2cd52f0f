"""What a deployment's health hears of a request: every lease once, and only what it is to blame for."""

import asyncio
from contextlib import nullcontext

import pytest

from ccproxy.outcome import Usage
from ccproxy.pipeline.deadline import DeadlineMissed
from ccproxy.pipeline.leave import Leave
from ccproxy.pipeline.request import WholeReply
from ccproxy.ports import AttemptFailed, ClientGone
from ccproxy.wire.errors import ApiError
from routing.failures import FailureClass
from tests.support.health import NotedHealth

BROKEN = FailureClass.BROKEN_STREAM


def by_deadline():
    failed = AttemptFailed(FailureClass.TIMEOUT_BETWEEN_BYTES, "late")
    failed.__cause__ = DeadlineMissed("late")
    return failed


@pytest.mark.parametrize(
    ("reply_failure", "error", "heard"),
    [
        (None, None, None),
        (BROKEN, None, BROKEN),
        (None, AttemptFailed(BROKEN, "broke off"), BROKEN),
        (None, by_deadline(), "withdrawn"),
        (None, ClientGone(), "withdrawn"),
        (BROKEN, ClientGone(), BROKEN),
        (None, asyncio.CancelledError(), "withdrawn"),
        (None, ApiError(504, "deadline"), "withdrawn"),
        (None, KeyError("a bug"), "withdrawn"),
    ],
)
async def test_how_the_relay_ended(reply_failure, error, heard):
    """An answer, its failure, or nothing where it was somebody else's doing."""
    health = NotedHealth()
    with nullcontext() if error is None else pytest.raises(type(error)):
        async with Leave(health) as leave:
            assert leave.take("d")
            leave.reply = WholeReply(200, (), b"", Usage(), failure=reply_failure)
            if error is not None:
                raise error

    assert [("d", heard)] == health.heard
    assert 0 == health.running


async def test_nothing_was_taken():
    """A request that never came to an attempt is no news of anybody."""
    health = NotedHealth(left_alone={"d"})
    async with Leave(health) as leave:
        assert not leave.take("d")

    assert [] == health.heard


async def test_a_trial_is_told_when_content_begins():
    """A long answer does not keep a deployment on trial; what breaks later is no news."""
    health = NotedHealth(on_trial={"d"})
    async with Leave(health) as leave:
        leave.take("d")
        leave.answering()
        assert [("d", None)] == health.heard
        leave.ended(BROKEN)

        leave.take("other")
        leave.answering()
        assert 1 == len(health.heard)

    assert [("d", None), ("other", None)] == health.heard
    assert 0 == health.running
