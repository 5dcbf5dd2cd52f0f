"""What the ledger says was spent in a while, beside a sum over the very rows."""

import pytest

from ccproxy.ledger.tables import MS_PER_HOUR
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent, SpentSum
from routing.budget_book import BudgetScope
from routing.pricing import TokenCounts

NOTHING = TokenCounts()
SOME = TokenCounts(1, 2, 3, 4, 5)
SINCE_MS, UNTIL_MS = 1_750_000_123_456, 1_750_000_123_456 + 5 * MS_PER_HOUR + 1_800_000


def attempt(number, deployment, cost, tokens):
    route = "local" if deployment == "qwen" else "claude"
    who = {"principal": "ci", "project": "", "agent": "debugger", "endpoint": "messages"}
    dimensions = Dimensions(**who, deployment=deployment, route=route, upstream_model="m")
    return AttemptRow(dimensions, number, "ok", 0.0, Spent(tokens, cost_microusd=cost))


def request(at_ms, *attempts, cost, wasted=0, **changed):
    names = Dimensions.__slots__
    last = {name: getattr(attempts[-1].dimensions, name) for name in names} if attempts else {}
    spent = Spent(attempts[-1].spent.tokens if attempts else NOTHING, cost_microusd=cost)
    return RequestRow(
        request_id=f"req_{at_ms}",
        at_ms=at_ms,
        dimensions=Dimensions(**{**last, **changed}),
        status=200,
        ending="completed",
        failure="",
        stream=False,
        table_version="t",
        ttft_s=0.1,
        spent=spent,
        wasted_microusd=wasted,
        attempts=attempts,
    )


def one(at_ms, cost=5, tokens=SOME, deployment="claude", **changed):
    return request(at_ms, attempt(0, deployment, cost, tokens), cost=cost, **changed)


@pytest.fixture
def spent(opened):
    """Write rows, and ask what was spent in the while of this file."""
    database = opened()

    def ask(*rows, scope=BudgetScope.TOTAL):
        database.write(rows)
        return dict(database.spent_since(scope, SINCE_MS, UNTIL_MS))

    return ask


def test_the_while_is_exact(spent):
    """Its first millisecond counts, its end does not, whole hours are neither lost nor doubled."""
    hour_ms = SINCE_MS // MS_PER_HOUR * MS_PER_HOUR
    inside = [
        SINCE_MS,
        hour_ms + MS_PER_HOUR - 1,
        *(hour_ms + number * MS_PER_HOUR for number in range(1, 6)),
        UNTIL_MS - 1,
    ]
    rows = [one(at_ms) for at_ms in (SINCE_MS - 1, *inside, UNTIL_MS)]

    found = spent(*rows)[""]
    assert (len(inside), 5 * len(inside)) == (found.requests, found.cost_microusd)
    assert TokenCounts(*(len(inside) * each for each in (1, 2, 3, 4, 5))) == found.tokens


def test_a_while_within_an_hour(opened):
    """There is no whole hour in it, and nothing counts twice."""
    database = opened()
    database.write([one(SINCE_MS + number) for number in range(10)])

    found = database.spent_since(BudgetScope.TOTAL, SINCE_MS + 2, SINCE_MS + 5)
    assert 3 == found[""].requests


@pytest.mark.parametrize("late", [0, 2 * MS_PER_HOUR])
def test_what_counts(late, spent):
    """Messages that reached a deployment; paid is what upstreams were paid (rules 1 to 3)."""
    at_ms = SINCE_MS + late
    fell_back = request(
        at_ms,
        attempt(0, "claude", 7, TokenCounts(9)),
        attempt(1, "qwen", 100, TokenCounts(2)),
        cost=107,
        wasted=7,
    )
    found = spent(
        one(at_ms),
        one(at_ms, cost=None, tokens=TokenCounts(10, 1), project="apollo"),
        one(at_ms, cost=100, deployment="qwen", tokens=TokenCounts(1)),
        fell_back,
        one(at_ms, endpoint="count_tokens"),
        request(at_ms, cost=0, endpoint="messages"),
    )

    assert {
        "": SpentSum(4, 5 + 7, TokenCounts(1 + 10 + 1 + 2, 2 + 1, 3, 4, 5), TokenCounts(10, 1))
    } == found


def test_each_is_told_apart(spent):
    """By a name of the request, or by whom it asked, failed attempts included."""
    rows = [
        one(SINCE_MS, cost=1, agent="a"),
        one(SINCE_MS + MS_PER_HOUR, cost=2, agent="a"),
        one(SINCE_MS + 1, cost=4, agent="b"),
        request(
            SINCE_MS + 2,
            attempt(0, "claude", 8, NOTHING),
            attempt(1, "claude-2", None, TokenCounts(3)),
            cost=None,
            agent="a",
        ),
    ]

    by_agent = spent(*rows, scope=BudgetScope.AGENT)
    assert {"a": (3, 3), "b": (1, 4)} == {
        name: (each.requests, each.cost_microusd) for name, each in by_agent.items()
    }
    by_deployment = spent(scope=BudgetScope.DEPLOYMENT)
    assert (4, 15, NOTHING) == (
        by_deployment["claude"].requests,
        by_deployment["claude"].cost_microusd,
        by_deployment["claude"].unpriced_tokens,
    )
    assert SpentSum(1, 0, TokenCounts(3), TokenCounts(3)) == by_deployment["claude-2"]


def test_sums_are_those_of_the_rows(spent):
    """Many requests of several agents and hours, added up by hand."""
    around_ms = UNTIL_MS - SINCE_MS + 2 * MS_PER_HOUR
    rows = [
        one(
            SINCE_MS - MS_PER_HOUR + number * 7_919_003 % around_ms,
            cost=number * 31 % 1000,
            agent="abc"[number % 3],
        )
        for number in range(200)
    ]
    expected = {}
    for row in rows:
        if SINCE_MS <= row.at_ms < UNTIL_MS:
            agent = row.dimensions.agent
            expected[agent] = expected.get(agent, 0) + row.spent.cost_microusd

    found = spent(*rows, scope=BudgetScope.AGENT)
    assert expected == {name: each.cost_microusd for name, each in found.items()}
