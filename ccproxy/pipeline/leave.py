"""The leave of one request to use a deployment, and what the deployment's health hears of it.

Rules:
1. An attempt is made with leave, and its end is told once. Counting tokens needs none. The budgets
   are asked last: what they refuse says nothing of the deployment.
2. A trial is told of as soon as an answer's content begins, so that a long answer does not keep a
   deployment on trial; what breaks later is then no news.
3. A client that leaves, a deadline of the table's, a queue of our own and a bug say nothing; an
   answer that had failed before has failed all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ccproxy.pipeline.deadline import DeadlineMissed
from ccproxy.ports import AttemptFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ccproxy.pipeline.request import Reply
    from ccproxy.ports import DeploymentHealth
    from routing.breaker import Lease
    from routing.failures import FailureClass


class Leave:
    """`async with` around the attempts of one request and the relay of what answers."""

    def __init__(
        self,
        health: DeploymentHealth,
        may_pay: Callable[[str], AttemptFailed | None] = lambda _deployment: None,
    ) -> None:
        """Begin without any; `may_pay` says why an attempt at a deployment may not."""
        self._health = health
        self._may_pay = may_pay
        self._held: tuple[str, Lease] | None = None
        self.reply: Reply | None = None
        """What is relayed, once there is anything."""

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Tell how the relay ended."""
        failure = None if self.reply is None else self.reply.failure
        if isinstance(exc, AttemptFailed) and not isinstance(exc.__cause__, DeadlineMissed):
            self.failed(exc)
        elif exc is None or failure is not None:
            self.ended(failure)
        else:
            self._withdraw()

    def take(self, deployment: str) -> bool:
        """Ask for leave to make an attempt; False where the deployment is to be left alone."""
        lease = self._health.admit(deployment)
        self._held = None if lease is None else (deployment, lease)
        return lease is not None

    def over_budget(self, deployment: str) -> AttemptFailed | None:
        """Ask whether the attempt may be paid for; where it may not, the leave is given back."""
        failed = self._may_pay(deployment)
        if failed is not None:
            self._withdraw()
        return failed

    def answering(self) -> None:
        """Content of its answer has begun."""
        if self._held is not None and self._held[1].trial is not None:
            self.ended(None)

    def failed(self, failed: AttemptFailed) -> None:
        """Tell how the attempt failed."""
        if not failed.tells_of_deployment:
            self._withdraw()
            return
        self.ended(failed.failure, why=failed.message, wait_s=failed.retry_after_s)

    def ended(
        self, failure: FailureClass | None, *, why: str = "", wait_s: float | None = None
    ) -> None:
        """Tell how the attempt ended; None is an answer."""
        if self._held is not None:
            self._health.report(*self._held, failure, why=why or failure or "", wait_s=wait_s)
            self._held = None

    def _withdraw(self) -> None:
        if self._held is not None:
            self._health.withdraw(*self._held)
            self._held = None
