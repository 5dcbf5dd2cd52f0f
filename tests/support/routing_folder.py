"""A folder with a small routing file and roster, and what a running proxy makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ccproxy.config.live import LiveRouting
from ccproxy.config.loading import RoutingFiles, load_files
from ccproxy.config.versions import VersionStore
from tests.support.routing_samples import DEPLOYMENTS

if TYPE_CHECKING:
    from pathlib import Path

ROSTER = {
    "architect": {"name": "Chief", "model": "opus"},
    "codingAgents": [{"name": "Coder", "model": "sonnet"}, {"name": "Clerk", "model": "haiku"}],
}


def routing_text(deployment: str, comment: str = "") -> str:
    """Return a table that sends everything to one deployment."""
    return (
        f"version: 1\nactive_profile: a\nprofiles:\n  a:\n    default: {{route: [{deployment}]}}\n"
        + (f"# {comment}\n" if comment else "")
    )


@dataclass(frozen=True)
class RoutingFolder:
    """The files, and everything that a `LiveRouting` of them says."""

    files: RoutingFiles
    store: VersionStore
    reports: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)

    def write(self, deployment: str, comment: str = "") -> None:
        """Write another routing file, in place."""
        self.files.routing_file.write_text(routing_text(deployment, comment))

    def live(self) -> LiveRouting:
        """Return what a proxy would serve by, with a hundredth of its pauses."""
        return LiveRouting(
            partial(load_files, self.files),
            versions=self.store,
            report=self.reports.append,
            count=self.counts.append,
            poll_s=0.01,
            still_s=0.02,
            retry_s=0.05,
        )


def routing_folder(path: Path) -> RoutingFolder:
    """Return a folder at `path` whose table sends everything to `qwen`."""
    path.mkdir(exist_ok=True)
    roster_file, routing_file = path / "roster.json", path / "routing.yaml"
    roster_file.write_text(json.dumps(ROSTER))
    routing_file.write_text(routing_text("qwen"))
    return RoutingFolder(
        RoutingFiles(roster_file, routing_file, DEPLOYMENTS),
        VersionStore(path / "state" / "routing-versions"),
    )


def route_of(live: LiveRouting) -> tuple[str, ...]:
    """Return where everything goes now."""
    default = live.loaded.table.active.default
    assert default is not None
    assert default.route is not None
    return default.route
