"""The ledger's rows and the prompts that were cut, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ccproxy.observability.tallies import CounterTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import CollectorRegistry


class RowWriter(Protocol):
    """What is told of the ledger's rows."""

    @property
    def written(self) -> int:
        """Committed."""
        ...

    @property
    def dropped(self) -> int:
        """Lost."""
        ...

    @property
    def waiting(self) -> int:
        """In memory."""
        ...

    @property
    def error(self) -> str | None:
        """Why nothing is written at the moment."""
        ...


def truncation_counter(
    registry: CollectorRegistry, deployments: Iterable[str] = ()
) -> Callable[[str], None]:
    """Return what counts, by deployment, prompts that a model did not read to their end.

    `deployments` begin at 0: of a series that appears with its first prompt no rise is seen.
    """
    counter = CounterTally(
        registry,
        "ccproxy_truncation_seen",
        "Answers whose model counted far fewer prompt tokens than were sent.",
        ("deployment",),
    )
    for each in deployments:
        counter.add((each,), 0)
    return lambda deployment: counter.add((deployment,))


class LedgerState(Collector):
    """Read at each scrape: what became of the ledger's rows, and whether they are written now."""

    def __init__(self, rows: RowWriter) -> None:
        """Take the ledger."""
        self._rows = rows

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield two gauges and a counter."""
        yield GaugeMetricFamily(
            "ccproxy_ledger_up",
            "0 while the ledger's database cannot be used.",
            value=float(self._rows.error is None),
        )
        yield GaugeMetricFamily(
            "ccproxy_ledger_waiting_rows",
            "Rows that wait in memory for the database.",
            value=self._rows.waiting,
        )
        family = CounterMetricFamily(
            "ccproxy_ledger_rows",
            "Rows for the ledger by whether they are in its database.",
            labels=("end",),
        )
        family.add_metric(("written",), self._rows.written)
        family.add_metric(("dropped",), self._rows.dropped)
        yield family
