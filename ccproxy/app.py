"""The composition root: settings in, a wired app out. The only place that joins the rooms.

`parts` is what outlives requests; here are the pipeline that serves one, and the way in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from secrets import token_bytes
from typing import TYPE_CHECKING

from ccproxy.api.admin import admin_router
from ccproxy.api.asgi_client import BODY_TIMEOUT_S
from ccproxy.api.audited import RequestAudit
from ccproxy.api.body_memory import BodyMemory
from ccproxy.api.budgets import budgets_router
from ccproxy.api.dashboard import dashboard_router, read_assets
from ccproxy.api.entrance import Entrance
from ccproxy.api.explain import explain_router
from ccproxy.api.figures import figures_router
from ccproxy.api.forward import ForwardEndpoint
from ccproxy.api.framework import framework_app
from ccproxy.api.live import LiveFeed, live_router
from ccproxy.api.messages import MessagesEndpoint
from ccproxy.api.models import models_router
from ccproxy.api.ops import ops_router
from ccproxy.api.own_pages import OwnPagesOnly
from ccproxy.health.overview import HealthOverview
from ccproxy.ledger.opening import history_at, series_at
from ccproxy.lifespan import build_lifespan
from ccproxy.observability.decision_log import DecisionSink
from ccproxy.parts import build_parts
from ccproxy.pipeline.account import Account
from ccproxy.pipeline.catalogue import ModelCatalogue
from ccproxy.pipeline.comparing import Comparing
from ccproxy.pipeline.estimator import Estimator
from ccproxy.pipeline.exchange import Exchange
from ccproxy.pipeline.explainer import Explainer
from ccproxy.pipeline.forward import ApiForwarder
from ccproxy.pipeline.refusals import routing_refusal
from ccproxy.pipeline.relay import PING_AFTER_S
from ccproxy.pipeline.router import Router
from ccproxy.pipeline.sinks import Sinks, to_each
from ccproxy.pipeline.translated import PATIENCE_S
from ccproxy.wire.models_page import ModelEntry
from routing import breaker, health, retry
from routing.errors import RoutingError
from routing.identify import authorise, identify
from routing.types import Privacy, RequestFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import APIRouter
    from starlette.types import ASGIApp

    from ccproxy.auth import Principal
    from ccproxy.config.live import LiveRouting
    from ccproxy.config.settings import Settings
    from ccproxy.health.board import HealthBoard
    from ccproxy.observability.metrics import Metrics
    from ccproxy.parts import Parts
    from ccproxy.pipeline.token_ratios import TokenRatios
    from ccproxy.ports import OutcomeSink
    from routing.pricing import PriceList
    from routing.types import AgentMatch, Roster


@dataclass(frozen=True, slots=True)
class Proxy:
    """A wired proxy: serve `app`; its lifespan starts and stops everything else."""

    app: ASGIApp
    live: LiveRouting
    """What is in force, and how it came about."""
    metrics: Metrics
    token_ratios: TokenRatios
    health: HealthBoard
    end_views: Callable[[], None]
    """Ends the live streams, which would otherwise keep a server that stops waiting."""


@dataclass(frozen=True, slots=True)
class _InForce:
    """Implements `account.InForce`."""

    prices: PriceList
    roster: Roster


def build_proxy(
    settings: Settings,
    *,
    patience_s: float = PATIENCE_S,
    ping_after_s: float = PING_AFTER_S,
    body_timeout_s: float = BODY_TIMEOUT_S,
    sinks: Sequence[OutcomeSink] = (),
    health_rules: health.HealthRules = health.DEFAULT_RULES,
    breaker_rules: breaker.BreakerRules = breaker.DEFAULT_RULES,
    retry_rules: retry.RetryRules = retry.DEFAULT_RULES,
) -> Proxy:
    """Wire a proxy; nothing is bound or connected until its lifespan starts.

    Args:
        settings: As loaded from `ccproxy.yaml`.
        patience_s: How long a local stream may stay uncommitted.
        ping_after_s: Silence of a local stream after which the client gets a ping.
        body_timeout_s: How long a request body may take (a streamed upload: each piece).
        sinks: Who else hears of finished requests, e.g. a `RequestLog`.
        health_rules: When a backend counts as down, and how often it is asked.
        breaker_rules: When a deployment is left alone.
        retry_rules: How much is tried for one request.

    Raises:
        ConfigError: The roster or the routing table are unusable.
        TokenError: The tokens file is unusable.
    """
    parts = build_parts(
        settings,
        patience_s=patience_s,
        health_rules=health_rules,
        breaker_rules=breaker_rules,
    )
    exchange, forwarder = _pipeline(parts, sinks, ping_after_s, retry_rules)
    overview = _overview(parts)
    feed = LiveFeed(overview, exchange.in_flight)
    audit = RequestAudit(parts.records.audit, parts.authenticate)
    memory = BodyMemory()
    framework = framework_app(
        build_lifespan(
            parts.fleet, parts.live, parts.records, parts.alarms, parts.budgets, parts.gate
        ),
        _routers(parts, overview, feed, memory),
        ForwardEndpoint(forwarder, body_timeout_s=body_timeout_s, memory=memory),
        on_refused=audit.refused,
    )
    messages = {
        path: MessagesEndpoint(
            exchange, counting=counting, body_timeout_s=body_timeout_s, memory=memory
        )
        for path, counting in (("/v1/messages", False), ("/v1/messages/count_tokens", True))
    }
    entrance = Entrance(messages, audit.around(framework))
    return Proxy(
        entrance if settings.auth_required else OwnPagesOnly(entrance),
        parts.live,
        parts.records.metrics,
        parts.fleet.token_ratios,
        parts.fleet.health,
        feed.close,
    )


def _pipeline(
    parts: Parts,
    sinks: Sequence[OutcomeSink],
    ping_after_s: float,
    retry_rules: retry.RetryRules,
) -> tuple[Exchange, ApiForwarder]:
    """Return what serves Messages requests, and what serves the rest of `/v1/`."""
    fleet, live, budgets = parts.fleet, parts.live, parts.budgets
    comparing = Comparing(lambda: live.loaded.table, token_bytes(32))
    sink = Sinks([*sinks, *_own_sinks(parts, comparing)])
    router = Router(live, fleet, fleet.prefixes.read_tokens, budgets, parts.settings.our_tokens)
    exchange = Exchange(
        authenticate=parts.authenticate,
        router=router,
        deployments=fleet.served,
        health=fleet.health,
        sink=sink,
        ping_after_s=ping_after_s,
        retry_rules=retry_rules,
        compare=comparing.look,
    )
    forwarder = ApiForwarder(
        authenticate=parts.authenticate,
        router=router,
        claude=fleet.claude,
        health=fleet.health,
        sink=sink,
        in_flight=exchange.in_flight,
    )
    return exchange, forwarder


def _own_sinks(parts: Parts, comparing: Comparing) -> list[OutcomeSink]:
    """Return who hears of finished requests, in order."""
    records, live, budgets = parts.records, parts.live, parts.budgets
    account = Account(
        to_each(records.ledger.put, budgets.settle, records.metrics.put),
        lambda: _InForce(live.loaded.table.prices, live.loaded.roster),
    )
    return [
        records.metrics,
        records.audit,
        DecisionSink(records.decisions),
        account,
        budgets,
        comparing,
        parts.alarms,
    ]


def _overview(parts: Parts) -> HealthOverview:
    fleet, live = parts.fleet, parts.live
    return HealthOverview(
        lambda: live.loaded.table,
        {name: each.api_base or "" for name, each in fleet.ollama.items()},
        fleet.health,
        fleet.monitor,
        next_probe_s=fleet.next_probe_s,
        occupancy=fleet.occupancy(),
        routing_status=live.status,
        ledger_status=parts.records.ledger.status,
    )


def _routers(
    parts: Parts, overview: HealthOverview, feed: LiveFeed, memory: BodyMemory
) -> Sequence[APIRouter]:
    """Return what FastAPI serves, in order."""
    authenticate, fleet, live = parts.authenticate, parts.fleet, parts.live
    url = parts.settings.ledger_url
    ours = parts.settings.our_tokens
    explainer = Explainer(lambda: live.loaded, fleet.snapshot, fleet.ollama, parts.budgets, ours)
    estimator = Estimator(explainer, partial(history_at, url))
    return (
        models_router(authenticate, _agent_finder(live), _catalogue(parts)),
        ops_router(authenticate, overview, parts.records.metrics.exposition),
        admin_router(authenticate, live),
        budgets_router(authenticate, parts.budgets.status),
        explain_router(authenticate, explainer, estimator, memory),
        live_router(authenticate, feed),
        figures_router(authenticate, partial(series_at, url), explainer.routes),
        dashboard_router(read_assets()),
    )


def _agent_finder(live: LiveRouting) -> Callable[[str | None, Principal], AgentMatch]:
    def find(slug: str | None, principal: Principal) -> AgentMatch:
        try:
            match = identify(RequestFacts("", slug, principal.agents), live.loaded.roster)
            if slug is not None:
                authorise(match, principal.agents)
        except RoutingError as exc:
            raise routing_refusal(exc) from exc
        return match

    return find


def _catalogue(parts: Parts) -> ModelCatalogue:
    local = [
        ModelEntry(
            id=d.name,
            display_name=f"{d.name} ({d.model})",
            max_input_tokens=d.max_input_tokens or d.num_ctx,
            max_tokens=d.max_output_tokens,
        )
        for d in parts.settings.deployments
        if not d.takes_only_claude_ids
    ]
    # Claude's models are listed once for all, so not under any client's account.
    ours = (
        parts.fleet.claude[d.name]
        for d in parts.settings.deployments
        if d.name in parts.fleet.claude and not d.needs_own_credential
    )
    return ModelCatalogue(
        local,
        next(ours, None),
        lambda: parts.live.loaded.table.active.privacy is not Privacy.LOCAL_ONLY,
    )
