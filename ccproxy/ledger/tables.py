"""The tables. A test compares them with the migrations.

To add one: a frozen dataclass of rows, a table here, a writer in `writers`, a step in `migrations`
and its name in `schema.SCHEMA_VERSION`.

What requests are told apart by stands once in `dimensions`; `requests` and `attempts` have a row
each and are thrown away after a while; `hourly` and `daily` have their sums, kept in the same
transaction, and stay.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from ccproxy.ledger.schema import (
    DIMENSIONS,
    HOURS_PER_DAY,
    MS_PER_HOUR,
    SCHEMA_VERSION,
    SUMS,
    SUMS_IN_S,
    TOKENS,
    WHOLE_SUMS,
)

__all__ = [
    "DIMENSIONS",
    "HOURS_PER_DAY",
    "KEYS_OF_DAILY",
    "KEYS_OF_HOURLY",
    "MS_PER_HOUR",
    "SCHEMA_VERSION",
    "SUMS",
    "TOKENS",
    "attempts",
    "daily",
    "dimensions",
    "hourly",
    "metadata",
    "requests",
    "token_ratios",
]

metadata: Final = MetaData()


def _row_number() -> Column[Any]:
    # SQLite numbers rows by itself only in a column of exactly this type.
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


def _token_columns() -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False) for name in TOKENS]


def _key(name: str) -> Column[Any]:
    return Column(name, Integer, primary_key=True, autoincrement=False)


def _sum_columns() -> list[Column[Any]]:
    return [
        Column("ending", String(32), primary_key=True),
        *(Column(name, BigInteger, nullable=False) for name in WHOLE_SUMS),
        *(Column(name, Float, nullable=False) for name in SUMS_IN_S),
    ]


token_ratios: Final = Table(
    "token_ratios",
    metadata,
    Column("deployment", String(256), primary_key=True),
    Column("model", String(256), primary_key=True),
    Column("ratio", Float, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("updated_at_s", Float, nullable=False),
)

dimensions: Final = Table(
    "dimensions",
    metadata,
    Column("id", Integer, primary_key=True),
    *(Column(name, String(256), nullable=False) for name in DIMENSIONS),
    UniqueConstraint(*DIMENSIONS, name="dimensions_once"),
)

requests: Final = Table(
    "requests",
    metadata,
    _row_number(),
    Column("request_id", String(64), nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("dimension_id", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("ending", String(32), nullable=False),
    Column("failure", String(32), nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("table_version", String(64), nullable=False),
    *_token_columns(),
    Column("thinking_tokens", BigInteger),
    Column("estimated", Boolean, nullable=False),
    Column("queue_s", Float),
    Column("load_s", Float),
    Column("prefill_s", Float),
    Column("ttft_s", Float),
    Column("total_s", Float, nullable=False),
    Column("tokens_per_s", Float),
    Column("cost_microusd", BigInteger),
    Column("wasted_microusd", BigInteger),
    Column("would_cost_low_microusd", BigInteger),
    Column("would_cost_microusd", BigInteger),
    Column("would_cost_high_microusd", BigInteger),
)

attempts: Final = Table(
    "attempts",
    metadata,
    _row_number(),
    Column("request_id", String(64), nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("dimension_id", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("result", String(32), nullable=False),
    *_token_columns(),
    Column("after_s", Float, nullable=False),
    Column("total_s", Float, nullable=False),
    Column("cost_microusd", BigInteger),
)

hourly: Final = Table(
    "hourly",
    metadata,
    _key("hour"),
    _key("dimension_id"),
    *_sum_columns(),
)
"""Sums by hour since the epoch: `fallbacks` of requests that somebody else than the first answered,
`unpriced` of those whose cost is not known, `compared` of those with a `would_cost`; `answers`,
`ttft_s` and `answer_s` (first to last byte) of those that answered."""

daily: Final = Table(
    "daily",
    metadata,
    _key("dimension_id"),
    _key("day"),
    *_sum_columns(),
    sqlite_with_rowid=False,
)
"""The same by day since the epoch, UTC: the sums of its hours. Kept in the order of its key, so
that the days of one agent stand together, and are added up without being sorted."""

KEYS_OF_HOURLY: Final = ("hour", "dimension_id", "ending")
"""What a row of `hourly` is the sum for."""
KEYS_OF_DAILY: Final = ("dimension_id", "day", "ending")
"""What a row of `daily` is the sum for."""
