"""Whether the upstreams answer, as a metric: read at each scrape, kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class UpstreamStates(Collector):
    """The gauge `ccproxy_upstream_up`, labelled by upstream; of whom nothing is known is absent."""

    def __init__(self, states: Callable[[], Mapping[str, bool | None]]) -> None:
        """`states` says of each upstream whether it answers; None is unknown."""
        self._states = states

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the one family."""
        family = GaugeMetricFamily(
            "ccproxy_upstream_up",
            "1 when the upstream's process answered its last free probe.",
            labels=("upstream",),
        )
        for name, is_up in self._states().items():
            if is_up is not None:
                family.add_metric((name,), float(is_up))
        yield family
