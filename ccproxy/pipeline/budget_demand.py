"""What a request may use of budgets, and what it has used: between plans, rows and the reducer.

Tokens and money are those of the ledger's rows, without what local work is said to cost. What has
no known price costs as much as the dearest model of the price list would; an attempt of which
nothing is known but that it may be billed, the most that it was expected to cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ccproxy.rows import TEXT_LIMIT
from routing.budgets import NOTHING, Amounts, Caller, Candidate, Demand, Spending
from routing.forecast import asked_model
from routing.pricing import FREE, cost_microusd
from routing.reserve import CacheMarks, dearest, most_microusd, most_tokens
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.pipeline.decide import RoutingState
    from ccproxy.rows import AttemptRow, RequestRow, SpentSum
    from routing.pricing import Price, PriceList, TokenCounts
    from routing.types import AgentMatch, Plan, RequestFacts

UNKNOWN_AGENT: Final = "unknown"
"""As whom callers are counted that nobody recognised."""
_MULTIPLYING: Final = ("speed", "inference_geo")
"""Keys of a request whose value may name a multiplier (Anthropic's docs, *Pricing*)."""


def caller_of(principal: str, project: str | None, slug: str | None) -> Caller:
    """Return who asks, as the ledger writes it down."""
    return Caller(principal, (project or "")[:TEXT_LIMIT], slug or UNKNOWN_AGENT)


def demand_of(
    facts: RequestFacts,
    match: AgentMatch,
    plan: Plan,
    state: RoutingState,
    body: Mapping[str, Any],
    raw_body: bytes | None = None,
) -> Demand:
    """Return what a request may use at most.

    Args:
        facts: Of the request.
        match: Who is calling.
        plan: Its attempts.
        state: By which it was planned.
        body: Parsed.
        raw_body: The same as JSON, to look for cache marks; None takes the dearest.
    """
    content = facts.content
    prompt_tokens = content.input_tokens if content is not None else 0
    answer_tokens = content.max_output_tokens if content is not None else 0
    marks = _marks(raw_body)
    multipliers = [value for key in _MULTIPLYING if isinstance(value := body.get(key), str)]
    candidates, tokens = [], [prompt_tokens]
    for name in plan.attempts:
        price = _price_at(name, facts.requested_model, plan.asks.get(name), state)
        most = 0
        if price is not None and price is not FREE:
            most = most_microusd(prompt_tokens, answer_tokens, price, marks, multipliers)
            tokens.append(most_tokens(prompt_tokens, price))
        stays = not state.table.deployments[name].leaves_host
        candidates.append(Candidate(name, stays, most))
    caller = caller_of(facts.principal, facts.project, match.slug)
    return Demand(caller, max(tokens) + answer_tokens, tuple(candidates))


def spending_of(row: RequestRow, demand: Demand, prices: PriceList) -> Spending:
    """Return what a finished request has used."""
    most = {each.deployment: each.most_microusd for each in demand.candidates}
    by_deployment: dict[str, Amounts] = {}
    for attempt in row.attempts:
        name = attempt.dimensions.deployment
        known = by_deployment.get(name, NOTHING)
        by_deployment[name] = Amounts(
            known.requests + bool(attempt.dimensions.upstream_model),
            known.tokens + _all_tokens(attempt.spent.tokens),
            known.microusd + _paid(attempt, most.get(name, 0), prices),
        )
    total = Amounts(
        int(bool(row.dimensions.deployment)),
        _all_tokens(row.spent.tokens),
        sum(each.microusd for each in by_deployment.values()),
    )
    return Spending(total, by_deployment)


def amounts_of(spent: SpentSum, prices: PriceList) -> Amounts:
    """Return what the ledger says was used."""
    price = dearest(prices)
    unpriced = cost_microusd(spent.unpriced_tokens, price) if price is not None else 0
    return Amounts(spent.requests, _all_tokens(spent.tokens), spent.cost_microusd + unpriced)


def _price_at(
    name: str, requested_model: str, asks: str | None, state: RoutingState
) -> Price | None:
    """Return what a deployment costs; None where no price is known at all."""
    table = state.table
    deployment = table.deployments[name]
    if deployment.side is Side.LOCAL:
        return FREE
    model = asked_model(deployment, requested_model, asks, state.roster, table.deployments)
    return table.prices.find(model) or dearest(table.prices)


def _paid(attempt: AttemptRow, most_microusd: int, prices: PriceList) -> int:
    spent = attempt.spent
    if attempt.dimensions.route == Side.LOCAL:
        return 0
    if spent.cost_microusd is not None:
        return spent.cost_microusd
    price = dearest(prices)
    if price is None or not _all_tokens(spent.tokens):
        return most_microusd
    return cost_microusd(spent.tokens, price)


def _all_tokens(tokens: TokenCounts) -> int:
    return tokens.prompt_tokens + tokens.output_tokens


def _marks(raw_body: bytes | None) -> CacheMarks:
    """Return for how long a request may ask that its prompt be kept; the words may be content."""
    if raw_body is None or b'"1h"' in raw_body:
        return CacheMarks.ONE_HOUR
    return CacheMarks.FIVE_MINUTES if b'"cache_control"' in raw_body else CacheMarks.NONE
