"""Old rows are thrown away; sums stay."""

import time
from dataclasses import replace

import pytest

from ccproxy.ledger.database import open_database
from ccproxy.ledger.ledger import Ledger, LedgerDownError
from ccproxy.ledger.reading import reading
from ccproxy.ledger.reports import Scope, failed_requests, usage
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent
from tests.support.waiting import until

QWEN = Dimensions("messages", agent="coder", deployment="qwen", route="local")
DAY_MS = 86_400_000


def row(number, at_ms):
    attempt = AttemptRow(QWEN, 0, "overloaded", 0.0, Spent())
    return RequestRow(
        f"req_{number}",
        at_ms,
        QWEN,
        529,
        "failed",
        "overloaded",
        stream=False,
        table_version="v",
        ttft_s=None,
        spent=Spent(),
        wasted_microusd=0,
        attempts=(attempt, replace(attempt, number=1)),
    )


def left(url):
    """Return the requests that are left, newest first, and how many the sums know."""
    scope = Scope(0, 10**15, {})
    with reading(url) as connection:
        rows = failed_requests(connection, scope, 1000)
        (sums,) = usage(connection, [], scope)
    return [each["request_id"] for each in rows], sums["requests"]


def test_the_oldest_go_first_in_pieces(opened, url):
    """So many requests and attempts at a time; the sums know all of them afterwards."""
    database = opened()
    database.write([row(number, 1000 * number) for number in range(1, 8)])

    assert database.throw_away(5000, limit=3) == 6
    assert left(url) == (["req_7", "req_6", "req_5", "req_4"], 7)
    assert database.throw_away(5000, limit=100) == 6  # one request, and what is left of attempts
    assert database.throw_away(5000, limit=100) == 0
    assert left(url) == (["req_7", "req_6", "req_5"], 7)


def test_vacuum(opened, url):
    """A file gets smaller, and what is in it stays and can be written on."""
    database = opened()
    database.write([row(number, number) for number in range(1500)])
    full_bytes = database.size_bytes()
    while database.throw_away(1_490, 1000):
        pass
    database.vacuum()
    database.write([row(1500, 1500)])

    assert len(left(url)[0]) == 11
    if full_bytes is not None:
        assert database.size_bytes() < full_bytes / 2


async def test_the_thread_throws_away(tmp_path):
    """In pieces, without any row coming, beside what is written; younger rows stay."""
    url = f"sqlite:///{tmp_path / 'l.db'}"
    now_ms = round(time.time() * 1000)
    database = open_database(url)
    database.write([row(number, now_ms - 3 * DAY_MS) for number in range(2500)])
    database.write([row("young", now_ms - DAY_MS)])
    database.close()
    ledger = Ledger(lambda: open_database(url), batch_s=0.01, open_after_s=0.0, keep_s=2 * 86_400)
    ledger.start()
    ledger.put(row("new", now_ms))
    try:
        await until(lambda: left(url) == (["req_new", "req_young"], 2502), timeout_s=20)
    finally:
        ledger.close()


@pytest.mark.parametrize("error", ["disk I/O error", "database is locked"])
async def test_a_failure_is_an_outage(error):
    """It is told like any other, and rows are written once the database is back."""

    class Failing:
        written = 0

        def throw_away(self, _before_ms, _limit):
            raise LedgerDownError(error)

        def learned_ratios(self):
            return []

        def write(self, rows):
            Failing.written += len(rows)

        def close(self):
            pass

    reports = []
    ledger = Ledger(
        Failing, report=reports.append, batch_s=0.001, retry_s=0.001, open_after_s=0.0, keep_s=1.0
    )
    ledger.start()
    try:
        ledger.put(row(1, 1))
        await until(lambda: any(error in line for line in reports))
        ledger.put(row(2, 2))
        await until(lambda: Failing.written == 2 and ledger.error is None)
    finally:
        ledger.close()
