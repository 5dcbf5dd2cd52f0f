"""Rows of finished requests for tests."""

from __future__ import annotations

from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent, WouldCost
from routing.pricing import TokenCounts


def dimensions_of(deployment: str, category: str = "codingAgents") -> Dimensions:
    """Return those of a Messages request of an agent of one category."""
    return Dimensions(
        endpoint="messages",
        principal="ops",
        agent="coder",
        category=category,
        agent_source="path",
        deployment=deployment,
        route="claude" if deployment.startswith("claude") else "local",
    )


def attempt_row(
    deployment: str,
    result: str = "ok",
    *,
    cost_microusd: int | None = 0,
    tokens: TokenCounts | None = None,
    queue_s: float | None = None,
) -> AttemptRow:
    """Return one attempt."""
    spent = Spent(tokens or TokenCounts(), cost_microusd=cost_microusd, queue_s=queue_s)
    return AttemptRow(dimensions_of(deployment), 0, result, 0.0, spent)


def request_row(
    *attempts: AttemptRow,
    status: int = 200,
    ending: str = "completed",
    ttft_s: float | None = 1.0,
    total_s: float = 3.0,
    output_tokens: int = 21,
    stream: bool = True,
    would_cost: WouldCost | None = None,
) -> RequestRow:
    """Return a request with these attempts; the last one served."""
    dimensions = (
        attempts[-1].dimensions if attempts else Dimensions("messages", agent_source="none")
    )
    return RequestRow(
        request_id="req_1",
        at_ms=1_700_000_000_000,
        dimensions=dimensions,
        status=status,
        ending=ending,
        failure="",
        stream=stream,
        table_version="t1",
        ttft_s=ttft_s,
        spent=Spent(TokenCounts(output_tokens=output_tokens), total_s=total_s),
        wasted_microusd=0,
        would_cost=would_cost,
        attempts=attempts,
    )
