"""What became of a log's lines, as a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lines(Protocol):
    """Whoever writes lines."""

    @property
    def written(self) -> int:
        """In a file."""
        ...

    @property
    def dropped(self) -> int:
        """In none."""
        ...


class WrittenLines(Collector):
    """Read at each scrape."""

    def __init__(self, name: str, meaning: str, lines: Lines) -> None:
        """`name` is that of the metric, without `_total`."""
        self._name = name
        self._meaning = meaning
        self._lines = lines

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield one counter."""
        family = CounterMetricFamily(self._name, self._meaning, labels=("end",))
        family.add_metric(("written",), self._lines.written)
        family.add_metric(("dropped",), self._lines.dropped)
        yield family
