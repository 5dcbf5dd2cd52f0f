"""How long recent answers took: quantiles, which sums cannot tell."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from ccproxy.ledger.reports import MESSAGES
from ccproxy.ledger.tables import dimensions, requests
from ccproxy.outcome import Ending
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

    from ccproxy.ledger.period import Period

LOOKED_AT: Final = 200_000
ANSWERS: Final = 20_000
"""Answers that quantiles are made of."""
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def answers_of(period: Period) -> Select[Any]:
    """Return the question for recent answers, newest first: time, who, and three durations."""
    newest = select(func.max(requests.c.id)).scalar_subquery()
    return (
        select(
            requests.c.at_ms,
            dimensions.c.route,
            dimensions.c.deployment,
            requests.c.ttft_s,
            requests.c.total_s,
            requests.c.tokens_per_s,
        )
        .join(dimensions, dimensions.c.id == requests.c.dimension_id)
        .where(
            requests.c.id > newest - LOOKED_AT,
            requests.c.at_ms >= period.first_s * 1000,
            requests.c.at_ms < period.until_s * 1000,
            requests.c.ending == Ending.COMPLETED.value,
            requests.c.status == 200,
            requests.c.ttft_s.is_not(None),
            dimensions.c.endpoint == MESSAGES,
        )
        .order_by(requests.c.id.desc())
        .limit(ANSWERS)
    )


def routes_over_time(rows: Sequence[Any], period: Period) -> list[dict[str, Any]]:
    """Return each route's time to the first token, step by step; see `LedgerSeries.latency`.

    `rows` are those of `answers_of`.
    """
    steps: dict[str, dict[int, list[float]]] = {}
    for at_ms, route, _, ttft_s, _, _ in rows:
        number = (at_ms // 1000 - period.first_s) // period.step_s
        steps.setdefault(route, {}).setdefault(number, []).append(ttft_s)
    numbers = range(len(period.points_s))
    told_routes = []
    for route in sorted(steps, key=_side_order):
        each = [quantiles(steps[route].get(number, ())) for number in numbers]
        told_routes.append({"route": route, **{q: [at[q] for at in each] for q in ("p50", "p95")}})
    return told_routes


def deployments_of(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return each deployment's quantiles; see `LedgerSeries.latency`."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row[1], row[2]), []).append(row)
    return [
        {
            "deployment": deployment,
            "route": route,
            "answers": len(answers),
            "ttft_s": quantiles([row[3] for row in answers]),
            "total_s": quantiles([row[4] for row in answers]),
            "tokens_per_s": quantiles([row[5] for row in answers if row[5] is not None]),
        }
        for (route, deployment), answers in sorted(
            found.items(), key=lambda item: (_side_order(item[0][0]), item[0][1])
        )
    ]


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return `QUANTILES` by nearest rank: each is a value that there was; None without any."""
    ordered = sorted(values)
    return {
        name: round(ordered[max(0, ceil(share * len(ordered)) - 1)], 4) if ordered else None
        for name, share in QUANTILES.items()
    }


def _side_order(route: str) -> int:
    sides = [str(side) for side in Side]
    return sides.index(route) if route in sides else len(sides)
