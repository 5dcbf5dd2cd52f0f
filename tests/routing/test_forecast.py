"""What requests would come to: lengths, times, costs."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.errors import UnknownAgent
from routing.forecast import (
    LEAST_PAST,
    PastAnswer,
    answer_length,
    asked_model,
    confidence,
    cost,
    spread,
    times,
)
from routing.pace import Wait
from routing.pricing import FREE, Price, Rates
from routing.types import Deployment, Roster, Side

PRICE = Price(Rates(input=2_000_000, output=10_000_000, cache_write_5m=2_500_000,
                    cache_write_1h=4_000_000, cache_read=200_000))  # fmt: skip
CLAUDE = Deployment("claude-sonnet", Side.CLAUDE, True, None, "*", "claude-sonnet-5-5")
PINNED = Deployment("pinned", Side.CLAUDE, True, None, "claude-opus-5-5")
LOCAL = Deployment("coder", Side.LOCAL, False, None, "qwen")


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=40))
def test_a_spread_lies_within_its_values(values):
    """Low, median and high are in order, within the values, and the median is the median."""
    found = spread(values)

    assert min(values) <= found.low <= found.expected <= found.high <= max(values)
    assert found.expected == pytest.approx(statistics.median(values))


@given(st.lists(st.integers(1, 5_000), max_size=12), st.integers(1, 4_000))
def test_an_answer_is_never_expected_to_be_longer_than_max_tokens(past, max_tokens):
    """Earlier answers say how long it will be; too few of them, and `max_tokens` stands for it."""
    length = answer_length(past, max_tokens)

    assert length.tokens.high <= max_tokens
    assert length.is_known == (len(past) >= LEAST_PAST)
    if not length.is_known:
        assert length.tokens.low == length.tokens.expected == max_tokens


def answers(prompt_tokens, ttft_s, speed, count=10):
    return [PastAnswer(prompt_tokens, 100, ttft_s, ttft_s + 100 / speed) for _ in range(count)]


def test_times_are_those_of_answers_to_prompts_of_about_the_same_length():
    """Where there are enough of them; the rest of the time is the answer's length at its speed."""
    past = answers(1_000, 2.0, 50) + answers(20_000, 30.0, 50)
    length = answer_length([200] * 10, 1_000)
    short, long = times(past, 1_200, length, None), times(past, 25_000, length, None)

    assert short.ttft_s.expected == pytest.approx(2.0)
    assert long.ttft_s.expected == pytest.approx(30.0)
    assert short.total_s.expected == pytest.approx(2.0 + 200 / 50)
    assert 20 == short.past
    assert not short.paced


def test_of_few_alike_all_count_and_of_few_answers_nothing_is_said():
    """A prompt of a new length takes what others took; fewer than five answers predict nothing."""
    length = answer_length([200] * 10, 1_000)

    assert times(answers(1_000, 2.0, 50), 90_000, length, None).ttft_s.expected == 2.0
    few = times(answers(1_000, 2.0, 50, count=LEAST_PAST - 1), 1_000, length, None)
    assert few.ttft_s is None
    assert few.total_s is None


def test_the_pace_of_the_moment_counts_before_history():
    """What a deployment's pace predicts is the time to the first token."""
    wait = Wait(queue_s=3, load_s=5, unread_tokens=100, tokens_per_s=50)
    found = times(answers(1_000, 2.0, 50), 1_000, answer_length([50] * 9, 99), wait)

    assert found.ttft_s.low == found.ttft_s.high == 10
    assert found.total_s.expected == pytest.approx(10 + 50 / 50)
    assert found.paced


def test_costs_are_in_order_and_bounded():
    """Without cache marks the prompt is plain; with them it is read at best and written at worst."""
    length = answer_length([10, 20, 30, 40, 50], 100)
    plain = cost(1_000, length, 100, PRICE, cache_marks=False)
    marked = cost(1_000, length, 100, PRICE, cache_marks=True)

    # 1000 tokens at 2, and 14, 30, 46, 100 at 10 microdollars each.
    assert (2_140, 2_300, 2_460, 3_000) == (
        plain.low_microusd, plain.expected_microusd, plain.high_microusd, plain.at_most_microusd,
    )  # fmt: skip
    # Read at 0.2, written at 2.5, for an hour at 4.
    assert (340, 2_800, 2_960, 5_000) == (
        marked.low_microusd, marked.expected_microusd, marked.high_microusd,
        marked.at_most_microusd,
    )  # fmt: skip
    assert 0 == cost(1_000, length, 100, FREE, cache_marks=False).at_most_microusd


@pytest.mark.parametrize(
    ("deployment", "requested", "asks", "model"),
    [
        (CLAUDE, "claude-opus-5-5", None, "claude-opus-5-5"),
        (CLAUDE, "claude-opus-5-5", "claude-haiku-4-5", "claude-haiku-4-5"),
        (CLAUDE, "coder", None, "claude-sonnet-5-5"),
        (PINNED, "claude-sonnet-5-5", None, "claude-opus-5-5"),
        (LOCAL, "claude-sonnet-5-5", None, "qwen"),
    ],
)
def test_the_model_that_an_upstream_is_asked_for(deployment, requested, asks, model):
    """What the plan says, a deployment's own, the client's if it is Claude's, or the base model."""
    known = {each.name: each for each in (CLAUDE, PINNED, LOCAL)}

    assert model == asked_model(deployment, requested, asks, Roster(), known)


def test_an_agent_that_there_is_not_asks_for_nothing():
    """A requested model with an unknown agent is refused, as when it is served."""
    with pytest.raises(UnknownAgent):
        asked_model(CLAUDE, "agent/nobody", None, Roster(), {})


def test_confidence_is_a_word_for_how_many():
    """None below five earlier requests, good from a hundred."""
    assert ["none", "low", "fair", "good"] == [confidence(n) for n in (4, 5, 20, 100)]
