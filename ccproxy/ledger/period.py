"""A while, in steps of equal length."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from ccproxy.ledger.sums import Scope

MOST_POINTS: Final = 120
STEPS_S: Final = (60, 300, 900, 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400)


@dataclass(frozen=True, slots=True)
class Period:
    """The time that is looked at, in steps of equal length; whole steps since the epoch."""

    first_s: int
    """Unix time, seconds; a multiple of the step."""
    until_s: int
    """Likewise, excluded."""
    step_s: int

    @property
    def points_s(self) -> list[int]:
        """When each step begins."""
        return list(range(self.first_s, self.until_s, self.step_s))

    def scope(self) -> Scope:
        """Return it as reports take it."""
        return Scope(self.first_s * 1000, self.until_s * 1000, {})


def period_of(hours: int, now_s: float, *, least_step_s: int) -> Period:
    """Return the last `hours` up to now, in `MOST_POINTS` steps or fewer."""
    wanted_s = hours * 3600 / MOST_POINTS
    step_s = next((s for s in STEPS_S if s >= max(wanted_s, least_step_s)), STEPS_S[-1])
    until_s = (int(now_s) // step_s + 1) * step_s
    count = max(1, ceil(hours * 3600 / step_s))
    return Period(until_s - count * step_s, until_s, step_s)
