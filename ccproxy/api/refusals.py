"""Errors that never reach the pipeline: unknown paths, wrong methods, the edge's own faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ccproxy.wire.errors import ApiError, error_body
from ccproxy.wire.ids import mint_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.types import Scope, Send


def error_response(error: ApiError) -> Response:
    """Return the Anthropic-shaped response of an error, with a request id of its own."""
    request_id = mint_request_id()
    response = Response(
        error_body(error, request_id), status_code=error.status, media_type="application/json"
    )
    response.headers["request-id"] = request_id
    response.headers["x-ccproxy-request-id"] = request_id
    if error.should_retry is not None:
        response.headers["x-should-retry"] = "true" if error.should_retry else "false"
    for name, value in error.headers:
        response.headers[name] = value
    return response


async def respond_with_error(error: ApiError, send: Send) -> None:
    """Send the error over bare ASGI."""
    response = error_response(error)
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": response.body})


def _tell_nobody(_scope: Scope, _status: int, _request_id: str) -> None:
    """Without an audit log."""


def install_error_shapes(
    app: FastAPI, on_refused: Callable[[Scope, int, str], None] = _tell_nobody
) -> None:
    """Make every error of the framework Anthropic-shaped (conformance 046, 292).

    `on_refused` hears of requests that end in 401 or 403, with the status and the request id.
    """

    async def on_api_error(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, ApiError)  # noqa: S101 - registered for this class
        response = error_response(exc)
        if exc.status in (401, 403):
            on_refused(request.scope, exc.status, response.headers["request-id"])
        return response

    async def on_http_exception(_request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)  # noqa: S101 - registered for this class
        message = "Not found" if exc.status_code == 404 else str(exc.detail)
        headers = tuple((exc.headers or {}).items())
        return error_response(ApiError(exc.status_code, message, headers=headers))

    async def on_invalid(_request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)  # noqa: S101 - registered for this class
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return error_response(ApiError(400, f"{where}: {first['msg']}", should_retry=False))

    async def on_bug(_request: Request, _exc: Exception) -> Response:
        return error_response(ApiError(500, "Internal proxy error."))

    app.add_exception_handler(ApiError, on_api_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_bug)
