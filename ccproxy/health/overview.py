"""What the health endpoints say: answered from state, never by asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.health.monitor import OllamaMonitor
    from routing.types import RoutingTable


class HealthOverview:
    """Joins the routing table with what is known of the backends."""

    def __init__(
        self, table: RoutingTable, api_bases: Mapping[str, str], monitor: OllamaMonitor
    ) -> None:
        """`api_bases` has the address of each deployment on an Ollama, by deployment name."""
        self._table = table
        self._api_bases = api_bases
        self._monitor = monitor

    def is_ready(self) -> bool:
        """Return True when at least one deployment that a route uses can be tried."""
        profile = self._table.active
        rules = (
            *profile.tiers.values(),
            *profile.categories.values(),
            *profile.agents.values(),
            profile.default,
            profile.unknown,
        )
        names = {name for rule in rules if rule is not None for name in rule.route or ()}
        return any(self.why_not(name) is None for name in names)

    def why_not(self, name: str) -> str | None:
        """Return why a deployment cannot be tried now, or None if it can."""
        deployment = self._table.deployments[name]
        if deployment.unavailable is not None:
            return deployment.unavailable
        api_base = self._api_bases.get(name)
        if deployment.side is not Side.LOCAL or api_base is None:
            return None
        return None if self._monitor.reachable(api_base) else "Ollama does not answer"

    def detail(self) -> dict[str, Any]:
        """Return `{"ready", "table_version", "profile", "deployments", "backends"}`."""
        deployments = [
            {
                "deployment": name,
                "side": deployment.side,
                "leaves_host": deployment.leaves_host,
                "unavailable": self.why_not(name),
            }
            for name, deployment in self._table.deployments.items()
        ]
        return {
            "ready": self.is_ready(),
            "table_version": self._table.version,
            "profile": self._table.active.name,
            "deployments": deployments,
            "backends": self._monitor.snapshot(),
        }
