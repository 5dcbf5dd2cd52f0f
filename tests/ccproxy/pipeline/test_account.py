"""What becomes of a finished request in the ledger."""

from dataclasses import replace

import pytest

from ccproxy.outcome import ANSWERED, UNFINISHED, AttemptRecord, Ending, Outcome, Usage
from ccproxy.pipeline.account import Account, request_row
from ccproxy.rows import WouldCost
from routing.counterfactual import Comparison
from routing.pricing import Price, PriceList, Rates, TokenCounts, TokenRange
from routing.prompt_cache import CacheSplit, CacheUse
from routing.types import Agent, Roster, Tier

SONNET = Price(
    Rates(2_000_000, 10_000_000, 2_500_000, 4_000_000, 100_000),
    multipliers_permille={"batch": 500, "us": 1100},
)
STEPPED = Price(
    Rates(100_000, 500_000, 125_000, 200_000, 10_000),
    100_000,
    Rates(500_000, 2_500_000, 625_000, 1_000_000, 50_000),
)
PRICES = PriceList(
    "2026-11-21", {"claude-s": SONNET, "claude-h": STEPPED}, {"web_search_requests": 10_000}
)
STATED = replace(PRICES, local_microusd_per_hour=360_000)
HOUR = "ephemeral_1h_input_tokens"


def claude(result=ANSWERED, *, model="claude-s", usage=None, took_s=2.0):
    return AttemptRecord("claude-sonnet", "claude", result, model, 100.0, took_s, usage or Usage())


def local(result=ANSWERED, *, usage=None, took_s=10.0):
    return AttemptRecord("qwen", "local", result, "qwen2.5", 100.0, took_s, usage or Usage())


def said(input_tokens=1000, output_tokens=100, *, written=None, read=None, model=None, **extra):
    return Usage(input_tokens, output_tokens, written, read, model, extra=extra)


def outcome(*records, endpoint="messages", ending=Ending.COMPLETED, **more):
    last = records[-1] if records else claude()
    return Outcome(
        "req_1",
        endpoint,
        1_700_000_000.25,
        attempt_records=list(records),
        deployment=last.deployment,
        route=last.route,
        status=200,
        ending=ending,
        arrived_at=99.0,
        total_s=5.0,
        **more,
    )


def row_of(*records, prices=PRICES, **more):
    return request_row(outcome(*records, **more), prices, "")


def sampling(kind, *counts, **more):
    names = ("input_tokens", "output_tokens")
    return {"type": kind, **dict(zip(names, counts, strict=True)), **more}


@pytest.mark.parametrize(
    ("usage", "tokens", "microusd"),
    [
        (said(), TokenCounts(1000, 100), 3000),
        (said(written=400, read=10_000), TokenCounts(1000, 100, 400, 0, 10_000), 5000),
        (said(written=400, cache_creation={HOUR: 400}), TokenCounts(1000, 100, 0, 400), 4600),
        (said(written=400, cache_creation={HOUR: 100}), TokenCounts(1000, 100, 300, 100), 4150),
        (said(written=400, cache_creation={HOUR: 999}), TokenCounts(1000, 100, 0, 400), 4600),
        (said(written=400, cache_creation="?"), TokenCounts(1000, 100, 400), 4000),
        (said(written=400, cache_creation={HOUR: True}), TokenCounts(1000, 100, 400), 4000),
        (said(0, 0), TokenCounts(), 0),
        (said(model="claude-h"), TokenCounts(1000, 100), 150),
        (said(model="claude-s-20260901"), TokenCounts(1000, 100), 3000),
        (said(100_000, 100, model="claude-h"), TokenCounts(100_000, 100), 10_050),
        (said(100_000, 100, read=1, model="claude-h"), TokenCounts(100_000, 100, 0, 0, 1), 50_250),
        (said(model="claude-next"), TokenCounts(1000, 100), None),
        (said(service_tier="standard", speed="standard", inference_geo="not_available"), TokenCounts(1000, 100), 3000),
        (said(inference_geo="global"), TokenCounts(1000, 100), 3000),
        (said(service_tier="batch"), TokenCounts(1000, 100), 1500),
        (said(inference_geo="us"), TokenCounts(1000, 100), 3300),
        (said(service_tier="batch", inference_geo="us"), TokenCounts(1000, 100), 1650),
        (said(service_tier="priority"), TokenCounts(1000, 100), None),
        (said(speed="fast"), TokenCounts(1000, 100), None),
        (said(inference_geo="eu"), TokenCounts(1000, 100), None),
        (said(inference_geo=["us"]), TokenCounts(1000, 100), None),
        (said(server_tool_use={"web_search_requests": 2}), TokenCounts(1000, 100), 23_000),
        (said(server_tool_use={"web_search_requests": 0, "new_requests": 0}), TokenCounts(1000, 100), 3000),
        (said(server_tool_use={"new_requests": 1}), TokenCounts(1000, 100), None),
        (said(server_tool_use={"web_search_requests": "2"}), TokenCounts(1000, 100), None),
        (said(server_tool_use=2), TokenCounts(1000, 100), None),
        (said(iterations=[sampling("message", 1000, 100)]), TokenCounts(1000, 100), 3000),
        (said(iterations=[sampling("compaction", 500, 50), sampling("message", 1000, 100)]), TokenCounts(1500, 150), 4500),
        (said(120_000, 0, model="claude-h", iterations=[sampling("message", 60_000, 0)] * 2), TokenCounts(120_000), 12_000),
        (said(iterations=[sampling("message", 1000, 100, model="claude-s")], model="claude-s"), TokenCounts(1000, 100), 3000),
        (said(iterations=[sampling("message", 1000, 100, model="claude-h")], model="claude-s"), TokenCounts(1000, 100), None),
        (said(iterations=[sampling("advisor_message", 1, 1)]), TokenCounts(1000, 100), None),
        (said(iterations=["?"]), TokenCounts(1000, 100), None),
        (said(iterations=[]), TokenCounts(1000, 100), 3000),
    ],
)  # fmt: skip
def test_an_answer_of_claudes(usage, tokens, microusd):
    """Every token in one place at the price of what the answer says it is; else unknown."""
    row = row_of(claude(usage=usage))

    assert (row.spent.tokens, row.spent.cost_microusd) == (tokens, microusd)
    assert row.wasted_microusd == 0


@pytest.mark.parametrize(
    ("result", "usage", "microusd"),
    [
        (ANSWERED, Usage(), None),
        (UNFINISHED, Usage(), None),
        ("timeout_first_byte", Usage(), None),
        ("connect_error", Usage(), 0),
        ("overloaded", Usage(), 0),
        ("rate_limit", Usage(), 0),
        ("left_alone", Usage(), 0),
        ("broken_stream", said(1000, 1), 2010),
        (ANSWERED, said(1000, 1), 2010),
    ],
)
def test_an_attempt_at_claude_of_which_less_is_known(result, usage, microusd):
    """An error answer is free; what was called off on its way may not be."""
    assert row_of(claude(result, usage=usage)).spent.cost_microusd == microusd


def test_a_deadline_between_attempts_costs_nothing():
    """Nobody was asked: the record of a missed deadline names no model."""
    assert row_of(claude("timeout_first_byte", model="")).spent.cost_microusd == 0


@pytest.mark.parametrize(
    ("records", "cost", "wasted", "failure", "route"),
    [
        ([local("http_5xx"), claude(usage=said())], 3000, 0, "http_5xx", "claude"),
        ([claude("broken_stream", usage=said(1000, 1)), local()], 2010, 2010, "broken_stream", "local"),
        ([claude("overloaded"), claude(usage=said())], 3000, 0, "overloaded", "claude"),
        ([claude("broken_stream", usage=said()), claude(usage=said())], 6000, 3000, "broken_stream", "claude"),
        ([claude(UNFINISHED), local()], None, None, UNFINISHED, "local"),
        ([claude(usage=said(model="?")) ], None, 0, "", "claude"),
        ([local("left_alone"), local("left_alone")], 0, 0, "left_alone", "local"),
        ([], 0, 0, "", "claude"),
    ],
)  # fmt: skip
def test_several_attempts(records, cost, wasted, failure, route):
    """The request costs what all of them cost; what nobody got an answer for is wasted."""
    row = row_of(*records)

    assert (row.spent.cost_microusd, row.wasted_microusd) == (cost, wasted)
    assert (row.failure, row.dimensions.route) == (failure, route)
    assert [attempt.number for attempt in row.attempts] == list(range(len(records)))


def test_the_last_attempt_is_the_answer():
    """Tokens are those of the answer alone; the attempts have their own."""
    row = row_of(claude("broken_stream", usage=said(7, 1)), claude(usage=said(9, 2)))

    assert row.spent.tokens == TokenCounts(9, 2)
    assert [attempt.spent.tokens for attempt in row.attempts] == [
        TokenCounts(7, 1),
        TokenCounts(9, 2),
    ]


@pytest.mark.parametrize(
    ("record", "prices", "microusd"),
    [
        (local(), PRICES, 0),
        (local(), STATED, 1000),
        (local(usage=said(queue_s=4.0)), STATED, 600),
        (local(usage=said(queue_s=40.0)), STATED, 0),
        (local("left_alone", took_s=0.0), STATED, 0),
        (local(UNFINISHED, took_s=0.0), STATED, 400),
        (local("broken_stream", took_s=3.0), STATED, 300),
    ],
)
def test_local_work(record, prices, microusd):
    """Free unless its price is stated, then by the seconds it ran, after its queue."""
    assert row_of(record, prices=prices).spent.cost_microusd == microusd


def test_an_attempt_that_was_called_off_took_until_the_end():
    """From its beginning to the request's end: arrived at 99, began at 100, 5 s in all."""
    row = row_of(local(UNFINISHED, took_s=0.0), ending=Ending.CLIENT_GONE)

    assert (row.attempts[0].spent.total_s, row.attempts[0].after_s) == (4.0, 1.0)
    assert row.ending == "client_gone"


@pytest.mark.parametrize("record", [claude(usage=said()), local(usage=said())])
@pytest.mark.parametrize("endpoint", ["count_tokens", "other"])
def test_what_is_not_billed(record, endpoint):
    """Counting tokens costs nothing and has none, whoever counts."""
    row = row_of(record, endpoint=endpoint, prices=STATED)

    assert (row.spent.tokens, row.spent.cost_microusd) == (TokenCounts(), 0)


def test_estimates_are_marked_and_timings_kept():
    """What a local model told of itself."""
    usage = said(input_tokens_estimated=True, queue_s=1.0, load_s=2.0, prefill_s=3.0)
    spent = row_of(local(usage=usage)).spent

    assert (spent.estimated, spent.queue_s, spent.load_s, spent.prefill_s) == (True, 1.0, 2.0, 3.0)
    assert not row_of(local(usage=said())).spent.estimated


@pytest.mark.parametrize(
    ("details", "thinking"),
    [({"thinking_tokens": 7}, 7), ({"thinking_tokens": "7"}, 0), ({}, None), (None, None), ("?", None)],
)  # fmt: skip
def test_thinking(details, thinking):
    """Told where the upstream tells it, unknown where not."""
    row = row_of(claude(usage=said(output_tokens_details=details)))

    assert row.spent.thinking_tokens == thinking


def test_what_clients_chose_is_cut():
    """No client makes a column longer than it is."""
    row = row_of(claude(usage=said(model="m" * 999)), requested_model="r" * 999)

    assert (len(row.dimensions.requested_model), len(row.dimensions.response_model)) == (128, 128)


USE = CacheUse(10, 0, CacheSplit(10, 10, 10), CacheSplit(5, 5, 10), CacheSplit(0, 0, 10))
COMPARED = {"comparison": Comparison("claude-c", USE), "ttft_s": 1.0}
COMPARING = replace(
    PRICES,
    prices={
        "claude-c": replace(SONNET, token_range=TokenRange(1000, 2000, 3000)),
        "claude-s": SONNET,
    },
)


@pytest.mark.parametrize(
    ("records", "more", "would"),
    [
        ([local(usage=said())], {}, WouldCost(1100, 4600, 10_500)),
        ([local(usage=said())], {"ending": Ending.CLIENT_GONE}, WouldCost(1100, 4600, 10_500)),
        ([local("http_5xx"), local(usage=said())], {}, WouldCost(1100, 4600, 10_500)),
        ([claude("overloaded"), local(usage=said())], {}, WouldCost(1100, 4600, 10_500)),
        ([local(usage=said())], {"ttft_s": None}, None),
        ([local(usage=said())], {"ending": Ending.TAKEN_OVER}, None),
        ([local(usage=said())], {"comparison": None}, None),
        ([local(usage=said())], {"comparison": Comparison("claude-next", USE)}, None),
        ([local(usage=said())], {"comparison": Comparison("claude-s", USE)}, None),
        ([local("broken_stream", usage=said())], {"ending": Ending.BROKEN}, None),
        ([local("broken_stream", usage=said())], {}, None),
        ([local("broken_stream", usage=said()), claude(usage=said())], {}, None),
        ([], {}, None),
    ],
)
def test_what_a_local_answer_would_have_cost(records, more, would):
    """Told where a local model's content came; not of Claude's, nor where its price is unknown."""
    row = row_of(*records, prices=COMPARING, **{**COMPARED, **more})

    assert row.would_cost == would


class InForce:
    """What holds in these tests."""

    prices = PRICES
    roster = Roster({"a": Agent("a", "A", Tier.SONNET, "coreAgents")})


def test_every_request_becomes_a_row():
    """With the category of its agent, none for a stranger, and the prices in force at its end."""
    rows = []
    account = Account(rows.append, InForce)
    account.record(outcome(claude(usage=said()), agent="a"))
    account.record(outcome(agent="unknown"))

    assert [row.dimensions.category for row in rows] == ["coreAgents", ""]
    assert (rows[0].at_ms, rows[0].spent.cost_microusd) == (1_700_000_000_250, 3000)
