"""`/admin/reload` over a real socket."""

import json

import pytest
from fastapi import FastAPI

from ccproxy.api.admin import admin_router
from ccproxy.api.refusals import install_error_shapes
from ccproxy.auth import Principal
from ccproxy.demo.asgi_server import running
from ccproxy.wire.errors import ApiError
from tests.support.http_wire import ask
from tests.support.routing_folder import route_of, routing_folder, routing_text

PRINCIPALS = {b"boss": Principal("boss", frozenset({"ops"})), b"agent": Principal("agent")}


def authenticate(headers, _peer=""):
    for name, value in headers:
        if name == b"x-api-key" and value in PRINCIPALS:
            return PRINCIPALS[value]
    raise ApiError(401, "invalid x-api-key")


@pytest.fixture
async def served(tmp_path):
    folder = routing_folder(tmp_path / "config")
    live = folder.live()
    app = FastAPI()
    install_error_shapes(app)
    app.include_router(admin_router(authenticate, live))
    async with running(app) as base_url:
        yield folder, live, base_url


def key(value):
    return {"x-api-key": value}


async def test_a_good_edit(served):
    """200 with the versions that are in force now and what the loader warns of."""
    folder, live, base_url = served
    folder.files.routing_file.write_text(
        routing_text("qwen-fast") + "    unknown: {route: [claude], privacy: local_only}\n"
    )

    answer = await ask(base_url, "/admin/reload", headers=key("boss"))
    payload = json.loads(answer.body)

    assert answer.status == 200
    assert payload["changed"] is True
    assert payload["version"] == live.loaded.version
    assert payload["table_version"] == live.loaded.table.version
    assert "local_only" in payload["warnings"][0]
    assert route_of(live) == ("qwen-fast",)


async def test_nothing_new(served):
    """200, and `changed` is false."""
    _folder, _live, base_url = served

    answer = await ask(base_url, "/admin/reload", headers=key("boss"))

    assert (answer.status, json.loads(answer.body)["changed"]) == (200, False)


async def test_a_bad_edit(served):
    """409 with every problem, nothing changes, and an SDK does not ask again."""
    folder, live, base_url = served
    folder.files.routing_file.write_text(routing_text("qwne").replace("profiles", "profilse"))

    answer = await ask(base_url, "/admin/reload", headers=key("boss"))
    error = json.loads(answer.body)["error"]

    assert answer.status == 409
    assert error["type"] == "conflict_error"
    assert error["details"]["version"] == live.loaded.version
    assert error["details"]["problems"] == [str(each) for each in live.rejected.problems]
    assert all(problem in error["message"] for problem in error["details"]["problems"])
    assert answer.header("x-should-retry") == "false"
    assert json.loads(answer.body)["request_id"] == answer.header("request-id")
    assert route_of(live) == ("qwen",)


@pytest.mark.parametrize(("token", "status"), [("agent", 403), ("nobody", 401)])
async def test_who_may_not(served, token, status):
    """Without the scope `ops` nothing is loaded."""
    folder, _live, base_url = served
    folder.write("claude")

    answer = await ask(base_url, "/admin/reload", headers=key(token))

    assert answer.status == status
    assert folder.counts == []
