"""What one budget has counted in the present window, apart for each whom it counts apart.

Rules:
1. A tally has what was used and what is reserved for requests in flight. It is reached as soon as
   both together are the limit or more.
2. A window is over when a later one begins; then all of its tallies are forgotten, and what was
   reserved in it is released into nothing. A clock that is set back keeps the tallies.
3. What 80 and 100 percent of the limit crosses is told once in each window; of concurrency, which
   has no window, again after it was below 80 percent. Of tokens and money counts what was used, of
   requests and concurrency also what is in flight.
4. There are at most `TALLIES_LIMIT` tallies; whoever comes after those is counted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EACH: Final = "*"
"""As a budget's value: every principal, project, agent or deployment apart."""
OTHERS: Final = "(others)"
"""Whose tally that is for which there was no room."""
TALLIES_LIMIT: Final = 10_000
"""Of one budget; about 200 bytes each."""
THRESHOLDS_PERCENT: Final = (80, 100)


class BudgetScope(StrEnum):
    """Whose requests a budget counts."""

    TOTAL = "total"
    PRINCIPAL = "principal"
    PROJECT = "project"
    AGENT = "agent"
    DEPLOYMENT = "deployment"


class Window(StrEnum):
    """How long a budget lasts; all begin by the calendar of the machine's local time."""

    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"


class Counted(StrEnum):
    """What a budget counts; money in microdollars."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"
    CONCURRENCY = "concurrency"


class OnReach(StrEnum):
    """What follows when a budget is reached."""

    WARN = "warn"
    LOCAL_ONLY = "local_only"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit."""

    name: str
    """Unique."""
    scope: BudgetScope
    value: str
    """Whose, or `EACH`; empty where the scope is `total`."""
    counts: Counted
    window: Window | None
    """None exactly for concurrency."""
    limit: int
    """Above 0; microdollars where money is counted."""
    on_reach: OnReach

    def value_for(self, whose: str) -> str | None:
        """Return under what value the budget counts somebody, or None if it does not.

        Args:
            whose: The name of the caller, its project or so; empty where it has none.
        """
        if self.scope is BudgetScope.TOTAL:
            return ""
        return whose if whose and self.value in (EACH, whose) else None


class Span(NamedTuple):
    """A window by the clock: Unix seconds, the end excluded."""

    start_s: float
    end_s: float


class Reached(NamedTuple):
    """A budget that has no room, as it was at that moment."""

    budget: Budget
    value: str
    used: int
    reserved: int
    """For requests in flight."""
    opens_at_s: float | None
    """When its window ends; None without one."""

    @property
    def is_held(self) -> bool:
        """Only estimates of requests in flight stand in the way: there is room when they end.

        Of requests themselves never: each that is in flight will have been one.
        """
        return self.budget.counts is not Counted.REQUESTS and self.used < self.budget.limit


class Crossing(NamedTuple):
    """A threshold that was crossed."""

    budget: Budget
    value: str
    percent: int
    """One of `THRESHOLDS_PERCENT`."""
    used: int
    """Of requests and concurrency with those in flight."""


class TallyState(NamedTuple):
    """One tally, for people."""

    value: str
    used: int
    reserved: int


class Hold(NamedTuple):
    """What one request has reserved in one tally."""

    value: str
    generation: int
    amount: int


@dataclass(slots=True)
class _Tally:
    used: int = 0
    reserved: int = 0
    told_percent: int = 0


class Book:
    """One budget's tallies."""

    def __init__(self, budget: Budget, tallies_limit: int = TALLIES_LIMIT) -> None:
        """Begin empty."""
        self.budget = budget
        self._limit = tallies_limit
        self._span: Span | None = None
        self._generation = 0
        self._tallies: dict[str, _Tally] = {}

    def __len__(self) -> int:
        """Return how many tallies there are."""
        return len(self._tallies)

    def turn_to(self, spans: Mapping[Window, Span]) -> None:
        """Begin a new window if it is time (rule 2)."""
        window = self.budget.window
        if window is None:
            return
        span = spans[window]
        if self._is_over(spans):
            self._tallies.clear()
            self._generation += 1
        self._span = span

    def reached(self, value: str, spans: Mapping[Window, Span]) -> Reached | None:
        """Return the budget as it stands for somebody if there is no room, else None.

        Changes nothing, and may be called in any thread.
        """
        if self._is_over(spans):
            return None
        tally = self._tallies.get(self._slot(value))
        if tally is None or tally.used + tally.reserved < self.budget.limit:
            return None
        opens_at_s = self._span.end_s if self._span is not None else None
        return Reached(self.budget, value, tally.used, tally.reserved, opens_at_s)

    def hold(self, value: str, amount: int) -> tuple[Hold, Crossing | None]:
        """Reserve an amount for a request."""
        slot = self._slot(value)
        tally = self._tallies.setdefault(slot, _Tally())
        tally.reserved += amount
        return Hold(slot, self._generation, amount), self._crossing(slot, tally)

    def release(self, hold: Hold) -> None:
        """Take a reservation back."""
        tally = self._tallies.get(hold.value)
        if tally is None or hold.generation != self._generation:
            return
        tally.reserved -= hold.amount
        if self.budget.window is None and not tally.reserved:
            del self._tallies[hold.value]
        elif self.budget.window is None and self._percent(tally) < THRESHOLDS_PERCENT[0]:
            tally.told_percent = 0

    def spend(self, hold: Hold, amount: int) -> Crossing | None:
        """Add what a request has used to the tally in which it had reserved, if that still is."""
        tally = self._tallies.get(hold.value)
        if tally is None or hold.generation != self._generation:
            return None
        tally.used += amount
        return self._crossing(hold.value, tally)

    def restore(self, start_s: float, amounts: Mapping[str, int]) -> None:
        """Add what was used in a window before this process began; thresholds are not told again.

        Args:
            start_s: When the window began; that of another one is ignored.
            amounts: By value.
        """
        if self._span is None or self._span.start_s != start_s:
            return
        for value, amount in amounts.items():
            tally = self._tallies.setdefault(self._slot(value), _Tally())
            tally.used += amount
            self._crossing(value, tally)

    def states(self, spans: Mapping[Window, Span]) -> Iterator[TallyState]:
        """Yield every tally; changes nothing, and may be called in any thread."""
        for value, tally in () if self._is_over(spans) else list(self._tallies.items()):
            yield TallyState(value, tally.used, tally.reserved)

    def ratio_of(self, state: TallyState) -> float:
        """Return what share of the limit a tally is, with what is in flight as in rule 3."""
        return self._level(state) / self.budget.limit

    def fullest_ratio(self, spans: Mapping[Window, Span]) -> float:
        """Return the share of the fullest tally, 0 where there is none."""
        return max(map(self.ratio_of, self.states(spans)), default=0.0)

    def _is_over(self, spans: Mapping[Window, Span]) -> bool:
        """Return whether a later window than the present one has begun."""
        window = self.budget.window
        if window is None or self._span is None:
            return False
        return spans[window].start_s > self._span.start_s

    def _slot(self, value: str) -> str:
        has_room = len(self._tallies) < self._limit or value in self._tallies
        return value if has_room else OTHERS

    def _level(self, tally: _Tally | TallyState) -> int:
        counts_flying = self.budget.counts in (Counted.REQUESTS, Counted.CONCURRENCY)
        return tally.used + (tally.reserved if counts_flying else 0)

    def _percent(self, tally: _Tally) -> int:
        return self._level(tally) * 100 // self.budget.limit

    def _crossing(self, value: str, tally: _Tally) -> Crossing | None:
        """Return the highest threshold that was crossed and not told yet."""
        percent = self._percent(tally)
        crossed = [each for each in THRESHOLDS_PERCENT if tally.told_percent < each <= percent]
        if not crossed:
            return None
        tally.told_percent = crossed[-1]
        return Crossing(self.budget, value, crossed[-1], self._level(tally))
