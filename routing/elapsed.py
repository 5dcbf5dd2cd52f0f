"""How much time has passed, by a clock that may jump.

A step back counts as no time and a step that is no number is passed over; the time that has passed
never shrinks, and goes on at once from where the clock stands after a jump. A step forward counts
as a day at most, which outlasts every rule.
"""

from __future__ import annotations

from math import isfinite
from typing import Final

from routing.records import record

LONGEST_STEP_S: Final = 86_400.0


@record(frozen=True, slots=True)
class Elapsed:
    """The time since the first look at the clock."""

    clock_s: float | None = None
    """What the clock said at the last look; None before the first."""
    total_s: float = 0.0

    def until(self, now_s: float) -> Elapsed:
        """Return the time that has passed when the clock says `now_s`."""
        if not isfinite(now_s):
            return self
        if self.clock_s is None:
            return Elapsed(now_s, self.total_s)
        step_s = min(max(0.0, now_s - self.clock_s), LONGEST_STEP_S)
        return Elapsed(now_s, self.total_s + step_s)


NOT_STARTED: Final = Elapsed()
