"""The Prometheus registry, and what is counted of every request.

Labels are names from the config file and the roster, closed enums or status classes; nothing a
client chose. docs/metrics.md lists everything.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ccproxy import __version__
from ccproxy.observability.attempt_metrics import AttemptMetrics
from ccproxy.observability.handling_metrics import HandlingMetrics
from ccproxy.observability.money_metrics import MoneyMetrics
from ccproxy.observability.traffic_metrics import TrafficMetrics

if TYPE_CHECKING:
    from collections.abc import Collection

    from ccproxy.outcome import Outcome
    from ccproxy.rows import RequestRow


class Metrics:
    """Implements `ports.OutcomeSink`, and takes rows as the ledger does."""

    def __init__(self, deployments: Collection[str] = ()) -> None:
        """Create a registry of its own, so that two apps in one process don't collide.

        `deployments` are those of the config file.
        """
        self.registry = CollectorRegistry()
        build = Gauge(
            "ccproxy_build_info",
            "Always 1; the labels say what runs.",
            ("version", "python"),
            registry=self.registry,
        )
        build.labels(__version__, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)
        self._handling = HandlingMetrics(self.registry)
        self._traffic = TrafficMetrics(self.registry)
        self._attempts = AttemptMetrics(self.registry)
        self._money = MoneyMetrics(self.registry, deployments)

    def record(self, outcome: Outcome) -> None:
        """Count what is not in the row of a finished request."""
        self._handling.record(outcome)

    def put(self, row: RequestRow) -> None:
        """Count one finished request by its row."""
        self._traffic.put(row)
        self._attempts.put(row)
        self._money.put(row)

    def exposition(self) -> tuple[bytes, str]:
        """Return what Prometheus scrapes, and its content type; takes time and may read the disk.

        30,000 series take a second: call it in a thread.
        """
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4
