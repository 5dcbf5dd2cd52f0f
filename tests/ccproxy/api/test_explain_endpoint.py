"""`POST /admin/explain` and `POST /admin/estimate` over HTTP."""

import httpx
import pytest
from fastapi import FastAPI

from ccproxy.api.explain import explain_router
from ccproxy.api.refusals import install_error_shapes
from ccproxy.auth import Principal
from ccproxy.wire.errors import ApiError, invalid_request

OPS = {"authorization": "ops"}


class Service:
    """Answers with the question itself."""

    def explain(self, document):
        if "bad" in document:
            raise invalid_request("bad: no")
        return {"asked": document}

    def estimate(self, document):
        return {"estimated": self.explain(document)["asked"]}


def authenticate(headers, _peer=""):
    presented = dict(headers).get(b"authorization")
    if presented is None:
        raise ApiError(401, "no token")
    return Principal("test", scopes=(presented.decode(),))


@pytest.fixture
async def client():
    app = FastAPI(redirect_slashes=False)
    install_error_shapes(app)
    app.include_router(explain_router(authenticate, Service(), Service()))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
        yield client


async def test_the_service_gets_the_body(client):
    """The parsed body goes to the service, its answer comes back, with a request id."""
    answer = await client.post("/admin/explain", json={"model": "m"}, headers=OPS)

    assert (answer.status_code, answer.json()) == (200, {"asked": {"model": "m"}})
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [({}, 401, "authentication_error"), ({"authorization": "none"}, 403, "permission_error")],
)
async def test_it_is_for_ops(client, headers, status, kind):
    """Without a token 401, without the scope 403, before the body is looked at."""
    answer = await client.post("/admin/explain", content=b"{", headers=headers)

    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"bad": 1}', b"\xff"])
async def test_a_body_that_is_no_question(client, body):
    """It is a 400 in Anthropic's shape."""
    answer = await client.post("/admin/explain", content=body, headers=OPS)

    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_body_that_is_too_large(client):
    """The limit of Messages holds here too."""
    headers = OPS | {"content-length": str(33 * 1024 * 1024)}
    answer = await client.post("/admin/explain", content=b"{}", headers=headers)

    assert answer.status_code == 413


async def test_other_methods(client):
    """There is nothing to get here."""
    answer = await client.get("/admin/explain", headers=OPS)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_an_estimate_is_asked_for_in_the_same_way(client):
    """The same bodies, the same scope, the same refusals; another answer."""
    path = "/admin/estimate"
    answer = await client.post(path, json={"model": "m"}, headers=OPS)

    assert 200 == answer.status_code
    assert {"estimated": {"model": "m"}} == answer.json()
    assert 403 == (await client.post(path, json={}, headers={"authorization": "x"})).status_code
    assert 400 == (await client.post(path, json={"bad": 1}, headers=OPS)).status_code
