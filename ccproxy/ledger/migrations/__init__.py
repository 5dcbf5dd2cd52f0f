"""Steps from one version of the schema to the next; Alembic runs them in order."""
