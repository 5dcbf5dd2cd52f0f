"""The changes of a published state that are kept: of a backend, a breaker or a model alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

KEPT_TRANSITIONS: Final = 8
WHY_LIMIT: Final = 200
"""Characters of a reason."""

State_co = TypeVar("State_co", bound=StrEnum, covariant=True)


@dataclass(frozen=True, slots=True)
class Transition(Generic[State_co]):
    """One change of what is published."""

    at_s: float | None
    """By the caller's clock; None if it said nothing usable."""
    state: State_co
    """From then on."""
    why: str


def with_latest(
    transitions: tuple[Transition[State_co], ...], latest: Transition[State_co]
) -> tuple[Transition[State_co], ...]:
    """Return the last `KEPT_TRANSITIONS`, oldest first."""
    return (*transitions, latest)[-KEPT_TRANSITIONS:]
