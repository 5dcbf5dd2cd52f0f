"""The budgets of a running proxy: asked before anything is tried, told of everything that ended.

Rules, besides those of `routing.budgets` and `budget_demand`:

1. Until the ledger has said what was spent before this process began, requests wait if a budget has
   a window, until `RESTORE_WAIT_S` after the start at most. Then budgets count from nothing, which
   the log says, and what the ledger says later is added.
2. Counting tokens is free and concerns no budget. A new batch is refused where a budget would
   refuse its caller's message to Claude; what it uses is not known here, and not counted.
3. A budget that is reached and refuses nothing leaves a note: `budget_reached` where it warns,
   `budget_local_only` where nothing may leave the host for it, `budget_skipped` where it took a
   deployment out of the plan.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ccproxy.pipeline.budget_clock import BudgetClock, spans_at
from ccproxy.pipeline.budget_demand import amounts_of, caller_of, demand_of, spending_of
from ccproxy.pipeline.budget_verdict import narrowed, notes_of
from ccproxy.pipeline.budget_words import amount, refusal, whose_words
from ccproxy.ports import AttemptFailed
from routing.budget_book import Counted
from routing.budgets import Budgets, Candidate, Demand, Spending
from routing.failures import FailureClass
from routing.policies import MICRO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ccproxy.outcome import Outcome, Routed
    from ccproxy.pipeline.decide import RoutingState
    from ccproxy.pipeline.request import MessagesRequest
    from ccproxy.rows import RequestRow, SpentSum
    from ccproxy.wire.errors import ApiError
    from routing.budget_book import Book, Budget, BudgetScope, Crossing, Reached, Span, Window
    from routing.types import Plan

RESTORE_WAIT_S: Final = 5.0
TALLIES_TOLD: Final = 100
"""Of each budget, those that are fullest."""
_log = logging.getLogger(__name__)


class SpendingSource(Protocol):
    """Whoever remembers what was spent; may block."""

    def spent_since(
        self, scope: BudgetScope, since_ms: int, until_ms: int
    ) -> Mapping[str, SpentSum]:
        """Return what was spent in a while, by whom; see `ccproxy.ledger.spending`."""
        ...


class Restored(NamedTuple):
    """What was spent of one budget before this process began."""

    name: str
    start_s: float
    """When the window began in which it was."""
    spent: Mapping[str, SpentSum]


def _unheard(*_said: object) -> None:
    """Hear nothing."""


@dataclass(frozen=True, slots=True)
class BudgetEvents:
    """Who hears of budgets; called on the event loop."""

    refused: Callable[[str], None] = _unheard
    """A budget's name: it refused a request."""
    diverted: Callable[[str], None] = _unheard
    """Likewise: it kept a request on the host, or took a deployment out of its plan."""
    crossed: Callable[[str, int], None] = _unheard
    """Name and percent: a threshold was crossed, once in each window and for each whom it counts
    apart."""
    on_threshold: Callable[[str, float, float], None] = _unheard
    """For alerts, at the same moments: name and whose it is in words, used, limit (in dollars
    where money is counted)."""


UNHEARD: Final = BudgetEvents()


class BudgetGuard:
    """Holds the budgets of one process.

    Used on the event loop; `read`, `peek`, `status` and `used_ratios` in any thread.
    """

    def __init__(
        self,
        budgets: Sequence[Budget],
        state: Callable[[], RoutingState],
        *,
        events: BudgetEvents = UNHEARD,
        clock: Callable[[], float] = time,
        restore_wait_s: float = RESTORE_WAIT_S,
    ) -> None:
        """Begin with nothing used.

        Args:
            budgets: From the settings.
            state: Returns what is in force.
            events: Who hears of what happens.
            clock: Unix seconds.
            restore_wait_s: See rule 1.
        """
        self._restore_wait_s = restore_wait_s
        self._budgets = Budgets(budgets)
        self._state = state
        self._events = events
        self._clock = clock
        self._windows = BudgetClock()
        self._is_restored = asyncio.Event()
        self._began_at_s = clock()
        self._began_spans: Mapping[Window, Span] = self._windows.spans(self._began_at_s)
        self._waits_until = 0.0
        self._counted_from_nothing = False
        self.refusals = dict.fromkeys((each.name for each in budgets), 0)
        """How many requests each budget refused."""
        if not self.needs_restoring:
            self._is_restored.set()

    @property
    def needs_restoring(self) -> bool:
        """Whether any budget counts what was before this process."""
        return any(book.budget.window is not None for book in self._budgets.books)

    @property
    def is_restored(self) -> bool:
        """Whether what was spent before this process is counted."""
        return self._is_restored.is_set()

    def begin(self) -> None:
        """From now on requests may have to wait (rule 1)."""
        self._began_at_s = self._clock()
        self._began_spans = self._windows.spans(self._began_at_s)
        self._waits_until = monotonic() + self._restore_wait_s

    def read(self, source: SpendingSource) -> Sequence[Restored]:
        """Ask what was spent before `begin`; for `restore`. May block, and be called in any thread.

        Raises:
            Exception: Whatever the source raises.
        """
        until_ms = int(self._began_at_s * 1000)
        answers: dict[tuple[BudgetScope, int], Mapping[str, SpentSum]] = {}
        found = []
        for book in self._budgets.books:
            budget = book.budget
            if budget.window is None:
                continue
            start_s = self._began_spans[budget.window].start_s
            question = (budget.scope, int(start_s * 1000))
            if question not in answers:
                answers[question] = source.spent_since(*question, until_ms)
            found.append(Restored(budget.name, start_s, answers[question]))
        return found

    def restore(self, found: Iterable[Restored]) -> None:
        """Count what was spent before; once."""
        if self._is_restored.is_set():
            return
        prices = self._state().table.prices
        self._budgets.turn_to(self._spans())
        for name, start_s, spent in found:
            used = {whose: amounts_of(each, prices) for whose, each in spent.items()}
            self._budgets.restore(name, start_s, used)
        self._is_restored.set()

    async def admit(self, plan: Plan, request: MessagesRequest, outcome: Outcome) -> Plan:
        """Return what of a plan may be tried; its use is reserved until `settle`.

        Raises:
            ApiError: 429; a budget refuses the request.
        """
        routed = outcome.routed
        if not self._budgets.books or request.counting or routed is None or routed.match is None:
            return plan
        await self._until_restored()
        state = self._state()
        demand = demand_of(
            routed.facts, routed.match, plan, state, request.body, request.decoded_body
        )
        verdict = self._budgets.admit(outcome.request_id, demand, self._spans())
        self._hear(verdict.crossings)
        outcome.notes.extend(notes_of(verdict))
        if verdict.refused is not None:
            raise self._refusal(verdict.refused)
        for name in {each.budget.name for each in verdict.skipped.values()}:
            self._events.diverted(name)
        request.local_only = request.local_only or verdict.local_only is not None
        routed.plan = narrowed(plan, verdict)
        return routed.plan

    def peek(self, routed: Routed, body: Mapping[str, Any]) -> Plan | None:
        """Return what would be left of a plan at this moment; nothing is reserved or counted.

        Raises:
            ApiError: As `admit`.
        """
        plan, match = routed.plan, routed.match
        if not self._budgets.books or plan is None or match is None:
            return plan
        demand = demand_of(routed.facts, match, plan, self._state(), body)
        now_s = self._clock()
        verdict = self._budgets.judge(demand, spans_at(now_s))
        if verdict.refused is not None:
            raise refusal(verdict.refused, now_s)
        return narrowed(plan, verdict)

    def gate(self, outcome: Outcome, project: str | None) -> None:
        """Refuse what costs money at Claude and is not looked into (rule 2).

        Args:
            outcome: With principal, agent and deployment.
            project: As the client says.

        Raises:
            ApiError: 429; a budget refuses it.
        """
        caller = caller_of(outcome.principal, project, outcome.agent)
        demand = Demand(caller, 0, (Candidate(outcome.deployment, False, 1),))
        verdict = self._budgets.judge(demand, self._spans())
        if verdict.refused is not None:
            outcome.notes.extend(notes_of(verdict))
            raise self._refusal(verdict.refused)

    def attempt(self, request_id: str, deployment: str) -> AttemptFailed | None:
        """Reserve for an attempt; return why it may not be made, if a budget was reached by now."""
        reached, crossings = self._budgets.attempt(request_id, deployment, self._spans())
        self._hear(crossings)
        if reached is None:
            return None
        self._events.diverted(reached.budget.name)
        said = refusal(reached, self._clock())
        return AttemptFailed(
            FailureClass.RATE_LIMIT, said.message, retry_after_s=said.retry_after_s
        )

    def settle(self, row: RequestRow) -> None:
        """Count what a finished request has used. Never raises for one that was not admitted."""
        demand = self._budgets.demand_of(row.request_id)
        if demand is not None:
            spending = spending_of(row, demand, self._state().table.prices)
            self._hear(self._budgets.settle(row.request_id, spending))

    def record(self, outcome: Outcome) -> None:
        """Let go of a finished request of which no row came; see `ports.OutcomeSink`.

        Only a bug gets there, but what it held of a limit on concurrency would be held for ever.
        """
        self._budgets.settle(outcome.request_id, Spending())

    def status(self) -> dict[str, Any]:
        """Return `{"restored", "budgets"}`, JSON-ready.

        A budget has `name`, `scope`, `value`, `counts`, `window`, `limit`, `on_reach` (as in the
        file, but `limit`, `used` and `reserved` of money in microdollars), `opens_at` (ISO 8601 or
        null), `used_ratio` (of the fullest), `refusals` since the start, and `tallies`: `value`,
        `used`, `reserved`, `used_ratio`, fullest first, `TALLIES_TOLD` at most.
        """
        spans = spans_at(self._clock())
        return {
            "restored": self.is_restored,
            "budgets": [self._told(book, spans) for book in self._budgets.books],
        }

    def used_ratios(self) -> Mapping[str, float]:
        """Return what share of each budget is used, of several tallies the fullest, by name."""
        spans = spans_at(self._clock())
        return {book.budget.name: book.fullest_ratio(spans) for book in self._budgets.books}

    async def _until_restored(self) -> None:
        if self._is_restored.is_set():
            return
        left_s = self._waits_until - monotonic()
        if left_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._is_restored.wait()
                    return
        if not self._counted_from_nothing:
            self._counted_from_nothing = True
            _log.warning(
                "budgets: the ledger has not said what was spent before the start; they count from "
                "nothing until it does"
            )

    def _refusal(self, reached: Reached) -> ApiError:
        self.refusals[reached.budget.name] += 1
        self._events.refused(reached.budget.name)
        return refusal(reached, self._clock())

    def _hear(self, crossings: Iterable[Crossing]) -> None:
        for budget, value, percent, used in crossings:
            name = f"{budget.name}{whose_words(budget, value)}"
            shown = f"{amount(budget, used)} of {amount(budget, budget.limit)}"
            _log.warning("budget %s: %s %% is reached, %s", name, percent, shown)
            self._events.crossed(budget.name, percent)
            unit = MICRO if budget.counts is Counted.USD else 1
            self._events.on_threshold(name, used / unit, budget.limit / unit)

    def _spans(self) -> Mapping[Window, Span]:
        return self._windows.spans(self._clock())

    def _told(self, book: Book, spans: Mapping[Window, Span]) -> dict[str, Any]:
        budget, opens_at = book.budget, None
        if budget.window is not None:
            opens_at = datetime.fromtimestamp(spans[budget.window].end_s, UTC)
        fullest = sorted(
            book.states(spans), key=lambda each: each.used + each.reserved, reverse=True
        )
        return {
            "name": budget.name,
            "scope": budget.scope.value,
            "value": budget.value,
            "counts": budget.counts.value,
            "window": budget.window.value if budget.window is not None else None,
            "limit": budget.limit,
            "on_reach": budget.on_reach.value,
            "opens_at": opens_at.isoformat() if opens_at is not None else None,
            "used_ratio": round(book.fullest_ratio(spans), 6),
            "refusals": self.refusals[budget.name],
            "tallies": [
                {
                    "value": each.value,
                    "used": each.used,
                    "reserved": each.reserved,
                    "used_ratio": round(book.ratio_of(each), 6),
                }
                for each in fullest[:TALLIES_TOLD]
            ],
        }
