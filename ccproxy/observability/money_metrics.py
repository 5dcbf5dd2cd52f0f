"""What requests cost, and would have cost, from the rows that the ledger gets.

Money is kept in whole microdollars and shown in dollars, so that no cent is lost to rounding. A
cost that is not known is counted as such, and never as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ccproxy.observability.tallies import CounterTally
from ccproxy.observability.traffic_metrics import NONE
from ccproxy.outcome import ANSWERED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import CollectorRegistry

    from ccproxy.rows import RequestRow

MICROUSD_PER_USD: Final = 1_000_000


class MoneyMetrics:
    """Adds up rows."""

    def __init__(self, registry: CollectorRegistry, deployments: Iterable[str] = ()) -> None:
        """Register everything.

        Attempts without a price begin at 0 for these deployments: of a series that appears with its
        first one no rise is seen.
        """
        self._costs = CounterTally(
            registry,
            "ccproxy_cost_usd",
            "Cost of attempts; `wasted` is that of attempts whose answer nobody got.",
            ("category", "deployment", "use"),
            per=MICROUSD_PER_USD,
        )
        self._unpriced = CounterTally(
            registry,
            "ccproxy_unpriced_attempts",
            "Attempts whose cost is not known; no sum of costs has them in it.",
            ("deployment",),
        )
        for each in deployments:
            self._unpriced.add((each,), 0)
        self._would_costs = CounterTally(
            registry,
            "ccproxy_counterfactual_cost_usd",
            "What requests served without Claude would have cost there: `low`, `expected`, `high`.",
            ("category", "deployment", "estimate"),
            per=MICROUSD_PER_USD,
        )

    def put(self, row: RequestRow) -> None:
        """Add one finished request."""
        category = row.dimensions.category or NONE
        for attempt in row.attempts:
            deployment, cost_microusd = attempt.dimensions.deployment, attempt.spent.cost_microusd
            if cost_microusd is None:
                self._unpriced.add((deployment,))
            elif cost_microusd:
                use = "answered" if attempt.result == ANSWERED else "wasted"
                self._costs.add((category, deployment, use), cost_microusd)
        would = row.would_cost
        if would is not None:
            deployment = row.dimensions.deployment or NONE
            self._would_costs.add((category, deployment, "low"), would.low_microusd)
            self._would_costs.add((category, deployment, "expected"), would.expected_microusd)
            self._would_costs.add((category, deployment, "high"), would.high_microusd)
