"""The first schema: what was learned of the models' token counts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create `token_ratios`."""
    op.create_table(
        "token_ratios",
        sa.Column("deployment", sa.String(256), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("ratio", sa.Float, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("updated_at_s", sa.Float, nullable=False),
    )
