"""The ledger's database for those who only read: it is never made, migrated or changed by that."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from ccproxy.ledger.asking import LOCK_WAIT_S
from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.schema import VERSION_TABLE, refuse_missing, refuse_other_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.engine import URL


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """Give a connection to the ledger at an SQLAlchemy URL, in one transaction that only reads.

    Raises:
        LedgerDownError: There is none, it is not ours, older or newer, locked, or breaks off; the
            message says what to do.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise LedgerDownError("ledger.url is not a database URL") from error
    file = file_of(address)
    name = str(file) if file else address.render_as_string(hide_password=True)
    if file is not None and not file.exists():
        raise refuse_missing(name)
    is_sqlite = address.get_backend_name() == "sqlite"
    options = {"timeout": LOCK_WAIT_S} if is_sqlite else {}
    try:
        engine = create_engine(read_only_url(url), connect_args=options, poolclass=NullPool)
    except (ImportError, NoSuchModuleError) as error:
        raise LedgerDownError(f"{name} needs a driver that is not installed: {error}") from error
    try:
        with engine.connect() as connection:
            if not is_sqlite:
                connection.execution_options(postgresql_readonly=True)
            _check_version(connection, name)
            yield connection
    except DBAPIError as error:
        raise LedgerDownError(f"{name} cannot be read: {error.orig}") from error
    finally:
        engine.dispose()


def read_only_url(url: str) -> str:
    """Return a URL that creates no file where there is none."""
    address = make_url(url)
    file = file_of(address)
    if file is None:
        return url
    return f"{address.drivername}:///{file.absolute().as_uri()}?mode=ro&uri=true"


def file_of(address: URL) -> Path | None:
    """Return the path of an SQLite file; None in memory, by URI, and for other databases."""
    name = address.database
    if address.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return None
    return None if name.startswith("file:") else Path(name)


def _check_version(connection: Connection, name: str) -> None:
    found = None
    if inspect(connection).has_table(VERSION_TABLE):
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    refuse_other_version(None if found is None else str(found), name)
