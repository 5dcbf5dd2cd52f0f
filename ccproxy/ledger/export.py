"""Single requests or attempts, oldest first, however many: a bounded number is in memory.

Each batch is a question of its own, so that no long transaction keeps a writer from tidying up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, or_, select

from ccproxy.ledger.reports import limits_of
from ccproxy.ledger.tables import DIMENSIONS, attempts, dimensions, requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from ccproxy.ledger.reports import Scope

BATCH_ROWS: Final = 2000
_OURS: Final = ("id", "dimension_id")
"""Columns that mean nothing outside."""


def exported(
    connection: Connection, scope: Scope, *, of_attempts: bool = False, batch_rows: int = BATCH_ROWS
) -> Iterator[dict[str, Any]]:
    """Yield rows with their dimensions; every row has the same keys in the same order."""
    table = attempts if of_attempts else requests
    own = [column for column in table.columns if column.name not in _OURS]
    columns = (table.c.id, *own, *(dimensions.c[name] for name in DIMENSIONS))
    # Plain texts: the library's own kind of name is none to every JSON encoder.
    names = [str(column.name) for column in columns]
    question = (
        select(*columns)
        .join(dimensions, dimensions.c.id == table.c.dimension_id)
        .where(table.c.at_ms < scope.until_ms, *limits_of(scope))
        .order_by(table.c.at_ms, table.c.id)
        .limit(batch_rows)
    )
    after_ms, after_id = scope.since_ms, -1
    while True:
        later = or_(
            table.c.at_ms > after_ms, and_(table.c.at_ms == after_ms, table.c.id > after_id)
        )
        # The first condition alone lets an index be used.
        batch = question.where(table.c.at_ms >= after_ms, later)
        rows = connection.execute(batch).all()
        connection.rollback()
        for row in rows:
            values = dict(zip(names, row, strict=True))
            after_id, after_ms = values.pop("id"), values["at_ms"]
            yield values
        if len(rows) < batch_rows:
            return
