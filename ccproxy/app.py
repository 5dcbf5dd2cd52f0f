"""The composition root: settings in, a wired app out. The only place that joins the rooms."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from random import random
from time import time
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.routing import Route

from ccproxy import __version__
from ccproxy.api.asgi_client import BODY_TIMEOUT_S
from ccproxy.api.entrance import Entrance
from ccproxy.api.forward import ForwardEndpoint
from ccproxy.api.messages import MessagesEndpoint
from ccproxy.api.models import models_router
from ccproxy.api.ops import ops_router
from ccproxy.api.refusals import install_error_shapes
from ccproxy.auth import KeyRing, open_principal
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import load_routing
from ccproxy.config.settings import routing_deployments, to_routing_deployment
from ccproxy.health.monitor import OllamaMonitor
from ccproxy.health.overview import HealthOverview
from ccproxy.observability.logs import RequestLog
from ccproxy.observability.metrics import Metrics
from ccproxy.observability.upstream_states import UpstreamStates
from ccproxy.pipeline.catalogue import ModelCatalogue
from ccproxy.pipeline.exchange import Exchange
from ccproxy.pipeline.forward import ApiForwarder
from ccproxy.pipeline.passthrough import PassthroughDeployment
from ccproxy.pipeline.refusals import routing_refusal
from ccproxy.pipeline.relay import PING_AFTER_S
from ccproxy.pipeline.slots import Slots
from ccproxy.pipeline.translated import PATIENCE_S, ModelLimits, TranslatedDeployment
from ccproxy.ports import ModelFacts
from ccproxy.upstreams.anthropic import AnthropicUpstream
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target
from ccproxy.wire.models_page import ModelEntry
from routing.errors import RoutingError
from routing.identify import authorise, identify
from routing.types import Privacy, RequestFacts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from starlette.types import ASGIApp

    from ccproxy.auth import Principal
    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.settings import Settings
    from ccproxy.pipeline.request import Served
    from ccproxy.ports import MessagesUpstream, Outcome, OutcomeSink
    from ccproxy.upstreams.ollama import OllamaControl
    from routing.types import AgentMatch, Roster, RoutingTable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A wired proxy: serve `app`; its lifespan starts and stops everything else."""

    app: ASGIApp
    table: RoutingTable
    roster: Roster
    metrics: Metrics
    warnings: tuple[ConfigProblem, ...]


@dataclass(frozen=True, slots=True)
class _FixedRouting:
    table: RoutingTable
    roster: Roster

    def current(self) -> tuple[RoutingTable, Roster]:
        return self.table, self.roster


@dataclass(frozen=True, slots=True)
class _Sinks:
    sinks: Sequence[OutcomeSink]

    def record(self, outcome: Outcome) -> None:
        for sink in self.sinks:
            sink.record(outcome)


@dataclass(frozen=True, slots=True)
class _Upstreams:
    """Everything that reaches the outside, by deployment name where it matters."""

    served: Mapping[str, Served]
    claude: Mapping[str, MessagesUpstream]
    runtime: LiteLLMRuntime | None
    monitor: OllamaMonitor
    controls: Sequence[OllamaControl]


def build_proxy(
    settings: Settings,
    *,
    patience_s: float = PATIENCE_S,
    ping_after_s: float = PING_AFTER_S,
    body_timeout_s: float = BODY_TIMEOUT_S,
    log_requests: bool = True,
) -> Proxy:
    """Wire a proxy; nothing is bound or connected until its lifespan starts.

    Args:
        settings: As loaded from `ccproxy.yaml`.
        patience_s: How long a local stream may stay uncommitted.
        ping_after_s: Silence of a local stream after which the client gets a ping.
        body_timeout_s: How long a request body may take (a streamed upload: each piece).
        log_requests: Whether each request becomes a log line.

    Raises:
        ConfigError: The roster or the routing table are unusable.
        TokenError: The tokens file is unusable.
    """
    loaded = load_roster(settings.roster_file)
    deployments = routing_deployments(settings)
    table, table_warnings = load_routing(settings.routing_file, deployments, loaded.roster)
    routing = _FixedRouting(table, loaded.roster)
    metrics = Metrics()
    sink = _Sinks([RequestLog(), metrics] if log_requests else [metrics])
    upstreams = _build_upstreams(settings, patience_s)
    metrics.registry.register(UpstreamStates(upstreams.monitor.states))
    authenticate = _authenticator(settings)

    app = FastAPI(
        title="ccproxy",
        version=__version__,
        redirect_slashes=False,
        openapi_url=None,  # served to operators by the ops router
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(upstreams),
    )
    install_error_shapes(app)
    exchange = Exchange(
        authenticate=authenticate,
        routing=routing,
        deployments=upstreams.served,
        sink=sink,
        ping_after_s=ping_after_s,
    )
    forwarder = ApiForwarder(
        authenticate=authenticate, routing=routing, claude=upstreams.claude, sink=sink
    )
    ollama_bases = {d.name: d.api_base or "" for d in settings.deployments if d.is_ollama}
    health = HealthOverview(table, ollama_bases, upstreams.monitor)
    catalogue = _catalogue(settings, upstreams, table)
    app.include_router(models_router(authenticate, _agent_finder(loaded.roster), catalogue))
    app.include_router(ops_router(authenticate, health, metrics.exposition))
    # First match wins, so the catch-all comes last.
    for prefix in ("", "/agents/{slug}"):
        forward = ForwardEndpoint(forwarder, body_timeout_s=body_timeout_s)
        app.router.routes.append(Route(prefix + "/v1/{rest:path}", forward))
    messages = {
        path: MessagesEndpoint(exchange, counting=counting, body_timeout_s=body_timeout_s)
        for path, counting in (("/v1/messages", False), ("/v1/messages/count_tokens", True))
    }
    warnings = (*settings.warnings, *loaded.warnings, *table_warnings)
    return Proxy(Entrance(messages, app), table, loaded.roster, metrics, warnings)


def _lifespan(
    upstreams: _Upstreams,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for upstream in upstreams.claude.values():
                stack.push_async_callback(upstream.aclose)
            for deployment in upstreams.served.values():
                if isinstance(deployment, TranslatedDeployment):
                    stack.push_async_callback(deployment.upstream.aclose)
            for control in upstreams.controls:
                stack.push_async_callback(control.aclose)
            stack.push_async_callback(upstreams.monitor.aclose)
            upstreams.monitor.start()
            if upstreams.runtime is not None:
                upstreams.runtime.start()
            yield

    return lifespan


def _authenticator(
    settings: Settings,
) -> Callable[[Sequence[tuple[bytes, bytes]]], Principal]:
    if settings.auth_required:
        return KeyRing(settings.tokens_file, report=_log.warning).verify
    principal = open_principal()
    return lambda _headers: principal


def _agent_finder(roster: Roster) -> Callable[[str | None, Principal], AgentMatch]:
    def find(slug: str | None, principal: Principal) -> AgentMatch:
        try:
            match = identify(RequestFacts("", slug, principal.agents), roster)
            if slug is not None:
                authorise(match, principal.agents)
        except RoutingError as exc:
            raise routing_refusal(exc) from exc
        return match

    return find


def _build_upstreams(settings: Settings, patience_s: float) -> _Upstreams:
    usable = [d for d in settings.deployments if d.unavailable is None]
    translated = [d for d in usable if not d.is_claude]
    controls: dict[str, OllamaControl] = {}
    models: dict[str, list[str]] = {}
    for deployment in settings.deployments:
        if deployment.is_ollama and deployment.api_base is not None:
            models.setdefault(deployment.api_base, []).append(deployment.upstream_model)
    if models:
        # 10 MB and 0.1 s (the ollama package and httpx) that a Claude-only proxy does not pay.
        from ccproxy.upstreams.ollama import OllamaControl  # noqa: PLC0415

        controls.update((api_base, OllamaControl(api_base)) for api_base in models)
    monitor = OllamaMonitor(controls, models, now=time, jitter_s=random)
    runtime = LiteLLMRuntime() if translated else None
    served: dict[str, Served] = {}
    claude: dict[str, MessagesUpstream] = {}
    pools: dict[tuple[object, ...], MessagesUpstream] = {}
    for deployment in usable:
        if deployment.is_claude:
            upstream = pools.setdefault(
                (deployment.api_base, deployment.api_key, deployment.timeout_s),
                _claude_pool(deployment),
            )
            claude[deployment.name] = upstream
            served[deployment.name] = PassthroughDeployment(
                deployment.name,
                upstream,
                deployment.upstream_model,
                base_model=deployment.base_model,
                slots=Slots(deployment.max_parallel_requests),
            )
        elif runtime is not None:
            served[deployment.name] = _translated(deployment, runtime, monitor, patience_s)
    return _Upstreams(served, claude, runtime, monitor, tuple(controls.values()))


def _claude_pool(deployment: DeploymentSettings) -> AnthropicUpstream:
    return AnthropicUpstream(
        deployment.api_base or "", deployment.api_key or "", read_timeout_s=deployment.timeout_s
    )


def _translated(
    deployment: DeploymentSettings,
    runtime: LiteLLMRuntime,
    monitor: OllamaMonitor,
    patience_s: float,
) -> TranslatedDeployment:
    target = Target(
        model=deployment.model,
        name=deployment.name,
        api_base=deployment.api_base,
        api_key=deployment.api_key,
        num_ctx=deployment.num_ctx,
        keep_alive=deployment.keep_alive,
        timeout_s=deployment.timeout_s,
        first_byte_timeout_s=deployment.stream_timeout_s,
    )
    upstream = LiteLLMUpstream(runtime, target)
    is_ollama = deployment.is_ollama
    return TranslatedDeployment(
        deployment.name,
        to_routing_deployment(deployment).side,
        upstream,
        facts=_facts_source(deployment, monitor if is_ollama else None),
        limits=ModelLimits(
            deployment.num_ctx, deployment.max_output_tokens, deployment.max_input_tokens
        ),
        slots=Slots(deployment.max_parallel_requests),
        patience_s=patience_s,
    )


def _facts_source(
    deployment: DeploymentSettings, monitor: OllamaMonitor | None
) -> Callable[[], Awaitable[ModelFacts]]:
    """Return what is known of a model: the config file's word first, then what Ollama says."""
    said = {
        "supports_tools": deployment.supports_tools,
        "supports_vision": deployment.supports_vision,
        "supports_thinking": deployment.supports_reasoning,
    }
    stated = {name: value for name, value in said.items() if value is not None}
    unseen = ModelFacts(remote=not deployment.on_premises if monitor is None else None)

    async def facts() -> ModelFacts:
        seen = None
        if monitor is not None:
            seen = await monitor.wait_facts(deployment.api_base or "", deployment.upstream_model)
        return replace(seen or unseen, **stated)

    return facts


def _catalogue(settings: Settings, upstreams: _Upstreams, table: RoutingTable) -> ModelCatalogue:
    usable = [d for d in settings.deployments if d.unavailable is None]
    claude = next((upstreams.claude[d.name] for d in usable if d.name in upstreams.claude), None)
    local = [
        ModelEntry(
            id=d.name,
            display_name=f"{d.name} ({d.model})",
            max_input_tokens=d.max_input_tokens or d.num_ctx,
            max_tokens=d.max_output_tokens,
        )
        for d in settings.deployments
    ]
    return ModelCatalogue(local, claude, lambda: table.active.privacy is not Privacy.LOCAL_ONLY)
