"""The attempt loop: the first deployment of the plan that answers serves the request.

Rules:
1. Fall back at once, to a different deployment, and only before any content was relayed.
2. What follows a failure is `routing.failures`' and `routing.retry`'s business, not this module's.
3. A deployment that its health wants left alone is passed over, and so is one whose budget was
   reached since the plan was made.
4. An upstream's own error is relayed as it came when nothing further is tried.
5. Otherwise a failure that will pass decides what the client is told; that somebody was not asked
   only where nobody failed so.
6. What only the roster's fallback adds to a route waits for its triggers (`Plan.only_after`).
7. A committed local stream goes on by the same rules (`late_fallback`); its headers are out, so
   that an upstream's own error becomes an error event with its type and words.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from ccproxy.outcome import ANSWERED, UNFINISHED, AttemptRecord
from ccproxy.pipeline.answer import StreamReply
from ccproxy.pipeline.late_fallback import LateFallback
from ccproxy.pipeline.refusals import refusal_after
from ccproxy.ports import AttemptFailed
from ccproxy.wire.errors import ApiError
from routing.failures import CONSEQUENCES, FailureClass
from routing.retry import DEFAULT_RULES, GiveUp, Retry, after_failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.outcome import Outcome, Usage
    from ccproxy.pipeline.deadline import Deadline
    from ccproxy.pipeline.leave import Leave
    from ccproxy.pipeline.request import MessagesRequest, Reply, Served
    from routing.retry import RetryRules

DETAIL_LIMIT: Final = 500
"""Characters of an upstream's words in the log."""
RETRY_AFTER_DIGITS: Final = 9
"""Of a `retry-after`; a longer one is no time."""
LATE_NOTE: Final = "late_fallback"
"""What the outcome says of a fallback that the response's headers could not tell of."""
PASSED_OVER: Final = "left_alone"
"""In `x-ccproxy-attempts`, where a failure class stands otherwise."""
OVER_BUDGET: Final = "over_budget"
"""Likewise."""
NOBODY_WAITS: Final[Mapping[str, frozenset[FailureClass]]] = {}

_log = logging.getLogger(__name__)


class Attempts:
    """The attempts of one request, in the plan's order."""

    def __init__(
        self,
        names: Sequence[str],
        deployments: Mapping[str, Served],
        request: MessagesRequest,
        outcome: Outcome,
        *,
        leave: Leave,
        deadline: Deadline,
        only_after: Mapping[str, frozenset[FailureClass]] = NOBODY_WAITS,
        rules: RetryRules = DEFAULT_RULES,
    ) -> None:
        """`outcome` hears of every attempt, and of the deployment that is at it.

        `only_after` is that of the plan.
        """
        self._left = deque(names)
        self._deployments = deployments
        self._request = request
        self._outcome = outcome
        self._leave = leave
        self._deadline = deadline
        self._only_after = only_after
        self._rules = rules
        self._notes_before = 0
        self._made = 0
        self._retries = 0
        self._pause_s = 0.0
        self._failures: list[AttemptFailed] = []
        self._unasked: list[AttemptFailed] = []
        """Those of `_failures` that stand for a deployment which was passed over."""
        self.last_failure: FailureClass | None = None
        """Why the latest attempt failed; None if it did not."""

    async def first_reply(self) -> Reply:
        """Return what is relayed; a stream that fails before its content goes on by itself.

        Raises:
            ApiError: No attempt answered, or the request itself is at fault.
        """
        reply = await self.next_reply()
        if isinstance(reply, StreamReply):
            return LateFallback(reply, self, self._request.request_id)
        return reply

    async def next_reply(self) -> Reply:
        """Return the reply of the next deployment that answers.

        Raises:
            ApiError: As `first_reply`.
        """
        while (name := self._next_name()) is not None:
            self._left.remove(name)
            pause_s, self._pause_s = self._pause_s, 0.0
            if pause_s:
                await asyncio.sleep(pause_s)
            if (reply := await self._reply_of(name)) is not None:
                return reply
        raise self.refusal()

    def passes_on(self, failed: AttemptFailed, usage: Usage) -> bool:
        """Return whether somebody may answer for a committed stream that failed without content.

        What answers then goes into a response whose headers are out, and which has no coding.
        """
        self._outcome.attempt_records[-1].usage = usage
        self._note_failure(failed)
        self._leave.failed(failed)
        if not self._goes_on_after(failed):
            return False
        self._outcome.notes.append(LATE_NOTE)
        self._request = self._request.for_plain_answer()
        return True

    def missed_deadline(self) -> None:
        """Take note that there was no time for more."""
        records, outcome = self._outcome.attempt_records, self._outcome
        if not records or records[-1].result != UNFINISHED:
            outcome.attempt_begins()
        outcome.attempt_ended(FailureClass.TIMEOUT_FIRST_BYTE)

    def refusal(self) -> ApiError:
        """Return what the client is told after the failures so far."""
        return refusal_after(_most_telling(self._failures, self._unasked))

    async def _reply_of(self, name: str) -> Reply | None:
        """Return what a deployment answers, or None where it is another's turn."""
        deployment, outcome = self._deployments[name], self._outcome
        outcome.deployment, outcome.route = name, deployment.side
        self._notes_before = len(outcome.notes)
        # Counting asks no model, and has rate limits of its own (Claude's docs, "Token counting").
        if not self._request.counting and not self._leave.take(name):
            self._passes_over(PASSED_OVER, _left_alone(name))
            return None
        if not self._request.counting and (failed := self._leave.over_budget(name)) is not None:
            self._passes_over(OVER_BUDGET, failed)
            return None
        self._made += 1
        record = outcome.attempt_begins()
        try:
            record.upstream_model = deployment.model_for(self._request)
            reply = await deployment.open(self._request)
        except AttemptFailed as failed:
            self._note_failure(failed)
            self._leave.failed(failed)
            self._goes_on_after(failed)
            return None
        except ApiError:
            self._note(FailureClass.CLIENT_FAULT)
            self._leave.ended(FailureClass.CLIENT_FAULT)
            if not self._failures:
                raise
            self._left.clear()
            return None
        if reply.failure is None:
            self._note(None)
            return reply
        answered = _failure_of(name, reply, reply.failure)
        self._note(reply.failure)
        self._leave.failed(answered)
        if not self._goes_on_after(answered):
            return reply
        await reply.aclose()
        log_failure(name, answered, outcome)
        return None

    def _passes_over(self, word: str, failed: AttemptFailed) -> None:
        self._retries = 0
        outcome = self._outcome
        outcome.attempt_records.append(AttemptRecord(outcome.deployment, outcome.route, word))
        self._failures.append(failed)
        self._unasked.append(failed)

    def _goes_on_after(self, failed: AttemptFailed) -> bool:
        """Decide what follows a failure; return whether there is anything left to try."""
        self._failures.append(failed)
        decision = after_failure(
            failed.failure,
            retries_done=self._retries,
            attempts_done=self._made,
            others_left=self._next_name() is not None,
            jitter=random(),  # noqa: S311 - spreads load, keeps no secret
            retry_after_s=failed.retry_after_s,
            remaining_s=self._deadline.remaining_s(monotonic()),
            rules=self._rules,
        )
        is_retry = isinstance(decision, Retry)
        self._retries = self._retries + 1 if is_retry else 0
        self._pause_s = decision.delay_s if isinstance(decision, Retry) else 0.0
        if is_retry:
            self._left.appendleft(self._outcome.deployment)
        elif isinstance(decision, GiveUp):
            self._left.clear()
        return bool(self._left)

    def _next_name(self) -> str | None:
        """Return which deployment may be tried next, or None."""
        return next(filter(self._may_be_tried, self._left), None)

    def _may_be_tried(self, name: str) -> bool:
        triggers = self._only_after.get(name)
        return triggers is None or any(failed.failure in triggers for failed in self._failures)

    def _note_failure(self, failed: AttemptFailed) -> None:
        del self._outcome.notes[self._notes_before :]  # they told of an answer that nobody gets
        log_failure(self._outcome.deployment, failed, self._outcome)
        self._note(failed.failure)

    def _note(self, failure: FailureClass | None) -> None:
        self.last_failure = failure
        self._outcome.attempt_ended(failure or ANSWERED)


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


def _left_alone(name: str) -> AttemptFailed:
    """Return the failure that a deployment stands for which is not asked."""
    message = f"{name} is left alone for a moment after repeated failures."
    return AttemptFailed(FailureClass.OVERLOADED, message)


def _failure_of(name: str, reply: Reply, failure: FailureClass) -> AttemptFailed:
    """Return an upstream's error answer as the failure it stands for."""
    waits = [value for key, value in reply.headers if key.lower() == b"retry-after"]
    is_usable = waits and waits[0].isdigit() and len(waits[0]) <= RETRY_AFTER_DIGITS
    retry_after_s = int(waits[0]) if is_usable else None
    return AttemptFailed(
        failure,
        f"{name} answered with HTTP {reply.status}.",
        retry_after_s=retry_after_s,
        tells_of_deployment=reply.tells_of_deployment,
    )


def _most_telling(
    failures: Sequence[AttemptFailed], unasked: Sequence[AttemptFailed]
) -> AttemptFailed:
    """Return the failure that decides what the client does next.

    One that ended the plan decides, and so does an upstream's own error that is the last one.
    Otherwise an outage that will pass outweighs what no retry cures: told of the latter, a client
    would give up, or compact its history for nothing. What really failed outweighs that somebody
    was not asked. Among equals the last one counts.
    """
    last = failures[-1]
    if last.error_type is not None or not CONSEQUENCES[last.failure].fall_back:
        return last
    passing = [failed for failed in failures if CONSEQUENCES[failed.failure].should_retry]
    asked = [failed for failed in failures if failed not in unasked]
    if real := [failed for failed in passing if failed in asked]:
        return real[-1]
    if passing and asked:
        return _beside(passing[-1], asked[-1].failure)
    return passing[-1] if passing else last


def _beside(unasked: AttemptFailed, failure: FailureClass) -> AttemptFailed:
    """Return the failure of one that was not asked, which names what befell another.

    Only the class of it: Claude Code compacts its history at the words of some.
    """
    message = f"{unasked.message} Another deployment was asked, and failed: {failure}."
    return AttemptFailed(unasked.failure, message, retry_after_s=unasked.retry_after_s)
