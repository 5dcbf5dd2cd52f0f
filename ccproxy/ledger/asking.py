"""Questions in SQL's own text: an SQLite ledger is asked without SQLAlchemy.

Importing it takes 0.3 s, of which the answer from ten million requests needs no more. A text is
written once for SQLite and PostgreSQL, with parameters as `:name`.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.schema import VERSION_TABLE, refuse_missing, refuse_other_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCK_WAIT_S: Final = 2.0
"""How long is waited for a program that has the whole file to itself."""
_PLAIN_FILE: Final = re.compile(r"sqlite(?:\+pysqlite)?:///(?!file:|:memory:)([^?]+)")


class Ask(Protocol):
    """Asks a database."""

    def __call__(self, sql: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        """Return the rows of an answer, by the names of their columns."""
        ...


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """Give a way to ask the ledger at an SQLAlchemy URL, in one transaction that only reads.

    Raises:
        LedgerDownError: As `reading.reading`.
    """
    plain = _PLAIN_FILE.fullmatch(url)
    if plain is None:
        from ccproxy.ledger.reading import reading  # noqa: PLC0415 - see above
        from ccproxy.ledger.reports import asked  # noqa: PLC0415 - see above

        with reading(url) as connection:
            yield partial(asked, connection)
        return
    file = Path(plain[1])
    if not file.exists():
        raise refuse_missing(str(file))
    address = f"{file.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, LOCK_WAIT_S, uri=True)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN")
            refuse_other_version(_version(connection), str(file))
            yield partial(_rows, connection)
    except sqlite3.Error as error:
        raise LedgerDownError(f"{file} cannot be read: {error}") from error


def _version(connection: sqlite3.Connection) -> str | None:
    has_table = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (VERSION_TABLE,)
    ).fetchone()
    if has_table is None:
        return None
    found = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - a constant
    return None if found is None else str(found[0])


def _rows(
    connection: sqlite3.Connection, sql: str, values: Mapping[str, object]
) -> list[dict[str, Any]]:
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
