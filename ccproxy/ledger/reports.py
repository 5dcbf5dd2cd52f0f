"""What was used, by whom, and what failed: read for people.

Sums come from `hourly`, so a period is of whole hours and thrown-away rows still count; single
requests and attempts come from their rows, for as long as they are kept. Every function takes a
connection of `reading` and leaves the database as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from ccproxy.ledger.tables import MS_PER_HOUR, SUMS, attempts, dimensions, hourly, requests
from ccproxy.ports import ANSWERED, UNFINISHED, Ending
from routing.savings import SavingsSums
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from sqlalchemy import Connection, Select

    Sums: TypeAlias = dict[str, Any]

MESSAGES: Final = "messages"
LEFT_ALONE: Final = "left_alone"
FAILED: Final = (Ending.FAILED, Ending.BROKEN)
LEFT: Final = (Ending.CLIENT_GONE, Ending.TAKEN_OVER)


class By(StrEnum):
    """What usage is told apart by."""

    AGENT = "agent"
    CATEGORY = "category"
    MODEL = "model"
    REQUESTED_MODEL = "requested_model"
    DEPLOYMENT = "deployment"
    ROUTE = "route"
    TIER = "tier"
    PRINCIPAL = "principal"
    PROJECT = "project"
    REQUEST_CLASS = "request_class"
    DAY = "day"


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


def usage(connection: Connection, by: Sequence[By], scope: Scope) -> list[Sums]:
    """Return sums, a row for each combination: its names, then `SUMS` and `COUNTS`.

    Ordered by cost, then tokens, then requests, the most first; by day where days are told apart.
    A day is one of this machine's local time.
    """
    keys = [each for each in by if each is not By.DAY]
    columns = [_COLUMNS[each].label(each.value) for each in keys]
    if By.DAY in by:
        columns.append(hourly.c.hour.label("hour"))
    question = _of_hours(scope, *columns, *_sums()).group_by(*columns)
    rows = _rows(connection, question)
    if By.DAY in by:
        rows = _by_day(rows, by)
    # Without anything to tell apart there is one row, of nothing where there is nothing.
    rows = [row for row in rows if row["requests"]]
    rows.sort(key=_spent_most)
    if By.DAY in by:
        rows.sort(key=lambda row: row["day"])
    return [{key: row[key] for key in (*by, *SUMS, *COUNTS)} for row in rows]


def savings(connection: Connection, scope: Scope) -> SavingsSums:
    """Return what `routing.savings` tells savings from.

    Where some answers of an hour, alike in everything that requests are told apart by, could be
    compared and some could not, the cost of all of them is subtracted.
    """
    is_compared = hourly.c.compared > 0
    is_not_claude = dimensions.c.route != Side.CLAUDE.value
    question = _of_hours(
        scope,
        func.sum(hourly.c.compared),
        func.sum(hourly.c.would_cost_low_microusd),
        func.sum(hourly.c.would_cost_microusd),
        func.sum(hourly.c.would_cost_high_microusd),
        func.sum(case((is_compared, hourly.c.cost_microusd), else_=0)),
        func.sum(case((is_compared, 0), else_=hourly.c.wasted_microusd)),
        func.sum(case((is_not_claude, hourly.c.answers - hourly.c.compared), else_=0)),
        func.sum(case((is_not_claude, hourly.c.unpriced), else_=0)),
    )
    numbers = [max(0, int(each or 0)) for each in connection.execute(question).one()]
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
            attempts.c.result.not_in((ANSWERED, UNFINISHED, LEFT_ALONE)),
            *_limits(scope),
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
            *_limits(scope),
        )
        .order_by(requests.c.at_ms.desc(), requests.c.id.desc())
        .limit(limit)
    )
    return _rows(connection, question)


def _rows(connection: Connection, question: Select[Any]) -> list[Sums]:
    return [
        {key: int(value) if isinstance(value, Decimal) else value for key, value in row.items()}
        for row in connection.execute(question).mappings()
    ]


def _of_hours(scope: Scope, *columns: ColumnElement[Any]) -> Select[Any]:
    first, end = scope.since_ms // MS_PER_HOUR, -(-scope.until_ms // MS_PER_HOUR)
    return (
        select(*columns)
        .select_from(hourly)
        .join(dimensions, dimensions.c.id == hourly.c.dimension_id)
        .where(hourly.c.hour >= first, hourly.c.hour < end, *_limits(scope))
    )


def _limits(scope: Scope) -> Iterable[ColumnElement[bool]]:
    if scope.endpoint is not None:
        yield dimensions.c.endpoint == scope.endpoint
    for by, value in scope.only.items():
        yield _COLUMNS[by] == value


def _between(at_ms: ColumnElement[Any], scope: Scope) -> ColumnElement[bool]:
    return and_(at_ms >= scope.since_ms, at_ms < scope.until_ms)


def _sums() -> Iterable[ColumnElement[Any]]:
    for name in SUMS:
        yield func.sum(hourly.c[name]).label(name)
    for name, endings in (("failed", FAILED), ("refused", (Ending.REFUSED,)), ("left", LEFT)):
        yield func.sum(case((hourly.c.ending.in_(endings), hourly.c.requests), else_=0)).label(name)


def _by_day(rows: Sequence[Sums], by: Sequence[By]) -> list[Sums]:
    """Return rows of hours added up to days."""
    days: dict[tuple[str, ...], Sums] = {}
    for row in rows:
        row["day"] = _local_day(row["hour"])
        known = days.setdefault(tuple(row[each] for each in by), row)
        if known is not row:
            for name in (*SUMS, *COUNTS):
                known[name] += row[name]
    return list(days.values())


def _local_day(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600).astimezone().date().isoformat()


def _spent_most(row: Sums) -> tuple[int, ...]:
    tokens = row["input_tokens"] + row["output_tokens"]
    return (-row["cost_microusd"], -tokens, -row["requests"])
