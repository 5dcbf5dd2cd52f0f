"""Sums by day beside those by hour: a month of a large ledger is read in a blink."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create `daily`, and fill it from `hourly`."""
    whole = (
        "requests", "fallbacks", "unpriced", "input_tokens", "output_tokens",
        "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens", "thinking_tokens",
        "cost_microusd", "wasted_microusd", "compared", "would_cost_low_microusd",
        "would_cost_microusd", "would_cost_high_microusd", "answers",
    )  # fmt: skip
    seconds = ("ttft_s", "answer_s", "total_s")
    op.create_table(
        "daily",
        sa.Column("dimension_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ending", sa.String(32), primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in whole),
        *(sa.Column(name, sa.Float, nullable=False) for name in seconds),
        sqlite_with_rowid=False,
    )
    names = ", ".join((*whole, *seconds))
    sums = ", ".join(f"SUM({name})" for name in (*whole, *seconds))
    op.execute(
        f"INSERT INTO daily (day, dimension_id, ending, {names}) "  # noqa: S608 - constants
        f"SELECT hour / 24, dimension_id, ending, {sums} FROM hourly GROUP BY 1, 2, 3"
    )
