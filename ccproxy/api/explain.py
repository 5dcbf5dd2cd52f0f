"""`POST /admin/explain` and `/admin/estimate`: what would become of a request that is not sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.api.asgi_client import AsgiClient
from ccproxy.api.messages import peer_of
from ccproxy.auth import require_scope
from ccproxy.wire.ids import mint_request_id
from ccproxy.wire.json_body import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Message

    from ccproxy.api.body_memory import BodyMemory
    from ccproxy.auth import Authenticate

BODY_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""As for Messages themselves (conformance 018)."""


class Explains(Protocol):
    """Whoever can say what would become of a request."""

    def explain(self, document: Mapping[str, Any]) -> dict[str, object]:
        """Return the decision, JSON-ready.

        Raises:
            ApiError: 400; the question cannot be understood.
        """
        ...


class Estimates(Protocol):
    """Whoever can say what a request would come to."""

    def estimate(self, document: Mapping[str, Any]) -> dict[str, object]:
        """Return tokens, money and time on each route, JSON-ready.

        Raises:
            ApiError: 400; the question cannot be understood.
        """
        ...


def explain_router(
    authenticate: Authenticate,
    explainer: Explains,
    estimator: Estimates,
    memory: BodyMemory | None = None,
) -> APIRouter:
    """Return `POST /admin/explain` and `POST /admin/estimate`, which need the scope `ops`.

    The body is a Messages request with more keys beside it (`ccproxy.pipeline.explainer` lists
    them). The answer is 200 also where the request would be refused: then it has `refused`.
    `memory` is for all endpoints together.
    """
    router = APIRouter()

    async def answered(
        request: Request, answer: Callable[[Mapping[str, Any]], dict[str, object]]
    ) -> Response:
        require_scope(authenticate(request.scope["headers"], peer_of(request.scope)), "ops")
        client = AsgiClient(request.scope, request.receive, _send_nothing, memory=memory)
        try:
            raw_body = await client.read_body(BODY_LIMIT_BYTES)
            # In a thread: a long prompt is parsed, estimated and searched, the ledger is read.
            told = await asyncio.to_thread(_answer, answer, raw_body, client.hold)
        finally:
            client.let_go()
        headers = {"request-id": mint_request_id()}
        return Response(told, headers=headers, media_type="application/json")

    @router.post("/admin/explain")
    async def explain(request: Request) -> Response:
        """Say who is calling, what each rule and candidate came to, and the attempts in order."""
        return await answered(request, explainer.explain)

    @router.post("/admin/estimate")
    async def estimate(request: Request) -> Response:
        """Say what the request would come to on each route: tokens, money, time."""
        return await answered(request, estimator.estimate)

    return router


def _answer(
    answer: Callable[[Mapping[str, Any]], dict[str, object]],
    raw_body: bytes,
    hold: Callable[[int], None],
) -> bytes:
    return orjson.dumps(answer(parse_json_object(raw_body, hold)))


async def _send_nothing(_message: Message) -> None:
    """Stand in for the answer's way out, which is Starlette's here."""
