"""The ledger over time, read from databases that the writer made."""

from dataclasses import replace

import orjson
import pytest

from ccproxy.ledger.database import open_database
from ccproxy.ledger.latencies import quantiles
from ccproxy.ledger.period import period_of
from ccproxy.ledger.series import LedgerSeries
from ccproxy.ports import HistoryUnknownError
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent, WouldCost
from routing.pricing import TokenCounts

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))]
HOUR_S = 3600
NOW_S = 20_000 * 24 * HOUR_S + 12 * HOUR_S + 1800
USAGE_S, CHART_S, LATENCY_S, FAILURES_S, MANY_S, EMPTY_S = (NOW_S + n * 8_640_000 for n in range(6))
"""A hundred days apart, so that one database serves every test."""
QWEN = Dimensions("messages", agent="coder", deployment="qwen", route="local")
CLAUDE = replace(QWEN, agent="writer", deployment="claude", route="claude")


def request(name, now_s, ago_s, dimensions=QWEN, *, cost=0, would=None, ttft_s=0.5, **changes):
    row = RequestRow(
        f"req_{name}",
        round((now_s - ago_s) * 1000),
        dimensions,
        200,
        "completed",
        "",
        stream=True,
        table_version="v",
        ttft_s=ttft_s,
        spent=Spent(TokenCounts(100, 20), total_s=2.5, cost_microusd=cost),
        wasted_microusd=0,
        would_cost=would and WouldCost(*would),
    )
    return replace(row, **changes)


def attempt(dimensions, result, number):
    return AttemptRow(dimensions, number, result, 0.0, Spent())


@pytest.mark.parametrize(
    ("hours", "least_step_s", "step_s", "points"),
    [
        (1, 60, 60, 60),
        (24, 60, 900, 96),
        (24, 3600, 3600, 24),
        (30 * 24, 3600, 6 * 3600, 120),
        (366 * 24, 3600, 7 * 86_400, 53),
    ],
)
def test_a_period_has_whole_steps(hours, least_step_s, step_s, points):
    """A period ends after now, has few steps of one length, and each begins at a multiple of it."""
    period = period_of(hours, NOW_S, least_step_s=least_step_s)

    assert (step_s, points) == (period.step_s, len(period.points_s))
    assert period.until_s - step_s <= NOW_S < period.until_s
    assert all(at_s % step_s == 0 for at_s in period.points_s)


def usage_rows():
    yield request("now", USAGE_S, 60, would=(10, 20, 30), cost=1)
    yield request("hour", USAGE_S, 3600, CLAUDE, cost=500)
    yield request("old", USAGE_S, 30 * 3600, CLAUDE, cost=9999)
    yield request("count", USAGE_S, 60, replace(QWEN, endpoint="count_tokens"))


def chart_rows():
    for n in range(9):
        yield request(f"chart{n}", CHART_S, 60, replace(QWEN, agent=f"agent{n}"), cost=100 - n)


def latency_rows():
    for n in range(1, 101):
        yield request(f"fast{n}", LATENCY_S, 90, ttft_s=n / 100)
    yield request("claude", LATENCY_S, 30 * 60, CLAUDE, ttft_s=2.0)
    yield request("lost", LATENCY_S, 60, ending="failed", status=529, ttft_s=None)
    yield request("broken", LATENCY_S, 60, ending="broken", ttft_s=99.0)


def failure_rows():
    tried = (attempt(QWEN, "connect_error", 0), attempt(CLAUDE, "ok", 1))
    yield request(
        "fallback", FAILURES_S, 600, CLAUDE, cost=7, failure="connect_error", attempts=tried
    )
    alone = (attempt(QWEN, "overloaded", 0),)
    changes = {"ending": "failed", "status": 529, "failure": "overloaded", "attempts": alone}
    yield request("failed", FAILURES_S, 60, **changes)
    yield request("fine", FAILURES_S, 60, attempts=(attempt(QWEN, "ok", 0),))
    yield request("relayed", FAILURES_S, 60, CLAUDE, status=529, ttft_s=None)


def many_rows():
    for n in range(500):
        yield request(f"many{n}", MANY_S, 60, replace(QWEN, agent=f"agent{n}"))


@pytest.fixture(scope="module", params=BOTH)
def url(request, tmp_path_factory):
    """The address of a database with the rows of every test."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('series') / 'ledger.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    database = open_database(url)
    rows = (usage_rows(), chart_rows(), latency_rows(), failure_rows(), many_rows())
    database.write([row for each in rows for row in each])
    database.close()
    return url


def plain(told):
    """Return what JSON makes of it."""
    return orjson.loads(orjson.dumps(told))


def test_usage_over_time(url):
    """Every hour has a point, also an empty one; points, groups and the total say the same."""
    told = plain(LedgerSeries(url).usage(24, "agent", USAGE_S))

    assert [point["cost_microusd"] for point in told["points"]] == [0] * 22 + [500, 1]
    assert told["points"][-1]["at_s"] + HOUR_S == told["until_s"]
    last = told["points"][-1]
    assert (1, 20, 1, 1) == (
        last["requests"],
        last["would_cost_microusd"],
        last["spent_microusd"],
        last["compared"],
    )
    assert [(g["name"], g["cost_microusd"]) for g in told["groups"]] == [
        ("writer", 500),
        ("coder", 1),
    ]
    assert (501, 2) == (told["total"]["cost_microusd"], told["total"]["requests"])
    assert (9, 19, 29) == tuple(
        told["savings"][key] for key in ("low_microusd", "expected_microusd", "high_microusd")
    )
    assert "Saved" in told["savings"]["told"]
    assert [line["name"] for line in told["lines"]] == ["writer", "coder"]
    assert [line["cost_microusd"][-2:] for line in told["lines"]] == [[500, 0], [0, 1]]


def test_a_chart_tells_few_groups_apart(url):
    """The groups that cost most have lines of their own, all others one together."""
    told = LedgerSeries(url).usage(2, "agent", CHART_S)

    assert [line["name"] for line in told["lines"]] == [*(f"agent{n}" for n in range(6)), None]
    assert 94 + 93 + 92 == told["lines"][-1]["cost_microusd"][-1]
    assert (9, 0) == (len(told["groups"]), told["left_out"])


def test_latency(url):
    """Quantiles by deployment and, over time, by route; of answers alone, each a measured value."""
    told = plain(LedgerSeries(url).latency(1, LATENCY_S))

    qwen, claude = told["deployments"]
    assert ("qwen", "local", 100) == (qwen["deployment"], qwen["route"], qwen["answers"])
    assert {"p50": 0.5, "p95": 0.95, "p99": 0.99} == qwen["ttft_s"]
    assert (2.0, 40.0) == (claude["ttft_s"]["p50"], claude["tokens_per_s"]["p50"])
    assert (101, LATENCY_S - 1800) == (told["looked_at"], told["since_s"])
    assert ["local", "claude"] == [route["route"] for route in told["routes"]]
    for route, at, value in ((0, -90, 0.5), (1, -1800, 2.0)):
        step = (LATENCY_S + at - told["first_s"]) // told["step_s"]
        over_time = told["routes"][route]["p50"]
        assert {step: value} == {n: each for n, each in enumerate(over_time) if each is not None}


def test_failures(url):
    """What failed lately with every attempt in order, how often where, and endings over time."""
    told = plain(LedgerSeries(url).failures(24, FAILURES_S))

    assert ["req_failed", "req_fallback"] == [row["request_id"] for row in told["requests"]]
    chain = told["requests"][1]["attempts"]
    assert ["qwen:connect_error", "claude:ok"] == [
        f"{a['deployment']}:{a['result']}" for a in chain
    ]
    assert {("connect_error", "qwen"), ("overloaded", "qwen")} == {
        (row["result"], row["deployment"]) for row in told["attempts"]
    }
    assert {"requests": 4, "fallbacks": 1, "completed": 3, "failed": 1, "error_relayed": 1} == {
        key: value for key, value in told["points"][-1].items() if value and key != "at_s"
    }


def test_a_time_without_requests(url):
    """Where nothing happened there are points of nothing, and nothing else."""
    series = LedgerSeries(url)
    usage, latency, failures = (
        series.usage(24, "model", EMPTY_S),
        series.latency(24, EMPTY_S),
        series.failures(24, EMPTY_S),
    )

    assert (24, 24) == (len(usage["points"]), len(failures["points"]))
    assert [] == usage["groups"] == usage["lines"] == latency["deployments"] == failures["requests"]
    assert (0, None) == (latency["looked_at"], latency["since_s"])
    assert {"p50": None, "p95": None, "p99": None} == quantiles([])


def test_a_ledger_that_cannot_be_read(tmp_path):
    """Without a ledger it says so; none is made."""
    series = LedgerSeries(f"sqlite:///{tmp_path / 'none.db'}")

    with pytest.raises(HistoryUnknownError, match="no ledger"):
        series.latency(1, NOW_S)
    assert [] == list(tmp_path.iterdir())


def test_a_question_that_takes_too_long_is_given_up(url):
    """A question has so many seconds; then it is told to ask for less."""
    with pytest.raises(HistoryUnknownError, match="took longer than"):
        LedgerSeries(url, limit_s=0.0).usage(24, "agent", MANY_S)
