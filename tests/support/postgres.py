"""A PostgreSQL server of the tests' own, on a loopback port, in a folder that goes away with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from tests.support.tools import postgres_program

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S: Final = 30
_OWNER: Final = "postgres"
"""PostgreSQL refuses to be run by root; Debian's package makes this user."""


@dataclass
class PostgresServer:
    """A server that can be stopped, started again, and killed."""

    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = None
    _databases: int = field(default=0)

    def url(self, database: str) -> str:
        """Return the address of a database, for `ledger.url`."""
        return f"postgresql+psycopg://ledger@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its address."""
        self._databases += 1
        name = f"ledger_{self._databases}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        log = (self.folder.parent / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    *(str(postgres_program()), "-D", str(self.folder), "-p", str(self.port)),
                    *("-h", "127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"),
                ],
                stdout=log,
                stderr=log,
                **_as_owner(),
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise AssertionError((self.folder.parent / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: SIGINT ends every connection, SIGQUIT is as good as a crash."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_S)
            self._process = None

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=ledger dbname=postgres", autocommit=True
        )


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a server while the block runs."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        home = Path(scratch)
        owner = _as_owner()
        if owner:
            shutil.chown(home, _OWNER)
        folder = home / "data"
        subprocess.run(
            [
                *(str(postgres_program("initdb")), "-D", str(folder), "-U", "ledger"),
                *("-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C"),
            ],
            check=True,
            capture_output=True,
            **owner,
        )
        server = PostgresServer(folder, _free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _as_owner() -> dict[str, Any]:
    return {"user": _OWNER, "group": _OWNER, "cwd": "/"} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
