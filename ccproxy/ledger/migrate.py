"""The schema's version: a new database is made, an older one migrated, a newer one refused."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.schema import SCHEMA_VERSION, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

_log = logging.getLogger(__name__)

_SCRIPTS: Final = "ccproxy.ledger:migrations"
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic's `op` and `context` are the process's: of two migrations at once, one would run its
statements on the other's connection."""


def bring_up_to_date(connection: Connection, name: str) -> None:
    """Migrate inside the caller's transaction, so that a failure changes nothing.

    Args:
        connection: In a transaction.
        name: What people are told the database is called.

    Raises:
        LedgerDownError: The database is newer than this program, or is no ledger.
    """
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE not in tables:
        if tables:
            raise LedgerDownError(
                f"{name} is a database, but none of ccproxy's (it has the table {tables[0]!r}); "
                "set ledger.url to another file"
            )
        _upgrade(connection, name, "nothing")
        return
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    if found == SCHEMA_VERSION:
        return
    if found is not None and str(found) > SCHEMA_VERSION:
        raise LedgerDownError(
            f"{name} was written by a newer ccproxy: its schema is {found}, this one knows "
            f"{SCHEMA_VERSION} at most; install that version again, or set ledger.url to another "
            "file"
        )
    _upgrade(connection, name, str(found))


def _upgrade(connection: Connection, name: str, found: str) -> None:
    # It tells of every plug-in it has; one line of ours says what matters.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # 0.15 s and 11 MB, needed once per database and version.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")
    _log.info("%s: schema brought from %s to %s", name, found, SCHEMA_VERSION)
