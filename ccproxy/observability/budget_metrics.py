"""Budgets, as metrics; the label is a budget's name in the config file, never whom it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ccproxy.observability.tallies import CounterTally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import CollectorRegistry


class UsedBudgets(Protocol):
    """Whoever counts."""

    @property
    def is_restored(self) -> bool:
        """What was spent before this process is counted."""
        ...

    def used_ratios(self) -> Mapping[str, float]:
        """Return what share of each budget is used, by name."""
        ...


class BudgetCounters:
    """What budgets did."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register."""
        self._refusals = CounterTally(
            registry, "ccproxy_budget_refusals", "Requests that a budget refused.", ("budget",)
        )
        self._diverted = CounterTally(
            registry,
            "ccproxy_budget_diversions",
            "Requests that a budget kept on this host, or from one of their deployments.",
            ("budget",),
        )
        self._crossings = CounterTally(
            registry,
            "ccproxy_budget_crossings",
            "Times that so many percent of a budget were reached, once in each window.",
            ("budget", "percent"),
        )

    def refused(self, budget: str) -> None:
        """Count a refusal."""
        self._refusals.add((budget,))

    def diverted(self, budget: str) -> None:
        """Count a request that goes another way."""
        self._diverted.add((budget,))

    def crossed(self, budget: str, percent: int) -> None:
        """Count a threshold."""
        self._crossings.add((budget, str(percent)))


class BudgetStates(Collector):
    """Read at each scrape."""

    def __init__(self, budgets: UsedBudgets) -> None:
        """Take who counts."""
        self._budgets = budgets

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield two gauges."""
        used = GaugeMetricFamily(
            "ccproxy_budget_used_ratio",
            "Share of a budget that is used, 1 is all; of those it counts apart, the fullest.",
            labels=("budget",),
        )
        for name, ratio in self._budgets.used_ratios().items():
            used.add_metric((name,), ratio)
        yield used
        yield GaugeMetricFamily(
            "ccproxy_budgets_restored",
            "0 while budgets lack what the ledger says was used before this process began.",
            value=float(self._budgets.is_restored),
        )
