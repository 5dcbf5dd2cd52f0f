"""From a finished request to the ledger: tokens as the upstream counted them, and what they cost.

Rules:
1. Tokens are those the upstream said; where it said none, a local model's are estimates and are
   marked, and Claude's are unknown.
2. Every attempt is charged with what it used, failed ones included; an error answer is not billed.
   An answer that broke off, or whose client left, is charged with what was said of it by then.
3. A price that is not known makes a cost unknown, and with it the request's. So does an attempt at
   Claude that was called off before anything of its answer came: it may be billed.
4. Counting tokens costs nothing. A local attempt costs what the price list says of an hour's work,
   for the seconds it ran after it waited for a slot.
5. What local work would have cost at Claude is only said of answers whose content came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ccproxy.outcome import ANSWERED, UNFINISHED, Ending
from ccproxy.pipeline.billing import bill_of, count_in, token_counts
from ccproxy.rows import (
    NO_TOKENS,
    TEXT_LIMIT,
    AttemptRow,
    Dimensions,
    RequestRow,
    Spent,
    WouldCost,
)
from routing.counterfactual import would_have_cost
from routing.failures import FailureClass
from routing.pricing import bill_microusd, local_microusd
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ccproxy.outcome import AttemptRecord, Outcome, Usage
    from routing.pricing import PriceList
    from routing.types import Roster

MESSAGES: Final = "messages"
"""The endpoint whose tokens are billed."""
MAYBE_BILLED: Final = frozenset({ANSWERED, UNFINISHED, FailureClass.TIMEOUT_FIRST_BYTE})
"""Results of attempts at Claude that may cost something although nothing was said of it."""
GOT_CONTENT: Final = frozenset({Ending.COMPLETED, Ending.CLIENT_GONE})
"""Endings of requests whose client got an answer, or as much of it as it waited for."""
NOTHING_SPENT: Final = Spent()


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
    attempts = tuple(
        [
            _attempt_row(outcome, record, number, category, prices)
            for number, record in enumerate(outcome.attempt_records)
        ]
    )
    last = attempts[-1] if attempts else None
    failed = [row for row in attempts if row.result != ANSWERED]
    routed = outcome.routed
    return RequestRow(
        request_id=outcome.request_id,
        at_ms=round(outcome.started_at * 1000),
        dimensions=last.dimensions if last else _dimensions(outcome, category),
        status=outcome.status,
        ending=outcome.ending,
        failure=failed[-1].result if failed else "",
        stream=outcome.stream,
        table_version=routed.table_version if routed else "",
        ttft_s=outcome.ttft_s,
        spent=_spent_in_all(
            last.spent if last else NOTHING_SPENT, outcome.total_s, _sum_of_costs(attempts)
        ),
        wasted_microusd=_sum_of_costs(failed),
        would_cost=_would_cost(outcome, last, prices) if last else None,
        attempts=attempts,
    )


def _would_cost(outcome: Outcome, answer: AttemptRow, prices: PriceList) -> WouldCost | None:
    """Return what a local answer would have cost at Claude; see rule 5."""
    comparison = outcome.comparison
    is_answer = (
        answer.result == ANSWERED
        and answer.dimensions.route == Side.LOCAL
        and outcome.ending in GOT_CONTENT
        and outcome.ttft_s is not None
    )
    price = prices.find(comparison.model) if comparison is not None else None
    if comparison is None or price is None or not is_answer:
        return None
    would = would_have_cost(comparison.use, answer.spent.tokens, price)
    return None if would is None else WouldCost(*would)


def _spent_in_all(answer: Spent, total_s: float, cost_microusd: int | None) -> Spent:
    return Spent(
        answer.tokens,
        answer.thinking_tokens,
        answer.estimated,
        answer.queue_s,
        answer.load_s,
        answer.prefill_s,
        total_s,
        cost_microusd,
    )


def _dimensions(
    outcome: Outcome, category: str, attempt: AttemptRecord | None = None
) -> Dimensions:
    """Return what tells a request apart, or one attempt of it."""
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
        deployment=attempt.deployment if attempt else outcome.deployment,
        route=attempt.route if attempt else outcome.route,
        upstream_model=attempt.upstream_model[:TEXT_LIMIT] if attempt else "",
        response_model=((attempt.usage.response_model if attempt else None) or "")[:TEXT_LIMIT],
    )


def _attempt_row(
    outcome: Outcome,
    record: AttemptRecord,
    number: int,
    category: str,
    prices: PriceList,
) -> AttemptRow:
    usage = record.usage
    billed = outcome.endpoint == MESSAGES
    took_s = _took_s(outcome, record)
    return AttemptRow(
        dimensions=_dimensions(outcome, category, record),
        number=number,
        result=record.result,
        after_s=max(0.0, record.began_at - outcome.arrived_at) if record.began_at else 0.0,
        spent=Spent(
            tokens=token_counts(usage) if billed else NO_TOKENS,
            thinking_tokens=_thinking_tokens(usage) if billed else None,
            estimated=_is_estimated(usage),
            queue_s=usage.extra.get("queue_s"),
            load_s=usage.extra.get("load_s"),
            prefill_s=usage.extra.get("prefill_s"),
            total_s=took_s,
            cost_microusd=_cost(record, took_s, prices) if billed else 0,
        ),
    )


def _took_s(outcome: Outcome, record: AttemptRecord) -> float:
    """Return how long an attempt took; one that was called off ran to the request's end."""
    if record.result == UNFINISHED and record.began_at and not record.took_s:
        return max(0.0, outcome.arrived_at + outcome.total_s - record.began_at)
    return record.took_s


def _cost(record: AttemptRecord, took_s: float, prices: PriceList) -> int | None:
    usage = record.usage
    if record.route == Side.LOCAL:
        ran_s = took_s - (usage.extra.get("queue_s") or 0.0)
        return local_microusd(ran_s, prices.local_microusd_per_hour)
    if usage.input_tokens is None and usage.output_tokens is None:
        # An error answer is not billed; an answer whose counts could not be read is.
        was_asked = bool(record.upstream_model)
        return None if was_asked and record.result in MAYBE_BILLED else 0
    price = prices.find(usage.response_model or record.upstream_model)
    bill = bill_of(usage)
    if price is None or bill is None:
        return None
    return bill_microusd(bill, price, prices.fees_microusd)


def _is_estimated(usage: Usage) -> bool:
    said = usage.extra
    return bool(said.get("input_tokens_estimated") or said.get("output_tokens_estimated"))


def _thinking_tokens(usage: Usage) -> int | None:
    details = usage.extra.get("output_tokens_details")
    known = isinstance(details, dict) and "thinking_tokens" in details
    return count_in(details, "thinking_tokens") if known else None


def _sum_of_costs(attempts: Iterable[AttemptRow]) -> int | None:
    total = 0
    for each in attempts:
        cost = each.spent.cost_microusd
        if cost is None:
            return None
        total += cost
    return total
