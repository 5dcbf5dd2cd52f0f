"""Requests, their attempts, and sums per hour."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create `dimensions`, `requests`, `attempts` and `hourly`."""
    texts = (
        "endpoint", "principal", "project", "agent", "category", "agent_source", "request_class",
        "tier", "requested_model", "deployment", "route", "upstream_model", "response_model",
    )  # fmt: skip
    op.create_table(
        "dimensions",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String(256), nullable=False) for name in texts),
        sa.UniqueConstraint(*texts, name="dimensions_once"),
    )
    tokens = (
        "input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
        "cache_read_tokens",
    )  # fmt: skip
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "requests",
        sa.Column("id", number, primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False, index=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("dimension_id", sa.Integer, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("ending", sa.String(32), nullable=False),
        sa.Column("failure", sa.String(32), nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("table_version", sa.String(64), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in tokens),
        sa.Column("thinking_tokens", sa.BigInteger),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("queue_s", sa.Float),
        sa.Column("load_s", sa.Float),
        sa.Column("prefill_s", sa.Float),
        sa.Column("ttft_s", sa.Float),
        sa.Column("total_s", sa.Float, nullable=False),
        sa.Column("tokens_per_s", sa.Float),
        sa.Column("cost_microusd", sa.BigInteger),
        sa.Column("wasted_microusd", sa.BigInteger),
        sa.Column("would_cost_low_microusd", sa.BigInteger),
        sa.Column("would_cost_microusd", sa.BigInteger),
        sa.Column("would_cost_high_microusd", sa.BigInteger),
    )
    op.create_table(
        "attempts",
        sa.Column("id", number, primary_key=True),
        sa.Column("request_id", sa.String(64), nullable=False, index=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("dimension_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("result", sa.String(32), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in tokens),
        sa.Column("after_s", sa.Float, nullable=False),
        sa.Column("total_s", sa.Float, nullable=False),
        sa.Column("cost_microusd", sa.BigInteger),
    )
    op.create_table(
        "hourly",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("dimension_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ending", sa.String(32), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("fallbacks", sa.BigInteger, nullable=False),
        sa.Column("unpriced", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in tokens),
        sa.Column("thinking_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_microusd", sa.BigInteger, nullable=False),
        sa.Column("wasted_microusd", sa.BigInteger, nullable=False),
        sa.Column("compared", sa.BigInteger, nullable=False),
        sa.Column("would_cost_low_microusd", sa.BigInteger, nullable=False),
        sa.Column("would_cost_microusd", sa.BigInteger, nullable=False),
        sa.Column("would_cost_high_microusd", sa.BigInteger, nullable=False),
        sa.Column("answers", sa.BigInteger, nullable=False),
        sa.Column("ttft_s", sa.Float, nullable=False),
        sa.Column("answer_s", sa.Float, nullable=False),
        sa.Column("total_s", sa.Float, nullable=False),
    )
