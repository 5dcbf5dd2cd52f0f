"""The deployments of a config file, wired to what reaches them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ccproxy.deployed import Shared, claude_pools, passthrough, translated
from ccproxy.health.board import UNTOLD, Backend, HealthBoard
from ccproxy.health.monitor import OllamaMonitor, ollama_backend
from ccproxy.health.seen import seen_model
from ccproxy.health.watcher import Watcher
from ccproxy.pipeline.paces import Paces
from ccproxy.pipeline.prefix_watch import PrefixWatch
from ccproxy.pipeline.slots import Occupancies, Slots
from ccproxy.pipeline.translated import TranslatedDeployment
from ccproxy.upstreams.litellm import LiteLLMRuntime
from ccproxy.upstreams.reachable import ConnectProbe
from ccproxy.wire.schema_check import prepare_checks
from routing import breaker, health
from routing.capabilities import Capabilities, FleetSnapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.config.settings import Settings
    from ccproxy.health.board import Changes
    from ccproxy.pipeline.request import Served
    from ccproxy.pipeline.token_ratios import TokenRatios
    from ccproxy.ports import MessagesUpstream
    from ccproxy.upstreams.ollama import OllamaControl

_log = logging.getLogger(__name__)

SNAPSHOT_FOR_S: Final = 1.0
"""How long a snapshot serves; what it is made of changes every ten seconds at most, but for who is
served and who is unavailable, which is looked up when it is asked for."""

CLAUDE_DOWN: Final = "Claude cannot be reached from this host (offline since {since})"
SERVICE_DOWN: Final = "its service cannot be reached from this host (offline since {since})"


@dataclass(slots=True)
class Fleet:
    """Everything that reaches the outside."""

    served: Mapping[str, Served]
    """By deployment name; deployments that are unavailable by their settings are left out."""
    claude: Mapping[str, MessagesUpstream]
    """The pools of the Claude deployments, by deployment name, in file order."""
    health: HealthBoard
    monitor: OllamaMonitor
    watchers: Mapping[str, Watcher]
    """Of the backends that can only be connected to, by address."""
    ollama: Mapping[str, DeploymentSettings]
    """The deployments on an Ollama, by name."""
    token_ratios: TokenRatios
    prefixes: PrefixWatch
    paces: Paces
    slots: Mapping[str, Slots]
    """Of the translated deployments, by name."""
    _runtime: LiteLLMRuntime | None
    _controls: Sequence[OllamaControl]
    _snapshot: FleetSnapshot = field(default_factory=FleetSnapshot)
    _snapshot_ends_at: float = 0.0
    _has_settled: bool = False

    def snapshot(self) -> FleetSnapshot:
        """Return what has been seen of the models, for routing; answers at once."""
        now = monotonic()
        if now >= self._snapshot_ends_at:
            self._snapshot_ends_at = now + SNAPSHOT_FOR_S
            seen = {
                name: self.monitor.facts(each.api_base or "", each.upstream_model)
                for name, each in self.ollama.items()
            }
            self._snapshot = FleetSnapshot(
                unavailable=self.health.unavailable(),
                models={
                    name: seen_model(facts) for name, facts in seen.items() if facts is not None
                },
                capabilities={
                    name: Capabilities(
                        tools=facts.supports_tools,
                        vision=facts.supports_vision,
                        thinking=facts.supports_thinking,
                    )
                    for name, facts in seen.items()
                    if facts is not None
                },
                token_ratios=self.token_ratios.snapshot(),
                paces=self.paces.snapshot(),
                occupancy=self.occupancy(),
            )
        return self._snapshot

    def occupancy(self) -> Occupancies:
        """Return a view of what goes on at the translated deployments."""
        return Occupancies(self.slots, self._is_loaded)

    def next_probe_s(self, address: str) -> float | None:
        """Return in how many seconds a backend is asked whether it is there; None: not planned."""
        watcher = self.watchers.get(address)
        return self.monitor.next_probe_s(address) if watcher is None else watcher.next_probe_s()

    def probes(self) -> Mapping[str, int]:
        """Return how often each backend was asked whether it is there, by address."""
        asked = {address: watcher.probes for address, watcher in self.watchers.items()}
        return {**self.monitor.probes(), **asked}

    def _is_loaded(self, name: str) -> bool | None:
        ollama = self.ollama.get(name)
        if ollama is None:
            return None
        return self.monitor.is_loaded(ollama.api_base or "", ollama.upstream_model)

    async def settle(self) -> bool:
        """Wait, once in a process's life and 1 s at most, until every model has been looked at.

        Returns whether there was anything to wait for: then the snapshot may say more now.
        """
        if self._has_settled:
            return False
        self._has_settled = True
        await asyncio.gather(
            *(
                self.monitor.wait_facts(each.api_base or "", each.upstream_model)
                for each in self.ollama.values()
            )
        )
        self._snapshot_ends_at = 0.0
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the backends and import what is needed, and close everything at the end."""
        async with AsyncExitStack() as stack:
            for upstream in self.claude.values():
                stack.push_async_callback(upstream.aclose)
            for deployment in self.served.values():
                if isinstance(deployment, TranslatedDeployment):
                    stack.push_async_callback(deployment.upstream.aclose)
            for control in self._controls:
                stack.push_async_callback(control.aclose)
            stack.push_async_callback(self.monitor.aclose)
            self.monitor.start()
            for watcher in self.watchers.values():
                stack.push_async_callback(watcher.aclose)
                watcher.start()
            if self._runtime is not None:
                self._runtime.start()
                prepared = asyncio.ensure_future(asyncio.to_thread(prepare_checks))
                stack.push_async_callback(asyncio.wait, (prepared,))
            yield


@dataclass(frozen=True, slots=True)
class _Watched:
    """Whoever knows how the backends are, and what asks them."""

    board: HealthBoard
    monitor: OllamaMonitor
    watchers: Mapping[str, Watcher]
    controls: Sequence[OllamaControl]


@dataclass(frozen=True, slots=True)
class HealthOptions:
    """How opinions of backends and deployments are formed, and who hears of them."""

    backend: health.HealthRules = health.DEFAULT_RULES
    breaker: breaker.BreakerRules = breaker.DEFAULT_RULES
    changes: Changes = UNTOLD


def build_fleet(
    settings: Settings,
    *,
    patience_s: float,
    token_ratios: TokenRatios,
    options: HealthOptions = HealthOptions(),
) -> Fleet:
    """Wire the deployments; nothing is connected until the fleet runs.

    Args:
        settings: Which deployments there are.
        patience_s: How long a local stream may stay uncommitted.
        token_ratios: Learns from the translated deployments' counts.
        options: Of the deployments' health.
    """
    usable = [d for d in settings.deployments if d.unavailable is None]
    local = [d for d in usable if not d.is_claude]
    watched = _watched(settings.deployments, options)
    runtime = LiteLLMRuntime() if local else None
    claude = claude_pools([d for d in usable if d.is_claude], settings.our_tokens)
    paces = Paces()
    shared = Shared(
        watched.monitor,
        token_ratios,
        PrefixWatch({d.name: d.max_parallel_requests or 1 for d in local}),
        paces,
        {
            d.name: Slots(d.max_parallel_requests, on_release=partial(paces.held, d.name))
            for d in local
        },
        patience_s,
        settings.strict,
    )
    served: dict[str, Served] = {}
    for deployment in usable:
        if deployment.is_claude:
            served[deployment.name] = passthrough(deployment, claude[deployment.name])
        elif runtime is not None:
            served[deployment.name] = translated(deployment, runtime, shared)
    return Fleet(
        served,
        claude,
        watched.board,
        watched.monitor,
        watched.watchers,
        {d.name: d for d in settings.deployments if d.is_ollama},
        token_ratios,
        shared.prefixes,
        paces,
        shared.slots,
        runtime,
        watched.controls,
    )


def _watched(deployments: Sequence[DeploymentSettings], options: HealthOptions) -> _Watched:
    models: dict[str, list[str]] = {}
    for each in deployments:
        if each.is_ollama:
            models.setdefault(each.api_base or "", []).append(each.upstream_model)
    controls = _controls(models)
    backends = _backends(deployments)
    board = HealthBoard(
        backends.values(),
        {d.name: _address(d) for d in deployments},
        health_rules=options.backend,
        breaker_rules=options.breaker,
        changes=options.changes,
    )
    monitor = OllamaMonitor(controls, models, board, jitter=random, report=_log.warning)
    watchers = {
        address: Watcher(board, address, ConnectProbe(address), rests=True, jitter=random)
        for address in backends
        if address not in models
    }
    return _Watched(board, monitor, watchers, tuple(controls.values()))


def _controls(addresses: Collection[str]) -> dict[str, OllamaControl]:
    """Return what asks each Ollama, by its address."""
    if not addresses:
        return {}
    # 10 MB and 0.1 s (the ollama package and httpx) that a Claude-only proxy does not pay.
    from ccproxy.upstreams.ollama import OllamaControl  # noqa: PLC0415

    return {address: OllamaControl(address) for address in addresses}


def _backends(deployments: Sequence[DeploymentSettings]) -> dict[str, Backend]:
    """Return every backend that can be asked whether it is there, by its address."""
    backends: dict[str, Backend] = {}
    for each in sorted(deployments, key=lambda each: not each.is_ollama):
        address = _address(each)
        if address is not None and each.is_ollama:
            backends[address] = ollama_backend(address)
        elif address is not None:
            when_down = CLAUDE_DOWN if each.is_claude else SERVICE_DOWN
            backends.setdefault(address, Backend(address, when_down))
    return backends


def _address(deployment: DeploymentSettings) -> str | None:
    """Return the address by which a deployment's backend is known; None if LiteLLM decides.

    What can only be connected to is one backend whatever the path. Behind one host there may be
    several Ollamas, each at a path of its own.
    """
    if deployment.api_base is None or deployment.is_ollama:
        return deployment.api_base
    parts = urlsplit(deployment.api_base)
    return f"{parts.scheme}://{parts.netloc}"
