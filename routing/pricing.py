"""What tokens cost: whole microdollars, from a list of prices with a date.

Rules:
1. A model without a price costs something unknown, which is None and never 0.
2. Sums are exact; one rounding, half up, at the end of each request.
3. Where a model has prices for long prompts, the whole request is at those as soon as its prompt,
   cached parts included, is longer than the limit. Source: LiteLLM 1.105.3 reads Anthropic's
   price list like that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS_PER_RATE: Final = 1_000_000
"""Rates are for this many tokens."""

_SNAPSHOT: Final = re.compile(r"-\d{8}$")
"""End of a dated id of Claude's, e.g. `claude-haiku-4-5-20251001`."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one request, each counted in one place only."""

    input_tokens: int = 0
    """Not from the cache and not written to it."""
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt."""
        return (
            self.input_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.cache_read_tokens
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """Microdollars per million tokens, from 0."""

    input: int
    output: int
    cache_write_5m: int
    cache_write_1h: int
    cache_read: int


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs."""

    rates: Rates
    long_above_tokens: int | None = None
    """Prompts longer than this are at `long_rates`; both are set or neither."""
    long_rates: Rates | None = None

    def rates_for(self, tokens: TokenCounts) -> Rates:
        """Return the rates that hold for a request."""
        if self.long_above_tokens is None or self.long_rates is None:
            return self.rates
        return self.long_rates if tokens.prompt_tokens > self.long_above_tokens else self.rates


FREE: Final = Price(Rates(0, 0, 0, 0, 0))
"""A model on a machine of one's own: nobody bills its tokens."""


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices by model id, as they were on one day."""

    as_of: str
    """ISO date."""
    prices: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """Return the price of a model, for a dated id that of the model; None if unknown."""
        return self.prices.get(model) or self.prices.get(_SNAPSHOT.sub("", model))


NO_PRICES: Final = PriceList("", {})
"""Nothing has a known price."""


def cost_microusd(tokens: TokenCounts, price: Price) -> int:
    """Return what a request costs, in whole microdollars."""
    rates = price.rates_for(tokens)
    total = (
        tokens.input_tokens * rates.input
        + tokens.output_tokens * rates.output
        + tokens.cache_write_5m_tokens * rates.cache_write_5m
        + tokens.cache_write_1h_tokens * rates.cache_write_1h
        + tokens.cache_read_tokens * rates.cache_read
    )
    return (total + TOKENS_PER_RATE // 2) // TOKENS_PER_RATE
