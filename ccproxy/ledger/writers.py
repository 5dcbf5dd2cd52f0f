"""How rows get into the tables; one writer for each kind of row."""

from __future__ import annotations

from operator import add, attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sqlalchemy import delete, insert, select

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
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Table

    from ccproxy.rows import AttemptRow, Dimensions, RequestRow

    Values: TypeAlias = tuple[Any, ...]
    Key: TypeAlias = tuple[Any, ...]

KNOWN_DIMENSIONS: Final = 20_000
"""Ids that are kept in memory, about 1 KiB each."""
SLICE_ROWS: Final = 50
"""Rows that are made, in half a millisecond, before the driver's work lets the event loop run."""


REQUEST_COLUMNS: Final = tuple(each.name for each in requests.columns if each.name != "id")
ATTEMPT_COLUMNS: Final = tuple(each.name for each in attempts.columns if each.name != "id")
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
    """Writes requests, their attempts and the sums; knows ids of dimensions by heart.

    Rows go to the driver as tuples in the order of the columns: building a statement's parameters
    by name takes SQLAlchemy five times what all else of a row takes, and holds the event loop up.
    """

    def __init__(self, dialect: str) -> None:
        """Know no id yet. `dialect` is SQLAlchemy's name of the database's kind."""
        self._ids: dict[tuple[str, ...], int] = {}
        self._sql = _statements("?" if dialect == "sqlite" else "%s")
        # SQLite's driver looks up an adapter for what is no plain int; PostgreSQL wants booleans.
        self._flag: Callable[[bool], int] = int if dialect == "sqlite" else bool

    def forget(self) -> None:
        """Forget every id: the transaction that made some of them was taken back."""
        self._ids.clear()

    def save(self, connection: Connection, rows: Sequence[RequestRow]) -> None:
        """Insert rows and add them up."""
        if len(self._ids) > KNOWN_DIMENSIONS:
            self._ids.clear()
        hours: dict[Key, Values] = {}
        for start in range(0, len(rows), SLICE_ROWS):
            self._insert(connection, rows[start : start + SLICE_ROWS], hours)
        days: dict[Key, Values] = {}
        for (hour, dimension_id, ending), values in hours.items():
            _add(days, (dimension_id, hour // HOURS_PER_DAY, ending), values)
        connection.exec_driver_sql(self._sql.add_to_hourly, _in_order(hours))
        connection.exec_driver_sql(self._sql.add_to_daily, _in_order(days))

    def _insert(
        self, connection: Connection, rows: Sequence[RequestRow], hours: dict[Key, Values]
    ) -> None:
        """Insert some rows, and add them to the sums of their hours."""
        whole: list[Values] = []
        made: list[Values] = []
        for row in rows:
            dimension_id = self._id(connection, row.dimensions)
            whole.append(_request_values(row, dimension_id, self._flag))
            made += [
                _attempt_values(row, attempt, self._id(connection, attempt.dimensions))
                for attempt in row.attempts
            ]
            key = (row.at_ms // MS_PER_HOUR, dimension_id, str(row.ending))
            _add(hours, key, _sum_values(row))
        connection.exec_driver_sql(self._sql.insert_requests, whole)
        if made:
            connection.exec_driver_sql(self._sql.insert_attempts, made)

    def _id(self, connection: Connection, row: Dimensions) -> int:
        values: tuple[str, ...] = _dimension_values(row)
        known = self._ids.get(values)
        if known is None:
            known = self._ids[values] = self._id_in(connection, values)
        return known

    def _id_in(self, connection: Connection, values: tuple[str, ...]) -> int:
        values = tuple(map(str, values))
        found = connection.exec_driver_sql(self._sql.find_dimension, values).scalar()
        if found is None:
            # Another proxy may share the database and be faster.
            connection.exec_driver_sql(self._sql.make_dimension, values)
            found = connection.exec_driver_sql(self._sql.find_dimension, values).scalar_one()
        return int(found)


class _Statements(NamedTuple):
    """SQL that SQLite and PostgreSQL both take, but for how a parameter is marked."""

    find_dimension: str
    make_dimension: str
    insert_requests: str
    insert_attempts: str
    add_to_hourly: str
    add_to_daily: str


def _statements(mark: str) -> _Statements:
    named = " AND ".join(f"{name} = {mark}" for name in DIMENSIONS)
    return _Statements(
        find_dimension=f"SELECT id FROM dimensions WHERE {named}",  # noqa: S608 - our own names
        make_dimension=f"{_insert(dimensions, DIMENSIONS, mark)} ON CONFLICT DO NOTHING",
        insert_requests=_insert(requests, REQUEST_COLUMNS, mark),
        insert_attempts=_insert(attempts, ATTEMPT_COLUMNS, mark),
        add_to_hourly=_add_to(hourly, KEYS_OF_HOURLY, mark),
        add_to_daily=_add_to(daily, KEYS_OF_DAILY, mark),
    )


def _insert(table: Table, columns: Sequence[str], mark: str) -> str:
    marks = ", ".join([mark] * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - likewise


def _add_to(table: Table, keys: Sequence[str], mark: str) -> str:
    sums = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in SUMS)
    insert = _insert(table, (*keys, *SUMS), mark)
    return f"{insert} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sums}"


def _request_values(row: RequestRow, dimension_id: int, flag: Callable[[bool], int]) -> Values:
    """Return a request in the order of `REQUEST_COLUMNS`."""
    spent, would = row.spent, row.would_cost
    return (
        row.request_id,
        row.at_ms,
        dimension_id,
        row.status,
        str(row.ending),
        str(row.failure),
        flag(row.stream),
        row.table_version,
        *_token_values(spent.tokens),
        spent.thinking_tokens,
        flag(spent.estimated),
        spent.queue_s,
        spent.load_s,
        spent.prefill_s,
        row.ttft_s,
        spent.total_s,
        _tokens_per_s(row),
        spent.cost_microusd,
        row.wasted_microusd,
        would and would.low_microusd,
        would and would.expected_microusd,
        would and would.high_microusd,
    )


def _attempt_values(row: RequestRow, attempt: AttemptRow, dimension_id: int) -> Values:
    """Return an attempt in the order of `ATTEMPT_COLUMNS`."""
    spent = attempt.spent
    return (
        row.request_id,
        row.at_ms,
        dimension_id,
        attempt.number,
        str(attempt.result),
        *_token_values(spent.tokens),
        attempt.after_s,
        spent.total_s,
        spent.cost_microusd,
    )


def _sum_values(row: RequestRow) -> Values:
    """Return what a request adds to the sums, in the order of `SUMS`."""
    spent, would = row.spent, row.would_cost
    fell_back = len(row.attempts) > 1 and row.attempts[-1].result == ANSWERED
    return (
        1,
        int(fell_back),
        int(spent.cost_microusd is None),
        *_token_values(spent.tokens),
        spent.thinking_tokens or 0,
        spent.cost_microusd or 0,
        row.wasted_microusd or 0,
        int(would is not None),
        would.low_microusd if would else 0,
        would.expected_microusd if would else 0,
        would.high_microusd if would else 0,
        int(row.ttft_s is not None),
        row.ttft_s or 0.0,
        _answer_s(row),
        spent.total_s,
    )


def _add(sums: dict[Key, Values], key: Key, values: Values) -> None:
    known = sums.get(key)
    sums[key] = values if known is None else tuple(map(add, known, values))


def _in_order(sums: dict[Key, Values]) -> list[Values]:
    """Return keys and sums; two proxies that share a database would else wait for each other."""
    return [(*key, *sums[key]) for key in sorted(sums)]


def _answer_s(row: RequestRow) -> float:
    """Return how long the answer ran from its first byte to its last."""
    return 0.0 if row.ttft_s is None else max(0.0, row.spent.total_s - row.ttft_s)


def _tokens_per_s(row: RequestRow) -> float | None:
    seconds = _answer_s(row)
    output_tokens = row.spent.tokens.output_tokens
    return output_tokens / seconds if seconds > 0 and output_tokens else None
