"""Health and metrics: answered from state, never by asking a backend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.api.messages import peer_of
from ccproxy.api.openapi import whole_schema
from ccproxy.auth import require_scope
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.auth import Authenticate


class HealthView(Protocol):
    """What the health endpoints may know."""

    def is_ready(self) -> bool:
        """Return True when at least one route can be served."""
        ...

    def detail(self) -> dict[str, Any]:
        """Return every backend and deployment with its state, as JSON-ready data."""
        ...


def ops_router(
    authenticate: Authenticate,
    health: HealthView,
    exposition: Callable[[], tuple[bytes, str]],
) -> APIRouter:
    """Return the open probes and the endpoints that need the `ops` scope."""
    router = APIRouter()

    def require_ops(request: Request) -> None:
        require_scope(authenticate(request.scope["headers"], peer_of(request.scope)), "ops")

    # The lower decorator is asked first: a 405 names GET.
    @router.head("/", include_in_schema=False)
    @router.get("/")
    @router.head("/api/hello", include_in_schema=False)
    @router.get("/api/hello")
    async def hello() -> Response:
        """Say that somebody is here; Claude Code asks at its start."""
        return _json({"service": "ccproxy"})

    @router.head("/health/live", include_in_schema=False)
    @router.get("/health/live")
    async def live() -> Response:
        """Answer while the process serves."""
        return _json({"status": "live"})

    @router.head("/health/ready", include_in_schema=False)
    @router.get("/health/ready")
    async def ready() -> Response:
        """Answer 200 when at least one route can be served, else 503."""
        is_ready = health.is_ready()
        status = "ready" if is_ready else "not ready"
        return _json({"status": status}, 200 if is_ready else 503)

    @router.head("/health", include_in_schema=False)
    @router.get("/health")
    async def detailed(request: Request) -> Response:
        """Return every backend and deployment with its state."""
        require_ops(request)
        return _json(health.detail())

    @router.get("/openapi.json", include_in_schema=False)
    async def schema(request: Request) -> Response:
        """Return the OpenAPI schema of everything but the pass-through to Claude."""
        require_ops(request)
        return _json(whole_schema(request.app.openapi()))

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Return the Prometheus text format."""
        require_ops(request)
        # Thousands of series take milliseconds, and the disk is asked.
        text, content_type = await asyncio.to_thread(exposition)
        return Response(text, media_type=content_type, headers=_with_id())

    return router


def _json(payload: dict[str, Any], status: int = 200) -> Response:
    body = orjson.dumps(payload)
    return Response(body, status, headers=_with_id(), media_type="application/json")


def _with_id() -> dict[str, str]:
    """Return the header every answer carries (conformance 036)."""
    return {"request-id": mint_request_id()}
