"""What the ledger's database does, SQLite or PostgreSQL."""

import signal
import time
from dataclasses import replace
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from ccproxy.ledger.database import open_database
from ccproxy.ledger.ledger import Ledger, LedgerDownError
from ccproxy.ledger.tables import SCHEMA_VERSION, TOKENS, metadata
from ccproxy.ledger.writers import SLICE_ROWS
from ccproxy.outcome import Ending, LearnedRatio
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent, WouldCost
from routing.failures import FailureClass
from routing.pricing import TokenCounts
from tests.support.postgres import running_postgres

RATIO = LearnedRatio("qwen", "ollama_chat/qwen", 1.25, 40, 1_700_000_000.5)
HOUR_MS = 3_600_000
QWEN = Dimensions("messages", "ops", agent="coder", deployment="qwen", route="local")
CLAUDE = replace(QWEN, deployment="claude", route="claude", upstream_model="claude-opus-5-5")


def attempt(dimensions=QWEN, number=0, result="ok", **spent):
    return AttemptRow(dimensions, number, result, 0.0, Spent(**{"cost_microusd": 0, **spent}))


def row(request_id="req_1", at_ms=HOUR_MS, **changes):
    spent = Spent(TokenCounts(100, 20, 3, 4, 5), total_s=2.5, cost_microusd=700)
    whole = RequestRow(
        request_id,
        at_ms,
        QWEN,
        200,
        "completed",
        "",
        stream=True,
        table_version="v",
        ttft_s=0.5,
        spent=spent,
        wasted_microusd=0,
        attempts=(attempt(),),
    )
    return replace(whole, **changes)


def sql(url, *statements):
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            answers = [connection.execute(text(each)) for each in statements]
            return [
                [tuple(found) for found in each] if each.returns_rows else None for each in answers
            ]
    finally:
        engine.dispose()


def test_the_migrations_make_the_tables(opened, url):
    """What the steps make is what the code uses."""
    opened().close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()


def test_the_first_schema_is_migrated(opened, url):
    """What an older program learned is still there, and requests have tables now."""
    opened().close()
    sql(
        url,
        "DROP TABLE requests",
        "DROP TABLE attempts",
        "DROP TABLE hourly",
        "DROP TABLE daily",
        "DROP TABLE dimensions",
        "UPDATE alembic_version SET version_num = '0001'",
        "INSERT INTO token_ratios VALUES ('qwen', 'm', 1.5, 3, 0)",
    )
    database = opened()
    database.write([row()])

    assert [LearnedRatio("qwen", "m", 1.5, 3, 0.0)] == database.learned_ratios()
    assert sql(url, "SELECT version_num FROM alembic_version", "SELECT status FROM requests") == [
        [(SCHEMA_VERSION,)],
        [(200,)],
    ]


def test_days_are_made_of_the_hours_that_are_there(opened, url):
    """The step that makes the sums by day fills them; from then on both are kept together."""
    days = "SELECT day, dimension_id, ending, sum(requests), sum(cost_microusd) FROM daily"
    hours = days.replace("day,", "hour / 24,").replace("daily", "hourly")
    rest = " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    opened().write([row(at_ms=at * HOUR_MS) for at in (1, 2, 23, 24, 24, 50)])
    sql(url, "DROP TABLE daily", "UPDATE alembic_version SET version_num = '0002'")
    database = opened()
    (made,) = sql(url, days + rest)
    database.write([row(at_ms=at * HOUR_MS, ending="failed") for at in (3, 24, 75)])
    kept, expected = sql(url, days + rest, hours + rest)

    assert [3, 2, 1] == [each[3] for each in made]
    assert expected == kept
    assert 6 == len(kept)


def test_a_newer_database_is_refused(opened, url):
    """The error says both versions, and what to do; a password is not in it."""
    opened().close()
    sql(url, "UPDATE alembic_version SET version_num = '0107'")

    with pytest.raises(LedgerDownError, match=r"its schema is 0107, this one knows \d{4} at most"):
        opened()


def test_somebody_elses_database_is_refused(opened, url):
    """An address that was mistyped costs nobody their data."""
    sql(url, "CREATE TABLE bookmarks (url TEXT)")

    with pytest.raises(LedgerDownError, match=r"none of ccproxy's \(it has the table 'bookmarks'"):
        opened()


def test_ratios_are_there_for_the_next_process(opened):
    """The last ratio of a deployment and model is the one that counts."""
    first = opened()
    first.write([RATIO, replace(RATIO, deployment="other")])
    first.write([replace(RATIO, ratio=0.5), RATIO])
    first.close()

    found = sorted(opened().learned_ratios(), key=lambda each: each.deployment)
    assert found == [replace(RATIO, deployment="other"), RATIO]


def test_an_odd_row_is_told_from_a_database_that_is_down(opened, url):
    """Nothing of its transaction stays, and dimensions it made are made again."""
    database = opened()
    with pytest.raises(ValueError, match=r"(?i)not.null"):
        database.write([row(), row("req_2", status=None)])
    database.write([row("req_3")])

    assert sql(url, "SELECT request_id FROM requests", "SELECT count(*) FROM dimensions") == [
        [("req_3",)],
        [(1,)],
    ]


def test_a_large_batch_is_one_transaction(opened, url):
    """An odd row at its end leaves nothing behind, neither rows nor sums; without it all stay."""
    database = opened()
    good = [row(f"req_{number}") for number in range(2 * SLICE_ROWS + 5)]
    counted = ("SELECT count(*) FROM requests", "SELECT coalesce(sum(requests), 0) FROM hourly")
    with pytest.raises(ValueError, match=r"(?i)not.null"):
        database.write([*good, row("odd", status=None)])

    assert sql(url, *counted) == [[(0,)], [(0,)]]
    database.write(good)
    assert sql(url, *counted) == [[(len(good),)], [(len(good),)]]


def test_a_request_with_its_attempts(opened, url):
    """Every column says what the row said; dimensions stand once."""
    failed = attempt(QWEN, 0, "connect_error", total_s=0.1)
    served = attempt(CLAUDE, 1, tokens=TokenCounts(100, 20, 3, 4, 5), cost_microusd=700)
    would = WouldCost(1, 2, 3)
    opened().write([row(dimensions=CLAUDE, attempts=(failed, served), would_cost=would)])
    opened().write([row("req_2", dimensions=CLAUDE, attempts=(served,))])

    requests, attempts, dimensions = sql(
        url,
        "SELECT request_id, agent, deployment, route, input_tokens, output_tokens, "
        "cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, ttft_s, total_s, "
        "tokens_per_s, cost_microusd, would_cost_low_microusd, would_cost_microusd, "
        "would_cost_high_microusd FROM requests "
        "JOIN dimensions ON dimensions.id = dimension_id ORDER BY requests.id",
        "SELECT request_id, number, deployment, result, cost_microusd FROM attempts "
        "JOIN dimensions ON dimensions.id = dimension_id ORDER BY attempts.id",
        "SELECT deployment FROM dimensions ORDER BY deployment",
    )
    same = ("coder", "claude", "claude", 100, 20, 3, 4, 5, 0.5, 2.5, 10.0, 700)
    assert requests == [("req_1", *same, 1, 2, 3), ("req_2", *same, None, None, None)]
    assert attempts == [
        ("req_1", 0, "qwen", "connect_error", 0),
        ("req_1", 1, "claude", "ok", 700),
        ("req_2", 1, "claude", "ok", 700),
    ]
    assert dimensions == [("claude",), ("qwen",)]


def test_each_number_stands_under_its_name(opened, url):
    """Of a request, of its attempts and of both kinds of sums."""
    spent = Spent(
        TokenCounts(11, 12, 13, 14, 15), 16, True, 1.5, 2.5, 3.5, total_s=10.0, cost_microusd=17
    )
    attempts = (
        AttemptRow(CLAUDE, 0, FailureClass.OVERLOADED, 0.5, Spent(cost_microusd=None)),
        AttemptRow(QWEN, 1, "ok", 0.75, spent),
    )
    written = row(
        status=201,
        ending=Ending.CLIENT_GONE,
        failure=FailureClass.OVERLOADED,
        ttft_s=4.0,
        spent=spent,
        wasted_microusd=18,
        would_cost=WouldCost(19, 20, 21),
        attempts=attempts,
    )
    opened().write([written])
    tokens = {name: 11 + number for number, name in enumerate(TOKENS)}
    costs = {
        "cost_microusd": 17,
        "wasted_microusd": 18,
        "would_cost_low_microusd": 19,
        "would_cost_microusd": 20,
        "would_cost_high_microusd": 21,
    }
    told = {"request_id": "req_1", "at_ms": HOUR_MS}
    durations = {"queue_s": 1.5, "load_s": 2.5, "prefill_s": 3.5, "ttft_s": 4.0, "total_s": 10.0}
    words = {"ending": "client_gone", "failure": "overloaded", "table_version": "v"}
    flags = {"stream": True, "estimated": True}
    rest = {"status": 201, "thinking_tokens": 16, "tokens_per_s": 2.0}
    none = {"cost_microusd": None, "total_s": 0.0, **dict.fromkeys(TOKENS, 0)}
    served = {**tokens, "number": 1, "result": "ok", "after_s": 0.75, "total_s": 10.0}
    counts = {"requests": 1, "fallbacks": 1, "unpriced": 0, "compared": 1, "answers": 1}
    seconds = {"ttft_s": 4.0, "answer_s": 6.0, "total_s": 10.0}
    sums = {"ending": "client_gone", "thinking_tokens": 16} | counts | seconds

    assert named(url, "requests") == [
        told | tokens | costs | durations | words | flags | rest,
    ]
    assert named(url, "attempts") == [
        told | none | {"number": 0, "result": "overloaded", "after_s": 0.5},
        told | served | {"cost_microusd": 17},
    ]
    assert named(url, "hourly") == [{"hour": 1} | tokens | costs | sums]
    assert named(url, "daily") == [{"day": 0} | tokens | costs | sums]


def named(url, table):
    """Return every row by the names of its columns, but for the numbers the database gave out."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(metadata.tables[table].select()).mappings()
            return [
                {name: each[name] for name in each if name not in ("id", "dimension_id")}
                for each in found
            ]
    finally:
        engine.dispose()


@pytest.mark.parametrize("tokens", [2**63, 10**30])
def test_a_number_that_no_column_takes_is_the_rows_fault(tokens, opened, url):
    """An upstream may say that it used so many tokens; the next row is written as ever."""
    database = opened()
    absurd = replace(row().spent, tokens=TokenCounts(tokens))
    with pytest.raises(ValueError, match=r"(?i)too large|out of range|overflow"):
        database.write([row("req_1", spent=absurd)])
    database.write([row("req_2")])

    assert sql(url, "SELECT request_id FROM requests") == [[("req_2",)]]


def test_the_hours_are_the_sums(opened, url):
    """By hour, dimensions and ending, also over several transactions."""
    database = opened()
    unknown = replace(row().spent, cost_microusd=None)
    fallback = (attempt(CLAUDE, 0, "overloaded"), attempt())
    database.write([row(), row(at_ms=2 * HOUR_MS - 1), row(at_ms=2 * HOUR_MS)])
    database.write([row(spent=unknown, would_cost=WouldCost(1, 2, 3)), row(attempts=fallback)])
    database.write([row(ending="client_gone", ttft_s=None)])

    assert sql(
        url,
        "SELECT hour, ending, requests, fallbacks, unpriced, input_tokens, cost_microusd, "
        "compared, would_cost_high_microusd, answers, ttft_s, answer_s, total_s FROM hourly "
        "ORDER BY hour, ending",
    ) == [
        [
            (1, "client_gone", 1, 0, 0, 100, 700, 0, 0, 0, 0.0, 0.0, 2.5),
            (1, "completed", 4, 1, 1, 400, 2100, 1, 3, 4, 2.0, 8.0, 10.0),
            (2, "completed", 1, 0, 0, 100, 700, 0, 0, 1, 0.5, 2.0, 2.5),
        ]
    ]


@pytest.mark.needs("postgres")
def test_a_server_that_goes_away_is_waited_for():
    """Rows that came meanwhile are written once it is back, each once."""
    told = []
    with running_postgres() as server:
        url = server.new_database()
        ledger = Ledger(
            partial(open_database, url), report=told.append, batch_s=0, retry_s=0.1, open_after_s=0
        )
        ledger.start()
        ledger.put(row("before"))
        waited_for(lambda: ledger.written == 1)
        server.stop(signal.SIGQUIT)
        for number in range(20):
            ledger.put(row(f"during {number}"))
        waited_for(lambda: ledger.error is not None)
        server.start()
        waited_for(lambda: ledger.written == 21)
        ledger.close()
        counted = sql(url, "SELECT count(*), count(DISTINCT request_id) FROM requests")

    assert counted == [[(21, 21)]]
    assert ledger.dropped == 0
    assert [line.partition(";")[0] for line in told][-1] == "ledger: written again"


def waited_for(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


ROWS = st.builds(
    lambda agent, hour, cost, ending: row(
        at_ms=hour * HOUR_MS,
        dimensions=replace(QWEN, agent=agent),
        ending=ending,
        spent=replace(row().spent, cost_microusd=cost),
    ),
    st.sampled_from(["a", "b", "ä"]),
    st.integers(0, 2),
    st.none() | st.integers(0, 10**12),
    st.sampled_from(["completed", "failed"]),
)


SUMMED = """
    SELECT hour, agent, ending, sum(requests), sum(cost_microusd), sum(unpriced)
    FROM hourly JOIN dimensions ON id = dimension_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
SINGLE = """
    SELECT at_ms / 3600000, agent, ending, count(*), coalesce(sum(cost_microusd), 0),
           sum(cost_microusd IS NULL)
    FROM requests JOIN dimensions ON dimensions.id = dimension_id GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


@given(batches=st.lists(st.lists(ROWS, min_size=1, max_size=6), max_size=5))
@settings(max_examples=10)
def test_sums_and_rows_agree(batches):
    """However rows came in, an hour's sums are those of its rows."""
    database = open_database("sqlite://")
    for batch in batches:
        database.write(batch)
    with database._engine.connect() as connection:
        summed, single = (
            [tuple(each) for each in connection.exec_driver_sql(statement)]
            for statement in (SUMMED, SINGLE)
        )
    database.close()

    assert summed == single
