"""What was used, saved and failed, read from databases that the writer made."""

import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text

from ccproxy.ledger.asking import asking
from ccproxy.ledger.database import open_database
from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.reading import reading
from ccproxy.ledger.reports import (
    By,
    Scope,
    failed_attempts,
    failed_requests,
    savings,
    usage,
)
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent, WouldCost
from routing.pricing import TokenCounts
from routing.savings import SavingsSums

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 20_000 * DAY_MS
ALL = Scope(START_MS, START_MS + 3 * DAY_MS, {})
QWEN = Dimensions(
    "messages",
    "ops",
    "web",
    "coder",
    "codingAgents",
    tier="sonnet",
    deployment="qwen",
    route="local",
    upstream_model="qwen2.5",
    requested_model="claude-sonnet-5-5",
)
CLAUDE = replace(QWEN, deployment="claude", route="claude", upstream_model="claude-sonnet-5-5")


def request(number, at_ms=START_MS, dimensions=QWEN, *, cost=0, wasted=0, would=None, **changes):
    spent = Spent(TokenCounts(100, 10, 5, 3, 50), total_s=2.0, cost_microusd=cost)
    row = RequestRow(
        f"req_{number}",
        at_ms,
        dimensions,
        200,
        "completed",
        "",
        stream=True,
        table_version="v",
        ttft_s=0.5,
        spent=spent,
        wasted_microusd=wasted,
        would_cost=would and WouldCost(*would),
    )
    return replace(row, **changes)


def attempt(dimensions, result, number=0, cost=0):
    return AttemptRow(dimensions, number, result, 0.0, Spent(cost_microusd=cost))


EITHER_WAY = pytest.mark.parametrize("way", [reading, asking])


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    """Days here are those of the machine's local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def told(opened, url):
    """Write rows, then ask."""

    def told(rows, report, *arguments):
        opened().write(rows)
        with reading(url) as connection:
            return report(connection, *arguments)

    return told


def test_an_error_that_was_passed_on_has_failed(told):
    """Claude's own 400 or 529, relayed to its end, is no success (conformance 268)."""
    passed_on = {"dimensions": CLAUDE, "ttft_s": None, "ending": "completed"}
    rows = [
        request(1, dimensions=CLAUDE),
        request(2, status=529, failure="overloaded", **passed_on),
        request(3, status=400, failure="client_fault", **passed_on),
        request(4, dimensions=CLAUDE, ending="broken"),
        request(5),
    ]
    found = told(rows, usage, [By.ROUTE], ALL)

    assert {"claude": (4, 3), "local": (1, 0)} == {
        row["route"]: (row["requests"], row["failed"]) for row in found
    }


def test_usage_by_agent(told):
    """Sums of each, the dearest first; what failed, was refused or left is counted apart."""
    debugger = replace(QWEN, agent="debugger")
    rows = [
        request(1),
        request(2, dimensions=CLAUDE, cost=700, wasted=200),
        request(3, dimensions=CLAUDE, cost=None, ending="failed"),
        request(4, dimensions=debugger, ending="refused"),
        request(5, dimensions=debugger, ending="client_gone"),
        request(6, dimensions=replace(debugger, endpoint="count_tokens")),
    ]
    coder, other = told(rows, usage, [By.AGENT], ALL)

    assert (coder["agent"], coder["requests"], coder["failed"], coder["left"]) == ("coder", 3, 1, 0)
    assert (coder["cost_microusd"], coder["wasted_microusd"], coder["unpriced"]) == (700, 200, 1)
    assert (coder["input_tokens"], coder["cache_read_tokens"]) == (300, 150)
    assert (coder["ttft_s"], coder["answers"]) == (1.5, 3)
    assert (other["requests"], other["refused"], other["left"]) == (2, 1, 1)
    assert all(type(coder[name]) is int for name in ("requests", "input_tokens", "cost_microusd"))


def test_usage_by_everything_else(told):
    """Each way to tell requests apart, by its own name."""
    told([request(1), request(2, dimensions=CLAUDE, cost=9)], usage, [], ALL)
    for by, values in {
        By.CATEGORY: ["codingAgents"],
        By.MODEL: ["claude-sonnet-5-5", "qwen2.5"],
        By.REQUESTED_MODEL: ["claude-sonnet-5-5"],
        By.DEPLOYMENT: ["claude", "qwen"],
        By.ROUTE: ["claude", "local"],
        By.TIER: ["sonnet"],
        By.PRINCIPAL: ["ops"],
        By.PROJECT: ["web"],
        By.REQUEST_CLASS: [""],
    }.items():
        assert [row[by] for row in told([], usage, [by], ALL)] == values


def test_usage_by_several(told):
    """A row for each combination."""
    rows = [request(1), request(2, dimensions=CLAUDE, cost=9), request(3, START_MS + DAY_MS)]
    found = told(rows, usage, [By.AGENT, By.ROUTE, By.DAY], ALL)

    assert [tuple(row.values())[:3] for row in found] == [
        ("coder", "claude", "2024-10-04"),
        ("coder", "local", "2024-10-04"),
        ("coder", "local", "2024-10-05"),
    ]


def test_usage_of_everything(told):
    """Without anything to tell apart there is one row; of nothing there is none."""
    (row,) = told([request(1), request(2)], usage, [], ALL)
    assert row["requests"] == 2
    assert told([], usage, [], replace(ALL, since_ms=0, until_ms=HOUR_MS)) == []


def test_days_are_local(told, monkeypatch):
    """A request of the evening is of that day, wherever the machine stands."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    early = int(datetime(2024, 10, 5, 2, 30, tzinfo=UTC).timestamp() * 1000)
    (row,) = told([request(1, early)], usage, [By.DAY], ALL)
    assert row["day"] == "2024-10-04"


def test_a_period_is_of_whole_hours(told):
    """Those that it begins and ends in are in it."""
    told([request(1), request(2, START_MS + HOUR_MS)], usage, [], ALL)
    midnight = START_MS + DAY_MS
    told([request(3, midnight), request(4, midnight + DAY_MS)], usage, [], ALL)
    for since_ms, until_ms, requests in (
        (START_MS, midnight + 2 * DAY_MS, 4),
        (START_MS + HOUR_MS, midnight + DAY_MS, 2),
        (START_MS + HOUR_MS, midnight + DAY_MS + HOUR_MS, 3),
        (START_MS + 2 * HOUR_MS, midnight + HOUR_MS, 1),
        (0, START_MS + HOUR_MS, 1),
        (START_MS, START_MS + HOUR_MS, 1),
        (START_MS + HOUR_MS // 2, START_MS + HOUR_MS, 1),
        (START_MS, START_MS + HOUR_MS + 1, 2),
        (START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, 1),
    ):
        (row,) = told([], usage, [], Scope(since_ms, until_ms, {}))
        assert row["requests"] == requests


def test_limits(told):
    """Several must all hold; another endpoint, or all of them, can be asked for."""
    rows = [
        request(1),
        request(2, dimensions=replace(QWEN, principal="ci")),
        request(3, dimensions=replace(CLAUDE, principal="ci")),
        request(4, dimensions=replace(QWEN, endpoint="count_tokens")),
    ]
    (row,) = told(rows, usage, [], replace(ALL, only={By.PRINCIPAL: "ci", By.ROUTE: "local"}))
    assert row["requests"] == 1
    assert told([], usage, [], replace(ALL, endpoint=None))[0]["requests"] == 4
    assert told([], usage, [], replace(ALL, endpoint="count_tokens"))[0]["requests"] == 1


def test_savings(told):
    """Of what was compared the range and its own cost; wasted is that of all others."""
    rows = [
        request(1, cost=5, wasted=1, would=(100, 200, 300)),
        request(2, START_MS + HOUR_MS, cost=5, would=(10, 20, 30)),
        request(3, dimensions=replace(QWEN, agent="x"), cost=7, wasted=0),
        request(4, dimensions=CLAUDE, cost=900, wasted=40),
        request(5, dimensions=replace(QWEN, agent="y"), cost=None, would=(1, 2, 3)),
        request(6, dimensions=CLAUDE, cost=None),
    ]
    assert told(rows, savings, ALL) == SavingsSums(3, 111, 222, 333, 10, 40, 1, 1)
    assert told([], savings, replace(ALL, until_ms=START_MS)) == SavingsSums(0, 0, 0, 0, 0)


def test_failed(told):
    """What failed where, and the requests it befell; left alone and called off are no failures."""
    rescued = request(
        1,
        START_MS + 1,
        CLAUDE,
        failure="overloaded",
        attempts=(attempt(QWEN, "overloaded"), attempt(CLAUDE, "ok", 1)),
    )
    lost = request(
        2,
        START_MS + 2,
        ending="failed",
        status=529,
        failure="connect_error",
        attempts=(
            attempt(QWEN, "overloaded"),
            attempt(QWEN, "overloaded", 1),
            attempt(CLAUDE, "connect_error", 2, cost=None),
        ),
    )
    gone = request(
        3, ending="client_gone", failure="unfinished", attempts=(attempt(QWEN, "unfinished"),)
    )
    rows = [rescued, lost, gone, request(4, attempts=(attempt(QWEN, "ok"),))]

    assert [tuple(row.values()) for row in told(rows, failed_attempts, ALL)] == [
        ("overloaded", "qwen", 3, 2, 0, 0, START_MS + 2),
        ("connect_error", "claude", 1, 1, 0, 1, START_MS + 2),
    ]
    assert [tuple(row.values()) for row in told([], failed_requests, ALL, 10)] == [
        (START_MS + 2, "req_2", "coder", "ops", "qwen", 529, "failed", "connect_error"),
        (START_MS + 1, "req_1", "coder", "ops", "claude", 200, "completed", "overloaded"),
    ]
    assert len(told([], failed_requests, ALL, 1)) == 1


def test_nothing_can_be_changed(opened, url):
    """The connection only reads."""
    opened().close()
    with pytest.raises(LedgerDownError, match=r"read.?only"), reading(url) as connection:
        connection.execute(text("DELETE FROM hourly"))


@EITHER_WAY
def test_another_schema_is_refused(way, opened, url):
    """With what to do about it."""
    opened().close()
    engine = create_engine(url)
    for statement, complaint in (
        ("UPDATE alembic_version SET version_num = '0001'", "written by an older ccproxy"),
        ("UPDATE alembic_version SET version_num = '9999'", "written by a newer ccproxy"),
        ("DROP TABLE alembic_version", "is no ledger of ccproxy's"),
    ):
        with engine.begin() as connection:
            connection.execute(text(statement))
        with pytest.raises(LedgerDownError, match=complaint), way(url):
            pass
    engine.dispose()


@EITHER_WAY
def test_a_file_that_cannot_be_read(way, tmp_path, monkeypatch):
    """Not there, no database, or taken by somebody: each is told, and nothing is made."""
    url = f"sqlite:///{tmp_path / 'l.db'}"
    with pytest.raises(LedgerDownError, match="there is no ledger at"), way(url):
        pass
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "l.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerDownError, match="is not a database"), way(url):
        pass

    (tmp_path / "l.db").unlink()
    open_database(url).close()
    monkeypatch.setattr(sys.modules[way.__module__], "LOCK_WAIT_S", 0.01)
    with closing(sqlite3.connect(tmp_path / "l.db")) as taken:
        taken.execute("PRAGMA locking_mode=EXCLUSIVE")
        taken.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerDownError, match="database is locked"), way(url):
            pass
