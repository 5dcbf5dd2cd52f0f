"""How rows get into the tables; one writer for each kind of row."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from ccproxy.ledger.tables import (
    DIMENSIONS,
    HOURS_PER_DAY,
    KEYS_OF_DAILY,
    KEYS_OF_HOURLY,
    MS_PER_HOUR,
    SUMS,
    TOKENS,
    attempts,
    daily,
    dimensions,
    hourly,
    requests,
    token_ratios,
)
from ccproxy.outcome import ANSWERED, LearnedRatio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent

    Values: TypeAlias = dict[str, Any]

KNOWN_DIMENSIONS: Final = 20_000
"""Ids that are kept in memory, about 1 KiB each."""


_INSERT_REQUESTS: Final = insert(requests)
_INSERT_ATTEMPTS: Final = insert(attempts)
_FIND_DIMENSION: Final = select(dimensions.c.id).where(
    *(dimensions.c[name] == bindparam(name) for name in DIMENSIONS)
)
# The library's `astuple` copies deeply: ten times the time of all else that a row takes.
_dimension_values: Final = attrgetter(*DIMENSIONS)
_token_values: Final = attrgetter(*TOKENS)


def save_ratios(connection: Connection, rows: Sequence[LearnedRatio]) -> None:
    """Put ratios in the place of earlier ones; of several for one deployment the last counts."""
    latest = {(row.deployment, row.model): row for row in rows}
    table = token_ratios
    for deployment, model in latest:
        connection.execute(
            delete(table).where(table.c.deployment == deployment, table.c.model == model)
        )
    names = ("deployment", "model", "ratio", "samples", "updated_at_s")
    connection.execute(
        insert(table), [{name: getattr(row, name) for name in names} for row in latest.values()]
    )


def load_ratios(connection: Connection) -> list[LearnedRatio]:
    """Return every saved ratio."""
    table = token_ratios
    columns = (
        table.c.deployment,
        table.c.model,
        table.c.ratio,
        table.c.samples,
        table.c.updated_at_s,
    )
    return [LearnedRatio(*row) for row in connection.execute(select(*columns))]


class RequestWriter:
    """Writes requests, their attempts and the sums; knows ids of dimensions by heart."""

    def __init__(self) -> None:
        """Know no id yet."""
        self._ids: dict[Dimensions, int] = {}

    def forget(self) -> None:
        """Forget every id: the transaction that made some of them was taken back."""
        self._ids.clear()

    def save(self, connection: Connection, rows: Sequence[RequestRow]) -> None:
        """Insert rows and add them up."""
        if len(self._ids) > KNOWN_DIMENSIONS:
            self._ids.clear()
        connection.execute(
            _INSERT_REQUESTS,
            [_request_values(row, self._id(connection, row.dimensions)) for row in rows],
        )
        made = [
            _attempt_values(row, attempt, self._id(connection, attempt.dimensions))
            for row in rows
            for attempt in row.attempts
        ]
        if made:
            connection.execute(_INSERT_ATTEMPTS, made)
        values = [_sum_values(row, self._ids[row.dimensions]) for row in rows]
        hours = _add_up(connection, hourly, KEYS_OF_HOURLY, values)
        _add_up(connection, daily, KEYS_OF_DAILY, hours)

    def _id(self, connection: Connection, row: Dimensions) -> int:
        known = self._ids.get(row)
        if known is None:
            known = self._ids[row] = _dimension_id(connection, row)
        return known


def _dimension_id(connection: Connection, row: Dimensions) -> int:
    values = dict(zip(DIMENSIONS, _dimension_values(row), strict=True))
    found = connection.execute(_FIND_DIMENSION, values).scalar()
    if found is None:
        # Another proxy may share the database and be faster.
        connection.execute(_upsert(connection, dimensions).on_conflict_do_nothing(), values)
        found = connection.execute(_FIND_DIMENSION, values).scalar_one()
    return int(found)


def _upsert(connection: Connection, table: Any) -> Any:  # noqa: ANN401 - both dialects' own
    is_sqlite = connection.dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)


def _tokens_of(spent: Spent) -> Values:
    return dict(zip(TOKENS, _token_values(spent.tokens), strict=True))


def _request_values(row: RequestRow, dimension_id: int) -> Values:
    spent, would = row.spent, row.would_cost
    return {
        "request_id": row.request_id,
        "at_ms": row.at_ms,
        "dimension_id": dimension_id,
        "status": row.status,
        "ending": row.ending,
        "failure": row.failure,
        "stream": row.stream,
        "table_version": row.table_version,
        **_tokens_of(spent),
        "thinking_tokens": spent.thinking_tokens,
        "estimated": spent.estimated,
        "queue_s": spent.queue_s,
        "load_s": spent.load_s,
        "prefill_s": spent.prefill_s,
        "ttft_s": row.ttft_s,
        "total_s": spent.total_s,
        "tokens_per_s": _tokens_per_s(row),
        "cost_microusd": spent.cost_microusd,
        "wasted_microusd": row.wasted_microusd,
        "would_cost_low_microusd": would and would.low_microusd,
        "would_cost_microusd": would and would.expected_microusd,
        "would_cost_high_microusd": would and would.high_microusd,
    }


def _attempt_values(row: RequestRow, attempt: AttemptRow, dimension_id: int) -> Values:
    return {
        "request_id": row.request_id,
        "at_ms": row.at_ms,
        "dimension_id": dimension_id,
        "number": attempt.number,
        "result": attempt.result,
        **_tokens_of(attempt.spent),
        "after_s": attempt.after_s,
        "total_s": attempt.spent.total_s,
        "cost_microusd": attempt.spent.cost_microusd,
    }


def _sum_values(row: RequestRow, dimension_id: int) -> Values:
    spent, would = row.spent, row.would_cost
    answered = row.ttft_s is not None
    fell_back = len(row.attempts) > 1 and row.attempts[-1].result == ANSWERED
    hour = row.at_ms // MS_PER_HOUR
    return {
        "hour": hour,
        "day": hour // HOURS_PER_DAY,
        "dimension_id": dimension_id,
        "ending": row.ending,
        "requests": 1,
        "fallbacks": int(fell_back),
        "unpriced": int(spent.cost_microusd is None),
        **_tokens_of(spent),
        "thinking_tokens": spent.thinking_tokens or 0,
        "cost_microusd": spent.cost_microusd or 0,
        "wasted_microusd": row.wasted_microusd or 0,
        "compared": int(would is not None),
        "would_cost_low_microusd": would.low_microusd if would else 0,
        "would_cost_microusd": would.expected_microusd if would else 0,
        "would_cost_high_microusd": would.high_microusd if would else 0,
        "answers": int(answered),
        "ttft_s": row.ttft_s or 0.0,
        "answer_s": _answer_s(row),
        "total_s": spent.total_s,
    }


def _add_up(
    connection: Connection, table: Table, keys: Sequence[str], rows: Iterable[Values]
) -> list[Values]:
    """Add values to the sums in a table; rows of the same keys are added up first, and returned."""
    sums: dict[tuple[Any, ...], Values] = {}
    for values in rows:
        key = tuple([values[name] for name in keys])
        known = sums.get(key)
        if known is None:
            sums[key] = values.copy()
            continue
        for name in SUMS:
            known[name] += values[name]
    statement = _upsert(connection, table)
    added: Mapping[str, Any] = {name: table.c[name] + statement.excluded[name] for name in SUMS}
    # In the same order everywhere: two proxies that share a database would wait for each other.
    found = [sums[key] for key in sorted(sums)]
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(keys), set_=added),
        [{name: values[name] for name in (*keys, *SUMS)} for values in found],
    )
    return found


def _answer_s(row: RequestRow) -> float:
    """Return how long the answer ran from its first byte to its last."""
    return 0.0 if row.ttft_s is None else max(0.0, row.spent.total_s - row.ttft_s)


def _tokens_per_s(row: RequestRow) -> float | None:
    seconds = _answer_s(row)
    output_tokens = row.spent.tokens.output_tokens
    return output_tokens / seconds if seconds > 0 and output_tokens else None
