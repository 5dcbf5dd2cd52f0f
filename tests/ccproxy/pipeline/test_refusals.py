"""What a client hears of a decision against its request."""

import pytest

from ccproxy.pipeline.refusals import routing_refusal
from routing.errors import AgentForbidden, NoAttempt, UnknownModel


@pytest.mark.parametrize(
    ("error", "status", "should_retry", "retry_after_s"),
    [
        (NoAttempt("all are down", outage=True, trace=()), 529, True, 2),
        (NoAttempt("none can see", outage=False, trace=()), 400, False, None),
        (UnknownModel("m", ()), 404, False, None),
        (AgentForbidden("a", ("b",)), 403, False, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_who_may_come_again(error, status, should_retry, retry_after_s):
    """Only an outage passes, and whoever waits is told how long (conformance 051, 053)."""
    refusal = routing_refusal(error)

    told = refusal.status, bool(refusal.should_retry), refusal.retry_after_s
    assert (status, should_retry, retry_after_s) == told
