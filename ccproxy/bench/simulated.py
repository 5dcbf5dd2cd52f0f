"""A whole proxy in this process in front of simulated upstreams, for trying a benchmark out."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.app import build_proxy
from ccproxy.auth import create_token
from ccproxy.config.alerts_block import NO_ALERTS
from ccproxy.demo.asgi_server import running
from ccproxy.demo.standin import simulated_upstreams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccproxy.config.settings import Settings

_TOKEN_NAME: Final = "bench"  # noqa: S105 - its name


@dataclass(frozen=True, slots=True)
class SimulatedProxy:
    """Where it listens, and what opens it."""

    base_url: str
    token: str


@asynccontextmanager
async def simulated_proxy(settings: Settings) -> AsyncIterator[SimulatedProxy]:
    """Run a proxy with these settings while the block runs; its tokens and ledger are thrown away.

    Nobody is alerted and no budget holds: nothing real happens.

    Raises:
        ConfigError: The routing table or the roster cannot be used.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        state = Path(folder)
        settings = replace(
            settings,
            tokens_file=state / "tokens.json",
            ledger_url=f"sqlite:///{state / 'ledger.db'}",
            auth_required=True,
            alerts=NO_ALERTS,
            budgets=(),
        )
        token = create_token(settings.tokens_file, _TOKEN_NAME, scopes=("ops",), agents=())
        async with simulated_upstreams(settings) as simulation:
            proxy = build_proxy(simulation.in_place_of_real(settings))
            async with running(proxy.app) as base_url:
                yield SimulatedProxy(base_url, token)
