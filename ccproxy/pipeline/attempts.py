"""The attempt loop: the first deployment of the plan that answers serves the request.

Rules:
1. Fall back at once, to a different deployment, and only before anything was relayed.
2. Whether a failure falls back is `routing.failures`' business, not this module's.
3. An upstream's own error is relayed as it came when no further attempt is left.
4. Otherwise a failure that will pass decides what the client is told.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ccproxy.pipeline.refusals import refusal_after
from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import ApiError
from routing.failures import CONSEQUENCES, FailureClass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.pipeline.request import MessagesRequest, Reply, Served
    from ccproxy.ports import Outcome

DETAIL_LIMIT: Final = 500
"""Characters of an upstream's words in the log."""

_log = logging.getLogger(__name__)


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
    failures: list[AttemptFailed] = []
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
            log_failure(name, failure, outcome)
            failures.append(failure)
            if CONSEQUENCES[failure.failure].fall_back:
                continue
            break
        except ApiError:
            outcome.attempts.append(f"{name}:{FailureClass.CLIENT_FAULT}")
            if not failures:
                raise
            break
        outcome.attempts.append(f"{name}:{reply.failure or 'ok'}")
        if reply.failure is None or is_last or not CONSEQUENCES[reply.failure].fall_back:
            return reply
        await reply.aclose()
        failures.append(_failure_of(name, reply, reply.failure))
    raise refusal_after(_most_telling(failures))


def log_failure(name: str, failed: AttemptFailed, outcome: Outcome) -> None:
    """Tell the operator what the client is not told."""
    detail = (failed.detail or failed.message)[:DETAIL_LIMIT]
    _log.warning(
        "attempt at %s failed: %s: %s",
        name,
        failed.failure,
        detail,
        extra={"request_id": outcome.request_id},
    )


def _failure_of(name: str, reply: Reply, failure: FailureClass) -> AttemptFailed:
    """Return an upstream's error answer as the failure it stands for."""
    waits = [value for key, value in reply.headers if key.lower() == b"retry-after"]
    retry_after_s = int(waits[0]) if waits and waits[0].isdigit() else None
    return AttemptFailed(
        failure,
        f"{name} answered with HTTP {reply.status}.",
        retry_after_s=retry_after_s,
    )


def _most_telling(failures: Sequence[AttemptFailed]) -> AttemptFailed:
    """Return the failure that decides what the client does next.

    One that ended the plan decides. Otherwise an outage that will pass outweighs what no retry
    cures: told of the latter, a client would give up, or compact its history for nothing. Among
    equals the last one counts.
    """
    last = failures[-1]
    if not CONSEQUENCES[last.failure].fall_back:
        return last
    passing = [failed for failed in failures if CONSEQUENCES[failed.failure].should_retry]
    return passing[-1] if passing else last
