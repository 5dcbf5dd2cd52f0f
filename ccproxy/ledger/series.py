"""The ledger over time, for charts: sums by hour, latencies of recent answers, what failed lately.

Read in the asker's own thread, through a connection of its own, and given up after `LIMIT_S`. Sums
come from `hourly` and reach back to the beginning; latencies and failures come from single rows, of
which the newest `LOOKED_AT` are looked at, so that a large ledger answers as fast as a small one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, func, select, text

from ccproxy.ledger.latencies import LOOKED_AT, answers_of, deployments_of, routes_over_time
from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.period import period_of
from ccproxy.ledger.reading import reading
from ccproxy.ledger.reports import (
    MESSAGES,
    By,
    Scope,
    failed_attempts,
    failed_requests,
    savings,
    usage,
)
from ccproxy.ledger.tables import MS_PER_HOUR, SUMS, attempts, dimensions, hourly
from ccproxy.outcome import Ending
from ccproxy.ports import HistoryUnknownError
from routing.savings import savings_of, told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from ccproxy.ledger.period import Period

LIMIT_S: Final = 10.0
MOST_GROUPS: Final = 50
MOST_LINES: Final = 6
"""Groups that a chart tells apart; the others are one line."""
MOST_RECENT: Final = 100
_SUMS: Final = tuple(map(str, SUMS))
"""Plain texts, which JSON takes as keys; SQLAlchemy's names are a kind of their own."""
_STEPS_BETWEEN_LOOKS: Final = 10_000
"""Instructions of SQLite's machine, about a millisecond."""


class LedgerSeries:
    """Implements `api.dashboard.Series`; every method may take `limit_s`, and blocks."""

    def __init__(self, url: str, *, limit_s: float = LIMIT_S) -> None:
        """Open nothing yet; `url` is an SQLAlchemy URL."""
        self._url = url
        self._limit_s = limit_s

    def usage(self, hours: int, by: str, now_s: float) -> dict[str, Any]:
        """Return what was used, over time and by `by`, one of `reports.By` but for days.

        `{"first_s", "until_s", "step_s", "points", "total", "savings", "groups", "left_out",
        "lines"}`. A point, the total and a group have the sums of `hourly`; a group also `name`. A
        point has `spent_microusd` too, which is to be subtracted from what local answers would
        have cost. `savings` is `{"low_microusd", "expected_microusd", "high_microusd", "told"}`.
        Lines are `{"name", "cost_microusd": [...], "requests": [...]}`, the groups that cost most;
        the last is named None where it stands for the rest.

        Raises:
            HistoryUnknownError: The ledger cannot be read, or takes too long.
        """
        period = period_of(hours, now_s, least_step_s=3600)
        with self._reading() as connection:
            groups = usage(connection, [By(by)], period.scope())
            names = [row[by] for row in groups[:MOST_LINES]]
            points = _points(connection, period)
            saved = savings(connection, period.scope())
            lines = _lines(connection, period, By(by), names)
        return {
            **asdict(period),
            "points": points,
            "total": {name: sum(row[name] for row in groups) for name in _SUMS},
            "savings": {**asdict(savings_of(saved)), "told": told(saved)},
            "by": by,
            "groups": [_plain(row) | {"name": row[by]} for row in groups[:MOST_GROUPS]],
            "left_out": max(0, len(groups) - MOST_GROUPS),
            "lines": lines,
        }

    def latency(self, hours: int, now_s: float) -> dict[str, Any]:
        """Return quantiles of recent answers, seconds, by route over time and by deployment.

        `{"first_s", "until_s", "step_s", "looked_at", "since_s", "routes", "deployments"}`: of
        `looked_at` answers, the oldest at `since_s`. A route is `{"route", "p50": [...], "p95":
        [...]}`, of the time to the first token, None where nothing was answered; a deployment
        `{"deployment", "route", "answers", "ttft_s": {"p50", "p95", "p99"}, "total_s": {...},
        "tokens_per_s": {...}}`.

        Raises:
            HistoryUnknownError: As `usage`.
        """
        period = period_of(hours, now_s, least_step_s=60)
        with self._reading() as connection:
            rows = [tuple(row) for row in connection.execute(answers_of(period))]
        return {
            **asdict(period),
            "looked_at": len(rows),
            "since_s": min(row[0] for row in rows) // 1000 if rows else None,
            "routes": routes_over_time(rows, period),
            "deployments": deployments_of(rows),
        }

    def failures(self, hours: int, now_s: float) -> dict[str, Any]:
        """Return what failed.

        `{"first_s", "until_s", "step_s", "points", "since_s", "attempts", "requests"}`: a point has
        `requests`, `fallbacks`, a number for each `outcome.Ending`, and `error_relayed`, those of
        the completed ones whose answer was an upstream's error; attempts and requests, of
        `since_s` at the earliest, are those of `reports.failed_attempts` and `failed_requests`. A
        request also has `attempts`, `[{"deployment", "result"}]` in order.

        Raises:
            HistoryUnknownError: As `usage`.
        """
        period = period_of(hours, now_s, least_step_s=3600)
        with self._reading() as connection:
            points = _endings(connection, period)
            since_ms = max(period.first_s * 1000, _looked_back_to_ms(connection))
            scope = Scope(since_ms, period.until_s * 1000, {})
            failed = [_plain(row) for row in failed_attempts(connection, scope)[:MOST_GROUPS]]
            recent = [_plain(row) for row in failed_requests(connection, scope, MOST_RECENT)]
            _add_attempts(connection, recent)
        return {
            **asdict(period),
            "points": points,
            "since_s": since_ms // 1000,
            "attempts": failed,
            "requests": recent,
        }

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        ends_at = monotonic() + self._limit_s
        try:
            with reading(self._url) as connection:
                _limit(connection, ends_at)
                yield connection
        except LedgerDownError as error:
            if monotonic() < ends_at:
                raise HistoryUnknownError(str(error)) from error
            message = f"the ledger took longer than {self._limit_s:g} s; ask for a shorter time"
            raise HistoryUnknownError(message) from error


def _limit(connection: Connection, ends_at: float) -> None:
    """Make the database give up at `ends_at`, by `monotonic`."""
    left_s = max(0.001, ends_at - monotonic())
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(lambda: monotonic() > ends_at, _STEPS_BETWEEN_LOOKS)
    else:
        connection.execute(text(f"SET statement_timeout = {ceil(left_s * 1000)}"))


def _step_of_hour(period: Period) -> ColumnElement[int]:
    steps = period.step_s // 3600
    return (hourly.c.hour - hourly.c.hour % steps).label("step")


def _of_period(period: Period, *columns: ColumnElement[Any]) -> Select[Any]:
    scope = period.scope()
    first, end = scope.since_ms // MS_PER_HOUR, scope.until_ms // MS_PER_HOUR
    return (
        select(*columns)
        .select_from(hourly)
        .join(dimensions, dimensions.c.id == hourly.c.dimension_id)
        .where(hourly.c.hour >= first, hourly.c.hour < end, dimensions.c.endpoint == MESSAGES)
    )


def _points(connection: Connection, period: Period) -> list[dict[str, int]]:
    is_compared = hourly.c.compared > 0
    # As `reports.savings`: what comparable hours cost, and what was wasted in all others.
    spent = case((is_compared, hourly.c.cost_microusd), else_=hourly.c.wasted_microusd)
    sums = [func.sum(hourly.c[name]).label(name) for name in SUMS]
    step = _step_of_hour(period)
    question = _of_period(period, step, *sums, func.sum(spent).label("spent_microusd"))
    names = (*_SUMS, "spent_microusd")
    points = {at_s: {"at_s": at_s, **dict.fromkeys(names, 0)} for at_s in period.points_s}
    for row in connection.execute(question.group_by(step)).mappings():
        point = points[row["step"] * 3600]
        point.update({name: _number(row[name]) for name in names})
    return list(points.values())


def _lines(
    connection: Connection, period: Period, by: By, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return cost and requests over time of the named groups and of all others together."""
    column = dimensions.c["upstream_model" if by is By.MODEL else by.value]
    whose = case((column.in_(names), column), else_=None).label("whose")
    step = _step_of_hour(period)
    sums = [func.sum(hourly.c[name]) for name in ("cost_microusd", "requests")]
    question = _of_period(period, step, whose, *sums).group_by(step, whose)
    index = {at_s: number for number, at_s in enumerate(period.points_s)}
    found: dict[str | None, dict[str, Any]] = {}
    for at_hour, name, cost, count in connection.execute(question):
        line = found.setdefault(
            name, {"name": name, "cost_microusd": [0] * len(index), "requests": [0] * len(index)}
        )
        line["cost_microusd"][index[at_hour * 3600]] = _number(cost)
        line["requests"][index[at_hour * 3600]] = _number(count)
    return [found[name] for name in (*names, None) if name in found]


def _endings(connection: Connection, period: Period) -> list[dict[str, int]]:
    step = _step_of_hour(period)
    sums = [func.sum(hourly.c[name]) for name in ("requests", "fallbacks", "answers")]
    question = _of_period(period, step, hourly.c.ending, *sums).group_by(step, hourly.c.ending)
    names = ("requests", "fallbacks", "error_relayed", *(str(ending) for ending in Ending))
    points = {at_s: {"at_s": at_s, **dict.fromkeys(names, 0)} for at_s in period.points_s}
    for at_hour, ending, count, fallbacks, answers in connection.execute(question):
        point = points[at_hour * 3600]
        if ending == Ending.COMPLETED:
            point["error_relayed"] = _number(count) - _number(answers)
        point["requests"] += _number(count)
        point["fallbacks"] += _number(fallbacks)
        point[ending] = _number(count)
    return list(points.values())


def _looked_back_to_ms(connection: Connection) -> int:
    """Return when the oldest attempt that is looked at was made; 0 where all of them are."""
    newest = connection.execute(select(func.max(attempts.c.id))).scalar() or 0
    oldest = select(attempts.c.at_ms).where(attempts.c.id == newest - LOOKED_AT)
    return connection.execute(oldest).scalar() or 0


def _add_attempts(connection: Connection, found: Sequence[dict[str, Any]]) -> None:
    by_id: dict[str, list[dict[str, str]]] = {row["request_id"]: [] for row in found}
    question = (
        select(attempts.c.request_id, dimensions.c.deployment, attempts.c.result)
        .join(dimensions, dimensions.c.id == attempts.c.dimension_id)
        .where(attempts.c.request_id.in_(list(by_id)))
        .order_by(attempts.c.request_id, attempts.c.number)
    )
    for request_id, deployment, result in connection.execute(question):
        by_id[request_id].append({"deployment": deployment, "result": result})
    for row in found:
        row["attempts"] = by_id[row["request_id"]]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose keys are texts and nothing else, which is what JSON takes."""
    return {str(key): value for key, value in row.items()}


def _number(value: Any) -> int:  # noqa: ANN401 - PostgreSQL adds up to Decimals
    return int(value or 0)
