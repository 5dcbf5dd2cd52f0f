"""How fast a deployment is, as its answers teach, and what that predicts of a request."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.capabilities import FleetSnapshot
from routing.content import StatedContent
from routing.identify import UNKNOWN
from routing.pace import (
    IDLE,
    LEAST_READ_S,
    TOO_FAST,
    UNKNOWN_PACE,
    Occupancy,
    Pace,
    evaluated_tokens,
    predicted_wait,
    with_load,
    with_reading,
    with_request,
)
from routing.plan import build_plan
from routing.table import compile_table
from routing.types import Deployment, Privacy, RequestClass, RequestFacts, Roster, Side
from tests.support.routing_samples import table_of

SLOW = Pace(prefill_tokens_per_s=100.0, load_s=35.0, request_s=60.0, prefills=2)
COLD = Occupancy(loaded=False)


def read(pace: Pace, tokens: int, seconds: float) -> Pace:
    """Return what is known after a prompt that was read from its first token."""
    return with_reading(pace, tokens, tokens, seconds)


def test_reading_is_learned_from_two_answers_on() -> None:
    """One measurement predicts nothing; two do."""
    once = read(UNKNOWN_PACE, 1000, 10.0)
    assert predicted_wait(once, IDLE, 1000) is None

    twice = read(once, 1000, 10.0)
    assert predicted_wait(twice, IDLE, 500).total_s == 5.0


@pytest.mark.parametrize(
    ("tokens", "prompt_tokens", "seconds"),
    [
        (500, 500, 5.0),
        (1000, 2000, 1.0),
        (1000, 1000, 0.0),
        (100_000, 100_000, 1.0),
        (512, 512, 2e-309),
    ],
    ids=["too short", "half of it was held", "no time", "surely held", "not measured"],
)
def test_what_teaches_nothing(tokens, prompt_tokens, seconds) -> None:
    """The very same object comes back."""
    assert with_reading(SLOW, tokens, prompt_tokens, seconds) is SLOW


def test_slowness_is_believed_sooner() -> None:
    """Half of the way down, a quarter of the way up."""
    assert read(SLOW, 1000, 20.0).prefill_tokens_per_s == 75.0
    assert read(SLOW, 1000, 5.0).prefill_tokens_per_s == 125.0


@given(st.lists(st.tuples(st.integers(1, 50_000), st.floats(0, 1000)), max_size=30))
def test_a_pace_stays_within_what_was_seen(samples) -> None:
    """Whatever is measured, in whatever order."""
    pace = UNKNOWN_PACE
    for tokens, seconds in samples:
        pace = read(pace, tokens, seconds)
    measured = [sample for sample in samples if sample[0] >= 512 and sample[1] >= LEAST_READ_S]
    rates = [tokens / seconds for tokens, seconds in measured]
    rate = pace.prefill_tokens_per_s
    assert (rate is None) == (not rates)
    if rate is not None:
        assert min(rates) * 0.999 <= rate <= max(rates) * 1.001


def test_loads_and_requests() -> None:
    """What Ollama states where nothing was loaded is no load (conformance 235)."""
    assert with_load(SLOW, 0.05) is SLOW
    assert with_load(UNKNOWN_PACE, 30.0).load_s == 30.0
    assert with_load(SLOW, 15.0).load_s == 25.0
    assert with_request(UNKNOWN_PACE, 8.0).request_s == 8.0
    assert with_request(SLOW, 20.0).request_s == 55.0


@pytest.mark.parametrize(
    ("occupancy", "total_s"),
    [
        (IDLE, 10.0),
        (COLD, 45.0),
        (Occupancy(loaded=True), 10.0),
        (Occupancy(busy=9, slots=None), 10.0),
        (Occupancy(busy=1, slots=2), 10.0),
        (Occupancy(busy=2, slots=2), 40.0),
        (Occupancy(waiting=3, busy=2, slots=2), 130.0),
    ],
)
def test_what_a_prediction_is_made_of(occupancy, total_s) -> None:
    """The queue, the load where the model is known to be out, and the unread tokens."""
    assert predicted_wait(SLOW, occupancy, 1000).total_s == total_s


@pytest.mark.parametrize(
    ("pace", "unread", "prefill_s", "evaluated"),
    [
        (UNKNOWN_PACE, 300, 9.0, 300),
        (replace(SLOW, prefills=1), 300, 9.0, 300),
        (SLOW, 300, None, 300),
        (SLOW, 300, 3.1, 310),
        (SLOW, 300, 1.0, 300),
        (SLOW, 300, 900.0, 1000),
        (SLOW, 0, 0.0, 1),
        (SLOW, 5000, 1.0, 1000),
    ],
)
def test_what_was_evaluated(pace, unread, prefill_s, evaluated) -> None:
    """By the time that it took, and no less than what nobody shares (conformance 219)."""
    assert evaluated_tokens(pace, unread, 1000, prefill_s) == evaluated


# --- what a plan makes of it -------------------------------------------------------------------

LOCAL = Deployment("local", Side.LOCAL, leaves_host=False)
SECOND = Deployment("second", Side.LOCAL, leaves_host=False)
CLAUDE = Deployment("claude", Side.CLAUDE, leaves_host=True, upstream_model="claude-sonnet-5-5")
TOLD = (
    "usable after those that are in time: would take about 420 s to its first token: 0 s queue, "
    "35 s load, 38,500 unread tokens at 100/s; the limit is 300 s"
)
FLEET = FleetSnapshot(paces={"local": SLOW}, occupancy={"local": COLD})


def plan_of(
    fleet: FleetSnapshot,
    *,
    tokens: int = 38_500,
    route: tuple[str, ...] = ("local", "claude"),
    facts: RequestFacts | None = None,
    **policies: object,
):
    """Return the plan of a request of so many tokens."""
    mapping = table_of({"default": {"route": list(route), **policies}})
    deployments = {each.name: each for each in (LOCAL, SECOND, CLAUDE)}
    table, _ = compile_table(mapping, deployments, Roster())
    facts = replace(facts or RequestFacts("x"), content=StatedContent(input_tokens=tokens))
    return build_plan(facts, UNKNOWN, table, Roster(), fleet)


def reasons(plan) -> dict[str, str]:
    """Return what the trace says of each candidate."""
    return {step.name: step.reason for step in plan.trace if step.kind == "candidate"}


def test_who_would_be_late_comes_last() -> None:
    """It stays an attempt, and the trace says why it is the last one."""
    plan = plan_of(FLEET)

    assert (plan.attempts, plan.late) == (("claude", "local"), ("local",))
    assert reasons(plan) == {"local": TOLD, "claude": "usable"}


@pytest.mark.parametrize(
    ("fleet", "facts", "policies"),
    [
        (FleetSnapshot(), None, {}),
        (FleetSnapshot(paces={"local": replace(SLOW, prefills=1)}), None, {}),
        (FleetSnapshot(paces={"local": replace(SLOW, prefill_tokens_per_s=200.0)}), None, {}),
        (FLEET, RequestFacts("x", read_tokens={"local": 38_000}), {}),
        (FLEET, RequestFacts("x", request_class=RequestClass.COUNT), {}),
    ],
    ids=["nothing known", "hardly known", "fast enough", "read before", "only counting"],
)
def test_who_is_in_time_keeps_its_place(fleet, facts, policies) -> None:
    """Nothing is moved without a reason."""
    plan = plan_of(fleet, facts=facts, **policies)
    assert (plan.attempts, plan.late) == (("local", "claude"), ())


def test_a_deadline_is_a_limit_too() -> None:
    """What takes 50 s is late for a deadline of 40 s."""
    assert plan_of(FLEET, tokens=1500).attempts == ("local", "claude")
    plan = plan_of(FLEET, tokens=1500, deadline_s=40)
    assert plan.attempts == ("claude", "local")
    assert reasons(plan)["local"].endswith("; the limit is 40 s")


def test_privacy_counts_for_more() -> None:
    """A request that must stay waits: nothing that leaves the host takes its place."""
    facts = RequestFacts("x", token_privacy=Privacy.LOCAL_ONLY)
    plan = plan_of(FLEET, route=("local", "second", "claude"), facts=facts)

    assert plan.attempts == ("second", "local")


def test_without_anybody_faster_it_is_the_first() -> None:
    """The order among those that are late is the route's."""
    fleet = FleetSnapshot(paces={"local": SLOW, "second": SLOW})
    assert plan_of(fleet, route=("local", "second")).attempts == ("local", "second")


def test_what_is_surely_too_fast_was_cached() -> None:
    """Just below the bound it is believed."""
    seconds = 1000 / (TOO_FAST * 99.0)
    assert read(SLOW, 1000, seconds).prefill_tokens_per_s > 100.0
