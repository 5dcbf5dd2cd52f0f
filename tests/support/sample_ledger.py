"""A small ledger with a bit of everything, made by the real writer; docs/usage.md shows it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ccproxy.ledger.database import open_database
from ccproxy.rows import AttemptRow, Dimensions, RequestRow, Spent, WouldCost
from routing.pricing import TokenCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

START: Final = "2026-11-02T10:00"
"""Local time of the first request; the others follow, three hours apart."""
STEP_MS: Final = 3 * 3_600_000
LOCAL: Final = Dimensions(
    "messages",
    "team-a",
    "web",
    "debugger",
    "codingAgents",
    "prompt",
    "turn",
    "sonnet",
    "claude-sonnet-5-5",
    "qwen-coder",
    "local",
    "qwen2.5-coder:32b-instruct",
    "qwen2.5-coder:32b-instruct",
)
CLAUDE: Final = replace(
    LOCAL,
    deployment="claude-sonnet",
    route="claude",
    upstream_model="claude-sonnet-5-5",
    response_model="claude-sonnet-5-5",
)
ARCHITECT: Final = replace(CLAUDE, agent="chief-architect", category="architect", principal="ci")


def write_sample_ledger(url: str) -> None:
    """Write eight requests: six answered, one after a fallback, one lost, one without a price."""
    start_ms = round(datetime.fromisoformat(START).timestamp() * 1000)
    with closing(open_database(url)) as database:
        database.write(
            [
                replace(row, request_id=f"req_{number}", at_ms=start_ms + number * STEP_MS)
                for number, row in enumerate(_rows())
            ]
        )


def _rows() -> Iterable[RequestRow]:
    for _ in range(3):
        yield _row(LOCAL, TokenCounts(8_000, 500), would_cost=WouldCost(12_000, 18_500, 36_000))
    yield _row(CLAUDE, TokenCounts(2_000, 800, 4_000, 0, 60_000), cost_microusd=51_000)
    yield _row(ARCHITECT, TokenCounts(1_000, 2_000, 0, 9_000, 120_000), cost_microusd=123_000)
    overloaded = AttemptRow(LOCAL, 0, "overloaded", 0.0, Spent(cost_microusd=0))
    fallen_back = _row(CLAUDE, TokenCounts(9_000, 400), cost_microusd=33_000)
    answered = AttemptRow(CLAUDE, 1, "ok", 0.5, Spent(cost_microusd=33_000))
    yield replace(fallen_back, failure="overloaded", attempts=(overloaded, answered))
    refused = AttemptRow(CLAUDE, 1, "connect_error", 0.5, Spent(cost_microusd=0))
    yield replace(
        _row(CLAUDE, TokenCounts()),
        status=529,
        ending="failed",
        failure="connect_error",
        ttft_s=None,
        attempts=(overloaded, refused),
    )
    yield _row(replace(ARCHITECT, requested_model="=NOW()"), TokenCounts(10, 20), unpriced=True)


def _row(
    dimensions: Dimensions,
    tokens: TokenCounts,
    *,
    cost_microusd: int = 0,
    would_cost: WouldCost | None = None,
    unpriced: bool = False,
) -> RequestRow:
    spent = Spent(tokens, total_s=12.0, cost_microusd=None if unpriced else cost_microusd)
    return RequestRow(
        "",
        0,
        dimensions,
        200,
        "completed",
        "",
        stream=True,
        table_version="v1",
        ttft_s=2.0,
        spent=spent,
        wasted_microusd=0,
        would_cost=would_cost,
        attempts=(AttemptRow(dimensions, 0, "ok", 0.0, spent),),
    )
