"""What ops may ask of a running proxy; every endpoint needs the scope `ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import orjson
from fastapi import APIRouter, Request, Response

from ccproxy.api.messages import peer_of
from ccproxy.auth import require_scope
from ccproxy.wire.errors import ApiError, error_payload
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.auth import Authenticate


class ReloadResult(Protocol):
    """What a reload came to; with problems nothing has changed."""

    @property
    def changed(self) -> bool:
        """Something else is in force now."""
        ...

    @property
    def version(self) -> str:
        """Version of the files that are in force."""
        ...

    @property
    def table_version(self) -> str:
        """Version of the table that is in force."""
        ...

    @property
    def problems(self) -> Sequence[object]:
        """Why the files were rejected; each as text is `file:line:column: key: message`."""
        ...

    @property
    def warnings(self) -> Sequence[object]:
        """Likewise, of what is in force."""
        ...


class Reloads(Protocol):
    """Whoever loads the routing files anew."""

    async def reload(self) -> ReloadResult:
        """Load them and put them in force if they are good; never raises for what is in them."""
        ...


def admin_router(authenticate: Authenticate, live: Reloads) -> APIRouter:
    """Return `POST /admin/reload`.

    It answers 200 `{"changed", "version", "table_version", "warnings"}`, or 409 `conflict_error`
    with every problem in `error.details.problems`, and then the old table serves on.
    """
    router = APIRouter()

    @router.post("/admin/reload")
    async def reload(request: Request) -> Response:
        """Load the routing table and the roster anew."""
        require_scope(authenticate(request.scope["headers"], peer_of(request.scope)), "ops")
        result = await live.reload()
        request_id = mint_request_id()
        if result.problems:
            return _answer(409, _rejection(result, request_id), request_id)
        payload: dict[str, object] = {
            "changed": result.changed,
            "version": result.version,
            "table_version": result.table_version,
            "warnings": [str(warning) for warning in result.warnings],
        }
        return _answer(200, payload, request_id)

    return router


def _rejection(result: ReloadResult, request_id: str) -> dict[str, object]:
    problems = [str(problem) for problem in result.problems]
    message = f"Rejected; version {result.version} stays in force.\n" + "\n".join(problems)
    payload = error_payload(ApiError(409, message), request_id)
    payload["error"]["details"] = {"problems": problems, "version": result.version}
    return payload


def _answer(status: int, payload: dict[str, object], request_id: str) -> Response:
    headers = {"request-id": request_id}
    if status == 409:
        # The files will not be better by asking again; SDKs would, for a 409.
        headers["x-should-retry"] = "false"
    return Response(orjson.dumps(payload), status, headers, media_type="application/json")
