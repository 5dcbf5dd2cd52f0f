"""Whether a candidate keeps to a request's cost limit.

Counted is the most a request can cost there: its whole prompt uncached, and an answer as long as
`max_tokens`. A model without a known price cannot be said to keep to a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.policies import MICRO
from routing.pricing import TokenCounts, cost_microusd
from routing.types import ANY_UPSTREAM_MODEL, Side

if TYPE_CHECKING:
    from routing.pricing import PriceList
    from routing.types import ContentFacts, Deployment


def too_dear(
    deployment: Deployment,
    requested_model: str,
    content: ContentFacts,
    prices: PriceList,
    limit_microusd: int,
) -> str | None:
    """Return why a deployment may cost more than the limit, or None. Local models cost nothing."""
    if deployment.side is Side.LOCAL:
        return None
    model = deployment.upstream_model
    if model == ANY_UPSTREAM_MODEL:
        known = prices.find(requested_model) is not None
        model = requested_model if known else deployment.base_model or requested_model
    price = prices.find(model)
    limit = f"the limit of ${limit_microusd / MICRO:g}"
    if price is None:
        return f"has no known price for {model!r}, so {limit} cannot be kept"
    tokens = TokenCounts(input_tokens=content.input_tokens, output_tokens=content.max_output_tokens)
    most_microusd = cost_microusd(tokens, price)
    if most_microusd <= limit_microusd:
        return None
    return f"may cost ${most_microusd / MICRO:.4f}, above {limit}"
