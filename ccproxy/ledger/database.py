"""The ledger's database, through SQLAlchemy; imported and used in the ledger's thread alone."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    StatementError,
)
from sqlalchemy.pool import StaticPool

from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.migrate import bring_up_to_date
from ccproxy.ledger.reading import file_of
from ccproxy.ledger.spending import spent_since
from ccproxy.ledger.tidying import throw_away, vacuum
from ccproxy.ledger.writers import RequestWriter, load_ratios, save_ratios
from ccproxy.outcome import LearnedRatio
from ccproxy.rows import RequestRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

    from ccproxy.ledger.ledger import Row
    from ccproxy.rows import SpentSum
    from routing.budget_book import BudgetScope

LOCK_WAIT_S: Final = 2.0
"""How long a transaction waits for another program's lock, e.g. that of a backup."""
_PRIVATE: Final = 0o600


def open_database(url: str) -> SqlDatabase:
    """Return the database at a URL: created if it is not there, migrated if it is older.

    Raises:
        LedgerDownError: It cannot be opened, is newer than this program, or is no ledger.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise LedgerDownError("ledger.url is not a database URL") from error
    file = file_of(address)
    name = str(file) if file else address.render_as_string(hide_password=True)
    try:
        if file is not None:
            _make_private(file)
        engine = _engine(address)
    except OSError as error:
        raise LedgerDownError(f"{name} cannot be opened: {error.strerror or error}") from error
    except (ImportError, NoSuchModuleError) as error:
        raise LedgerDownError(f"{name} needs a driver that is not installed: {error}") from error
    database = SqlDatabase(engine, name, file)
    try:
        database.prepare()
    except BaseException:
        database.close()
        raise
    return database


class SqlDatabase:
    """Implements `ledger.Database` with one connection that stays open."""

    def __init__(self, engine: Engine, name: str, file: Path | None) -> None:
        """`name` is what people are told; `file` is None where the database is no file."""
        self._engine = engine
        self._name = name
        self._file = file
        self._file_id = _identity(file)
        self._requests = RequestWriter(engine.dialect.name)

    def prepare(self) -> None:
        """Bring the schema up to date.

        Raises:
            LedgerDownError: It is not ours or newer, or the database cannot be used.
        """
        with self._transaction() as connection:
            bring_up_to_date(connection, self._name)

    def write(self, rows: Sequence[Row]) -> None:
        """Commit rows, all or none; see `ledger.Database`."""
        if self._file is not None and _identity(self._file) != self._file_id:
            # SQLite would go on writing into a file that has no name any more.
            raise LedgerDownError(f"{self._name} was removed or replaced")
        ratios = [row for row in rows if isinstance(row, LearnedRatio)]
        finished = [row for row in rows if isinstance(row, RequestRow)]
        try:
            with self._transaction() as connection:
                if ratios:
                    save_ratios(connection, ratios)
                if finished:
                    self._requests.save(connection, finished)
        except BaseException:
            self._requests.forget()
            raise

    def learned_ratios(self) -> Sequence[LearnedRatio]:
        """Return what was saved; see `ledger.Database`."""
        with self._transaction() as connection:
            return load_ratios(connection)

    def spent_since(
        self, scope: BudgetScope, since_ms: int, until_ms: int
    ) -> Mapping[str, SpentSum]:
        """Return what was spent; see `ledger.Database`."""
        with self._transaction() as connection:
            return spent_since(connection, scope, since_ms, until_ms)

    def throw_away(self, before_ms: int, limit: int) -> int:
        """Delete the oldest single rows; see `ledger.Database`."""
        with self._transaction() as connection:
            return throw_away(connection, before_ms, limit)

    def vacuum(self) -> None:
        """Give unused room back; needs the database for itself, and takes its time.

        Raises:
            LedgerDownError: It cannot be done now; nothing is lost.
        """
        try:
            with closing(self._engine.raw_connection()) as raw:
                vacuum(raw, self._engine.dialect.name)
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise LedgerDownError(f"{self._name} cannot be vacuumed: {error}") from error

    def size_bytes(self) -> int | None:
        """Return the size of the file and its log; None where the database is no file."""
        if self._file is None:
            return None
        files = (self._file, self._file.with_name(f"{self._file.name}-wal"))
        return sum(each.stat().st_size for each in files if each.exists())

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Commit at the end; errors become `LedgerDownError`, or `ValueError` about a row."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (IntegrityError, DataError, ProgrammingError) as error:
            raise ValueError(str(error.orig)) from error
        except DBAPIError as error:
            # The library's own text would quote the rows.
            raise LedgerDownError(f"{self._name} cannot be used: {error.orig}") from error
        except StatementError as error:
            raise ValueError(str(error.orig)) from error
        except OverflowError as error:  # of SQLite's driver, and SQLAlchemy does not wrap it
            raise ValueError(str(error)) from error
        except sqlite3.Error as error:  # of `_set_up_sqlite`, which SQLAlchemy does not wrap
            raise LedgerDownError(f"{self._name} cannot be used: {error}") from error


def _engine(address: URL) -> Engine:
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_size=1, max_overflow=0, pool_pre_ping=True)
    engine = create_engine(
        address,
        connect_args={"timeout": LOCK_WAIT_S, "check_same_thread": False},
        poolclass=StaticPool,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
    # Transactions begin where we say so, and changes of the schema belong to them.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_immediate(connection: Connection) -> None:
    # A lock that is not to be had is waited for here, where waiting helps.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _make_private(file: Path) -> None:
    """Create the file if it is missing, and take everybody else's rights away.

    SQLite gives its `-wal` and `-shm` files the rights of the file itself.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, _PRIVATE)
    finally:
        os.close(descriptor)


def _identity(file: Path | None) -> tuple[int, int] | None:
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
