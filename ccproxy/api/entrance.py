"""The way in: Messages requests go straight to their endpoints, FastAPI has everything else.

FastAPI's middlewares cost 9 % of a request's CPU, on the way in and again at every piece sent
(docs/performance.md), and serve nothing here: the pipeline answers its own errors.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

_AGENT_PREFIX: Final = "/agents/"


class Entrance:
    """The ASGI app that the server runs."""

    def __init__(self, endpoints: Mapping[str, ASGIApp], rest: ASGIApp) -> None:
        """Take over both.

        Args:
            endpoints: By path, e.g. `/v1/messages`. The same path under `/agents/{slug}` leads
                there too, with the decoded slug in the scope's `path_params`.
            rest: Serves every other path, and the lifespan.
        """
        self._endpoints = endpoints
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any type."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        # Only the server cancels a request, when its grace after a stop signal is over. The client
        # and the outcome have been told by now; the server would log it as a bug, with a traceback.
        with suppress(asyncio.CancelledError):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        slug = ""
        if path.startswith(_AGENT_PREFIX):
            slug, _, path = path.removeprefix(_AGENT_PREFIX).partition("/")
            path = f"/{path}" if slug else ""
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            await self._rest(scope, receive, send)
            return
        if slug:
            scope["path_params"] = {"slug": slug}
        await endpoint(scope, receive, send)
