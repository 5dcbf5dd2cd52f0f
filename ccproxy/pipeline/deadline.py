"""A request's deadline, as the routing table sets it: from arrival to the end of the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from ccproxy.ports import Outcome
    from routing.types import Plan


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

    def running(self) -> asyncio.Timeout:
        """Return the block in which the deadline holds; it ends in `TimeoutError`."""
        if self.limit_s is None:
            return asyncio.timeout(None)
        return asyncio.timeout(max(0.0, self.arrived_at + self.limit_s - monotonic()))

    def missed(self) -> ApiError:
        """Return what the client is told: a 504 that may be tried again."""
        return ApiError(504, self.words(), should_retry=True)

    def words(self) -> str:
        """Return the sentence for it."""
        return f"No answer within the deadline of {self.limit_s:g} s that the routing table sets."
