"""Databases for the ledger's tests."""

import pytest

from ccproxy.ledger.database import open_database
from tests.support.postgres import running_postgres

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))]


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for all tests of a worker."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BOTH)
def url(request, tmp_path):
    """The address of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def opened(url):
    """Open the database again and again; all are closed at the end."""
    databases = []

    def again():
        databases.append(open_database(url))
        return databases[-1]

    yield again
    for database in databases:
        database.close()
