"""Recorded decisions under two tables: which would have gone elsewhere, and at what cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ccproxy.observability.decisions import facts_from_decision
from ccproxy.outcome import Routed
from ccproxy.pipeline.decide import decide
from routing.capabilities import NOTHING_KNOWN
from routing.errors import RoutingError
from routing.pricing import FREE, TokenCounts, cost_microusd
from routing.requested_model import is_claude_model
from routing.types import ANY_UPSTREAM_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.observability.decisions import Decision
    from ccproxy.pipeline.decide import RoutingState
    from routing.pricing import Price, PriceList
    from routing.types import RequestFacts

REFUSED: Final = "(refused)"
MESSAGES: Final = "messages"
"""Only these are replayed: counting tokens costs nothing, and the rest is not routed by rules."""


@dataclass(slots=True)
class Move:
    """All requests that one deployment would have lost to another."""

    requests: int = 0
    before_microusd: int = 0
    after_microusd: int = 0
    unpriced: int = 0
    """Of the requests, those that neither sum has: their tokens or a price are not known."""


@dataclass(slots=True)
class Replay:
    """What came of a replay."""

    requests: int = 0
    moves: dict[tuple[str, str], Move] = field(default_factory=dict)
    """By the first attempt before and after."""
    unpriced: Counter[str] = field(default_factory=Counter)
    """Why costs are not known -> requests."""

    @property
    def elsewhere(self) -> int:
        """Requests whose first attempt would have been another."""
        return sum(move.requests for move in self.moves.values())


@dataclass(frozen=True, slots=True)
class Prices:
    """What requests cost where."""

    deployments: Mapping[str, DeploymentSettings]
    prices: PriceList
    claude_ids: RoutingState
    """By whose roster and deployments a requested model is read."""

    def find(self, deployment: str, facts: RequestFacts) -> Price | str:
        """Return the price of a request at a deployment, or why it is not known."""
        settings = self.deployments[deployment]
        if settings.on_premises:
            return FREE
        model = self._model(settings, facts)
        return self.prices.find(model) or f"{model} has no price"

    def _model(self, settings: DeploymentSettings, facts: RequestFacts) -> str:
        if settings.upstream_model != ANY_UPSTREAM_MODEL:
            return settings.upstream_model
        state = self.claude_ids
        requested = facts.requested_model
        if is_claude_model(requested, state.roster, state.table.deployments):
            return requested
        return settings.base_model or requested


def replay(
    decisions: Iterable[Decision], old: RoutingState, new: RoutingState, prices: Prices
) -> Replay:
    """Return where recorded requests would have gone first, and what that would have cost.

    Costs are those of the recorded tokens at the first attempt of each table. A count that a local
    model made is taken as Claude's, and nothing of it as cached.
    """
    result = Replay()
    for decision in decisions:
        if decision.endpoint != MESSAGES:
            continue
        result.requests += 1
        facts = facts_from_decision(decision)
        before, after = _first_attempt(facts, old), _first_attempt(facts, new)
        if before == after:
            continue
        move = result.moves.setdefault((before, after), Move())
        move.requests += 1
        tokens = _tokens(decision)
        costs = [_cost(name, facts, tokens, prices) for name in (before, after)]
        reasons = [each for each in costs if isinstance(each, str)]
        if reasons:
            move.unpriced += 1
            result.unpriced[reasons[0]] += 1
            continue
        amounts = [each for each in costs if isinstance(each, int)]
        move.before_microusd += amounts[0]
        move.after_microusd += amounts[1]
    return result


def _first_attempt(facts: RequestFacts, state: RoutingState) -> str:
    try:
        plan = decide(Routed(facts, state.table.version), state, NOTHING_KNOWN)
    except RoutingError:
        return REFUSED
    return plan.attempts[0]


def _tokens(decision: Decision) -> TokenCounts | None:
    outcome = decision.outcome
    if outcome.input_tokens is None or outcome.output_tokens is None:
        return None
    return TokenCounts(
        input_tokens=outcome.input_tokens,
        output_tokens=outcome.output_tokens,
        # Anthropic's default; the record does not tell writes for an hour apart.
        cache_write_5m_tokens=outcome.cache_creation_input_tokens or 0,
        cache_read_tokens=outcome.cache_read_input_tokens or 0,
    )


def _cost(
    deployment: str, facts: RequestFacts, tokens: TokenCounts | None, prices: Prices
) -> int | str:
    """Return microdollars, or why they are not known."""
    if deployment == REFUSED:
        return 0
    price = prices.find(deployment, facts)
    if isinstance(price, str):
        return price
    if price is FREE:
        return 0
    if tokens is None:
        return "no tokens were counted"
    return cost_microusd(tokens, price)
