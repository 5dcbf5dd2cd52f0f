"""The most that a request is expected to use, for budgets to reserve.

Rules:
1. The prompt counts in full, with as many tokens as the model's tokenizer may make of it at most
   (`Price.token_range`), and nothing of it is read from a cache. Where it has cache marks it is
   written to the cache, at the price of what is kept as long as the marks say.
2. The answer is as long as `max_tokens`.
3. A model without a price is taken to cost as much as the dearest of the list in every respect.
"""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from routing.pricing import PERMILLE, Price, Rates, TokenCounts, TokenRange, cost_microusd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.pricing import PriceList

UNKNOWN_RANGE: Final = TokenRange(PERMILLE, PERMILLE, 1500)
"""Where a price does not say how its tokenizer compares; chosen, not measured."""


class CacheMarks(StrEnum):
    """For how long a request asks that its prompt be kept: the field of `TokenCounts`."""

    NONE = "input_tokens"
    FIVE_MINUTES = "cache_write_5m_tokens"
    ONE_HOUR = "cache_write_1h_tokens"


def most_tokens(estimated_tokens: int, price: Price | None) -> int:
    """Return how many tokens a model may make of a prompt, rounded up; without a price, a local's.

    Args:
        estimated_tokens: As a local model would count them.
        price: Of the model.
    """
    if price is None:
        return estimated_tokens
    permille = (price.token_range or UNKNOWN_RANGE).high_permille
    return -(-estimated_tokens * permille // PERMILLE)


def most_microusd(
    estimated_tokens: int,
    max_output_tokens: int,
    price: Price,
    marks: CacheMarks,
    multipliers: Iterable[str] = (),
) -> int:
    """Return the most that a request is expected to cost, in microdollars.

    Args:
        estimated_tokens: Of the prompt, as a local model would count them.
        max_output_tokens: As the request says.
        price: Of the model.
        marks: Of the request.
        multipliers: Names in `Price.multipliers_permille`; those that it has count.
    """
    prompt = {marks.value: most_tokens(estimated_tokens, price)}
    microusd = cost_microusd(TokenCounts(**prompt, output_tokens=max_output_tokens), price)
    for name in multipliers:
        microusd = -(-microusd * price.multipliers_permille.get(name, PERMILLE) // PERMILLE)
    return microusd


def dearest(prices: PriceList) -> Price | None:
    """Return a price that is as high as any of the list in every respect; None of an empty one."""
    known = list(prices.prices.values())
    if not known:
        return None
    rates = [rates for each in known for rates in (each.rates, each.long_rates) if rates]
    ranges = [each.token_range or UNKNOWN_RANGE for each in known]
    multipliers: dict[str, int] = {}
    for each in known:
        for name, permille in each.multipliers_permille.items():
            multipliers[name] = max(permille, multipliers.get(name, 0))
    return Price(
        Rates(*(max(getattr(each, field.name) for each in rates) for field in fields(Rates))),
        multipliers_permille=multipliers,
        token_range=max(ranges, key=lambda each: each.high_permille),
    )
