"""What was asked for on the command line, made into a benchmark that can be run."""

from __future__ import annotations

import os
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.bench.profiles import from_shapes, shipped_profiles
from ccproxy.bench.routes import SYNTAX, TOKEN_VARIABLE, RouteError, read_routes
from ccproxy.bench.run import prepare
from ccproxy.bench.runner import RunPlan
from ccproxy.bench.simulated import simulated_proxy
from ccproxy.config.locate import find_config
from ccproxy.config.pricing_file import prices_in, pricing_file
from ccproxy.config.problems import ConfigError
from ccproxy.config.settings import load_settings
from ccproxy.ledger.opening import history_at
from ccproxy.ports import HistoryUnknownError
from ccproxy.service.probe import ProxyProbe
from routing.nearest import did_you_mean
from routing.pricing import NO_PRICES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from ccproxy.bench.profiles import Profile
    from ccproxy.bench.routes import Route
    from ccproxy.bench.run import Bench
    from ccproxy.config.settings import Settings

LEDGER: Final = "ledger"
"""The workload made of earlier requests' sizes."""
_URL_VARIABLE: Final = "ANTHROPIC_BASE_URL"
_HOME_URL: Final = "http://127.0.0.1:8081"
_SEEDS: Final = 1_000_000
_NO_CONFIG: Final = "--simulate needs a config file: --config FILE; `ccproxy init` writes one"


class AskedError(ValueError):
    """What was asked for cannot be run; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of `ccproxy bench`."""

    routes: tuple[str, ...]
    workload: str
    tasks: int
    concurrency: int
    warm_up: int
    seed: int | None
    base_url: str | None
    tokens: tuple[str, ...]
    free: tuple[str, ...]
    shapes_of: str | None
    simulate: bool
    config: Path | None

    @asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        """Prepare the benchmark; what it needs is there while the block runs.

        Raises:
            AskedError: Something of it cannot be done.
            ConfigError: A file it needs cannot be used.
            CostUnknownError: Of a route it cannot be said what it costs.
        """
        settings = self._settings()
        written = self.routes or self._proposed(settings)
        prices = prices_in(pricing_file(settings)) if settings is not None else NO_PRICES
        seed = self.seed if self.seed is not None else random.SystemRandom().randrange(_SEEDS)
        profiles = self._profiles(settings, seed)
        if not self.simulate:
            address = self.base_url or _base_url(settings)
            routes = self._routes(written, address, os.environ)
            plan = RunPlan(routes, profiles, self.concurrency, seed, self.warm_up)
            yield await prepare(plan, prices, simulated=False)
            return
        if settings is None:
            raise AskedError(_NO_CONFIG)
        if any("@http" in route for route in written):
            raise AskedError("real and simulated are not mixed: with --simulate no route has a URL")
        async with simulated_proxy(settings) as proxy:
            routes = self._routes(written, proxy.base_url, {TOKEN_VARIABLE: proxy.token})
            plan = RunPlan(routes, profiles, self.concurrency, seed, self.warm_up)
            yield await prepare(plan, prices, simulated=True)

    def told(self, bench: Bench) -> dict[str, object]:
        """Return what a report says of the settings."""
        return {
            "workload": self.workload,
            "shapes_of": self.shapes_of,
            "tasks": len(bench.plan.tasks),
            "concurrency": self.concurrency,
            "warm_up": self.warm_up,
            "seed": bench.plan.seed,
        }

    def _settings(self) -> Settings | None:
        """Return what the config file says; None where there is none and none was asked for."""
        try:
            path = find_config(self.config, os.environ, Path.cwd(), Path.home())
        except ConfigError:
            if self.config is not None:
                raise
            return None
        return load_settings(path, os.environ)

    def _proposed(self, settings: Settings | None) -> Sequence[str]:
        """Return what to try a simulation with: the first local deployment and the first Claude."""
        if not self.simulate:
            raise AskedError(f"say which routes: --route '{SYNTAX}', and the same again")
        if settings is None:
            raise AskedError(_NO_CONFIG)
        usable = [each for each in settings.deployments if not each.needs_own_credential]
        local = [each.name for each in usable if each.is_ollama]
        claude = [each.name for each in usable if each.is_claude]
        if not local + claude:
            raise AskedError(f"{settings.path}: model_list has nothing that can be simulated")
        return [*local[:1], *claude[:1]]

    def _routes(
        self, written: Sequence[str], base_url: str, environ: Mapping[str, str]
    ) -> list[Route]:
        pairs = (each.rpartition("=") for each in self.tokens)
        variables = {label: name for label, _, name in pairs}
        if "" in variables:
            raise AskedError("--token-env: write LABEL=NAME")
        try:
            return read_routes(written, base_url, variables, self.free, environ)
        except RouteError as error:
            raise AskedError(str(error)) from error

    def _profiles(self, settings: Settings | None, seed: int) -> list[Profile]:
        if self.workload == LEDGER:
            return self._from_ledger(settings, seed)
        known = shipped_profiles()
        if self.workload not in known.names:
            names = (*known.names, LEDGER)
            hint = did_you_mean(self.workload, names)
            raise AskedError(
                f"--workload: there is no {self.workload!r}.{hint} There are {', '.join(names)}"
            )
        return known.tasks(self.workload, self.tasks, seed)

    def _from_ledger(self, settings: Settings | None, seed: int) -> list[Profile]:
        if settings is None:
            raise AskedError("--workload ledger needs a config file: --config FILE")
        try:
            shapes = history_at(settings.ledger_url).shapes(self.shapes_of)
        except HistoryUnknownError as error:
            raise AskedError(str(error)) from error
        profiles = from_shapes(shapes, self.tasks, seed)
        if not profiles:
            of = f" of {self.shapes_of}" if self.shapes_of else ""
            raise AskedError(f"the ledger has no answered request{of}")
        return profiles


def _base_url(settings: Settings | None) -> str:
    if url := os.environ.get(_URL_VARIABLE):
        return url
    if settings is None or not settings.port:
        return _HOME_URL
    return ProxyProbe(settings.host, settings.port).url
