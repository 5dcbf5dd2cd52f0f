"""What was spent in a while, by whom budgets count apart: sums over the ledger, to the millisecond.

Whole hours are read from their sums, what is left at either end from the requests; deployments from
the attempts, since a request may have asked several. Rules, as `pipeline.budgets` counts live:

1. Only requests for messages that came so far as to ask a deployment count.
2. Money is what upstreams were paid, without what local work is said to cost. Of a request that a
   local model served in the end, that is what was wasted before.
3. Of what has no known cost the tokens are told apart. Of an hour in which some of them have one
   and some not, that is the share of the requests without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select

from ccproxy.ledger.tables import MS_PER_HOUR, TOKENS, attempts, dimensions, hourly, requests
from ccproxy.rows import SpentSum
from routing.budget_book import BudgetScope
from routing.pricing import TokenCounts
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Select, Table

MESSAGES: Final = "messages"
_IS_LOCAL: Final = dimensions.c.route == Side.LOCAL.value


def spent_since(
    connection: Connection, scope: BudgetScope, since_ms: int, until_ms: int
) -> Mapping[str, SpentSum]:
    """Return what was spent, by principal, project, agent or deployment; by "" in total.

    Args:
        connection: To the ledger's database.
        scope: Whom to tell apart.
        since_ms: Unix time in milliseconds.
        until_ms: Likewise, excluded.
    """
    if scope is BudgetScope.DEPLOYMENT:
        parts = [_of_attempts(since_ms, until_ms)]
    else:
        parts = list(_of_requests(scope, since_ms, until_ms))
    sums: dict[str, SpentSum] = {}
    for part in parts:
        for whose, *numbers in connection.execute(part):
            found = _spent_sum([int(number or 0) for number in numbers])
            known = sums.get(whose)
            sums[whose] = found if known is None else known + found
    return sums


@dataclass(frozen=True, slots=True)
class LedgerSpending:
    """Implements `pipeline.budgets.SpendingSource` over an open connection."""

    connection: Connection

    def spent_since(
        self, scope: BudgetScope, since_ms: int, until_ms: int
    ) -> Mapping[str, SpentSum]:
        """See `spent_since`."""
        return spent_since(self.connection, scope, since_ms, until_ms)


def _of_attempts(since_ms: int, until_ms: int) -> Select[Any]:
    was_asked = dimensions.c.upstream_model != ""
    paid = case((_IS_LOCAL, 0), else_=attempts.c.cost_microusd)
    unpriced = and_(attempts.c.cost_microusd.is_(None), ~_IS_LOCAL)
    return _sums(
        attempts,
        dimensions.c.deployment,
        count=case((was_asked, 1), else_=0),
        paid=paid,
        unpriced=[case((unpriced, attempts.c[name]), else_=0) for name in TOKENS],
    ).where(_between(attempts.c.at_ms, since_ms, until_ms))


def _of_requests(scope: BudgetScope, since_ms: int, until_ms: int) -> Iterable[Select[Any]]:
    first_hour, end_hour = -(-since_ms // MS_PER_HOUR), until_ms // MS_PER_HOUR
    whose = literal("") if scope is BudgetScope.TOTAL else dimensions.c[scope.value]
    in_part = _between(requests.c.at_ms, since_ms, until_ms)
    if first_hour < end_hour:
        in_part = or_(
            _between(requests.c.at_ms, since_ms, first_hour * MS_PER_HOUR),
            _between(requests.c.at_ms, end_hour * MS_PER_HOUR, until_ms),
        )
        share = case((~_IS_LOCAL, hourly.c.unpriced), else_=0)
        yield _sums(
            hourly,
            whose,
            count=hourly.c.requests,
            paid=case((_IS_LOCAL, hourly.c.wasted_microusd), else_=hourly.c.cost_microusd),
            unpriced=[hourly.c[name] * share // hourly.c.requests for name in TOKENS],
        ).where(_between(hourly.c.hour, first_hour, end_hour), dimensions.c.deployment != "")
    unpriced = and_(requests.c.cost_microusd.is_(None), ~_IS_LOCAL)
    yield _sums(
        requests,
        whose,
        count=literal(1),
        paid=case((_IS_LOCAL, requests.c.wasted_microusd), else_=requests.c.cost_microusd),
        unpriced=[case((unpriced, requests.c[name]), else_=0) for name in TOKENS],
    ).where(in_part, dimensions.c.deployment != "")


def _sums(
    table: Table,
    whose: ColumnElement[Any],
    *,
    count: ColumnElement[Any],
    paid: ColumnElement[Any],
    unpriced: list[Any],
) -> Select[Any]:
    """Return the question whose rows are a name and the numbers of `_spent_sum`."""
    tokens = [func.sum(table.c[name]) for name in TOKENS]
    return (
        select(
            whose.label("whose"),
            func.sum(count),
            func.sum(paid),
            *tokens,
            *(func.sum(each) for each in unpriced),
        )
        .join(dimensions, dimensions.c.id == table.c.dimension_id)
        .where(dimensions.c.endpoint == MESSAGES)
        .group_by("whose")
    )


def _spent_sum(numbers: list[int]) -> SpentSum:
    count, paid, *tokens = numbers
    kinds = len(TOKENS)
    return SpentSum(count, paid, TokenCounts(*tokens[:kinds]), TokenCounts(*tokens[kinds:]))


def _between(column: ColumnElement[Any], start: int, end: int) -> ColumnElement[bool]:
    return and_(column >= start, column < end)
