"""What lives as long as the proxy and is shared by all requests, wired together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ccproxy.alerting import build_alarms
from ccproxy.budgeting import build_budgets
from ccproxy.config.live import LiveRouting
from ccproxy.config.loading import load_files, routing_files
from ccproxy.config.versions import version_store
from ccproxy.fleet import HealthOptions, build_fleet
from ccproxy.gating import authenticator, build_gate
from ccproxy.health.board import Changes
from ccproxy.observability.alert_metrics import alert_counter
from ccproxy.observability.health_metrics import (
    HealthStates,
    backend_change_counter,
    breaker_change_counter,
)
from ccproxy.observability.host_metrics import FleetLoad
from ccproxy.observability.ledger_metrics import truncation_counter
from ccproxy.observability.routing_metrics import RoutingState, reload_counter
from ccproxy.pipeline.sinks import to_each
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.recording import build_records

if TYPE_CHECKING:
    from ccproxy.alerts.alarms import Alarms
    from ccproxy.auth import Authenticate, Gate
    from ccproxy.config.settings import Settings
    from ccproxy.fleet import Fleet
    from ccproxy.pipeline.budgets import BudgetGuard
    from ccproxy.recording import Records
    from routing.breaker import BreakerRules
    from routing.health import HealthRules

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """Each knows of the others only what it was given."""

    settings: Settings
    gate: Gate | None
    """None where everybody may call."""
    authenticate: Authenticate
    records: Records
    live: LiveRouting
    alarms: Alarms
    fleet: Fleet
    budgets: BudgetGuard


def build_parts(
    settings: Settings,
    *,
    patience_s: float,
    health_rules: HealthRules,
    breaker_rules: BreakerRules,
) -> Parts:
    """Wire the parts, and the metrics of their state; nothing is opened or connected.

    Args:
        settings: As loaded from `ccproxy.yaml`.
        patience_s: How long a local stream may stay uncommitted.
        health_rules: When a backend counts as down, and how often it is asked.
        breaker_rules: When a deployment is left alone.

    Raises:
        ConfigError: The roster or the routing table are unusable.
        TokenError: The tokens file is unusable.
    """
    records = build_records(settings)
    registry = records.metrics.registry
    live = LiveRouting(
        partial(load_files, routing_files(settings)),
        versions=version_store(settings),
        report=_log.warning,
        count=reload_counter(registry),
    )
    registry.register(RoutingState(lambda: live.rejected is not None, records.decisions))
    alarms = build_alarms(settings, alert_counter(registry))
    changes = Changes(
        to_each(
            backend_change_counter(registry),
            lambda address, state: alarms.backend_changed(
                address, state, fleet.health.backends[address].why
            ),
        ),
        breaker_change_counter(registry),
    )
    fleet = build_fleet(
        settings,
        patience_s=patience_s,
        token_ratios=_token_ratios(settings, records, alarms),
        options=HealthOptions(health_rules, breaker_rules, changes),
    )
    registry.register(HealthStates(fleet.health, fleet.probes))
    registry.register(FleetLoad(fleet.occupancy()))
    budgets = build_budgets(
        settings.budgets, lambda: live.loaded, registry, alarms.budget_threshold
    )
    gate = build_gate(settings)
    return Parts(settings, gate, authenticator(gate), records, live, alarms, fleet, budgets)


def _token_ratios(settings: Settings, records: Records, alarms: Alarms) -> TokenRatios:
    models = {d.name: d.model for d in settings.deployments if not d.is_claude}
    return TokenRatios(
        models,
        save=records.ledger.put,
        on_truncation=to_each(
            truncation_counter(records.metrics.registry, models), alarms.prompt_truncated
        ),
    )
