"""The composition root: settings in, a wired app out. The only place that joins the rooms."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from fastapi import FastAPI
from starlette.routing import Route

from ccproxy import __version__
from ccproxy.alerting import build_alarms
from ccproxy.api.admin import admin_router
from ccproxy.api.asgi_client import BODY_TIMEOUT_S
from ccproxy.api.audited import RequestAudit
from ccproxy.api.budgets import budgets_router
from ccproxy.api.dashboard import dashboard_router, read_assets
from ccproxy.api.entrance import Entrance
from ccproxy.api.explain import explain_router
from ccproxy.api.figures import figures_router
from ccproxy.api.forward import ForwardEndpoint
from ccproxy.api.live import LiveFeed, live_router
from ccproxy.api.messages import MessagesEndpoint
from ccproxy.api.models import models_router
from ccproxy.api.ops import ops_router
from ccproxy.api.refusals import install_error_shapes
from ccproxy.auth import KeyRing, open_principal
from ccproxy.budgeting import build_budgets, ledger_opens_after_s, reader
from ccproxy.config.live import LiveRouting
from ccproxy.config.loading import load_files, routing_files
from ccproxy.config.locate import SQLITE_URL
from ccproxy.config.reload_signal import install_reload_signal
from ccproxy.config.versions import version_store
from ccproxy.fleet import HealthOptions, build_fleet
from ccproxy.health.board import Changes
from ccproxy.health.overview import HealthOverview
from ccproxy.ledger.ledger import history_at, ledger_at, series_at
from ccproxy.observability.alert_metrics import alert_counter
from ccproxy.observability.audit_log import FILE_NAME as AUDIT_FILE
from ccproxy.observability.audit_log import audit_log
from ccproxy.observability.decision_log import FILE_NAME as DECISIONS_FILE
from ccproxy.observability.decision_log import decision_log
from ccproxy.observability.health_metrics import (
    HealthStates,
    backend_change_counter,
    breaker_change_counter,
)
from ccproxy.observability.host_metrics import DiskSpace, FleetLoad
from ccproxy.observability.ledger_metrics import LedgerState, truncation_counter
from ccproxy.observability.line_metrics import WrittenLines
from ccproxy.observability.metrics import Metrics
from ccproxy.observability.routing_metrics import RoutingState, reload_counter
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
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.pipeline.translated import PATIENCE_S
from ccproxy.wire.models_page import ModelEntry
from routing import breaker, health, retry
from routing.errors import RoutingError
from routing.identify import UNKNOWN, authorise, identify
from routing.types import Privacy, RequestFacts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from fastapi import APIRouter
    from starlette.types import ASGIApp, Scope

    from ccproxy.alerts.alarms import Alarms
    from ccproxy.auth import Principal
    from ccproxy.config.settings import Settings
    from ccproxy.fleet import Fleet
    from ccproxy.health.board import HealthBoard
    from ccproxy.ledger.ledger import Ledger
    from ccproxy.observability.decision_log import DecisionLog
    from ccproxy.pipeline.budgets import BudgetGuard
    from ccproxy.ports import Outcome, OutcomeSink
    from routing.pricing import PriceList
    from routing.types import AgentMatch, Roster

_log = logging.getLogger(__name__)

Told = ParamSpec("Told")
Read = TypeVar("Read")


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


class _Log(Protocol):
    """Writes lines in a thread of its own."""

    def start(self) -> None:
        """Begin."""
        ...

    def close(self) -> None:
        """Write what waits; blocks for a while."""
        ...


@dataclass(frozen=True, slots=True)
class _DecisionSink:
    """Hands what was decided to the log of decisions."""

    log: DecisionLog

    def record(self, outcome: Outcome) -> None:
        routed = outcome.routed
        if routed is not None:
            self.log.record(
                outcome,
                routed.facts,
                routed.match or UNKNOWN,
                routed.plan,
                table_version=routed.table_version,
                body_bytes=routed.body_bytes,
            )


@dataclass(frozen=True, slots=True)
class _InForce:
    """Implements `account.InForce`."""

    prices: PriceList
    roster: Roster


@dataclass(frozen=True, slots=True)
class Sinks:
    """Hands each outcome to several sinks."""

    sinks: Sequence[OutcomeSink]

    def record(self, outcome: Outcome) -> None:
        """Hand it on."""
        for sink in self.sinks:
            try:
                sink.record(outcome)
            except Exception:  # noqa: BLE001 - told, with its traceback
                # One that has a bug must not keep the others from it, nor cost the request.
                _log.exception(
                    "%s failed", type(sink).__name__, extra={"request_id": outcome.request_id}
                )


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
    metrics = Metrics([each.name for each in settings.deployments])
    live = LiveRouting(
        partial(load_files, routing_files(settings)),
        versions=version_store(settings),
        report=_log.warning,
        count=reload_counter(metrics.registry),
    )
    decisions = decision_log(settings.tokens_file.parent / DECISIONS_FILE, _log.warning)
    audit = audit_log(settings.tokens_file.parent / AUDIT_FILE)
    metrics.registry.register(
        WrittenLines(
            "ccproxy_audit_lines", "Lines of the audit log, by what became of them.", audit
        )
    )
    ledger = ledger_at(
        settings.ledger_url,
        _log.warning,
        open_after_s=ledger_opens_after_s(settings.budgets),
        keep_days=settings.ledger_keep_days,
    )
    metrics.registry.register(LedgerState(ledger))
    alarms = build_alarms(settings, alert_counter(metrics.registry))
    local_models = {d.name: d.model for d in settings.deployments if not d.is_claude}
    token_ratios = TokenRatios(
        local_models,
        save=ledger.put,
        on_truncation=_to_each(
            truncation_counter(metrics.registry, local_models), alarms.prompt_truncated
        ),
    )
    changes = Changes(
        _to_each(
            backend_change_counter(metrics.registry),
            lambda address, state: alarms.backend_changed(
                address, state, fleet.health.backends[address].why
            ),
        ),
        breaker_change_counter(metrics.registry),
    )
    fleet = build_fleet(
        settings,
        patience_s=patience_s,
        token_ratios=token_ratios,
        options=HealthOptions(health_rules, breaker_rules, changes),
    )
    metrics.registry.register(HealthStates(fleet.health, fleet.probes))
    metrics.registry.register(FleetLoad(fleet.occupancy()))
    metrics.registry.register(DiskSpace(_disk_folders(settings)))
    metrics.registry.register(RoutingState(lambda: live.rejected is not None, decisions))
    budgets = build_budgets(
        settings.budgets, lambda: live.loaded, metrics.registry, alarms.budget_threshold
    )
    comparing = Comparing(lambda: live.loaded.table, token_bytes(32))
    told: list[OutcomeSink] = [
        *sinks,
        metrics,
        audit,
        _DecisionSink(decisions),
        Account(
            _to_each(ledger.put, budgets.settle, metrics.put),
            lambda: _InForce(live.loaded.table.prices, live.loaded.roster),
        ),
        budgets,
        comparing,
        alarms,
    ]
    sink = Sinks(told)
    router = Router(live, fleet, fleet.prefixes.read_tokens, budgets)
    authenticate = _authenticator(settings)

    exchange = Exchange(
        authenticate=authenticate,
        router=router,
        deployments=fleet.served,
        health=fleet.health,
        sink=sink,
        ping_after_s=ping_after_s,
        retry_rules=retry_rules,
        compare=comparing.look,
    )
    forwarder = ApiForwarder(
        authenticate=authenticate,
        router=router,
        claude=fleet.claude,
        sink=sink,
        in_flight=exchange.in_flight,
    )
    explainer = Explainer(lambda: live.loaded, fleet.snapshot, fleet.ollama, budgets)
    history = partial(history_at, settings.ledger_url)
    overview = HealthOverview(
        lambda: live.loaded.table,
        {name: each.api_base or "" for name, each in fleet.ollama.items()},
        fleet.health,
        fleet.monitor,
        next_probe_s=fleet.next_probe_s,
        occupancy=fleet.occupancy(),
        routing_status=live.status,
        ledger_status=ledger.status,
    )
    catalogue = _catalogue(settings, fleet, live)
    feed = LiveFeed(overview, exchange.in_flight)
    series = partial(series_at, settings.ledger_url)
    request_audit = RequestAudit(audit, authenticate)
    app = _framework(
        _lifespan(fleet, live, (decisions, audit), ledger, alarms, budgets),
        (
            models_router(authenticate, _agent_finder(live), catalogue),
            ops_router(authenticate, overview, metrics.exposition),
            admin_router(authenticate, live),
            budgets_router(authenticate, budgets.status),
            explain_router(authenticate, explainer, Estimator(explainer, history)),
            live_router(authenticate, feed),
            figures_router(authenticate, series, explainer.routes),
            dashboard_router(read_assets()),
        ),
        ForwardEndpoint(forwarder, body_timeout_s=body_timeout_s),
        on_refused=request_audit.refused,
    )
    messages = {
        path: MessagesEndpoint(exchange, counting=counting, body_timeout_s=body_timeout_s)
        for path, counting in (("/v1/messages", False), ("/v1/messages/count_tokens", True))
    }
    entrance = Entrance(messages, request_audit.around(app))
    return Proxy(entrance, live, metrics, token_ratios, fleet.health, feed.close)


def _to_each(*consumers: Callable[Told, object]) -> Callable[Told, None]:
    """Return what tells each consumer."""

    def tell(*args: Told.args, **named: Told.kwargs) -> None:
        for consumer in consumers:
            consumer(*args, **named)

    return tell


def _disk_folders(settings: Settings) -> dict[str, Path]:
    """Return the folders whose disk must not be full, by what they are called in metrics."""
    folders = {"state": settings.tokens_file.parent}
    if (sqlite := SQLITE_URL.fullmatch(settings.ledger_url)) is not None:
        folders["ledger"] = Path(sqlite[2]).parent
    return folders


def _framework(
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    routers: Sequence[APIRouter],
    everything_else: ASGIApp,
    *,
    on_refused: Callable[[Scope, int, str], None],
) -> FastAPI:
    """Return what serves every path but those of Messages; of the routes, the first match wins."""
    app = FastAPI(
        title="ccproxy",
        version=__version__,
        redirect_slashes=False,
        openapi_url=None,  # served to operators by the ops router
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    install_error_shapes(app, on_refused)
    for router in routers:
        app.include_router(router)
    for prefix in ("", "/agents/{slug}"):
        app.router.routes.append(Route(prefix + "/v1/{rest:path}", everything_else))
    return app


def _lifespan(
    fleet: Fleet,
    live: LiveRouting,
    logs: Sequence[_Log],
    ledger: Ledger,
    alarms: Alarms,
    budgets: BudgetGuard,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with alarms.running(), fleet.running():
            for log in logs:
                log.start()
            ledger.start(
                _on_this_loop(fleet.token_ratios.restore),
                reader(budgets, _on_this_loop(budgets.restore)),
            )
            watching = asyncio.create_task(live.watch())
            forget_signal = install_reload_signal(asyncio.get_running_loop(), live)
            try:
                yield
            finally:
                forget_signal()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await asyncio.gather(*(asyncio.to_thread(each.close) for each in (*logs, ledger)))

    return lifespan


def _on_this_loop(call: Callable[[Sequence[Read]], None]) -> Callable[[Sequence[Read]], None]:
    """Return what has the running loop make a call, for another thread to use."""
    loop = asyncio.get_running_loop()

    def later(rows: Sequence[Read]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(call, rows)

    return later


def _authenticator(
    settings: Settings,
) -> Callable[[Sequence[tuple[bytes, bytes]]], Principal]:
    if settings.auth_required:
        return KeyRing(settings.tokens_file, report=_log.warning).verify
    principal = open_principal()
    return lambda _headers: principal


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


def _catalogue(settings: Settings, fleet: Fleet, live: LiveRouting) -> ModelCatalogue:
    local = [
        ModelEntry(
            id=d.name,
            display_name=f"{d.name} ({d.model})",
            max_input_tokens=d.max_input_tokens or d.num_ctx,
            max_tokens=d.max_output_tokens,
        )
        for d in settings.deployments
        if not d.takes_only_claude_ids
    ]
    return ModelCatalogue(
        local,
        next(iter(fleet.claude.values()), None),
        lambda: live.loaded.table.active.privacy is not Privacy.LOCAL_ONLY,
    )
