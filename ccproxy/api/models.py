"""`/v1/models`: the deployments, then Claude's own ids; every listed id is routable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.wire.ids import mint_request_id
from ccproxy.wire.models_page import find, page, parse_page_query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ccproxy.auth import Principal
    from ccproxy.wire.models_page import ModelEntry


class Catalogue(Protocol):
    """Whoever knows the models."""

    async def entries(self) -> Sequence[ModelEntry]:
        """Return all models, local ones first; answers within a second or so."""
        ...


def models_router(
    authenticate: Callable[[Sequence[tuple[bytes, bytes]]], Principal],
    check_agent: Callable[[str], None],
    catalogue: Catalogue,
) -> APIRouter:
    """Return both endpoints, plain and under an agent's prefix.

    `check_agent` raises a 404 `ApiError` for a slug that the roster does not have.
    """
    router = APIRouter()

    def admit(request: Request) -> None:
        authenticate(request.scope["headers"])
        if (slug := request.path_params.get("slug")) is not None:
            check_agent(slug)

    @router.get("/v1/models")
    @router.get("/agents/{slug}/v1/models")
    async def list_models(request: Request) -> Response:
        """Return one page of models."""
        admit(request)
        query = parse_page_query(request.scope["query_string"])
        return _json(
            page(
                await catalogue.entries(),
                query.limit,
                query.after_id,
                query.before_id,
                lifecycle=query.lifecycle,
            )
        )

    @router.get("/v1/models/{model_id:path}")
    @router.get("/agents/{slug}/v1/models/{model_id:path}")
    async def show_model(request: Request, model_id: str) -> Response:
        """Return one model, or 404."""
        admit(request)
        return _json(find(await catalogue.entries(), model_id).as_info())

    return router


def _json(payload: Mapping[str, object]) -> Response:
    response = Response(orjson.dumps(payload), media_type="application/json")
    response.headers["request-id"] = mint_request_id()
    return response
