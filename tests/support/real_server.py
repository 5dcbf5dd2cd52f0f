"""An app behind the server that `ccproxy serve` runs, inside the test's event loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ccproxy.api.listening import client_url, listen
from ccproxy.serve import AnnouncingServer, server_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp


@asynccontextmanager
async def really_served(app: ASGIApp, **options: Any) -> AsyncIterator[str]:
    """Serve on a free port of loopback while the block runs; the app's lifespan is not run.

    Args:
        app: Any ASGI app.
        options: Of `ccproxy.serve.server_config`.
    """
    sockets = listen("127.0.0.1", 0)
    config = server_config(app, "127.0.0.1", 0, **{"grace_s": 1, **options})
    config.lifespan = "off"
    ready = asyncio.Event()
    server = AnnouncingServer(config, ready.set)
    running = asyncio.create_task(server.serve(sockets))
    await ready.wait()
    try:
        yield client_url(sockets)
    finally:
        server.should_exit = True
        await running
