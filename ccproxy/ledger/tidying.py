"""Throwing old rows away, and giving their room back; sums stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from ccproxy.ledger.tables import attempts, requests

if TYPE_CHECKING:
    from sqlalchemy import Connection, PoolProxiedConnection


def throw_away(connection: Connection, before_ms: int, limit: int) -> int:
    """Delete at most `limit` requests and as many attempts that are older, the oldest first.

    Returns how many rows are gone.
    """
    gone = 0
    for table in (requests, attempts):
        oldest = (
            select(table.c.id).where(table.c.at_ms < before_ms).order_by(table.c.at_ms).limit(limit)
        )
        gone += connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount
    return gone


def vacuum(raw: PoolProxiedConnection, dialect: str) -> None:
    """Give room back to the system; outside of any transaction, as both databases demand."""
    driver: Any = raw.driver_connection
    if dialect == "sqlite":
        raw.cursor().execute("VACUUM")
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    driver.autocommit = True
    try:
        raw.cursor().execute("VACUUM (ANALYZE)")
    finally:
        driver.autocommit = False
