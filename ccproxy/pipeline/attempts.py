"""The attempt loop: the first deployment of the plan that answers serves the request.

Rules:
1. Fall back at once, to a different deployment, and only before anything was relayed.
2. Whether a failure falls back is `routing.failures`' business, not this module's.
3. An upstream's own error is relayed as it came when no further attempt is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import ApiError
from routing.failures import CONSEQUENCES, FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.pipeline.request import MessagesRequest, Reply, Served
    from ccproxy.ports import Outcome


async def first_answer(
    names: Sequence[str],
    deployments: Mapping[str, Served],
    request: MessagesRequest,
    outcome: Outcome,
) -> Reply:
    """Return the reply of the first deployment that answers; notes every attempt in `outcome`.

    Raises:
        ApiError: No attempt answered, or the request itself is at fault.
    """
    failed: AttemptFailed | None = None
    for position, name in enumerate(names):
        deployment = deployments[name]
        outcome.deployment, outcome.route = name, deployment.side
        is_last = position == len(names) - 1
        noted = len(outcome.notes)
        try:
            reply = await deployment.open(request)
        except AttemptFailed as failure:
            outcome.attempts.append(f"{name}:{failure.failure}")
            del outcome.notes[noted:]  # they told of an answer that nobody gets
            failed = failure
            if CONSEQUENCES[failure.failure].fall_back:
                continue
            break
        except ApiError:
            outcome.attempts.append(f"{name}:{FailureClass.CLIENT_FAULT}")
            if failed is None:
                raise
            break
        outcome.attempts.append(f"{name}:{reply.failure or 'ok'}")
        if reply.failure is None or is_last or not CONSEQUENCES[reply.failure].fall_back:
            return reply
        await reply.aclose()
        failed = AttemptFailed(reply.failure, f"{name} answered with an error.")
    assert failed is not None  # noqa: S101 - a plan has attempts, and the last one failed
    raise refusal_after(failed)


def refusal_after(failed: AttemptFailed) -> ApiError:
    """Return what the client is told when this failure was the last."""
    consequence = CONSEQUENCES[failed.failure]
    retry_after_s = failed.retry_after_s
    if retry_after_s is None:
        retry_after_s = consequence.retry_after_s
    return ApiError(
        consequence.status,
        failed.message,
        error_type=consequence.error_type,
        error_code=failed.error_code,
        should_retry=consequence.should_retry,
        retry_after_s=retry_after_s,
    )
