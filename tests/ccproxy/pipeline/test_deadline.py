"""A deadline: when it ends a block, and what is left alone."""

import asyncio
from time import monotonic

import pytest

from ccproxy.pipeline.deadline import Deadline, DeadlineMissed, deadline_refusal


async def test_a_block_ends_when_the_time_since_arrival_is_over():
    """The limit counts from the request's arrival, not from the block's beginning."""
    deadline = Deadline(limit_s=10.0, arrived_at=monotonic() - 9.95)
    started = monotonic()

    with pytest.raises(DeadlineMissed, match="deadline of 10 s"):
        async with deadline.running():
            await asyncio.sleep(5)

    assert monotonic() - started < 2


async def test_a_deadline_that_has_passed_ends_a_block_at_its_first_wait():
    """Nothing is waited for any more."""
    with pytest.raises(DeadlineMissed):
        async with Deadline(limit_s=1.0, arrived_at=monotonic() - 5).running():
            await asyncio.Event().wait()


@pytest.mark.parametrize("deadline", [Deadline(), Deadline(60.0, monotonic())])
async def test_somebody_elses_timeout_is_not_the_deadlines(deadline):
    """A `TimeoutError` from inside the block stays what it is."""
    with pytest.raises(TimeoutError):
        async with deadline.running():
            raise TimeoutError


async def test_without_a_limit_there_is_no_deadline():
    """A request that arrived long ago goes on."""
    async with Deadline(arrived_at=monotonic() - 10_000).running():
        await asyncio.sleep(0)


def test_a_client_that_heard_nothing_gets_a_504():
    """It may try again (conformance 063)."""
    refusal = deadline_refusal(DeadlineMissed("Too late."))

    assert (504, "timeout_error", True) == (
        refusal.status,
        refusal.error_type,
        refusal.should_retry,
    )
