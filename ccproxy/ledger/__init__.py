"""The database: the only room that touches it."""
