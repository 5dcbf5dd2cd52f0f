"""Reloads and recorded decisions, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ccproxy.observability.tallies import CounterTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry

    from ccproxy.observability.decision_log import DecisionLog


def reload_counter(registry: CollectorRegistry) -> Callable[[str], None]:
    """Return what counts a reload by its result, as `ccproxy_reloads_total`.

    `LiveRouting` names the results; they are few.
    """
    counter = CounterTally(
        registry,
        "ccproxy_reloads",
        "Reloads of the routing files by what came of them.",
        ("result",),
    )
    return lambda result: counter.add((result,))


class RoutingState(Collector):
    """Read at each scrape: is an edit rejected now, and what became of the decisions."""

    def __init__(self, is_rejected: Callable[[], bool], decisions: DecisionLog) -> None:
        """`is_rejected` says whether the files hold an edit that is not in force."""
        self._is_rejected = is_rejected
        self._decisions = decisions

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield one gauge and one counter."""
        yield GaugeMetricFamily(
            "ccproxy_routing_edit_rejected",
            "1 while the routing files hold an edit that was rejected; an older table serves.",
            value=float(self._is_rejected()),
        )
        family = CounterMetricFamily(
            "ccproxy_decisions", "Routing decisions by whether they are in a file.", labels=("end",)
        )
        family.add_metric(("written",), self._decisions.written)
        family.add_metric(("dropped",), self._decisions.dropped)
        yield family
