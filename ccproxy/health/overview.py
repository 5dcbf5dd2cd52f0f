"""What the health endpoints say: answered from state, never by asking anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ccproxy.health.seen import seen_model
from routing.fit import beyond_training
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.health.monitor import OllamaMonitor
    from routing.types import RoutingTable


class HealthOverview:
    """Joins the routing table with what is known of the backends."""

    def __init__(
        self,
        table: Callable[[], RoutingTable],
        api_bases: Mapping[str, str],
        monitor: OllamaMonitor,
        routing_status: Callable[[], Mapping[str, object]],
        ledger_status: Callable[[], Mapping[str, object]],
    ) -> None:
        """Take what the answers are made of.

        Args:
            table: Returns the table in force.
            api_bases: The address of each deployment on an Ollama, by deployment name.
            monitor: Knows the backends.
            routing_status: Returns versions, and the edit that was rejected, if any.
            ledger_status: Returns whether rows are written, and why not.
        """
        self._table = table
        self._api_bases = api_bases
        self._monitor = monitor
        self._routing_status = routing_status
        self._ledger_status = ledger_status

    def is_ready(self) -> bool:
        """Return True when at least one deployment that a route uses can be tried."""
        profile = self._table().active
        rules = (
            *(rule.entry for rule in profile.rules),
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
        deployment = self._table().deployments[name]
        if deployment.unavailable is not None:
            return deployment.unavailable
        api_base = self._api_bases.get(name)
        if deployment.side is not Side.LOCAL or api_base is None:
            return None
        facts = self._monitor.facts(api_base, deployment.upstream_model)
        too_long = beyond_training(deployment, None if facts is None else seen_model(facts))
        if too_long is not None:
            return too_long
        return None if self._monitor.reachable(api_base) else "Ollama does not answer"

    def detail(self) -> dict[str, Any]:
        """Return `{"ready", "profile", "routing", "ledger", "deployments", "backends"}`."""
        table = self._table()
        deployments = [
            {
                "deployment": name,
                "side": deployment.side,
                "leaves_host": deployment.leaves_host,
                "unavailable": self.why_not(name),
            }
            for name, deployment in table.deployments.items()
        ]
        return {
            "ready": self.is_ready(),
            "profile": table.active.name,
            "routing": self._routing_status(),
            "ledger": self._ledger_status(),
            "deployments": deployments,
            "backends": self._monitor.snapshot(),
        }
