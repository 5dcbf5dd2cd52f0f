"""The server process: settings from a file, an app, uvicorn."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn
import uvloop

from ccproxy.api.http_protocol import BoundedHttpProtocol
from ccproxy.api.listening import (
    BACKLOG,
    MOST_CONNECTIONS,
    client_url,
    listen,
    room_for_connections,
)
from ccproxy.app import build_proxy
from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.settings import load_settings, refuse_open_bind
from ccproxy.observability.logs import RequestLog, logging_to
from ccproxy.observability.tracing import tracing_from

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from starlette.types import ASGIApp

    from ccproxy.config.settings import Settings
    from ccproxy.ports import OutcomeSink

_log = logging.getLogger(__name__)

GRACE_S: Final = 20
"""How long running streams may go on after a stop signal."""
KEEP_ALIVE_S: Final = 75
"""Idle time of a client's connection; longer than most clients keep theirs, so they close first."""


def run(config: Path, host: str | None, port: int | None) -> None:
    """Serve until a signal stops it.

    Raises:
        ConfigError: The settings, the roster or the routing table are unusable; nothing was bound.
        ListenError: The address is taken.
    """
    settings = load_settings(config, os.environ)
    bind_host = host or settings.host
    if (refusal := refuse_open_bind(bind_host, auth_required=settings.auth_required)) is not None:
        raise ConfigError([ConfigProblem(str(settings.path), 1, 1, "server.host", refusal)])
    with told(settings) as sinks:
        proxy = build_proxy(settings, sinks=sinks)
        bind_port = settings.port if port is None else port
        sockets = listen(bind_host, bind_port)
        server = AnnouncingServer(
            server_config(
                proxy.app,
                bind_host,
                bind_port,
                most_connections=room_for_connections(),
                trusted_proxies=settings.trusted_proxies,
            ),
            lambda: _log.info("listening", extra={"url": client_url(sockets)}),
            proxy.end_views,
        )
        # Modules, settings and routes live as long as the process: a garbage collector that looks
        # through them again and again costs 4 % of a request's CPU (docs/performance.md).
        gc.collect()
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(server.serve(sockets))
            except SystemExit as failed:
                # The server has said why, e.g. what failed at the start; its own code is 3.
                raise SystemExit(1 if failed.code else 0) from failed


@contextmanager
def told(settings: Settings) -> Iterator[Sequence[OutcomeSink]]:
    """Yield who hears of finished requests outside the app: the log, and traces if they are wanted.

    While the block runs all log lines go where the settings say.
    """
    file = settings.log_file
    to_file = (file.path, file.max_bytes, file.keep) if file is not None else (None,)
    with logging_to(*to_file) as stream:
        providers = {
            each.name: "ollama" if each.is_ollama else each.model.partition("/")[0]
            for each in settings.deployments
        }
        tracing = tracing_from(os.environ, providers)
        if tracing is None:
            yield (RequestLog(stream),)
            return
        with closing(tracing):
            yield (RequestLog(stream), tracing)


class AnnouncingServer(uvicorn.Server):
    """A server that says when clients are served, and when no more are."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_start: Callable[[], None],
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        """Keep what is called once: after the app's start, and before streams are waited for."""
        super().__init__(config)
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so, then wait for what runs."""
        if self._on_stop is not None:
            self._on_stop()
        await super().shutdown(sockets)


def server_config(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    grace_s: int = GRACE_S,
    most_connections: int = MOST_CONNECTIONS,
    trusted_proxies: Sequence[str] = (),
) -> uvicorn.Config:
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
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=grace_s,
        limit_concurrency=most_connections,
        backlog=BACKLOG,
    )
