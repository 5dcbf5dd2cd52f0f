"""`/v1/models`: the deployments, then Claude's own ids; every listed id is routable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.api.messages import peer_of
from ccproxy.wire.errors import ApiError
from ccproxy.wire.ids import mint_request_id
from ccproxy.wire.models_page import find, page, parse_page_query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.auth import Authenticate, Principal
    from ccproxy.wire.models_page import ModelEntry
    from routing.types import AgentMatch

_OTHER_METHODS: Final = ["HEAD", "POST", "PUT", "PATCH", "DELETE"]
"""Refused here, or the catch-all behind would hand them to Claude."""


class Catalogue(Protocol):
    """Whoever knows the models."""

    async def entries(self) -> Sequence[ModelEntry]:
        """Return all models, local ones first; answers within a second or so."""
        ...


def models_router(
    authenticate: Authenticate,
    find_agent: Callable[[str | None, Principal], AgentMatch],
    catalogue: Catalogue,
) -> APIRouter:
    """Return both endpoints, plain and under an agent's prefix.

    `find_agent` says who asks, from the slug of the path and the token; it raises an `ApiError`,
    404 for a slug that the roster does not have, 403 for one that the token may not act as.
    """
    router = APIRouter()

    def admit(request: Request) -> AgentMatch:
        principal = authenticate(request.scope["headers"], peer_of(request.scope))
        return find_agent(request.path_params.get("slug"), principal)

    @router.get("/v1/models")
    @router.get("/agents/{slug}/v1/models")
    async def list_models(request: Request) -> Response:
        """Return one page of models."""
        match = admit(request)
        query = parse_page_query(request.scope["query_string"])
        return _json(
            page(
                await catalogue.entries(),
                query.limit,
                query.after_id,
                query.before_id,
                lifecycle=query.lifecycle,
            ),
            match,
        )

    @router.get("/v1/models/{model_id:path}")
    @router.get("/agents/{slug}/v1/models/{model_id:path}")
    async def show_model(request: Request, model_id: str) -> Response:
        """Return one model, or 404."""
        match = admit(request)
        return _json(find(await catalogue.entries(), model_id).as_info(), match)

    for path in ("/v1/models", "/v1/models/{model_id:path}"):
        for prefix in ("", "/agents/{slug}"):
            router.add_api_route(
                prefix + path, _not_allowed, methods=_OTHER_METHODS, include_in_schema=False
            )
    return router


async def _not_allowed() -> Response:
    raise ApiError(405, "Method Not Allowed", headers=(("allow", "GET"),))


def _json(payload: Mapping[str, object], match: AgentMatch) -> Response:
    request_id = mint_request_id()
    response = Response(orjson.dumps(payload), media_type="application/json")
    response.headers["request-id"] = request_id
    response.headers["x-ccproxy-request-id"] = request_id
    response.headers["x-ccproxy-agent"] = match.slug or "unknown"
    response.headers["x-ccproxy-agent-source"] = match.source
    return response
