"""Health of backends and state of breakers, as metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ccproxy.observability.tallies import CounterTally
from routing.breaker import BreakerState, state_at
from routing.health import HealthState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client import CollectorRegistry

    from routing.breaker import Breaker
    from routing.health import Health


class KnownHealth(Protocol):
    """Whoever keeps the states."""

    @property
    def backends(self) -> Mapping[str, Health]:
        """By address."""
        ...

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """By deployment."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """The clock of the breakers."""
        ...


def backend_change_counter(registry: CollectorRegistry) -> Callable[[str, str], None]:
    """Return what counts changes of a backend's state, by the new one."""
    counter = CounterTally(
        registry,
        "ccproxy_backend_changes",
        "Changes of a backend's published state, by the new state: up or down.",
        ("backend", "state"),
    )
    return lambda backend, state: counter.add((backend, state))


def breaker_change_counter(registry: CollectorRegistry) -> Callable[[str, str], None]:
    """Return what counts changes of a breaker's state, by the new one."""
    counter = CounterTally(
        registry,
        "ccproxy_breaker_changes",
        "Changes of a breaker's state, by the new state: closed, open or half_open.",
        ("deployment", "state"),
    )
    return lambda deployment, state: counter.add((deployment, state))


class HealthStates(Collector):
    """Read at each scrape; a backend of which nothing is known has no `ccproxy_backend_up`."""

    def __init__(self, known: KnownHealth, probes: Callable[[], Mapping[str, int]]) -> None:
        """`probes` returns how many there have been, by backend."""
        self._known = known
        self._probes = probes

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield two gauges and a counter."""
        up = GaugeMetricFamily(
            "ccproxy_backend_up",
            "1 while a backend answers, 0 while it is down; debounced.",
            labels=("backend",),
        )
        for address, health in self._known.backends.items():
            if health.state is not HealthState.UNKNOWN:
                up.add_metric((address,), float(health.state is HealthState.UP))
        yield up
        states = GaugeMetricFamily(
            "ccproxy_breaker_state",
            "1 for the state that a deployment's breaker is in, 0 for the others.",
            labels=("deployment", "state"),
        )
        now_s = self._known.now()
        for deployment, breaker in self._known.breakers.items():
            present = state_at(breaker, now_s)
            for state in BreakerState:
                states.add_metric((deployment, state), float(state is present))
        yield states
        probes = CounterMetricFamily(
            "ccproxy_backend_probes",
            "Free questions to a backend whether it is there.",
            labels=("backend",),
        )
        for address, count in self._probes().items():
            probes.add_metric((address,), count)
        yield probes
