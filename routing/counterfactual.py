"""What a locally served request would have cost at Claude, with the prompt cache it would have had.

Rules:
1. It is compared with the model it asks for, if that is one of Claude's. Otherwise with what the
   Claude deployment of its tier asks for: the first in the route of that tier, then in the table,
   whose model is of that tier. One without a tier is compared with the default route's Claude.
2. Tokens are the local model's own counts, times how many Claude counts where a local model counts
   one, which is a range. Of the prompt only the part counts that Claude would have read.
3. At least: the fewest tokens, and all of the prompt was read from the cache that ever was written
   to it. As a rule: the simulated cache. At most: the most tokens, and nothing was read from the
   cache, but written to it as the request asks.
4. Where the model has no price, or its tokens cannot be compared, nothing is said.

docs/savings.md has the method, and what it cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from routing.pricing import PERMILLE, TokenCounts, cost_microusd
from routing.requested_model import tier_in
from routing.types import ANY_UPSTREAM_MODEL, Side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from routing.pricing import Price
    from routing.prompt_cache import CacheSplit, CacheUse
    from routing.types import Deployment, RoutingTable, Tier


@dataclass(frozen=True, slots=True)
class Comparison:
    """With what a request is compared, before its answer has ended."""

    model: str
    """Claude's id."""
    use: CacheUse


class CostRange(NamedTuple):
    """Microdollars, from the least to the most."""

    low: int
    expected: int
    high: int


def claude_model(
    requested_model: str, *, is_claudes: bool, tier: Tier | None, table: RoutingTable
) -> str | None:
    """Return with which of Claude's models a request is compared, or None (rule 1).

    Args:
        requested_model: As the client said.
        is_claudes: It is one of Claude's own ids.
        tier: Of its plan.
        table: In force.
    """
    if is_claudes:
        return requested_model
    profile = table.active
    rule = profile.tiers.get(tier) if tier is not None else profile.default
    route = rule.route if rule is not None and rule.route is not None else ()
    named = [table.deployments[name] for name in route if name in table.deployments]
    if tier is None:
        return next(iter(_models(named)), None)
    every = [*_models(named), *_models(table.deployments.values())]
    return next((model for model in every if tier_in(model) is tier), None)


def would_have_cost(use: CacheUse, local: TokenCounts, price: Price) -> CostRange | None:
    """Return what a request would have cost, or None (rule 4).

    Args:
        use: What it would have read from the cache and written to it.
        local: As the local model counted them, its whole prompt as `input_tokens`.
        price: Of Claude's model.
    """
    ratio = price.token_range
    if ratio is None:
        return None
    low, expected, high = (
        cost_microusd(claude_tokens(use, split, local, permille), price)
        for split, permille in (
            (use.best, ratio.low_permille),
            (use.simulated, ratio.expected_permille),
            (use.worst, ratio.high_permille),
        )
    )
    # Prices that make a cache dearer than none turn best and worst round.
    return CostRange(min(low, expected, high), expected, max(low, expected, high))


def claude_tokens(
    use: CacheUse, split: CacheSplit, local: TokenCounts, permille: int
) -> TokenCounts:
    """Return the tokens that Claude would have counted, each in one place."""
    total = use.total_tokens
    prompt = local.prompt_tokens * total * permille // ((total + use.left_out_tokens) * PERMILLE)
    read, one_hour, five_minutes = (
        prompt * end // total for end in (split.read, split.one_hour, split.five_minutes)
    )
    return TokenCounts(
        input_tokens=prompt - five_minutes,
        output_tokens=local.output_tokens * permille // PERMILLE,
        cache_write_5m_tokens=five_minutes - one_hour,
        cache_write_1h_tokens=one_hour - read,
        cache_read_tokens=read,
    )


def _models(deployments: Iterable[Deployment]) -> Iterable[str]:
    """Yield what Claude deployments ask for where the client names no model of Claude's."""
    for each in deployments:
        model = (
            each.base_model if each.upstream_model == ANY_UPSTREAM_MODEL else each.upstream_model
        )
        if each.side is Side.CLAUDE and model:
            yield model
