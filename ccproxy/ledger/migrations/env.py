"""Run by Alembic: the connection is the ledger's own, inside its transaction."""

from alembic import context

from ccproxy.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
