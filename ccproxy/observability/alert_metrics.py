"""What became of alerts, as a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.observability.tallies import CounterTally

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry


def alert_counter(registry: CollectorRegistry) -> Callable[[str, str, str], None]:
    """Return what counts alerts by channel, kind and end: `delivered`, `failed` or `dropped`."""
    counter = CounterTally(
        registry,
        "ccproxy_alerts",
        "Alerts by channel, kind and whether they were delivered.",
        ("channel", "kind", "end"),
    )
    return lambda channel, kind, end: counter.add((channel, kind, end))
