"""The framework's own errors, in Anthropic's shape."""

import contextlib
import json
from typing import Annotated

import pytest
from fastapi import FastAPI, HTTPException, Query

from ccproxy.api.refusals import install_error_shapes
from ccproxy.wire.errors import ApiError


def broken_app():
    app = FastAPI(redirect_slashes=False)
    install_error_shapes(app)

    @app.get("/bug")
    async def bug():
        raise RuntimeError("a-secret")

    @app.get("/refusal")
    async def refusal():
        raise ApiError(403, "no", should_retry=False, headers=(("x-more", "1"),))

    @app.get("/http")
    async def http():
        raise HTTPException(418, "teapot")

    @app.get("/query")
    async def query(number: Annotated[int, Query()]):
        return number

    return app


async def call(path, method="GET"):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
        "http_version": "1.1",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        "scheme": "http",
        "root_path": "",
    }
    # The framework answers first and raises then, for the server's log.
    with contextlib.suppress(RuntimeError):
        await broken_app()(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), body


@pytest.mark.parametrize(
    ("path", "method", "status", "error_type"),
    [
        ("/nowhere", "GET", 404, "not_found_error"),
        ("/bug/", "GET", 404, "not_found_error"),
        ("/refusal", "POST", 405, "invalid_request_error"),
        ("/bug", "GET", 500, "api_error"),
        ("/refusal", "GET", 403, "permission_error"),
        ("/http", "GET", 418, "invalid_request_error"),
        ("/query?number=x", "GET", 400, "invalid_request_error"),
        ("/query", "GET", 400, "invalid_request_error"),
    ],
)
async def test_errors_of_the_framework(path, method, status, error_type):
    """404, 405, validation and bugs alike: never `detail`, never 422, never a traceback.

    (conformance 046, 048, 062, 292, 296)
    """
    got, headers, body = await call(path, method)

    payload = json.loads(body)
    assert (status, error_type) == (got, payload["error"]["type"])
    assert payload["error"]["message"]
    assert payload["request_id"].encode() == headers[b"request-id"]
    assert "a-secret" not in body.decode()
    if status == 405:
        assert b"GET" == headers[b"allow"]
    if path == "/refusal" and method == "GET":
        assert (b"1", b"false") == (headers[b"x-more"], headers[b"x-should-retry"])
