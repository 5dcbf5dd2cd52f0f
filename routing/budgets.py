"""Whether a request may be served under the budgets in force, and what it has taken of them.

Pure but for its own books; the caller passes what the clock says, and the estimates. Rules:

1. A request is admitted where no budget that concerns it is reached (`routing.budget_book`), and
   reserves the most it is expected to use in all of them at once. When it has ended, what it really
   used takes the place of that. It belongs to the windows in which it was admitted.
2. So a budget is exceeded by less than the one estimate that was admitted last, plus whatever
   requests use beyond their own estimates; how many there are at a time does not matter.
3. Reached, a budget warns, leaves only deployments on this host, or refuses. Where none is left for
   `local_only`, it refuses. Of several that refuse, the one is told that stands longest.
4. A budget of money does not concern a request none of whose candidates costs anything.
5. A deployment's budget concerns the attempts at it. Reached, it takes the deployment out of the
   plan; it is asked again before each attempt, and there the attempt reserves. A request uses a
   deployment's concurrency until its next attempt.
6. A request is settled once; to settle it again, or one that was never admitted, does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from routing.budget_book import TALLIES_LIMIT, Book, BudgetScope, Counted, OnReach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from routing.budget_book import Budget, Crossing, Hold, Reached, Span, Window


class Caller(NamedTuple):
    """Who asks; empty where there is none."""

    principal: str = ""
    project: str = ""
    agent: str = ""


class Candidate(NamedTuple):
    """One deployment of a request's plan."""

    deployment: str
    stays_on_host: bool
    most_microusd: int
    """The most that an attempt at it is expected to cost."""


class Demand(NamedTuple):
    """What a request may use."""

    caller: Caller
    most_tokens: int
    candidates: tuple[Candidate, ...]
    """In the plan's order; not empty."""


class Amounts(NamedTuple):
    """What was used."""

    requests: int = 0
    tokens: int = 0
    microusd: int = 0


NOTHING: Final = Amounts()


@dataclass(frozen=True, slots=True)
class Spending:
    """What a finished request has used."""

    total: Amounts = NOTHING
    by_deployment: Mapping[str, Amounts] = field(default_factory=dict)
    """Of its attempts; here a request is one attempt."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What budgets say of a request."""

    kept: tuple[str, ...]
    """Deployments that may be tried, in the plan's order; empty exactly where it is refused."""
    refused: Reached | None = None
    skipped: Mapping[str, Reached] = field(default_factory=dict)
    """Deployments that may not, and why."""
    local_only: Reached | None = None
    """Why nothing may leave the host, if that is so."""
    warned: tuple[Reached, ...] = ()
    crossings: tuple[Crossing, ...] = ()


@dataclass(slots=True)
class _Held:
    book: Book
    whose: str
    hold: Hold
    is_released: bool = False


@dataclass(slots=True)
class _Open:
    """A request in flight."""

    demand: Demand
    held: list[_Held] = field(default_factory=list)


class Budgets:
    """The budgets in force and what has been used of them."""

    def __init__(self, budgets: Iterable[Budget], tallies_limit: int = TALLIES_LIMIT) -> None:
        """Begin with nothing used. Names are unique; `tallies_limit` is for each budget."""
        self._books = {each.name: Book(each, tallies_limit) for each in budgets}
        books = tuple(self._books.values())
        self._of_callers = tuple(b for b in books if not _is_of_deployment(b.budget))
        self._of_deployments = tuple(b for b in books if _is_of_deployment(b.budget))
        self._open: dict[str, _Open] = {}

    @property
    def books(self) -> Sequence[Book]:
        """Every budget's book, in the order of the budgets."""
        return tuple(self._books.values())

    @property
    def in_flight(self) -> int:
        """How many requests were admitted and are not settled."""
        return len(self._open)

    def turn_to(self, spans: Mapping[Window, Span]) -> None:
        """Begin every window that it is time for."""
        for book in self._books.values():
            book.turn_to(spans)

    def judge(self, demand: Demand, spans: Mapping[Window, Span]) -> Verdict:
        """Return what `admit` would; changes nothing, and may be called in any thread."""
        reached = [
            found
            for book in self._of_callers
            if (whose := _whose(book.budget, demand.caller)) is not None
            and not (_is_money(book.budget) and _is_free(demand.candidates))
            and (found := book.reached(whose, spans)) is not None
        ]
        refusing = [each for each in reached if each.budget.on_reach is OnReach.REFUSE]
        if refusing:
            return Verdict((), _standing_longest(refusing))
        restricting = [each for each in reached if each.budget.on_reach is OnReach.LOCAL_ONLY]
        local_only = _standing_longest(restricting) if restricting else None
        warned = [each for each in reached if each.budget.on_reach is OnReach.WARN]
        kept: list[str] = []
        skipped: dict[str, Reached] = {}
        for candidate in demand.candidates:
            if local_only is not None and not candidate.stays_on_host:
                skipped[candidate.deployment] = local_only
                continue
            of_it = self._reached_at(candidate, spans)
            why = [each for each in of_it if each.budget.on_reach is not OnReach.WARN]
            if why:
                skipped[candidate.deployment] = _standing_longest(why)
                continue
            warned.extend(of_it)
            kept.append(candidate.deployment)
        refused = None if kept else _standing_longest(skipped.values())
        return Verdict(tuple(kept), refused, skipped, local_only, tuple(dict.fromkeys(warned)))

    def admit(self, request_id: str, demand: Demand, spans: Mapping[Window, Span]) -> Verdict:
        """Decide about a request and, unless it is refused, reserve what it may use.

        Args:
            request_id: Unique among the requests in flight.
            demand: Of its plan.
            spans: The windows of this moment, all of them.
        """
        self.turn_to(spans)
        verdict = self.judge(demand, spans)
        if verdict.refused is not None:
            return verdict
        left = tuple(each for each in demand.candidates if each.deployment in verdict.kept)
        record = self._open[request_id] = _Open(demand._replace(candidates=left))
        most = Amounts(1, demand.most_tokens, max(each.most_microusd for each in left))
        crossings = []
        for book in self._of_callers:
            whose = _whose(book.budget, demand.caller)
            if whose is not None:
                crossings.append(_reserve(record, book, whose, most))
        return Verdict(
            verdict.kept,
            None,
            verdict.skipped,
            verdict.local_only,
            verdict.warned,
            tuple(each for each in crossings if each is not None),
        )

    def attempt(
        self, request_id: str, deployment: str, spans: Mapping[Window, Span]
    ) -> tuple[Reached | None, tuple[Crossing, ...]]:
        """Reserve for an attempt, unless a budget of the deployment is reached by now.

        Returns:
            That budget, or None if the attempt may be made; and what was crossed.
        """
        record = self._open.get(request_id)
        if record is None or not self._of_deployments:
            return None, ()
        self.turn_to(spans)
        for held in record.held:
            if _is_of_deployment(held.book.budget) and held.book.budget.window is None:
                _release(held)
        candidate = next(each for each in record.demand.candidates if each.deployment == deployment)
        why = [
            each
            for each in self._reached_at(candidate, spans)
            if each.budget.on_reach is not OnReach.WARN
        ]
        if why:
            return _standing_longest(why), ()
        most = Amounts(1, record.demand.most_tokens, candidate.most_microusd)
        crossings = [
            _reserve(record, book, deployment, most)
            for book in self._of_deployments
            if book.budget.value_for(deployment) is not None
        ]
        return None, tuple(each for each in crossings if each is not None)

    def demand_of(self, request_id: str) -> Demand | None:
        """Return what a request in flight may use, of the candidates that were left to it."""
        record = self._open.get(request_id)
        return record.demand if record is not None else None

    def settle(self, request_id: str, spending: Spending) -> tuple[Crossing, ...]:
        """Put what a request has used in the place of what it had reserved."""
        record = self._open.pop(request_id, None)
        if record is None:
            return ()
        used: dict[tuple[str, str], _Held] = {}
        for held in record.held:
            _release(held)
            used.setdefault((held.book.budget.name, held.whose), held)
        crossings = []
        for held in used.values():
            budget, amounts = held.book.budget, spending.total
            if _is_of_deployment(budget):
                amounts = spending.by_deployment.get(held.whose, NOTHING)
            crossings.append(held.book.spend(held.hold, _counted(budget, amounts)))
        return tuple(each for each in crossings if each is not None)

    def restore(self, name: str, start_s: float, used: Mapping[str, Amounts]) -> None:
        """Add what was used of a budget before this process began; see `Book.restore`.

        Args:
            name: The budget's.
            start_s: When the window began in which that was.
            used: By principal, project, agent or deployment; by "" for the scope `total`.
        """
        book = self._books[name]
        budget = book.budget
        amounts = {
            value: _counted(budget, each)
            for whose, each in used.items()
            if (value := budget.value_for(whose)) is not None
        }
        book.restore(start_s, amounts)

    def _reached_at(self, candidate: Candidate, spans: Mapping[Window, Span]) -> list[Reached]:
        return [
            found
            for book in self._of_deployments
            if book.budget.value_for(candidate.deployment) is not None
            and not (_is_money(book.budget) and _is_free((candidate,)))
            and (found := book.reached(candidate.deployment, spans)) is not None
        ]


def _is_of_deployment(budget: Budget) -> bool:
    return budget.scope is BudgetScope.DEPLOYMENT


def _is_money(budget: Budget) -> bool:
    return budget.counts is Counted.USD


def _is_free(candidates: Iterable[Candidate]) -> bool:
    return not any(each.most_microusd for each in candidates)


def _whose(budget: Budget, caller: Caller) -> str | None:
    """Return under what value a caller is counted, or None if the budget does not concern it."""
    match budget.scope:
        case BudgetScope.PRINCIPAL:
            return budget.value_for(caller.principal)
        case BudgetScope.PROJECT:
            return budget.value_for(caller.project)
        case BudgetScope.AGENT:
            return budget.value_for(caller.agent)
        case _:
            return budget.value_for("")


def _counted(budget: Budget, amounts: Amounts) -> int:
    match budget.counts:
        case Counted.REQUESTS:
            return amounts.requests
        case Counted.TOKENS:
            return amounts.tokens
        case Counted.USD:
            return amounts.microusd
        case Counted.CONCURRENCY:
            return 0  # nobody is in flight any more


def _reserve(record: _Open, book: Book, whose: str, most: Amounts) -> Crossing | None:
    is_flying = book.budget.counts is Counted.CONCURRENCY
    amount = 1 if is_flying else _counted(book.budget, most)
    hold, crossing = book.hold(whose, amount)
    record.held.append(_Held(book, whose, hold))
    return crossing


def _release(held: _Held) -> None:
    if not held.is_released:
        held.is_released = True
        held.book.release(held.hold)


def _standing_longest(reached: Iterable[Reached]) -> Reached:
    """Return the budget that stands in the way longest; money before others of the same time."""
    return max(
        reached,
        key=lambda each: (not each.is_held, each.opens_at_s or 0.0, _is_money(each.budget)),
    )
