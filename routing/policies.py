"""What a table may say of a request besides where it goes.

Rules:
1. Each policy is decided alone: the most specific entry that says something about it counts.
2. Privacy is not among them. It never loosens, so it is combined and not overridden.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MICRO: Final = 1_000_000
"""Microdollars in a dollar; money is whole microdollars everywhere inside."""


class OnOverflow(StrEnum):
    """What follows where the prompt is too long for a candidate."""

    REROUTE = "reroute"
    """The candidate is skipped; the next one may serve."""
    ERROR = "error"
    """Nothing after the candidate is tried; the client is told that the prompt is too long."""


class ThinkingMode(StrEnum):
    """What happens to a request's wish for thinking."""

    KEEP = "keep"
    STRIP = "strip"
    CAP = "cap"


@dataclass(frozen=True, slots=True)
class ThinkingPolicy:
    """How much a request may think."""

    mode: ThinkingMode = ThinkingMode.KEEP
    max_budget_tokens: int | None = None
    """The most that `thinking.budget_tokens` may be; set exactly where the mode is `cap`."""


KEEP_THINKING: Final = ThinkingPolicy()


@dataclass(frozen=True, slots=True)
class Policies:
    """What one entry says; None where it says nothing."""

    deadline_s: float | None = None
    """Seconds from the request's arrival to the end of its answer."""
    max_cost_microusd: int | None = None
    """The most that one request may be expected to cost."""
    thinking: ThinkingPolicy | None = None
    on_overflow: OnOverflow | None = None

    def over(self, other: Policies) -> Policies:
        """Return these policies, and the other's where these say nothing."""
        if other is NO_POLICIES:
            return self
        if self is NO_POLICIES:
            return other
        return Policies(
            *(
                getattr(other, each.name)
                if getattr(self, each.name) is None
                else getattr(self, each.name)
                for each in fields(self)
            )
        )

    @property
    def said(self) -> tuple[str, ...]:
        """Names of the policies that are set."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is not None)

    def told(self, name: str) -> str:
        """Return one policy that is set, in words."""
        match name:
            case "deadline_s":
                return f"{self.deadline_s:g} s"
            case "max_cost_microusd":
                return f"${(self.max_cost_microusd or 0) / MICRO:.6f}"
            case "thinking" if self.thinking is not None:
                budget = self.thinking.max_budget_tokens
                return f"{self.thinking.mode}{'' if budget is None else f' at {budget} tokens'}"
            case _:
                return str(getattr(self, name))


NO_POLICIES: Final = Policies()


def combine(policies: Iterable[Policies]) -> Policies:
    """Return what holds of policies that are given from the most to the least specific."""
    combined = NO_POLICIES
    for each in policies:
        combined = combined.over(each)
    return combined
