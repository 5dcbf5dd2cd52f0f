"""The budgets of a config file, wired to metrics, alerts and the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.ledger.ledger import OPEN_AFTER_S
from ccproxy.observability.budget_metrics import BudgetCounters, BudgetStates
from ccproxy.pipeline.budgets import BudgetEvents, BudgetGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from ccproxy.pipeline.budgets import Restored, SpendingSource
    from ccproxy.pipeline.decide import RoutingState
    from routing.budget_book import Budget


def ledger_opens_after_s(budgets: Sequence[Budget]) -> float:
    """Return when to open the ledger: at once where requests wait for what it says."""
    return 0.0 if any(each.window is not None for each in budgets) else OPEN_AFTER_S


def build_budgets(
    budgets: Sequence[Budget],
    state: Callable[[], RoutingState],
    registry: CollectorRegistry,
    on_threshold: Callable[[str, float, float], None],
) -> BudgetGuard:
    """Return the budgets, none of which is used.

    Args:
        budgets: From the settings.
        state: Returns what is in force.
        registry: Shows what they do.
        on_threshold: As of `BudgetEvents`.
    """
    counters = BudgetCounters(registry)
    events = BudgetEvents(counters.refused, counters.diverted, counters.crossed, on_threshold)
    guard = BudgetGuard(budgets, state, events=events)
    registry.register(BudgetStates(guard))
    return guard


def reader(
    guard: BudgetGuard, hand_over: Callable[[Sequence[Restored]], None]
) -> Callable[[SpendingSource], None] | None:
    """Return what reads the budgets' past from an open ledger, or None where there is none to read.

    Args:
        guard: The budgets.
        hand_over: Takes what was read to `BudgetGuard.restore`, which is not for any thread.
    """
    guard.begin()
    if not guard.needs_restoring:
        return None
    return lambda ledger: hand_over(guard.read(ledger))
