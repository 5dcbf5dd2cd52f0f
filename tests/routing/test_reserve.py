"""The most that a request may use."""

import pytest

from routing.pricing import NO_PRICES, Price, PriceList, Rates, TokenRange
from routing.reserve import CacheMarks, dearest, most_microusd, most_tokens

RATES = Rates(2_000_000, 10_000_000, 2_500_000, 4_000_000, 100_000)
PRICE = Price(RATES, multipliers_permille={"fast": 2000}, token_range=TokenRange(900, 1000, 1250))


@pytest.mark.parametrize(
    ("marks", "multipliers", "microusd"),
    [
        (CacheMarks.NONE, (), 1250 * 2 + 100 * 10),
        (CacheMarks.FIVE_MINUTES, (), 1250 * 5 // 2 + 100 * 10),
        (CacheMarks.ONE_HOUR, (), 1250 * 4 + 100 * 10),
        (CacheMarks.NONE, ("fast",), 2 * (1250 * 2 + 100 * 10)),
        (CacheMarks.NONE, ("us",), 1250 * 2 + 100 * 10),
    ],
)
def test_the_most_that_it_costs(marks, multipliers, microusd):
    """The longest prompt a tokenizer makes of it, written to the cache, and the whole answer."""
    assert microusd == most_microusd(1000, 100, PRICE, marks, multipliers)


def test_the_most_tokens():
    """Rounded up; of a tokenizer that nobody compared, half as many again; a local one's own."""
    assert 2 == most_tokens(1, PRICE)
    assert 15 == most_tokens(10, Price(RATES))
    assert 10 == most_tokens(10, None)


def test_a_long_prompt_costs_what_long_ones_cost():
    """It counts as long by the most tokens that it may have."""
    price = Price(RATES, 1200, Rates(4_000_000, 0, 0, 0, 0), token_range=PRICE.token_range)

    assert 1250 * 4 == most_microusd(1000, 0, price, CacheMarks.NONE)


def test_the_dearest_of_a_list():
    """Every rate, multiplier and range is the highest that any model has, long prompts included."""
    other = Price(
        Rates(1, 20_000_000, 1, 1, 1),
        9,
        Rates(9_000_000, 1, 1, 1, 1),
        {"fast": 1500, "us": 1100},
    )

    found = dearest(PriceList("", {"a": PRICE, "b": other}))

    assert Rates(9_000_000, 20_000_000, 2_500_000, 4_000_000, 100_000) == found.rates
    assert ({"fast": 2000, "us": 1100}, 1500) == (
        found.multipliers_permille,
        found.token_range.high_permille,
    )
    assert None is dearest(NO_PRICES)
