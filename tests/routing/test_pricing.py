"""What tokens cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pricing import FREE, Price, PriceList, Rates, TokenCounts, cost_microusd

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
