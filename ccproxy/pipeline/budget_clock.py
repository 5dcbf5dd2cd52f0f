"""The windows of budgets by this machine's clock and calendar."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from routing.budget_book import Span, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

MINUTE_S = 60.0


class BudgetClock:
    """Says which windows run; looks at the calendar once a minute."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._spans: Mapping[Window, Span] = {}

    def spans(self, now_s: float) -> Mapping[Window, Span]:
        """Return the windows that run at a Unix time.

        Days and months are those of local time; where it is set forward or back, a day is shorter
        or longer.
        """
        spans = self._spans
        minute = spans.get(Window.MINUTE)
        if minute is None or not minute.start_s <= now_s < minute.end_s:
            spans = self._spans = spans_at(now_s)
        return spans


def spans_at(now_s: float) -> dict[Window, Span]:
    """Return the windows that run at a Unix time, in the local time zone."""
    minute_s = now_s // MINUTE_S * MINUTE_S
    # Without a zone: the calendar's arithmetic, and `timestamp` reads it as local time.
    midnight = datetime.fromtimestamp(now_s).replace(  # noqa: DTZ006
        hour=0, minute=0, second=0, microsecond=0, fold=0
    )
    first = midnight.replace(day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)
    next_day = midnight + timedelta(days=1)
    return {
        Window.MINUTE: Span(minute_s, minute_s + MINUTE_S),
        Window.DAY: Span(midnight.timestamp(), next_day.timestamp()),
        Window.MONTH: Span(first.timestamp(), next_month.timestamp()),
    }
