"""The tables, and which rows go where.

To add one: a frozen dataclass in `ccproxy.ports`, a table and a writer here, a step in `migrations`
and its name in `SCHEMA_VERSION`. A test compares tables and migrations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, delete, insert, select

from ccproxy.ports import LearnedRatio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

SCHEMA_VERSION: Final = "0001"
"""The newest step of `migrations`; here too, so that a current database needs no Alembic."""

metadata: Final = MetaData()

token_ratios: Final = Table(
    "token_ratios",
    metadata,
    Column("deployment", String(256), primary_key=True),
    Column("model", String(256), primary_key=True),
    Column("ratio", Float, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("updated_at_s", Float, nullable=False),
)


def save_ratios(connection: Connection, rows: Sequence[LearnedRatio]) -> None:
    """Put ratios in the place of earlier ones; of several for one deployment the last counts."""
    latest = {(row.deployment, row.model): row for row in rows}
    table = token_ratios
    for deployment, model in latest:
        connection.execute(
            delete(table).where(table.c.deployment == deployment, table.c.model == model)
        )
    connection.execute(
        insert(table),
        [
            {
                "deployment": row.deployment,
                "model": row.model,
                "ratio": row.ratio,
                "samples": row.samples,
                "updated_at_s": row.updated_at_s,
            }
            for row in latest.values()
        ],
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


WRITERS: Final[Mapping[type, Callable[[Connection, Sequence[LearnedRatio]], None]]] = {
    LearnedRatio: save_ratios,
}
"""By the class of the rows."""
