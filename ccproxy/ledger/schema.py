"""What is known of the tables without SQLAlchemy, whose import takes longer than a question."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.rows import Dimensions
from routing.pricing import TokenCounts

SCHEMA_VERSION: Final = "0003"
"""The newest step of `migrations`; here too, so that a current database needs no Alembic."""
VERSION_TABLE: Final = "alembic_version"

DIMENSIONS: Final = tuple(each.name for each in fields(Dimensions))
TOKENS: Final = tuple(each.name for each in fields(TokenCounts))
WHOLE_SUMS: Final = (
    "requests",
    "fallbacks",
    "unpriced",
    *TOKENS,
    "thinking_tokens",
    "cost_microusd",
    "wasted_microusd",
    "compared",
    "would_cost_low_microusd",
    "would_cost_microusd",
    "would_cost_high_microusd",
    "answers",
)
SUMS_IN_S: Final = ("ttft_s", "answer_s", "total_s")
SUMS: Final = (*WHOLE_SUMS, *SUMS_IN_S)
"""Columns of `hourly` and `daily` that add up."""
MS_PER_HOUR: Final = 3_600_000
HOURS_PER_DAY: Final = 24


def refuse_other_version(found: str | None, name: str) -> None:
    """Refuse to read what was not written with this schema.

    Args:
        found: The database's version; None where it has none.
        name: What people are told the database is called.

    Raises:
        LedgerDownError: It is another; the message says what to do.
    """
    if found is None:
        raise LedgerDownError(f"{name} is no ledger of ccproxy's; see ledger.url in ccproxy.yaml")
    if found > SCHEMA_VERSION:
        raise LedgerDownError(
            f"{name} was written by a newer ccproxy: its schema is {found}, this one knows "
            f"{SCHEMA_VERSION} at most; use that version's command"
        )
    if found < SCHEMA_VERSION:
        raise LedgerDownError(
            f"{name} was written by an older ccproxy: its schema is {found}, not {SCHEMA_VERSION}; "
            "start this version's proxy once, which brings it up to date"
        )


def refuse_missing(name: str) -> LedgerDownError:
    """Return what to raise where there is no database."""
    return LedgerDownError(
        f"there is no ledger at {name}: the proxy makes it when it starts, and ledger.url in "
        "ccproxy.yaml says where"
    )
