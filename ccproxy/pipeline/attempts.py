"""The attempt loop: the first deployment of the plan that answers serves the request.

Rules:
1. Fall back at once, to a different deployment, and only before any content was relayed.
2. Whether a failure falls back is `routing.failures`' business, not this module's.
3. An upstream's own error is relayed as it came when no further attempt is left.
4. Otherwise a failure that will pass decides what the client is told.
5. What only the roster's fallback adds to a route waits for its triggers (`Plan.only_after`).
6. A committed local stream goes on by the same rules (`late_fallback`); its headers are out, so
   that an upstream's own error becomes an error event with its type and words.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from ccproxy.pipeline.answer import StreamReply
from ccproxy.pipeline.late_fallback import LateFallback
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
LATE_NOTE: Final = "late_fallback"
"""What the outcome says of a fallback that the response's headers could not tell of."""

_log = logging.getLogger(__name__)


async def first_answer(
    names: Sequence[str],
    deployments: Mapping[str, Served],
    request: MessagesRequest,
    outcome: Outcome,
    only_after: Mapping[str, frozenset[FailureClass]] | None = None,
) -> Reply:
    """Return the reply of the first deployment that answers; notes every attempt in `outcome`.

    `only_after` is that of the plan.

    Raises:
        ApiError: No attempt answered, or the request itself is at fault.
    """
    attempts = Attempts(names, deployments, request, outcome, only_after)
    reply = await attempts.next_reply()
    return LateFallback(reply, attempts) if isinstance(reply, StreamReply) else reply


class Attempts:
    """The attempts of one request, in the plan's order; each is made once."""

    def __init__(
        self,
        names: Sequence[str],
        deployments: Mapping[str, Served],
        request: MessagesRequest,
        outcome: Outcome,
        only_after: Mapping[str, frozenset[FailureClass]] | None = None,
    ) -> None:
        """`outcome` hears of every attempt, and of the deployment that is at it."""
        self._left = deque(names)
        self._deployments = deployments
        self._request = request
        self._outcome = outcome
        self._noted = 0
        self._only_after = only_after or {}
        self._seen: set[FailureClass] = set()
        """Every way in which an attempt failed so far."""
        self._failures: list[AttemptFailed] = []
        self.last_failure: FailureClass | None = None
        """Why the latest attempt failed; None if it did not."""

    async def next_reply(self) -> Reply:
        """Return the reply of the next deployment that answers.

        Raises:
            ApiError: No attempt answered, or the request itself is at fault.
        """
        outcome = self._outcome
        while (name := self._next_name()) is not None:
            self._left.remove(name)
            deployment = self._deployments[name]
            outcome.deployment, outcome.route = name, deployment.side
            self._noted = len(outcome.notes)
            try:
                reply = await deployment.open(self._request)
            except AttemptFailed as failed:
                self._note(failed.failure)
                if self._goes_on_after(failed):
                    continue
                break
            except ApiError:
                self._note(FailureClass.CLIENT_FAULT)
                if not self._failures:
                    raise
                break
            self._note(reply.failure)
            if reply.failure is None or not _falls_back(reply.failure) or not self._next_name():
                return reply
            await reply.aclose()
            self._failures.append(_failure_of(name, reply, reply.failure))
        raise self.refusal()

    def passes_on(self, failed: AttemptFailed) -> bool:
        """Return whether another may answer for a committed stream that failed without content.

        What answers then goes into a response whose headers are out, and which has no coding.
        """
        self._outcome.attempts.pop()
        self._note(failed.failure)
        if not self._goes_on_after(failed) or self._next_name() is None:
            return False
        self._outcome.notes.append(LATE_NOTE)
        self._request = self._request.for_plain_answer()
        return True

    def refusal(self) -> ApiError:
        """Return what the client is told after the failures so far."""
        return refusal_after(_most_telling(self._failures))

    def _next_name(self) -> str | None:
        """Return which deployment may be tried next, or None."""
        return next(filter(self._may_be_tried, self._left), None)

    def _may_be_tried(self, name: str) -> bool:
        failures = self._only_after.get(name)
        return failures is None or not failures.isdisjoint(self._seen)

    def _note(self, failure: FailureClass | None) -> None:
        self.last_failure = failure
        if failure is not None:
            self._seen.add(failure)
        self._outcome.attempts.append(f"{self._outcome.deployment}:{failure or 'ok'}")

    def _goes_on_after(self, failed: AttemptFailed) -> bool:
        """Take note of a failure; return whether the next deployment may serve."""
        del self._outcome.notes[self._noted :]  # they told of an answer that nobody gets
        log_failure(self._outcome.deployment, failed, self._outcome)
        self._failures.append(failed)
        return _falls_back(failed.failure)


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


def _falls_back(failure: FailureClass) -> bool:
    return CONSEQUENCES[failure].fall_back


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

    One that ended the plan decides, and so does an upstream's own error that is the last one.
    Otherwise an outage that will pass outweighs what no retry cures: told of the latter, a client
    would give up, or compact its history for nothing. Among equals the last one counts.
    """
    last = failures[-1]
    if last.error_type is not None or not _falls_back(last.failure):
        return last
    passing = [failed for failed in failures if CONSEQUENCES[failed.failure].should_retry]
    return passing[-1] if passing else last
