"""What tokens cost: whole microdollars, from a list of prices with a date.

Rules:
1. A model without a price costs something unknown, which is None and never 0.
2. Sums are exact; one rounding, half up, at the end of each request.
3. Where a model has prices for long prompts, the whole request is at those as soon as its prompt,
   cached parts included, is longer than the limit. Source: LiteLLM 1.105.3 reads Anthropic's
   price list like that.
4. Multipliers (batch, fast mode, place of inference) are of every token's price, and of each other;
   tools that Anthropic runs cost per use, whatever the multipliers (Anthropic's docs, *Pricing*).
   One that is not in the list makes the cost unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final

from routing.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKENS_PER_RATE: Final = 1_000_000
"""Rates are for this many tokens."""
PERMILLE: Final = 1000
SECONDS_PER_HOUR: Final = 3600

_SNAPSHOT: Final = re.compile(r"-\d{8}$")
"""End of a dated id of Claude's, e.g. `claude-haiku-4-5-20251001`."""


@record(frozen=True, slots=True)
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

    def plus(self, other: TokenCounts) -> TokenCounts:
        """Return the sums, field by field."""
        return TokenCounts(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_write_5m_tokens + other.cache_write_5m_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
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
class TokenRange:
    """Claude's tokens for a thousand tokens of a local model's: at least, as a rule, at most."""

    low_permille: int
    expected_permille: int
    high_permille: int


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs."""

    rates: Rates
    long_above_tokens: int | None = None
    """Prompts longer than this are at `long_rates`; both are set or neither."""
    long_rates: Rates | None = None
    multipliers_permille: Mapping[str, int] = field(default_factory=dict)
    """By what an answer's `usage` says of it: `batch`, `fast`, `us`."""
    cache_from_tokens: int = 0
    """The shortest prefix that its prompt cache keeps."""
    token_range: TokenRange | None = None
    """None where it is not known how its tokens compare to a local model's."""

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
    fees_microusd: Mapping[str, int] = field(default_factory=dict)
    """For each use of a tool that Anthropic runs, by its name in `usage.server_tool_use`."""
    local_microusd_per_hour: int | None = None
    """What an hour of a local model at work costs; None where nobody states it."""

    def find(self, model: str) -> Price | None:
        """Return the price of a model, for a dated id that of the model; None if unknown."""
        return self.prices.get(model) or self.prices.get(_SNAPSHOT.sub("", model))


NO_PRICES: Final = PriceList("", {})
"""Nothing has a known price."""


@record(frozen=True, slots=True)
class Bill:
    """What an answer is charged for."""

    samplings: Sequence[TokenCounts]
    """Each is judged by itself where long prompts cost more."""
    multipliers: Sequence[str] = ()
    """Names in `Price.multipliers_permille`."""
    uses: Mapping[str, int] = field(default_factory=dict)
    """Of tools that Anthropic runs, by their names in `PriceList.fees_microusd`."""


def cost_microusd(tokens: TokenCounts, price: Price) -> int:
    """Return what a request costs, in whole microdollars."""
    return _rounded(_parts(tokens, price), TOKENS_PER_RATE)


def bill_microusd(bill: Bill, price: Price, fees_microusd: Mapping[str, int]) -> int | None:
    """Return what an answer costs, in whole microdollars; None where a part of it is not known."""
    known = price.multipliers_permille
    uses = {name: times for name, times in bill.uses.items() if times}
    if not (known.keys() >= set(bill.multipliers) and fees_microusd.keys() >= uses.keys()):
        return None
    parts = sum(_parts(tokens, price) for tokens in bill.samplings)
    parts *= prod(known[name] for name in bill.multipliers)
    fees = sum(fees_microusd[name] * times for name, times in uses.items())
    return fees + _rounded(parts, TOKENS_PER_RATE * PERMILLE ** len(bill.multipliers))


def local_microusd(seconds: float, microusd_per_hour: int | None) -> int:
    """Return what a local model's work costs; nothing where nobody states it."""
    return round(max(0.0, seconds) * (microusd_per_hour or 0) / SECONDS_PER_HOUR)


def _parts(tokens: TokenCounts, price: Price) -> int:
    """Return the exact cost, in microdollars by `TOKENS_PER_RATE`."""
    rates = price.rates_for(tokens)
    return (
        tokens.input_tokens * rates.input
        + tokens.output_tokens * rates.output
        + tokens.cache_write_5m_tokens * rates.cache_write_5m
        + tokens.cache_write_1h_tokens * rates.cache_write_1h
        + tokens.cache_read_tokens * rates.cache_read
    )


def _rounded(parts: int, parts_per_unit: int) -> int:
    return (parts + parts_per_unit // 2) // parts_per_unit
