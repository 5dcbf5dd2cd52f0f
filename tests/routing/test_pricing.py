"""What tokens cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pricing import (
    FREE,
    Bill,
    Price,
    PriceList,
    Rates,
    TokenCounts,
    bill_microusd,
    cost_microusd,
    local_microusd,
)

SONNET = Price(Rates(2_000_000, 10_000_000, 2_500_000, 4_000_000, 100_000))
STEPPED = Price(
    Rates(100_000, 500_000, 125_000, 200_000, 10_000),
    100_000,
    Rates(500_000, 2_500_000, 625_000, 1_000_000, 50_000),
)
AMOUNTS = st.integers(0, 10_000_000)
COUNTS = st.builds(TokenCounts, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)


@pytest.mark.parametrize(
    ("tokens", "price", "microusd"),
    [
        (TokenCounts(), SONNET, 0),
        (TokenCounts(input_tokens=1_000_000), SONNET, 2_000_000),
        (TokenCounts(output_tokens=1_000), SONNET, 10_000),
        (TokenCounts(cache_write_5m_tokens=4), SONNET, 10),
        (TokenCounts(cache_write_1h_tokens=5), SONNET, 20),
        (TokenCounts(cache_read_tokens=100), SONNET, 10),
        (TokenCounts(1, 2, 3, 4, 5), SONNET, 46),
        (TokenCounts(cache_read_tokens=4), SONNET, 0),
        (TokenCounts(cache_read_tokens=5), SONNET, 1),
        (TokenCounts(input_tokens=100_000), STEPPED, 10_000),
        (TokenCounts(input_tokens=100_001), STEPPED, 50_001),
        (TokenCounts(input_tokens=1, output_tokens=1000, cache_read_tokens=100_000), STEPPED, 7501),
        (TokenCounts(output_tokens=200_000), STEPPED, 100_000),
        (TokenCounts(10, 10, 10, 10, 10), FREE, 0),
    ],
)
def test_costs(tokens, price, microusd):
    """Each kind of token has its own rate; half a microdollar is rounded up, once."""
    assert cost_microusd(tokens, price) == microusd


@given(COUNTS, COUNTS)
def test_two_requests_cost_what_both_cost_together(one, other):
    """Without long prompts a sum differs from the cost of the sum by rounding only."""
    both = TokenCounts(
        *(getattr(one, name) + getattr(other, name) for name in TokenCounts.__dataclass_fields__)
    )
    apart = cost_microusd(one, SONNET) + cost_microusd(other, SONNET)

    assert abs(apart - cost_microusd(both, SONNET)) <= 1


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-sonnet-5", True),
        ("claude-sonnet-5-20260301", True),
        ("claude-sonnet-5-5", False),
        ("claude-sonnet", False),
        ("", False),
    ],
)
def test_a_model_without_a_price_is_unknown(model, known):
    """A dated id is the model's; anything else that is not in the list has no price at all."""
    prices = PriceList("2026-11-21", {"claude-sonnet-5": SONNET})

    assert prices.find(model) == (SONNET if known else None)


BATCHED = Price(SONNET.rates, multipliers_permille={"batch": 500, "us": 1100})
FEES = {"web_search_requests": 10_000}
TOKENS = TokenCounts(1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("bill", "price", "microusd"),
    [
        (Bill([TOKENS]), BATCHED, 46),
        (Bill([TOKENS, TOKENS]), BATCHED, 92),
        (Bill([]), BATCHED, 0),
        (Bill([TOKENS], ["batch"]), BATCHED, 23),
        (Bill([TOKENS], ["us"]), BATCHED, 51),
        (Bill([TOKENS], ["us", "batch"]), BATCHED, 25),
        (Bill([TOKENS], ["fast"]), BATCHED, None),
        (Bill([TOKENS], ["batch", "fast"]), BATCHED, None),
        (Bill([TOKENS], uses={"web_search_requests": 3}), BATCHED, 30_046),
        (Bill([TOKENS], ["batch"], {"web_search_requests": 3}), BATCHED, 30_023),
        (Bill([TOKENS], uses={"other": 1}), BATCHED, None),
        (Bill([TOKENS], uses={"other": 0}), BATCHED, 46),
        (Bill([TokenCounts(60_000), TokenCounts(60_000)]), STEPPED, 12_000),
        (Bill([TokenCounts(120_000)]), STEPPED, 60_000),
    ],
)
def test_bills(bill, price, microusd):
    """Multipliers are of tokens alone; what has no price makes the whole unknown."""
    assert bill_microusd(bill, price, FEES) == microusd


@given(COUNTS, st.sampled_from([SONNET, STEPPED]))
def test_a_plain_bill_is_the_cost_of_its_tokens(tokens, price):
    """One sampling without anything else costs what its tokens cost."""
    assert bill_microusd(Bill([tokens]), price, {}) == cost_microusd(tokens, price)


@pytest.mark.parametrize(
    ("seconds", "per_hour", "microusd"),
    [(3600.0, 105_000, 105_000), (36.0, 105_000, 1050), (0.0, 105_000, 0), (-1.0, 9, 0), (60, None, 0)],
)  # fmt: skip
def test_local_work(seconds, per_hour, microusd):
    """By the hour; nothing where nobody states what one costs."""
    assert local_microusd(seconds, per_hour) == microusd
