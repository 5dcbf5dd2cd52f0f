"""What the health endpoints say: answered from state, never by asking anybody."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from ccproxy.health.inventory import tagged
from ccproxy.health.rows import backend_row, breaker_row
from ccproxy.health.seen import seen_model
from routing.fit import beyond_training
from routing.pace import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.health.board import HealthBoard
    from ccproxy.health.monitor import OllamaMonitor
    from ccproxy.ports import ModelFacts
    from routing.pace import Occupancy
    from routing.types import RoutingTable


class HealthOverview:
    """Joins the routing table with what is known of backends, models and deployments."""

    def __init__(
        self,
        table: Callable[[], RoutingTable],
        api_bases: Mapping[str, str],
        board: HealthBoard,
        monitor: OllamaMonitor,
        *,
        next_probe_s: Callable[[str], float | None],
        occupancy: Mapping[str, Occupancy],
        routing_status: Callable[[], Mapping[str, object]],
        ledger_status: Callable[[], Mapping[str, object]],
    ) -> None:
        """Take what the answers are made of.

        Args:
            table: Returns the table in force.
            api_bases: The address of each deployment on an Ollama, by deployment name.
            board: Knows backends and breakers.
            monitor: Knows the models.
            next_probe_s: Returns in how many seconds a backend is asked again; None: not planned.
            occupancy: What goes on at the deployments.
            routing_status: Returns versions, and the edit that was rejected, if any.
            ledger_status: Returns whether rows are written, and why not.
        """
        self._table = table
        self._api_bases = api_bases
        self._board = board
        self._monitor = monitor
        self._next_probe_s = next_probe_s
        self._occupancy = occupancy
        self._routing_status = routing_status
        self._ledger_status = ledger_status

    def is_ready(self) -> bool:
        """Return True when at least one deployment that a route uses can serve.

        An Ollama must have answered, and have the model; of Claude nothing is asked beforehand.
        """
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
        return any(self._can_serve(name) for name in names)

    def why_not(self, name: str) -> str | None:
        """Return why a deployment is not tried now, or None if it is."""
        deployment = self._table().deployments[name]
        if deployment.unavailable is not None:
            return deployment.unavailable
        facts = self._facts(name)
        too_long = beyond_training(deployment, None if facts is None else seen_model(facts))
        return too_long or self._board.why_not(name)

    def detail(self) -> dict[str, Any]:
        """Return everything, JSON-ready.

        `{"ready", "profile", "routing", "ledger", "deployments": [...], "backends": [...]}`. A
        deployment is `{"deployment", "side", "leaves_host", "unavailable", "backend", "busy",
        "waiting", "breaker"}`; a backend `rows.backend_row` with `next_probe_s`, and with
        `OllamaMonitor.rows` where it is an Ollama.
        """
        table = self._table()
        ollamas = self._monitor.rows(self._busy())
        backends = [
            backend_row(self._board, address)
            | {"next_probe_s": _rounded(self._next_probe_s(address))}
            | ollamas.get(address, {})
            for address in self._board.backends
        ]
        return {
            "ready": self.is_ready(),
            "profile": table.active.name,
            "routing": self._routing_status(),
            "ledger": self._ledger_status(),
            "deployments": [self._deployment(name) for name in table.deployments],
            "backends": backends,
        }

    def _deployment(self, name: str) -> dict[str, Any]:
        deployment = self._table().deployments[name]
        occupancy = self._occupancy.get(name, IDLE)
        return {
            "deployment": name,
            "side": deployment.side,
            "leaves_host": deployment.leaves_host,
            "unavailable": self.why_not(name),
            "backend": self._board.address(name),
            "busy": occupancy.busy,
            "waiting": occupancy.waiting,
            "breaker": breaker_row(self._board, name),
        }

    def _busy(self) -> Counter[tuple[str, str]]:
        """Return how many requests each model is serving for us, by address and model."""
        busy: Counter[tuple[str, str]] = Counter()
        for name, api_base in self._api_bases.items():
            model = self._table().deployments[name].upstream_model
            busy[api_base, tagged(model)] += self._occupancy.get(name, IDLE).busy
        return busy

    def _can_serve(self, name: str) -> bool:
        if self.why_not(name) is not None:
            return False
        api_base = self._api_bases.get(name)
        if api_base is None:
            return True
        facts = self._facts(name)
        is_absent = facts is not None and facts.present is False
        return self._monitor.is_up(api_base) and not is_absent

    def _facts(self, name: str) -> ModelFacts | None:
        api_base = self._api_bases.get(name)
        if api_base is None:
            return None
        return self._monitor.facts(api_base, self._table().deployments[name].upstream_model)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
