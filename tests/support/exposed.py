"""Every metric that a proxy with the shipped settings can show, whether it has a value yet or not."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.metrics import MetricWrapperBase

from ccproxy.app import build_proxy
from ccproxy.config.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry

SHIPPED: Final = Path(__file__).parents[2] / "config/ccproxy.yaml"
PROCESS: Final = "process_"
"""How the library's own metrics of the process begin; where there is no /proc, there are none."""
_HISTOGRAM: Final = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Exposed:
    """One metric."""

    name: str
    """As Prometheus shows it: with `_total`, for a histogram without a suffix."""
    kind: str
    labels: tuple[str, ...]
    meaning: str

    def series(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield each name that a query may use, with its labels."""
        if self.kind != "histogram":
            yield self.name, frozenset(self.labels)
            return
        for suffix in _HISTOGRAM:
            extra = {"le"} if suffix == "_bucket" else set()
            yield self.name + suffix, frozenset({*self.labels, *extra})


def exposed_metrics() -> list[Exposed]:
    """Return all of them in the order of their names."""
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(SHIPPED, {"HOME": home, "ANTHROPIC_API_KEY": "sk-test"})
        found = list(exposed_in(build_proxy(settings).metrics.registry))
    return sorted(found, key=lambda each: each.name)


def exposed_in(registry: CollectorRegistry) -> Iterator[Exposed]:
    """Yield what is registered."""
    # The library has no way to ask for the label names of what has no value yet.
    collectors: Any = registry._collector_to_names
    for collector in list(collectors):
        wraps = isinstance(collector, MetricWrapperBase)
        for family in collector.describe() if wraps else collector.collect():
            labels = collector._labelnames if wraps else family._labelnames
            suffix = "_total" if family.type == "counter" else ""
            yield Exposed(family.name + suffix, family.type, tuple(labels), family.documentation)
