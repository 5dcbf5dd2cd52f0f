"""What was used, by whom, and what failed: read for people.

Sums come from `daily` and `hourly`, so a period is of whole hours and thrown-away rows still count;
single requests and attempts come from their rows, for as long as they are kept. Every function
takes a connection of `reading` and leaves the database as it is.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select, text

from ccproxy.ledger import sums
from ccproxy.ledger.sums import COLUMNS, FAILED, MESSAGES, Scope
from ccproxy.ledger.tables import attempts, dimensions, requests
from ccproxy.ledger.words import By
from ccproxy.outcome import ANSWERED, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from sqlalchemy import Connection, Select, TextClause

    from routing.savings import SavingsSums

    Sums: TypeAlias = dict[str, Any]

__all__ = [
    "MESSAGES",
    "By",
    "Scope",
    "asked",
    "failed_attempts",
    "failed_requests",
    "limits_of",
    "savings",
    "usage",
]

LEFT_ALONE: Final = "left_alone"
OVER_BUDGET: Final = "over_budget"


def usage(connection: Connection, by: Sequence[By], scope: Scope) -> list[Sums]:
    """Return what was used; see `sums.usage`."""
    return sums.usage(partial(asked, connection), by, scope)


def savings(connection: Connection, scope: Scope) -> SavingsSums:
    """Return what savings are told from; see `sums.savings`."""
    return sums.savings(partial(asked, connection), scope)


def limits_of(scope: Scope) -> Iterable[ColumnElement[bool]]:
    """Yield what must hold of `dimensions`."""
    if scope.endpoint is not None:
        yield dimensions.c.endpoint == scope.endpoint
    for by, value in scope.only.items():
        yield dimensions.c[COLUMNS[by]] == value


def asked(connection: Connection, sql: str, values: Mapping[str, object]) -> list[Sums]:
    """Implement `asking.Ask`, but for its first argument."""
    return _rows(connection, text(sql).bindparams(**values))


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
            *limits_of(scope),
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
            *limits_of(scope),
        )
        .order_by(requests.c.at_ms.desc(), requests.c.id.desc())
        .limit(limit)
    )
    return _rows(connection, question)


def _rows(connection: Connection, question: Select[Any] | TextClause) -> list[Sums]:
    found = connection.execute(question)
    names = [str(name) for name in found.keys()]  # noqa: SIM118 - not a dict's
    return [
        {
            name: int(value) if isinstance(value, Decimal) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in found
    ]


def _between(at_ms: ColumnElement[Any], scope: Scope) -> ColumnElement[bool]:
    return and_(at_ms >= scope.since_ms, at_ms < scope.until_ms)
