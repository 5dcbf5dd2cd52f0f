"""What has been used of the budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.api.messages import peer_of
from ccproxy.auth import require_scope
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.auth import Authenticate


def budgets_router(
    authenticate: Authenticate,
    status: Callable[[], Mapping[str, Any]],
) -> APIRouter:
    """Return `GET /admin/budgets`, which needs the scope `ops`.

    It answers `{"restored", "budgets"}`; `pipeline.budgets.BudgetGuard.status` has the keys.
    """
    router = APIRouter()

    @router.get("/admin/budgets")
    async def budgets(request: Request) -> Response:
        """Return each budget with its limit, what was used of it, and when it opens again."""
        require_scope(authenticate(request.scope["headers"], peer_of(request.scope)), "ops")
        headers = {"request-id": mint_request_id()}
        return Response(orjson.dumps(status()), headers=headers, media_type="application/json")

    return router
