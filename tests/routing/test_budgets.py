"""Budgets: who is admitted, and how far a limit is exceeded in any order of events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.budget_book import (
    EACH,
    OTHERS,
    Book,
    Budget,
    BudgetScope,
    Counted,
    OnReach,
    Span,
    TallyState,
    Window,
)
from routing.budgets import Amounts, Budgets, Caller, Candidate, Demand, Spending
from tests.support.sizes import count

MINUTE, DAY, MONTH = Window
REQUESTS, TOKENS, USD, CONCURRENCY = Counted
WARN, LOCAL_ONLY, REFUSE = OnReach
CALLER = Caller("desk", "apollo", "debugger")
LOCAL, CLAUDE = Candidate("qwen", True, 0), Candidate("claude", False, 40)
NOW = {MINUTE: Span(60, 120), DAY: Span(0, 86400), MONTH: Span(0, 2_678_400)}


def budget(counts=USD, limit=100, on_reach=REFUSE, scope="total", value="", window=DAY, name="b"):
    window = None if counts is CONCURRENCY else window
    return Budget(name, BudgetScope(scope), value, counts, window, limit, on_reach)


def demand(*candidates, tokens=10, caller=CALLER):
    return Demand(caller, tokens, candidates or (CLAUDE,))


def spent(microusd=0, tokens=0, requests=1, **at):
    return Spending(Amounts(requests, tokens, microusd), at)


MUCH = Amounts(1000, 1000, 1000)
EVERYBODY = ("", *CALLER, "claude")


def used_up(*budgets):
    """Return budgets of which everything was used before."""
    made = Budgets(budgets)
    made.turn_to(NOW)
    for each in budgets:
        if each.window is not None:
            made.restore(each.name, NOW[each.window].start_s, dict.fromkeys(EVERYBODY, MUCH))
    return made


def states(budgets, spans=NOW):
    return [state for book in budgets.books for state in book.states(spans)]


@pytest.mark.parametrize(
    ("scope", "value", "caller", "concerns"),
    [
        ("total", "", Caller(), True),
        ("principal", "desk", CALLER, True),
        ("principal", "other", CALLER, False),
        ("principal", EACH, CALLER, True),
        ("project", "apollo", CALLER, True),
        ("project", EACH, CALLER, True),
        ("project", EACH, CALLER._replace(project=""), False),
        ("agent", "debugger", CALLER, True),
        ("agent", EACH, CALLER, True),
        ("agent", "python-pro", CALLER, False),
    ],
)
def test_whom_a_budget_concerns(scope, value, caller, concerns):
    """One by name, or each apart; a request without a project is in nobody's."""
    budgets = used_up(budget(scope=scope, value=value))

    assert concerns is (budgets.admit("r", demand(caller=caller), NOW).refused is not None)


def test_each_is_counted_apart():
    """What one agent used is not held against another."""
    budgets = Budgets([budget(scope="agent", value=EACH)])
    budgets.admit("r1", demand(), NOW)
    budgets.settle("r1", spent(100))

    assert budgets.admit("r2", demand(), NOW).refused is not None
    assert budgets.admit("r3", demand(caller=Caller(agent="python-pro")), NOW).refused is None


@pytest.mark.parametrize(
    ("on_reach", "candidates", "kept", "refused"),
    [
        (WARN, (LOCAL, CLAUDE), ("qwen", "claude"), False),
        (LOCAL_ONLY, (CLAUDE, LOCAL), ("qwen",), False),
        (LOCAL_ONLY, (CLAUDE,), (), True),
        (REFUSE, (LOCAL, CLAUDE), (), True),
        (REFUSE, (LOCAL,), ("qwen",), False),
        (LOCAL_ONLY, (LOCAL,), ("qwen",), False),
    ],
)
def test_what_follows_when_money_is_used_up(on_reach, candidates, kept, refused):
    """A warning, local models only, or a refusal; what costs nothing is not about money."""
    verdict = used_up(budget(on_reach=on_reach)).admit("r", demand(*candidates), NOW)

    assert (kept, refused) == (verdict.kept, verdict.refused is not None)
    assert (on_reach is WARN) is bool(verdict.warned)
    assert ({"claude"} if CLAUDE in candidates and on_reach is LOCAL_ONLY else set()) == set(
        verdict.skipped
    )


@pytest.mark.parametrize("counts", [REQUESTS, TOKENS])
def test_what_is_no_money_concerns_local_models_too(counts):
    """A limit on requests or tokens refuses them, whoever would serve."""
    assert used_up(budget(counts)).admit("r", demand(LOCAL), NOW).refused is not None


def test_requests_in_flight_reserve_what_they_may_use():
    """A third request has to wait for one of two whose estimates fill the limit."""
    budgets = Budgets([budget(limit=60)])
    assert budgets.admit("r1", demand(), NOW).refused is None
    assert budgets.admit("r2", demand(), NOW).refused is None

    refused = budgets.admit("r3", demand(), NOW).refused
    assert (refused.used, refused.reserved, refused.is_held) == (0, 80, True)
    budgets.settle("r1", spent(3))
    assert [TallyState("", 3, 40)] == states(budgets)
    assert budgets.admit("r3", demand(), NOW).refused is None
    assert 2 == budgets.in_flight


def test_concurrency_is_given_back():
    """Two at a time; nothing is kept of who has left."""
    budgets = Budgets([budget(CONCURRENCY, 2, scope="principal", value=EACH)])
    assert [False, False, True] == [
        budgets.admit(name, demand(LOCAL), NOW).refused is not None for name in ("a", "b", "c")
    ]
    for name in ("a", "b", "b"):
        budgets.settle(name, spent())

    assert [] == states(budgets)
    assert budgets.admit("d", demand(LOCAL), NOW).refused is None


def test_of_several_the_one_is_told_that_stands_longest():
    """Waiting for the minute would not help while the month is used up."""
    budgets = used_up(
        budget(REQUESTS, window=MINUTE, name="minute"), budget(window=MONTH, name="month")
    )

    assert "month" == budgets.admit("r", demand(), NOW).refused.budget.name


def test_what_is_used_up_stands_longer_than_what_is_held():
    """Of the month only estimates are in the way; a minute is to be waited for in any case."""
    budgets = Budgets(
        [budget(limit=40, window=MONTH, name="month"), budget(REQUESTS, 1, window=MINUTE)]
    )
    budgets.admit("r1", demand(), NOW)

    assert "b" == budgets.admit("r2", demand(), NOW).refused.budget.name


def test_a_question_changes_nothing():
    """Judged for the next window, what was counted in the present one stays."""
    budgets = used_up(budget())

    assert budgets.judge(demand(), {**NOW, DAY: Span(86400, 172800)}).refused is None
    assert [] == states(budgets, {**NOW, DAY: Span(86400, 172800)})
    assert budgets.judge(demand(), NOW).refused is not None
    assert 0 == budgets.in_flight


@pytest.mark.parametrize("window", [MINUTE, DAY, MONTH])
def test_a_new_window_begins_with_nothing(window):
    """It opens at the very second; what was reserved before is no part of it."""
    budgets = Budgets([budget(window=window)])
    budgets.admit("r1", demand(), NOW)
    budgets.admit("r2", demand(), NOW)
    budgets.settle("r1", spent(100))
    refused = budgets.admit("r3", demand(), NOW).refused
    later = {**NOW, window: Span(refused.opens_at_s, refused.opens_at_s + 60)}

    assert budgets.admit("r3", demand(), later).refused is None
    budgets.settle("r2", spent(100))
    assert [TallyState("", 0, 40)] == states(budgets, later)


def test_a_clock_that_is_set_back_keeps_what_was_counted():
    """Nothing is forgiven, and the window ends when the clock now says."""
    budgets = Budgets([budget()])
    budgets.admit("r1", demand(), {**NOW, DAY: Span(86400, 172800)})
    budgets.settle("r1", spent(100))

    assert 86400 == budgets.admit("r2", demand(), NOW).refused.opens_at_s


def test_a_request_is_settled_once():
    """A second time, and a request that nobody knows, change nothing."""
    budgets = Budgets([budget()])
    budgets.admit("r", demand(), NOW)
    for name in ("r", "r", "stranger"):
        budgets.settle(name, spent(7))

    assert [TallyState("", 7, 0)] == states(budgets)


def test_a_deployments_budget_takes_it_out_of_the_plan():
    """The others still serve; where none is left, the request is refused."""
    budgets = used_up(budget(scope="deployment", value="claude"))

    verdict = budgets.admit("r", demand(CLAUDE, LOCAL), NOW)
    assert (("qwen",), {"claude"}, None) == (
        verdict.kept,
        set(verdict.skipped),
        verdict.refused,
    )
    assert "b" == budgets.admit("s", demand(CLAUDE), NOW).refused.budget.name


def test_an_attempt_reserves_at_its_deployment():
    """Between plan and attempt somebody else may have used up what was left."""
    budgets = Budgets([budget(REQUESTS, 1, scope="deployment", value=EACH)])
    for name in ("r1", "r2"):
        assert ("claude", "qwen") == budgets.admit(name, demand(CLAUDE, LOCAL), NOW).kept

    assert budgets.attempt("r1", "claude", NOW)[0] is None
    assert budgets.attempt("r2", "claude", NOW)[0] is not None
    assert budgets.attempt("r2", "qwen", NOW)[0] is None
    budgets.settle("r1", spent(claude=Amounts(1)))
    budgets.settle("r2", spent(qwen=Amounts(1)))
    assert {TallyState("claude", 1, 0), TallyState("qwen", 1, 0)} == set(states(budgets))


def test_an_attempt_elsewhere_gives_the_deployment_back():
    """A request is at one deployment at a time."""
    budgets = Budgets([budget(CONCURRENCY, 1, scope="deployment", value=EACH)])
    for name in ("r1", "r2"):
        budgets.admit(name, demand(CLAUDE, LOCAL), NOW)
    budgets.attempt("r1", "claude", NOW)
    budgets.attempt("r1", "qwen", NOW)

    assert budgets.attempt("r2", "claude", NOW)[0] is None
    assert budgets.attempt("r2", "qwen", NOW)[0] is not None


def test_thresholds_are_told_once_in_a_window():
    """At 80 and at 100 percent; a leap over both is told as the higher."""
    budgets = Budgets([budget()])

    def told(name, microusd, spans=NOW):
        budgets.admit(name, demand(LOCAL), spans)
        return [each.percent for each in budgets.settle(name, spent(microusd))]

    assert [[], [80], [], [100], []] == [
        told(str(n), microusd) for n, microusd in enumerate((79, 1, 5, 20, 50))
    ]
    tomorrow = {**NOW, DAY: Span(86400, 172800)}
    assert [100] == told("next", 200, tomorrow)


def test_concurrency_tells_again_after_it_was_low():
    """It has no window: below 80 percent it may be told anew."""
    budgets = Budgets([budget(CONCURRENCY, 5)])

    def told(name):
        return [each.percent for each in budgets.admit(name, demand(LOCAL), NOW).crossings]

    assert [[], [], [], [80], [100]] == [told(str(n)) for n in range(5)]
    budgets.settle("0", spent())
    assert [] == told("5")
    for name in "123":
        budgets.settle(name, spent())
    assert [[], [80]] == [told("6"), told("7")]


def test_what_was_restored_counts_and_is_not_told_again():
    """Only of the window that is still running, and of those whom the budget concerns."""
    budgets = Budgets([budget(scope="agent", value="debugger")])
    budgets.turn_to(NOW)
    used = {"debugger": Amounts(microusd=90), "python-pro": Amounts(microusd=5)}
    budgets.restore("b", -86400.0, used)
    assert [] == states(budgets)
    budgets.restore("b", 0, used)
    assert [TallyState("debugger", 90, 0)] == states(budgets)

    budgets.admit("r", demand(), NOW)
    assert () == budgets.settle("r", spent(5))


def test_there_are_only_so_many_tallies():
    """Whoever comes too late shares one with the others who do."""
    book = Book(budget(REQUESTS, 2, scope="project", value=EACH), tallies_limit=2)
    book.turn_to(NOW)
    for name in ("a", "b", "c", "d", "a"):
        book.hold(name, 1)

    assert {"a": 2, "b": 1, OTHERS: 2} == {each.value: each.reserved for each in book.states(NOW)}
    assert book.reached("e", NOW) is not None
    assert book.reached("b", NOW) is None


ESTIMATES = st.integers(0, 60)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), ESTIMATES),
        st.tuples(st.just("settle"), st.integers(0, 200)),
    ),
    max_size=60,
)


@settings(max_examples=count(60, 300, 3000))
@given(EVENTS, st.integers(1, 300), st.sampled_from([USD, TOKENS]))
def test_the_bound(events, limit, counts):
    """In any order of admissions and ends: less than one estimate beyond the limit.

    Each request uses at most its own estimate; the order in which they end is anybody's.
    """
    budgets = Budgets([budget(counts, limit)])
    flying, used, largest = {}, 0, 1
    for number, (kind, amount) in enumerate(events):
        if kind == "admit":
            asked = demand(Candidate("claude", False, amount), tokens=amount)
            if budgets.admit(str(number), asked, NOW).refused is None:
                flying[str(number)] = amount
                largest = max(largest, amount)
        elif flying:
            name = sorted(flying)[amount % len(flying)]
            actual = min(amount, flying.pop(name))
            used += actual
            budgets.settle(name, spent(actual, actual))
            budgets.settle(name, spent(actual, actual))
        kept = states(budgets)
        assert (used, sum(flying.values())) == (
            sum(each.used for each in kept),
            sum(each.reserved for each in kept),
        )
        assert used + sum(flying.values()) < limit + largest


@settings(max_examples=count(40, 200, 2000))
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=80), st.integers(1, 8))
def test_concurrency_is_exact(events, limit):
    """Never more at a time than the limit, and never fewer admitted than there is room for."""
    budgets = Budgets([budget(CONCURRENCY, limit)])
    flying = []
    for number, (begins, which) in enumerate(events):
        if begins:
            admitted = budgets.admit(str(number), demand(LOCAL), NOW).refused is None
            assert admitted is (len(flying) < limit)
            flying += [str(number)] * admitted
        elif flying:
            budgets.settle(flying.pop(which % len(flying)), spent())
        assert len(flying) <= limit
