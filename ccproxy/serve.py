"""The server process: settings from a file, an app, uvicorn."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Final

import uvicorn
import uvloop

from ccproxy.api.http_protocol import BoundedHttpProtocol
from ccproxy.app import build_proxy
from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.settings import load_settings, refuse_open_bind
from ccproxy.observability.logs import configure_logging

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

GRACE_S: Final = 20
"""How long running streams may go on after a stop signal."""
KEEP_ALIVE_S: Final = 75
"""Idle time of a client's connection; longer than most clients keep theirs, so they close first."""


def run(config: Path, host: str | None, port: int | None) -> None:
    """Serve until a signal stops it.

    Raises:
        ConfigError: The settings, the roster or the routing table are unusable; nothing was bound.
    """
    settings = load_settings(config, os.environ)
    configure_logging()
    bind_host = host or settings.host
    if (refusal := refuse_open_bind(bind_host, auth_required=settings.auth_required)) is not None:
        raise ConfigError([ConfigProblem(str(settings.path), 1, 1, "server.host", refusal)])
    app = build_proxy(settings).app
    server = uvicorn.Server(server_config(app, bind_host, settings.port if port is None else port))
    # Modules, settings and routes live as long as the process: a garbage collector that looks
    # through them again and again costs 4 % of a request's CPU (docs/performance.md).
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(server.serve())
        except SystemExit as failed:
            # The server has said why, e.g. that the address is taken; its own code for that is 3.
            raise SystemExit(1 if failed.code else 0) from failed


def server_config(app: ASGIApp, host: str, port: int, *, grace_s: int = GRACE_S) -> uvicorn.Config:
    """Return how every server of this project is run.

    The server's own `date` and `server` headers are off: a relayed answer carries its upstream's.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
        backlog=2048,
    )
