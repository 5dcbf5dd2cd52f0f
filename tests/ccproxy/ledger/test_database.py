"""The ledger's database on a real SQLite file."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from ccproxy.ledger.database import open_database
from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.tables import SCHEMA_VERSION, metadata
from ccproxy.outcome import LearnedRatio
from tests.support.tools import ROOT

ROW = LearnedRatio("qwen", "ollama_chat/qwen", 1.25, 40, 1_700_000_000.5)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def opened(path):
    """Open the database again and again; all are closed at the end."""
    databases = []

    def again():
        databases.append(open_database(f"sqlite:///{path}"))
        return databases[-1]

    yield again
    for database in databases:
        database.close()


def sql(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        return [connection.execute(statement).fetchall() for statement in statements]


def test_a_new_database_is_made(opened, path):
    """Its folder too; readable by its owner alone, its companions included, and in WAL."""
    database = opened()
    database.write([ROW])

    files = sorted(path.parent.iterdir())
    assert ["ledger.db", "ledger.db-shm", "ledger.db-wal"] == [file.name for file in files]
    assert {0o600} == {file.stat().st_mode & 0o777 for file in files}
    assert sql(path, "PRAGMA journal_mode", "SELECT version_num FROM alembic_version") == [
        [("wal",)],
        [(SCHEMA_VERSION,)],
    ]


def test_others_rights_are_taken_away(opened, path):
    """A file that somebody else could read is made private."""
    path.parent.mkdir()
    path.touch(0o644)
    opened()

    assert path.stat().st_mode & 0o777 == 0o600


def test_the_migrations_make_the_tables(opened, path):
    """What the steps make is what the code uses, and the newest step is the one it names."""
    opened().close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    scripts = ScriptDirectory(str(ROOT / "ccproxy/ledger/migrations"))
    assert [SCHEMA_VERSION] == scripts.get_heads()


def test_an_older_database_is_migrated(opened, path):
    """One that no step has been taken of has them taken."""
    path.parent.mkdir()
    sql(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    opened().write([ROW])

    assert [[(SCHEMA_VERSION,)]] == sql(path, "SELECT version_num FROM alembic_version")


def test_a_migration_that_fails_changes_nothing(opened, path):
    """A step is taken whole or not at all."""
    path.parent.mkdir()
    sql(
        path,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "CREATE VIEW token_ratios AS SELECT 1",
    )
    with pytest.raises(LedgerDownError, match="token_ratios already exists"):
        opened()

    assert [[]] == sql(path, "SELECT * FROM alembic_version")
    assert [[("alembic_version",), ("token_ratios",)]] == sql(
        path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
    )


def test_a_newer_database_is_refused(opened, path):
    """The error names the file and both versions, and what to do; nothing is touched."""
    opened().close()
    sql(path, "UPDATE alembic_version SET version_num = '0107'")
    before = path.read_bytes()
    with pytest.raises(LedgerDownError) as caught:
        opened()

    message = str(caught.value)
    assert message.startswith(f"{path} was written by a newer ccproxy: its schema is 0107")
    assert f"this one knows {SCHEMA_VERSION} at most" in message
    assert "set ledger.url to another file" in message
    assert before == path.read_bytes()


def test_somebody_elses_database_is_refused(opened, path):
    """A path that was mistyped costs nobody their data."""
    path.parent.mkdir()
    sql(path, "CREATE TABLE bookmarks (url TEXT)")
    with pytest.raises(LedgerDownError, match=r"none of ccproxy's \(it has the table 'bookmarks'"):
        opened()

    assert [[("bookmarks",)]] == sql(path, "SELECT name FROM sqlite_master")


def test_what_is_no_database_is_refused(opened, path):
    """A file of another kind stays as it is."""
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to look at: " * 50)
    with pytest.raises(LedgerDownError, match="cannot be used: file is not a database"):
        opened()


def test_a_folder_that_cannot_be_made(opened, path):
    """The error names the file."""
    path.parent.write_text("in the way")
    with pytest.raises(LedgerDownError, match=r"ledger\.db cannot be opened: .+"):
        opened()


def test_a_lock_is_waited_for_and_then_reported(opened, path, monkeypatch):
    """Another program's transaction makes the database busy, not broken."""
    monkeypatch.setattr("ccproxy.ledger.database.LOCK_WAIT_S", 0.05)
    database = opened()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerDownError, match="database is locked"):
        database.write([ROW])
    other.execute("COMMIT")
    other.close()
    database.write([ROW])

    assert [ROW] == database.learned_ratios()


def test_a_full_disk_is_reported_and_over_when_there_is_room(opened):
    """SQLite's own limit of pages stands for the disk's."""
    database = opened()
    many = [LearnedRatio(f"d{number}", "m" * 200, 1.0, 1, 0.0) for number in range(2000)]
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 10")
    with pytest.raises(LedgerDownError, match="full"):
        database.write(many)
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    database.write(many)

    assert 2000 == len(database.learned_ratios())


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_gone_is_noticed(replaced, opened, path):
    """Rows do not go on into a file that has no name any more; opened again, all is new."""
    database = opened()
    for file in path.parent.iterdir():
        file.unlink()
    if replaced:
        path.touch()
    with pytest.raises(LedgerDownError, match="was removed or replaced"):
        database.write([ROW])
    opened().write([ROW])

    assert [[(40,)]] == sql(path, "SELECT samples FROM token_ratios")


def test_an_odd_row_is_told_from_a_database_that_is_down(opened):
    """Nothing of its transaction stays."""
    database = opened()
    with pytest.raises(ValueError, match="NOT NULL"):
        database.write([ROW, LearnedRatio("q", "m", None, 1, 0.0)])
    with pytest.raises(ValueError, match="not supported"):
        database.write([ROW, LearnedRatio("q", "m", 1.0, object(), 0.0)])

    assert [] == database.learned_ratios()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+nosuch://u:secret@h/d", r"postgresql\+nosuch://u:\*\*\*@h/d needs a driver"),
        ("postgresql+psycopg2://u:secret@h/d", r"needs a driver that is not installed"),
        ("what is this", r"ledger.url is not a database URL"),
    ],
)
def test_other_databases_need_their_driver(url, told):
    """The password is not in the message."""
    with pytest.raises(LedgerDownError, match=told) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_ledger_in_memory():
    """For trying things out: it begins empty and ends with the process."""
    database = open_database("sqlite://")
    database.write([ROW])
    assert [ROW] == database.learned_ratios()
    database.close()


def test_many_are_made_at_once(tmp_path):
    """Each has its own schema: no thread migrates another one's database."""

    def make(number):
        database = open_database(f"sqlite:///{tmp_path / f'{number}.db'}")
        database.close()
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(16)))

    assert [True] * 16 == ["daily" in tables and "requests" in tables for tables in made]
