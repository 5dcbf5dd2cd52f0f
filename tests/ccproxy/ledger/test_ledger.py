"""The queue and the thread between requests and the database."""

import threading

import pytest

from ccproxy.ledger.ledger import Ledger, LedgerDownError
from ccproxy.outcome import LearnedRatio
from tests.support.waiting import until


def row(number):
    return LearnedRatio(f"d{number}", "m", 1.0, number, 0.0)


class Memory:
    """A database that fails as it is told."""

    def __init__(self):
        self.rows = []
        self.opened = 0
        self.closed = 0
        self.batches = 0
        self.down = False
        self.refused = False
        self.odd = set()
        self.hangs = threading.Event()
        self.hangs.set()

    def open(self):
        if self.refused:
            raise LedgerDownError("l.db was written by a newer ccproxy")
        self.opened += 1
        return self

    def write(self, rows):
        self.hangs.wait(10)
        self.batches += 1
        if self.down:
            raise LedgerDownError("l.db cannot be used: disk is full")
        if self.odd & {row.samples for row in rows}:
            raise ValueError("an odd row")
        self.rows.extend(rows)

    def learned_ratios(self):
        return list(self.rows)

    def close(self):
        self.closed += 1


@pytest.fixture
def database():
    return Memory()


@pytest.fixture
def reports():
    return []


@pytest.fixture
def ledger(database, reports):
    ledger = Ledger(
        database.open,
        report=reports.append,
        waiting_limit=10,
        batch_s=0.01,
        retry_s=0.01,
        open_after_s=0.0,
    )
    yield ledger
    database.hangs.set()
    ledger.close()


async def test_rows_are_committed_in_their_order(ledger, database, reports):
    """What was put, before or after the start, is written, several rows in one transaction."""
    ledger.put(row(1))
    ledger.put(row(2))
    ledger.start()
    await until(lambda: ledger.written == 2)
    ledger.put(row(3))
    await until(lambda: ledger.written == 3)

    assert [1, 2, 3] == [each.samples for each in database.rows]
    assert database.batches == 2
    assert ledger.status() == {
        "state": "up", "error": None, "written": 3, "waiting": 0, "dropped": 0,
    }  # fmt: skip
    assert reports == []


async def test_saved_ratios_are_handed_out_once(ledger, database):
    """At the first opening, not again after an outage."""
    database.rows.append(row(7))
    handed = []
    ledger.start(handed.append)
    await until(lambda: handed)
    database.down = True
    ledger.put(row(8))
    await until(lambda: ledger.error)
    database.down = False
    await until(lambda: ledger.written == 1)

    assert handed == [[row(7)]]
    assert database.opened >= 2


async def test_an_outage_loses_nothing_that_fits_and_is_told_once(ledger, database, reports):
    """Rows wait while the database is down, and are written when it is back."""
    database.down = True
    ledger.start()
    for number in range(5):
        ledger.put(row(number))
    await until(lambda: database.batches >= 3)
    assert ledger.status()["state"] == "down"
    assert ledger.status()["error"] == "l.db cannot be used: disk is full"
    assert ledger.waiting == 5
    database.down = False
    await until(lambda: ledger.written == 5)

    assert (ledger.status()["state"], ledger.dropped) == ("up", 0)
    assert 2 == len(reports), reports
    assert "disk is full; requests are served on" in reports[0]
    assert "written again; 0 rows were lost" in reports[1]


async def test_memory_is_bounded(ledger, database):
    """What comes beyond the limit while the database is down is dropped and counted."""
    database.refused = True
    ledger.start()
    for number in range(25):
        ledger.put(row(number))
    assert (ledger.waiting, ledger.dropped) == (10, 15)
    database.refused = False
    await until(lambda: ledger.written == 10)

    assert list(range(10)) == [each.samples for each in database.rows]


async def test_a_slow_database_does_not_hold_up_who_puts(ledger, database):
    """Putting a row returns at once while a transaction hangs."""
    database.hangs.clear()
    ledger.start()
    ledger.put(row(1))
    await until(lambda: ledger._batch)
    for number in range(20):
        ledger.put(row(number))

    assert ledger.waiting == 10
    assert ledger.written == 0
    assert ledger.dropped == 11


async def test_an_odd_row_costs_itself_alone(ledger, database, reports):
    """The other rows of its batch are written."""
    database.odd = {2}
    for number in range(5):
        ledger.put(row(number))
    ledger.start()
    await until(lambda: ledger.written == 4)

    assert [0, 1, 3, 4] == [each.samples for each in database.rows]
    assert ledger.dropped == 1
    assert reports == ["ledger: 1 rows were lost, they cannot be written: an odd row"]


async def test_a_refused_database_that_is_put_right_is_used(ledger, database, reports):
    """Without a restart, and without a row to write."""
    database.refused = True
    ledger.start()
    await until(lambda: ledger.error)
    database.refused = False
    await until(lambda: ledger.status()["state"] == "up")

    assert 2 == len(reports), reports


def test_closing_writes_what_waits(ledger, database):
    """A stop loses nothing, also one that comes before the database was opened."""
    ledger._open_after_s = 60.0
    ledger.start()
    for number in range(8):
        ledger.put(row(number))
    ledger.close()
    ledger.put(row(9))

    assert (ledger.written, ledger.dropped, len(database.rows)) == (8, 1, 8)
    assert database.closed == 1


def test_closing_in_an_outage_counts_what_is_lost(ledger, database, reports):
    """A stop does not wait for a database that is down."""
    database.down = True
    ledger._open_after_s = 60.0
    ledger.start()
    ledger.put(row(1))
    ledger.close()

    assert (ledger.written, ledger.dropped) == (0, 1)
    assert reports[-1] == "ledger: 1 rows were lost at the end"


def test_nothing_is_opened_for_nothing(ledger, database):
    """A proxy that stops at once never opened its database."""
    ledger._open_after_s = 60.0
    ledger.start()
    ledger.close()

    assert database.opened == 0
