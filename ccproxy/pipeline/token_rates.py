"""Requests per minute that a token is limited to (`token create --rate`).

Counted as a budget of requests is (`routing.budget_book`): by the minute of the clock, in this
process, from nothing at its start. An edit of the tokens file takes effect with the next request.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from ccproxy.pipeline.budget_clock import BudgetClock
from ccproxy.pipeline.budget_words import refusal
from routing.budget_book import Book, Budget, BudgetScope, Counted, OnReach, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.auth import Principal

MOST_BOOKS: Final = 10_000
"""Beyond so many names the counting of the oldest begins again."""


class TokenRates:
    """Used on the event loop."""

    def __init__(self, clock: Callable[[], float] = time) -> None:
        """Begin with nothing used; `clock` gives Unix seconds."""
        self._clock = clock
        self._windows = BudgetClock()
        self._books: dict[str, Book] = {}

    def take(self, principal: Principal) -> None:
        """Count one request.

        Raises:
            ApiError: 429 with `retry-after`; there were as many as there may be in this minute.
        """
        limit = principal.requests_per_minute
        if limit is None:
            return
        now_s = self._clock()
        spans = self._windows.spans(now_s)
        book = self._book(principal.name, limit)
        book.turn_to(spans)
        reached = book.reached(principal.name, spans)
        if reached is not None:
            raise refusal(reached, now_s)
        book.hold(principal.name, 1)

    def _book(self, name: str, limit: int) -> Book:
        book = self._books.get(name)
        if book is None or book.budget.limit != limit:
            if len(self._books) >= MOST_BOOKS:
                del self._books[next(iter(self._books))]
            budget = Budget(
                f"token rate of {name}",
                BudgetScope.PRINCIPAL,
                name,
                Counted.REQUESTS,
                Window.MINUTE,
                limit,
                OnReach.REFUSE,
            )
            book = self._books[name] = Book(budget)
        return book
