"""Counters and histograms that cost the request path as little as counting can.

An update is a look into one dict; what Prometheus wants to see is made of it at a scrape. The
library's own children check, convert and lock at every update, which took 33 us of each request
where this takes a few. Only the event loop updates; a scrape may read from another thread.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import CollectorRegistry

Labels: TypeAlias = tuple[str, ...]
"""Values in the order of the names; each is one of few, never a client's own text."""


class CounterTally(Collector):
    """A counter of whole numbers, by labels."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        meaning: str,
        labels: Sequence[str] = (),
        *,
        per: int = 1,
    ) -> None:
        """Register.

        Args:
            registry: Shows it.
            name: Without `_total`.
            meaning: The help text.
            labels: Their names.
            per: How many of what is added make one of the name's unit, e.g. microdollars a dollar.
        """
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._per = per
        self._counts: dict[Labels, int] = {}
        registry.register(self)

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count `amount`, not negative, of whatever has these labels."""
        self._counts[labels] = self._counts.get(labels, 0) + amount

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Yield the empty family, by which the registry finds two of one name."""
        yield CounterMetricFamily(self._name, self._meaning, labels=self._labels)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield what was counted."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, count in self._counts.copy().items():
            family.add_metric(labels, count / self._per)
        yield family


class HistogramTally(Collector):
    """A histogram of seconds, by labels."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        meaning: str,
        labels: Sequence[str],
        bounds_s: Sequence[float],
    ) -> None:
        """Register; `bounds_s` are the upper ends of the buckets, ascending, without infinity."""
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._bounds_s: Final = tuple(bounds_s)
        self._les: Final = [*(str(float(bound)) for bound in bounds_s), "+Inf"]
        self._counts: dict[Labels, list[int]] = {}
        self._sums_s: dict[Labels, float] = {}
        registry.register(self)

    def observe(self, labels: Labels, seconds: float) -> None:
        """Take note of one duration."""
        counts = self._counts.get(labels)
        if counts is None:
            counts = [0] * len(self._les)
            self._sums_s[labels] = 0.0
            self._counts[labels] = counts  # last: a scrape looks here first
        counts[bisect_left(self._bounds_s, seconds)] += 1
        self._sums_s[labels] += seconds

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Yield the empty family, by which the registry finds two of one name."""
        yield HistogramMetricFamily(self._name, self._meaning, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the buckets, cumulative as Prometheus wants them."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for labels, counts in self._counts.copy().items():
            buckets = zip(self._les, accumulate(counts), strict=True)
            family.add_metric(labels, list(buckets), self._sums_s[labels])
        yield family
