"""From a finished request to the ledger: tokens as the upstream counted them, and what they cost.

Rules:
1. Tokens are those the upstream said; where it said none, a local model's are estimates and are
   marked, and Claude's are unknown.
2. Every attempt is charged with what it used, failed ones included; an error answer is not billed.
3. A price that is not known makes a cost unknown, and with it the request's.
4. Counting tokens costs nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from ccproxy.ports import ANSWERED
from ccproxy.rows import NO_TOKENS, TEXT_LIMIT, AttemptRow, Dimensions, RequestRow, Spent
from routing.pricing import TokenCounts, cost_microusd
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.ports import AttemptRecord, Outcome, Usage
    from routing.pricing import PriceList
    from routing.types import Roster

MESSAGES: Final = "messages"
"""The endpoint whose tokens are billed."""
_FIVE_MINUTES: Final = "ephemeral_5m_input_tokens"
_ONE_HOUR: Final = "ephemeral_1h_input_tokens"


class InForce(Protocol):
    """What requests are accounted by at the moment."""

    @property
    def prices(self) -> PriceList:
        """What models cost."""
        ...

    @property
    def roster(self) -> Roster:
        """Who the agents are."""
        ...


class Account:
    """Implements `ports.OutcomeSink`: every request becomes a row."""

    def __init__(self, put: Callable[[RequestRow], None], in_force: Callable[[], InForce]) -> None:
        """`put` takes a row at no cost; `in_force` is asked for each request."""
        self._put = put
        self._in_force = in_force

    def record(self, outcome: Outcome) -> None:
        """Account for one finished request."""
        in_force = self._in_force()
        agent = in_force.roster.agents.get(outcome.agent)
        self._put(request_row(outcome, in_force.prices, agent.category if agent else ""))


def request_row(outcome: Outcome, prices: PriceList, category: str) -> RequestRow:
    """Return what is kept of a request.

    Args:
        outcome: Finished.
        prices: In force when it ended.
        category: Of its agent, or empty.
    """
    dimensions = _dimensions(outcome, category)
    attempts = tuple(
        _attempt_row(outcome, record, number, dimensions, prices)
        for number, record in enumerate(outcome.attempt_records)
    )
    last = attempts[-1] if attempts else None
    failures = [row.result for row in attempts if row.result != ANSWERED]
    routed = outcome.routed
    return RequestRow(
        request_id=outcome.request_id,
        at_ms=round(outcome.started_at * 1000),
        dimensions=last.dimensions if last else dimensions,
        status=outcome.status,
        ending=outcome.ending,
        failure=failures[-1] if failures else "",
        stream=outcome.stream,
        table_version=routed.table_version if routed else "",
        ttft_s=outcome.ttft_s,
        spent=replace(
            last.spent if last else Spent(),
            total_s=outcome.total_s,
            cost_microusd=_sum([row.spent.cost_microusd for row in attempts]),
        ),
        wasted_microusd=_sum(
            [row.spent.cost_microusd for row in attempts if row.result != ANSWERED]
        ),
        attempts=attempts,
    )


def token_counts(usage: Usage) -> TokenCounts:
    """Return an answer's tokens, each in one place; what was not said counts as none.

    Tokens written to the cache are five-minute ones unless the answer says which stay for an hour
    (Anthropic's docs, *Prompt caching*: `usage.cache_creation`).
    """
    written = usage.cache_creation_input_tokens or 0
    details: Mapping[str, Any] = usage.extra.get("cache_creation") or {}
    one_hour = min(_count(details, _ONE_HOUR), written)
    return TokenCounts(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_write_5m_tokens=written - one_hour,
        cache_write_1h_tokens=one_hour,
        cache_read_tokens=usage.cache_read_input_tokens or 0,
    )


def _dimensions(outcome: Outcome, category: str) -> Dimensions:
    routed = outcome.routed
    plan = routed.plan if routed else None
    return Dimensions(
        endpoint=outcome.endpoint,
        principal=outcome.principal,
        project=((routed.facts.project if routed else None) or "")[:TEXT_LIMIT],
        agent=outcome.agent,
        category=category,
        agent_source=outcome.agent_source,
        request_class=outcome.request_class,
        tier=(plan.tier if plan else None) or "",
        requested_model=outcome.requested_model[:TEXT_LIMIT],
        deployment=outcome.deployment,
        route=outcome.route,
    )


def _attempt_row(
    outcome: Outcome,
    record: AttemptRecord,
    number: int,
    dimensions: Dimensions,
    prices: PriceList,
) -> AttemptRow:
    usage = record.usage
    billed = outcome.endpoint == MESSAGES
    response_model = (usage.response_model or "")[:TEXT_LIMIT]
    tokens = token_counts(usage) if billed else NO_TOKENS
    return AttemptRow(
        dimensions=replace(
            dimensions,
            deployment=record.deployment,
            route=record.route,
            upstream_model=record.upstream_model[:TEXT_LIMIT],
            response_model=response_model,
        ),
        number=number,
        result=record.result,
        after_s=max(0.0, record.began_at - outcome.arrived_at) if record.began_at else 0.0,
        spent=Spent(
            tokens=tokens,
            thinking_tokens=_thinking_tokens(usage) if billed else None,
            estimated=_is_estimated(usage),
            queue_s=usage.extra.get("queue_s"),
            load_s=usage.extra.get("load_s"),
            prefill_s=usage.extra.get("prefill_s"),
            total_s=record.took_s,
            cost_microusd=_cost(record, tokens, prices) if billed else 0,
        ),
    )


def _cost(record: AttemptRecord, tokens: TokenCounts, prices: PriceList) -> int | None:
    if record.route == Side.LOCAL:
        return 0
    usage = record.usage
    said_nothing = usage.input_tokens is None and usage.output_tokens is None
    if said_nothing:
        # An error answer is not billed; an answer whose counts could not be read is.
        return None if record.result == ANSWERED else 0
    price = prices.find(usage.response_model or record.upstream_model)
    return None if price is None else cost_microusd(tokens, price)


def _is_estimated(usage: Usage) -> bool:
    said = usage.extra
    return bool(said.get("input_tokens_estimated") or said.get("output_tokens_estimated"))


def _thinking_tokens(usage: Usage) -> int | None:
    details = usage.extra.get("output_tokens_details")
    known = isinstance(details, dict) and "thinking_tokens" in details
    return _count(details, "thinking_tokens") if known else None


def _count(said: object, name: str) -> int:
    value = said.get(name) if isinstance(said, dict) else None
    return value if isinstance(value, int) and value > 0 else 0


def _sum(costs: list[int | None]) -> int | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
