"""The budgets of a process: what is waited for, what is restored, what counts as used."""

import asyncio
from dataclasses import replace

import pytest

from ccproxy.outcome import Outcome, Routed
from ccproxy.pipeline.budget_clock import spans_at
from ccproxy.pipeline.budget_demand import spending_of
from ccproxy.pipeline.budget_verdict import narrowed
from ccproxy.pipeline.budgets import BudgetEvents, BudgetGuard
from ccproxy.pipeline.leave import Leave
from ccproxy.pipeline.request import MessagesRequest
from ccproxy.ports import Incoming
from ccproxy.rows import NO_TOKENS, AttemptRow, Dimensions, RequestRow, Spent, SpentSum
from ccproxy.wire.content_facts import BodyFacts
from ccproxy.wire.errors import ApiError
from routing.budget_book import Budget, BudgetScope, Counted, OnReach, Reached, Window
from routing.budgets import Amounts, Caller, Candidate, Demand, Verdict
from routing.failures import FailureClass
from routing.identify import UNKNOWN
from routing.plan import build_plan
from routing.pricing import Price, PriceList, Rates, TokenCounts
from routing.table import compile_table
from routing.types import Deployment, Privacy, RequestFacts, Roster, Side
from tests.support.health import NotedHealth
from tests.support.messages import turn
from tests.support.routers import State

NOW_S = 1_793_444_400.0
PRICES = PriceList(
    "2026-11-21",
    {
        "claude-sonnet-5": Price(Rates(2_000_000, 10_000_000, 0, 0, 0)),
        "claude-opus-5": Price(Rates(5_000_000, 25_000_000, 0, 0, 0)),
    },
)
DEPLOYMENTS = {
    "qwen": Deployment("qwen", Side.LOCAL, leaves_host=False),
    "claude": Deployment("claude", Side.CLAUDE, leaves_host=True, upstream_model="claude-sonnet-5"),
}


def state(*route):
    document = {
        "version": 1,
        "active_profile": "p",
        "profiles": {"p": {"default": {"route": list(route)}}},
    }
    table, _ = compile_table(document, DEPLOYMENTS, Roster())
    return State(replace(table, prices=PRICES))


def budget(counts=Counted.USD, limit=1_000_000, on_reach=OnReach.REFUSE, scope=BudgetScope.TOTAL):
    value = "" if scope is BudgetScope.TOTAL else "*"
    return Budget("b", scope, value, counts, Window.DAY, limit, on_reach)


def guard_of(*budgets, in_force=None, **options):
    in_force = in_force or state("claude", "qwen")
    return BudgetGuard(budgets, lambda: in_force, clock=lambda: NOW_S, **options)


class Sent:
    """A request that was planned."""

    def __init__(self, in_force=None):
        in_force = in_force or state("claude", "qwen")
        body = turn(model="m")
        facts = RequestFacts("m", principal="desk", content=BodyFacts(body))
        self.plan = build_plan(facts, UNKNOWN, in_force.table, in_force.roster)
        routed = Routed(facts, "t", UNKNOWN, self.plan)
        self.outcome = Outcome("req_1", "messages", NOW_S, principal="desk", routed=routed)
        self.request = MessagesRequest(
            Incoming("POST", "/v1/messages", b"", ()), b"", b"", body, "req_1", "m", "", False, False,
            self.outcome.notes,
        )  # fmt: skip

    def to(self, guard):
        return guard.admit(self.plan, self.request, self.outcome)


def used(guard):
    (told,) = guard.status()["budgets"]
    return {each["value"]: each["used"] for each in told["tallies"]}


class Ledger:
    """Says that so much was spent, and notes what it is asked."""

    def __init__(self, **spent):
        self.spent = spent
        self.asked = []

    def spent_since(self, *question):
        self.asked.append(question)
        return self.spent


async def test_requests_wait_for_what_was_spent_before():
    """The first one is judged by all of it."""
    guard = guard_of(budget(), budget())
    guard.begin()
    waiting = asyncio.create_task(Sent().to(guard))
    ledger = Ledger(**{"": SpentSum(3, 1_000_000)})
    found = guard.read(ledger)
    await asyncio.sleep(0)
    assert (False, False) == (waiting.done(), guard.is_restored)

    guard.restore(found)
    with pytest.raises(ApiError, match="Budget b is used up"):
        await waiting
    start_ms = int(spans_at(NOW_S)[Window.DAY].start_s * 1000)
    assert [(BudgetScope.TOTAL, start_ms, int(NOW_S * 1000))] == ledger.asked


async def test_a_ledger_that_says_nothing_stops_nobody(caplog):
    """After a while budgets count from nothing, which the log says once; what comes later is added."""
    guard = guard_of(budget(scope=BudgetScope.PRINCIPAL), restore_wait_s=0)
    guard.begin()
    for _ in range(2):
        sent = Sent()
        assert ("claude", "qwen") == (await sent.to(guard)).attempts
        guard.settle(row(attempt("claude", 5)))
    assert 1 == len([line for line in caplog.messages if "count from nothing" in line])

    unpriced = SpentSum(1, 0, TokenCounts(1), TokenCounts(1_000_000))
    for _ in range(2):
        guard.restore(guard.read(Ledger(desk=SpentSum(1, 7), other=unpriced)))
    assert {"desk": 17, "other": 5_000_000} == used(guard)


def attempt(deployment, cost, tokens=NO_TOKENS, model="m"):
    route = "local" if deployment == "qwen" else "claude"
    dimensions = Dimensions(deployment=deployment, route=route, upstream_model=model)
    return AttemptRow(dimensions, 0, "ok", 0.0, Spent(tokens, cost_microusd=cost))


def row(*attempts):
    last = attempts[-1] if attempts else None
    return RequestRow(
        request_id="req_1",
        at_ms=0,
        dimensions=last.dimensions if last else Dimensions(),
        status=200,
        ending="completed",
        failure="",
        stream=False,
        table_version="",
        ttft_s=None,
        spent=last.spent if last else Spent(),
        wasted_microusd=0,
        attempts=attempts,
    )


@pytest.mark.parametrize(
    ("attempts", "total", "at_claude"),
    [
        ([attempt("claude", 7, TokenCounts(5, 6))], Amounts(1, 11, 7), Amounts(1, 11, 7)),
        (
            [attempt("claude", None, TokenCounts(100, 10))],
            Amounts(1, 110, 750),
            Amounts(1, 110, 750),
        ),
        ([attempt("claude", None)], Amounts(1, 0, 999), Amounts(1, 0, 999)),
        ([attempt("qwen", 7, TokenCounts(5))], Amounts(1, 5, 0), Amounts()),
        (
            [attempt("claude", 3), attempt("claude", 4), attempt("qwen", 9, TokenCounts(8))],
            Amounts(1, 8, 7),
            Amounts(2, 0, 7),
        ),
        ([attempt("claude", 0, model="")], Amounts(1, 0, 0), Amounts(0, 0, 0)),
        ([], Amounts(), Amounts()),
    ],
)
def test_what_a_request_has_used(attempts, total, at_claude):
    """Paid attempts; of an unknown cost its tokens at the dearest rates, or what was expected."""
    demand = Demand(Caller(), 0, (Candidate("claude", False, 999), Candidate("qwen", True, 0)))

    found = spending_of(row(*attempts), demand, PRICES)
    assert (total, at_claude) == (found.total, found.by_deployment.get("claude", Amounts()))


async def test_local_only_is_privacy():
    """What a budget keeps here is kept as strictly as what the routing table keeps here."""
    guard = guard_of(budget(limit=1, on_reach=OnReach.LOCAL_ONLY))
    guard.restore(guard.read(Ledger(**{"": SpentSum(1, 1)})))
    sent = Sent()

    plan = await sent.to(guard)
    assert (("qwen",), Privacy.LOCAL_ONLY, True) == (
        plan.attempts,
        plan.privacy,
        sent.request.local_only,
    )
    assert sent.outcome.routed.plan is plan
    reasons = {step.name: (step.kept, step.reason[:17]) for step in plan.trace}
    assert (False, "budget b is used ") == reasons["claude"]


def test_what_waits_for_a_failure_may_be_tried_where_nothing_else_is_left():
    """The budget that took out the others stands for the failure."""
    plan = replace(Sent().plan, only_after={"qwen": frozenset({FailureClass.RATE_LIMIT})})
    reached = Reached(budget(), "", 1, 0, NOW_S)

    assert {} == narrowed(plan, Verdict(("qwen",), None, {"claude": reached})).only_after
    assert plan.only_after == narrowed(plan, Verdict(("claude", "qwen"))).only_after


async def test_an_attempt_that_came_too_late_is_passed_over():
    """Two were planned for a deployment with room for one; its health hears nothing of it."""
    diverted = []
    events = BudgetEvents(diverted=diverted.append)
    guard = guard_of(budget(Counted.REQUESTS, 1, scope=BudgetScope.DEPLOYMENT), events=events)
    guard.restore([])
    first, second = Sent(), Sent()
    second.outcome.request_id = "req_2"
    for sent in (first, second):
        await sent.to(guard)
    assert guard.attempt("req_1", "claude") is None

    health = NotedHealth()
    leave = Leave(health, lambda deployment: guard.attempt("req_2", deployment))
    assert leave.take("claude")
    failed = leave.over_budget("claude")
    assert (FailureClass.RATE_LIMIT, ["b"]) == (failed.failure, diverted)
    assert [("claude", "withdrawn")] == health.heard
    assert leave.take("qwen")
    assert leave.over_budget("qwen") is None


async def test_nothing_is_held_for_ever():
    """A request whose row was lost to a bug gives back what it held; one that was settled does not."""
    guard = guard_of(budget())
    guard.restore([])
    sent = Sent()
    await sent.to(guard)
    guard.record(sent.outcome)
    assert [] == [each for each in guard.status()["budgets"][0]["tallies"] if each["reserved"]]

    await sent.to(guard)
    guard.settle(row(attempt("claude", 5)))
    guard.record(sent.outcome)
    assert {"": 5} == used(guard)


async def test_thresholds_reach_whoever_alerts():
    """With whose it is in words, and dollars where money is counted."""
    told = []
    events = BudgetEvents(on_threshold=lambda *said: told.append(said))
    guard = guard_of(budget(scope=BudgetScope.PRINCIPAL), events=events)
    guard.restore([])
    await Sent().to(guard)
    guard.settle(row(attempt("claude", 900_000)))

    assert [("b by principal desk", 0.9, 1.0)] == told


async def test_no_budgets_are_no_work():
    """Nothing is estimated, waited for or kept."""
    guard, sent = guard_of(), Sent()
    guard.begin()

    assert sent.plan is await sent.to(guard)
    assert "input_tokens" not in vars(sent.outcome.routed.facts.content)
    assert {"restored": True, "budgets": []} == guard.status()
