"""`GET /admin/live`: what goes on, one snapshot a second, for as long as somebody looks.

Rules:
1. A line of JSON (NDJSON) per snapshot. One snapshot serves everybody who looks in that second.
2. The token is looked at again before each line: one that was revoked sees nothing more.
3. A stream ends when its reader leaves or does not read, when the server begins to stop, and after
   `LIFE_S`; whoever still looks then asks again.
4. At most `MOST_VIEWERS` look at once, further ones get a 429.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from ccproxy.api.asgi_client import AsgiClient
from ccproxy.api.messages import peer_of
from ccproxy.auth import require_scope
from ccproxy.ports import ClientGone
from ccproxy.wire.errors import ApiError
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from ccproxy.auth import Authenticate
    from ccproxy.pipeline.in_flight import InFlight
    from ccproxy.ports import Client

INTERVAL_S: Final = 1.0
LIFE_S: Final = 900.0
UNREAD_S: Final = 30.0
"""How long a reader may leave a line unread."""
MOST_VIEWERS: Final = 32


class FleetView(Protocol):
    """Whoever knows the fleet's state."""

    def detail(self) -> dict[str, Any]:
        """Return it as `/health` does."""
        ...


class LiveFeed:
    """The streams of everybody who looks."""

    def __init__(
        self, fleet: FleetView, in_flight: InFlight, *, interval_s: float = INTERVAL_S
    ) -> None:
        """Take what a snapshot is made of."""
        self._fleet = fleet
        self._in_flight = in_flight
        self._interval_s = interval_s
        self._line = b""
        self._made_at = 0.0
        self._viewers = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream, and those that begin later after their first line."""
        self._closing.set()

    def snapshot(self) -> dict[str, Any]:
        """Return what goes on, JSON-ready.

        That is `/health` without its histories, `at_s` (Unix time) and `in_flight`, a
        `pipeline.in_flight.Look`.
        """
        told = _without_histories(self._fleet.detail())
        told["at_s"] = round(time(), 3)
        told["in_flight"] = asdict(self._in_flight.look(monotonic()))
        return told

    async def show(self, client: Client, still_allowed: Callable[[], None]) -> None:
        """Stream to one reader.

        Args:
            client: Its end.
            still_allowed: Raises `ApiError` once the reader is not to see more.

        Raises:
            ApiError: 429; too many look already. Nothing was sent.
        """
        if self._viewers >= MOST_VIEWERS:
            message = f"{MOST_VIEWERS} live views are open; close one."
            raise ApiError(429, message, should_retry=False)
        self._viewers += 1
        try:
            with suppress(ClientGone, TimeoutError):
                async with client.watched():
                    await self._stream(client, still_allowed)
        finally:
            self._viewers -= 1

    async def _stream(self, client: Client, still_allowed: Callable[[], None]) -> None:
        headers = {
            "content-type": "application/x-ndjson",
            "cache-control": "no-store",
            "x-accel-buffering": "no",  # nginx would gather lines
            "request-id": mint_request_id(),
        }
        await client.start(200, [(k.encode(), v.encode()) for k, v in headers.items()])
        ends_at = monotonic() + LIFE_S
        while True:
            async with asyncio.timeout(UNREAD_S):
                await client.send(self._latest())
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._closing.wait()
            if self._closing.is_set() or monotonic() > ends_at or not _passes(still_allowed):
                break
        await client.finish()

    def _latest(self) -> bytes:
        now = monotonic()
        if not self._line or now - self._made_at >= self._interval_s * 0.9:
            self._line = orjson.dumps(self.snapshot()) + b"\n"
            self._made_at = now
        return self._line


class _LiveResponse(Response):
    """Streams over bare ASGI; Starlette's own stream does not hear of a reader that left."""

    def __init__(self, feed: LiveFeed, still_allowed: Callable[[], None]) -> None:
        super().__init__()
        self._feed = feed
        self._still_allowed = still_allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = AsgiClient(scope, receive, send)
        await self._feed.show(client, self._still_allowed)


def live_router(authenticate: Authenticate, feed: LiveFeed) -> APIRouter:
    """Return `GET /admin/live`, which needs the scope `ops`."""
    router = APIRouter()

    @router.get("/admin/live")
    async def live(request: Request) -> Response:
        """Stream what goes on, one JSON object a line."""
        headers = request.scope["headers"]

        def still_allowed() -> None:
            require_scope(authenticate(headers, peer_of(request.scope)), "ops")

        still_allowed()
        return _LiveResponse(feed, still_allowed)

    return router


def _passes(still_allowed: Callable[[], None]) -> bool:
    try:
        still_allowed()
    except ApiError:
        return False
    return True


def _without_histories(detail: dict[str, Any]) -> dict[str, Any]:
    """Return `/health` without what grows: nobody reads twenty transitions once a second."""

    def cut(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key != "transitions"}

    deployments = [row | {"breaker": cut(row["breaker"])} for row in detail["deployments"]]
    backends = [
        cut(row) | ({"models": [cut(model) for model in row["models"]]} if "models" in row else {})
        for row in detail["backends"]
    ]
    return detail | {"deployments": deployments, "backends": backends}
