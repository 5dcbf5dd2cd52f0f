"""What goes on at the local models now, and how full the disk is, as metrics."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from routing.pace import Occupancy


class FleetLoad(Collector):
    """Read at each scrape; where nobody could look, `ccproxy_model_resident` has no series."""

    def __init__(self, occupancy: Mapping[str, Occupancy]) -> None:
        """`occupancy` is by deployment, at the moment of the question."""
        self._occupancy = occupancy

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield two gauges."""
        requests = GaugeMetricFamily(
            "ccproxy_deployment_requests",
            "Requests at a deployment that is not Claude: `running`, or `waiting` for a slot.",
            labels=("deployment", "state"),
        )
        resident = GaugeMetricFamily(
            "ccproxy_model_resident",
            "1 while a deployment's model is in its server's memory, 0 while it is not.",
            labels=("deployment",),
        )
        for deployment, occupancy in self._occupancy.items():
            requests.add_metric((deployment, "running"), occupancy.busy)
            requests.add_metric((deployment, "waiting"), occupancy.waiting)
            if occupancy.loaded is not None:
                resident.add_metric((deployment,), float(occupancy.loaded))
        yield requests
        yield resident


class DiskSpace(Collector):
    """Asks the disk at each scrape, so a scrape belongs into a thread."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders` has a word for each, which is the label."""
        self._folders = folders

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield two gauges; a folder that cannot be asked has no series."""
        free = GaugeMetricFamily(
            "ccproxy_disk_free_bytes",
            "Space left to the proxy on the disk that has this folder.",
            labels=("folder",),
        )
        size = GaugeMetricFamily(
            "ccproxy_disk_size_bytes",
            "Space of the disk that has this folder, used or not.",
            labels=("folder",),
        )
        for name, folder in self._folders.items():
            with suppress(OSError):
                usage = shutil.disk_usage(folder)
                free.add_metric((name,), usage.free)
                size.add_metric((name,), usage.total)
        yield free
        yield size
