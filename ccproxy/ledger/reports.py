"""What was used, by whom, and what failed: read for people.

Sums come from `daily` and `hourly`, so a period is of whole hours and thrown-away rows still count;
single requests and attempts come from their rows, for as long as they are kept. Every function
takes a connection of `reading` and leaves the database as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from ccproxy.ledger.tables import (
    HOURS_PER_DAY,
    MS_PER_HOUR,
    SUMS,
    attempts,
    daily,
    dimensions,
    hourly,
    requests,
)
from ccproxy.ledger.words import By
from ccproxy.outcome import ANSWERED, UNFINISHED, Ending
from routing.savings import SavingsSums
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from sqlalchemy import Connection, Select, Table

    Sums: TypeAlias = dict[str, Any]

__all__ = ["MESSAGES", "By", "Scope", "failed_attempts", "failed_requests", "savings", "usage"]

MESSAGES: Final = "messages"
LEFT_ALONE: Final = "left_alone"
OVER_BUDGET: Final = "over_budget"
FAILED: Final = (Ending.FAILED, Ending.BROKEN)
LEFT: Final = (Ending.CLIENT_GONE, Ending.TAKEN_OVER)


_COLUMNS: Final[Mapping[By, ColumnElement[Any]]] = {
    by: dimensions.c["upstream_model" if by is By.MODEL else by.value]
    for by in By
    if by is not By.DAY
}
FILTERS: Final = tuple(by for by in By if by is not By.DAY)
"""What requests can be limited to."""
COUNTS: Final = ("failed", "refused", "left")
"""Beside `SUMS`: requests that failed or broke off, that the proxy refused, whose client left."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests are looked at."""

    since_ms: int
    """Unix time in milliseconds; for sums the whole hour that it is in counts."""
    until_ms: int
    """Likewise, excluded; of an hour that began before it, all counts."""
    only: Mapping[By, str]
    """Limits; several must all hold."""
    endpoint: str | None = MESSAGES
    """None: counting tokens and the rest of the API too."""

    def limits(self) -> Iterable[ColumnElement[bool]]:
        """Yield what must hold of `dimensions`."""
        if self.endpoint is not None:
            yield dimensions.c.endpoint == self.endpoint
        for by, value in self.only.items():
            yield _COLUMNS[by] == value


def usage(connection: Connection, by: Sequence[By], scope: Scope) -> list[Sums]:
    """Return sums, a row for each combination: its names, then `SUMS` and `COUNTS`.

    Ordered by cost, then tokens, then requests, the most first; by day where days are told apart.
    A day is one of this machine's local time.
    """
    names = [each for each in by if each is not By.DAY]
    columns = [_COLUMNS[each].label(each.value) for each in names]
    by_day = By.DAY in by
    rows: list[Sums] = []
    for part in _parts(scope, in_hours=by_day and not _is_utc()):
        keys = [*columns, part.hour.label("hour")] if by_day else columns
        rows += _rows(connection, part.question(*keys, *_sums(part.table)).group_by(*keys))
    for row in rows if by_day else ():
        row["day"] = _local_day(row["hour"])
    rows = _merged(rows, by)
    rows.sort(key=_spent_most)
    if by_day:
        rows.sort(key=lambda row: row["day"])
    return [{key: row[key] for key in (*by, *SUMS, *COUNTS)} for row in rows]


def savings(connection: Connection, scope: Scope) -> SavingsSums:
    """Return what `routing.savings` tells savings from.

    Where some answers of an hour, alike in everything that requests are told apart by, could be
    compared and some could not, the cost of all of them is subtracted.
    """
    numbers = [0] * len(fields(SavingsSums))
    for part in _parts(scope):
        row = connection.execute(part.question(*_of_savings(part.table))).one()
        numbers = [known + max(0, int(more or 0)) for known, more in zip(numbers, row, strict=True)]
    return SavingsSums(*numbers)


def failed_attempts(connection: Connection, scope: Scope) -> list[Sums]:
    """Return how often what failed where, the most often first.

    Each is `{"result", "deployment", "attempts", "requests", "wasted_microusd", "unpriced",
    "last_ms"}`.
    """
    question = (
        select(
            attempts.c.result,
            dimensions.c.deployment,
            func.count().label("attempts"),
            func.count(attempts.c.request_id.distinct()).label("requests"),
            func.coalesce(func.sum(attempts.c.cost_microusd), 0).label("wasted_microusd"),
            func.sum(case((attempts.c.cost_microusd.is_(None), 1), else_=0)).label("unpriced"),
            func.max(attempts.c.at_ms).label("last_ms"),
        )
        .join(dimensions, dimensions.c.id == attempts.c.dimension_id)
        .where(
            _between(attempts.c.at_ms, scope),
            attempts.c.result.not_in((ANSWERED, UNFINISHED, LEFT_ALONE, OVER_BUDGET)),
            *scope.limits(),
        )
        .group_by(attempts.c.result, dimensions.c.deployment)
        .order_by(func.count().desc(), attempts.c.result, dimensions.c.deployment)
    )
    return _rows(connection, question)


def failed_requests(connection: Connection, scope: Scope, limit: int) -> list[Sums]:
    """Return requests that failed, broke off or needed more than one attempt, newest first.

    Each is `{"at_ms", "request_id", "agent", "principal", "deployment", "status", "ending",
    "failure"}`; `failure` is that of the last attempt that failed.
    """
    question = (
        select(
            requests.c.at_ms,
            requests.c.request_id,
            dimensions.c.agent,
            dimensions.c.principal,
            dimensions.c.deployment,
            requests.c.status,
            requests.c.ending,
            requests.c.failure,
        )
        .join(dimensions, dimensions.c.id == requests.c.dimension_id)
        .where(
            _between(requests.c.at_ms, scope),
            or_(requests.c.failure.not_in(("", UNFINISHED)), requests.c.ending.in_(FAILED)),
            *scope.limits(),
        )
        .order_by(requests.c.at_ms.desc(), requests.c.id.desc())
        .limit(limit)
    )
    return _rows(connection, question)


def _rows(connection: Connection, question: Select[Any]) -> list[Sums]:
    found = connection.execute(question)
    names = [str(name) for name in found.keys()]  # noqa: SIM118 - not a dict's
    return [
        {
            name: int(value) if isinstance(value, Decimal) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in found
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """A table of sums, and which of its rows are asked for."""

    table: Table
    hour: ColumnElement[int]
    """The hour with which a row begins."""
    limits: tuple[ColumnElement[bool], ...]

    def question(self, *columns: ColumnElement[Any]) -> Select[Any]:
        """Return a question about these rows, with their dimensions."""
        of_row = dimensions.c.id == self.table.c.dimension_id
        return select(*columns).select_from(self.table).join(dimensions, of_row).where(*self.limits)


def _parts(scope: Scope, *, in_hours: bool = False) -> Iterable[_Part]:
    """Yield what a period is made of: days, in UTC, and the hours that are left at either end."""
    first, end = scope.since_ms // MS_PER_HOUR, -(-scope.until_ms // MS_PER_HOUR)
    limits = tuple(scope.limits())
    hour, day = hourly.c.hour, daily.c.day
    first_day, end_day = -(-first // HOURS_PER_DAY), end // HOURS_PER_DAY
    if in_hours or first_day >= end_day:
        yield _Part(hourly, hour, (hour >= first, hour < end, *limits))
        return
    begin, rest = first_day * HOURS_PER_DAY, end_day * HOURS_PER_DAY
    yield _Part(daily, day * HOURS_PER_DAY, (day >= first_day, day < end_day, *limits))
    for since, until in ((first, begin), (rest, end)):
        if since < until:
            yield _Part(hourly, hour, (hour >= since, hour < until, *limits))


def _between(at_ms: ColumnElement[Any], scope: Scope) -> ColumnElement[bool]:
    return and_(at_ms >= scope.since_ms, at_ms < scope.until_ms)


def _sums(table: Table) -> Iterable[ColumnElement[Any]]:
    for name in SUMS:
        yield func.sum(table.c[name]).label(name)
    for name, endings in (("failed", FAILED), ("refused", (Ending.REFUSED,)), ("left", LEFT)):
        yield func.sum(case((table.c.ending.in_(endings), table.c.requests), else_=0)).label(name)


def _of_savings(table: Table) -> Iterable[ColumnElement[Any]]:
    """Yield the fields of `SavingsSums`, in their order."""
    sums = table.c
    is_compared = sums.compared > 0
    is_not_claude = dimensions.c.route != Side.CLAUDE.value
    yield func.sum(sums.compared)
    yield func.sum(sums.would_cost_low_microusd)
    yield func.sum(sums.would_cost_microusd)
    yield func.sum(sums.would_cost_high_microusd)
    yield func.sum(case((is_compared, sums.cost_microusd), else_=0))
    yield func.sum(case((is_compared, 0), else_=sums.wasted_microusd))
    yield func.sum(case((is_not_claude, sums.answers - sums.compared), else_=0))
    yield func.sum(case((is_not_claude, sums.unpriced), else_=0))


def _merged(rows: Sequence[Sums], by: Sequence[By]) -> list[Sums]:
    """Return rows of the same names added up; rows of nothing are left out."""
    merged: dict[tuple[str, ...], Sums] = {}
    for row in rows:
        if not row["requests"]:  # what sums over nothing come to
            continue
        known = merged.setdefault(tuple([row[each] for each in by]), row)
        if known is not row:
            for name in (*SUMS, *COUNTS):
                known[name] += row[name]
    return list(merged.values())


def _is_utc() -> bool:
    """Return whether days here are those of `daily`."""
    return time.timezone == 0 and not time.daylight


def _local_day(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600).astimezone().date().isoformat()


def _spent_most(row: Sums) -> tuple[int, ...]:
    tokens = row["input_tokens"] + row["output_tokens"]
    return (-row["cost_microusd"], -tokens, -row["requests"])
