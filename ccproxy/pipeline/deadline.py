"""A request's deadline, as the routing table sets it: from arrival to the end of the answer."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccproxy.outcome import Outcome
    from routing.types import Plan


DEADLINE_NOTE: Final = "deadline_missed"
"""What the outcome of a request says that was cut off."""


class DeadlineMissed(Exception):
    """The time was over before the answer had ended; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an answer must have ended."""

    limit_s: float | None = None
    """None is no deadline."""
    arrived_at: float = 0.0
    """Monotonic seconds."""

    @classmethod
    def of(cls, plan: Plan, outcome: Outcome) -> Deadline:
        """Return the deadline that a plan gives a request."""
        return cls(plan.deadline_s, outcome.arrived_at)

    def remaining_s(self, now: float) -> float | None:
        """Return how much time is left at that monotonic second; None without a deadline."""
        return None if self.limit_s is None else self.arrived_at + self.limit_s - now

    def running(self) -> AbstractAsyncContextManager[None]:
        """Return the block in which the deadline holds.

        Raises:
            DeadlineMissed: In the block, when the time is over. Another's `TimeoutError` stays one.
        """
        return nullcontext() if self.limit_s is None else self._limited(self.limit_s)

    @asynccontextmanager
    async def _limited(self, limit_s: float) -> AsyncIterator[None]:
        timer = asyncio.timeout(max(0.0, self.arrived_at + limit_s - monotonic()))
        try:
            async with timer:
                yield
        except TimeoutError as exc:
            if not timer.expired():
                raise
            message = f"No answer within the deadline of {limit_s:g} s that the routing table sets."
            raise DeadlineMissed(message) from exc


def deadline_refusal(missed: DeadlineMissed) -> ApiError:
    """Return what a client is told that has heard nothing yet: a 504 that may be tried again."""
    return ApiError(504, str(missed), should_retry=True)
