"""Section D: what failures look like, and who may try again."""

import json

import anthropic
import pytest
import pytest_asyncio

from ccproxy.api.messages import MessagesEndpoint
from ccproxy.auth import open_principal
from ccproxy.demo.asgi_server import running
from ccproxy.pipeline.exchange import Exchange
from ccproxy.wire.errors import error_type_for
from routing.types import Side
from tests.support.black_box import assert_error, http_answer, post
from tests.support.health import NotedHealth
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, WEATHER, turn
from tests.support.routers import router_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "conflict_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@pytest.mark.parametrize(("status", "error_type"), TYPES.items())
async def test_status_and_type(status, error_type):
    """Every status has its documented type (conformance 047, 048)."""
    assert error_type == error_type_for(status)


@pytest.mark.parametrize(
    ("fault", "status", "error_type", "words", "retry"),
    [
        ({"kind": "busy"}, 529, "overloaded_error", (), "true"),  # 054
        ({"kind": "delete_model"}, 404, "not_found_error", (f"model: {LOCAL}",), "false"),  # 055
        ({"kind": "bad_request", "message": "tools"}, 400, "invalid_request_error", (), "false"),
        ({"kind": "bad_request", "message": "thinking"}, 400, "invalid_request_error", (), "false"),
        (
            {"kind": "bad_request", "message": '"nomic" does not support chat'},
            400,
            "invalid_request_error",
            (),
            "false",
        ),  # 056
        (
            {"kind": "bad_request", "message": "context"},
            400,
            "invalid_request_error",
            ("prompt is too long: 32769 tokens > 32768 maximum",),
            "false",
        ),  # 058
        (
            {"kind": "bad_request", "message": "context_native"},
            400,
            "invalid_request_error",
            ("prompt is too long: ", " tokens > 32768 maximum"),
            "false",
        ),
        ({"kind": "unauthorized"}, 502, "api_error", (), "false"),  # 059
        ({"kind": "forbidden"}, 502, "api_error", (), "false"),
        (
            {"kind": "server_error", "message": 'option "temperature" must be of type float32'},
            400,
            "invalid_request_error",
            (),
            "false",
        ),  # 060
        ({"kind": "html_500"}, 502, "api_error", (), "true"),  # 061
        ({"kind": "non_json"}, 502, "api_error", (), "true"),
        ({"kind": "empty_body"}, 502, "api_error", (), "true"),
        ({"kind": "reset_before_headers"}, 502, "api_error", (), "true"),
        ({"kind": "server_error"}, 502, "api_error", (), "true"),
    ],
    ids=lambda value: value.get("message", value["kind"]) if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_ollama_says(stream, fault, status, error_type, words, retry, proxy):
    """Each refusal of Ollama's has its status, type and advice; none shows where it came from.

    What would fail again is never a 409 or a 5xx without `x-should-retry: false`
    (conformance 042, 046, 051, 052, 054, 055, 056, 057, 058, 059, 060, 061, 154).
    """
    proxy.ollama.add_fault(**fault, times=2)

    answer = await post(proxy, turn(stream=stream))

    assert_error(answer, status, error_type, *words)
    assert retry == answer.header("x-should-retry")
    for secret in (b"127.0.0.1", b"localhost", b"Traceback", b"litellm", b"ollama", b"html"):
        assert secret not in answer.body.lower(), answer.body
    if status == 529:
        assert 0 < int(answer.header("retry-after")) <= 10


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "error_type"),
    [
        ("local-closed", 529, "overloaded_error"),  # 053
        ("closed", 529, "overloaded_error"),  # 065
        ("local-deaf", 504, "timeout_error"),  # 063
        ("deaf", 504, "timeout_error"),
    ],
)
async def test_nobody_answers(model, status, error_type, stream, relay):
    """Unreachable and silent upstreams are told apart, without an address (053, 063, 065)."""
    answer = await post(relay.proxy, turn(model=model, stream=stream))

    assert_error(answer, status, error_type)
    assert "true" == answer.header("x-should-retry")
    assert b"127.0.0.1" not in answer.body
    tried = answer.header("x-ccproxy-attempts")
    if status == 504:
        assert f"{model}:timeout_first_byte" == tried
    elif tried is None:  # known to be gone by now, so nobody tried
        assert f"{model} is unavailable" in answer.error["message"]
    else:
        assert {f"{model}:connect_error"} == set(tried.split(","))


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": "0.5"},
        {"temperature": True},
        {"top_p": [1]},
        {"top_k": 1.5},
        {"max_tokens": "10"},
        {"stream": 1},
    ],
)
async def test_types_are_checked_before_ollama(changes, proxy):
    """A value of the wrong type is a 400, not a 422, and never reaches Ollama (048, 060, 295)."""
    answer = await post(proxy, turn(**changes))

    assert_error(answer, 400, "invalid_request_error", next(iter(changes)))
    assert "false" == answer.header("x-should-retry")
    assert [] == proxy.ollama.generations


async def test_thinking_is_not_asked_of_models_without_it(proxy):
    """A model that cannot think is not asked to, and the client hears nothing of it (057, 193)."""
    thinking = {"type": "enabled", "budget_tokens": 1024}

    answer = await post(proxy, turn(thinking=thinking, max_tokens=2000))

    assert 200 == answer.status
    assert "think" not in proxy.ollama.generations[0].body


BODIES = [
    b'{"type":"error","error":{"type":"invalid_request_error","message":"messages: role \'system\'"}}',
    b'{ "error" : {"message":"prompt is too long: 9 tokens > 8 maximum"}, "type":"error" }\n',
    b"<html>502</html>",
    b"",
]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 503, 529])
@pytest.mark.parametrize("body", BODIES)
async def test_claudes_errors_are_claudes(status, body, relay):
    """Status and body of Claude's own errors arrive as they are (conformance 064, 268)."""
    relay.claude.answer = http_answer(status, body, ("retry-after", "3"), content_type="text/x")

    answer = await post(relay.proxy, turn(model=CLAUDE))

    assert (status, body, "text/x") == (answer.status, answer.body, answer.header("content-type"))


@pytest.mark.parametrize(
    ("status", "exception", "attempts"),
    [
        (400, anthropic.BadRequestError, 1),
        (401, anthropic.AuthenticationError, 1),
        (403, anthropic.PermissionDeniedError, 1),
        (404, anthropic.NotFoundError, 1),
        (413, anthropic.APIStatusError, 1),
        (409, anthropic.ConflictError, 3),
        (429, anthropic.RateLimitError, 3),
        (500, anthropic.InternalServerError, 3),
        (529, anthropic.APIStatusError, 3),
    ],
)
async def test_the_sdks_exceptions(status, exception, attempts, relay):
    """The SDK raises the class of the status, and retries what it always retries (050, 051)."""
    told = {"type": "error", "error": {"type": TYPES[status], "message": "no"}}
    relay.claude.answer = http_answer(status, json.dumps(told).encode(), ("retry-after-ms", "1"))

    async with sdk(relay.proxy) as client:
        with pytest.raises(exception) as raised:
            await client.messages.create(**turn(model=CLAUDE))

    assert status == raised.value.status_code
    assert TYPES[status] == raised.value.body["error"]["type"]
    assert attempts == len(relay.claude.bodies)


@pytest.mark.parametrize(
    ("body", "exception"),
    [
        (turn(max_tokens=-1), anthropic.BadRequestError),
        (turn(model="agent/nobody"), anthropic.NotFoundError),
        (turn(tool_choice={"type": "any"}), anthropic.BadRequestError),
    ],
)
async def test_local_refusals_are_not_retried(body, exception, proxy):
    """The SDK asks once for what would fail again (conformance 042, 051, 052)."""
    async with sdk(proxy) as client:
        with pytest.raises(exception) as raised:
            await client.messages.create(**body)

    assert "false" == raised.value.response.headers["x-should-retry"]
    assert "0" == raised.value.request.headers["x-stainless-retry-count"]


async def test_a_model_without_tools(proxy):
    """Tools for a model that has none: a 400 that says so, Ollama is not asked (056)."""
    answer = await post(proxy, turn(model="qwen-vision", tools=[WEATHER]))

    assert_error(answer, 400, "invalid_request_error", "tools")
    assert [] == proxy.ollama.generations


def sdk(proxy):
    return anthropic.AsyncAnthropic(base_url=proxy.base_url, api_key=proxy.token, max_retries=2)


class Broken:
    """A deployment with a bug."""

    name = LOCAL
    side = Side.LOCAL

    async def open(self, request):
        raise RuntimeError(f"secret of {request.requested_model} in /srv/secret.py")


class Outcomes(list):
    """An `OutcomeSink`."""

    record = list.append


@pytest_asyncio.fixture(loop_scope="module")
async def broken_url(proxy):
    """A proxy all of whose deployments have a bug."""
    live = proxy.proxy.live.loaded
    exchange = Exchange(
        authenticate=lambda _headers, _peer="": open_principal(),
        router=router_of(live.table, live.roster),
        deployments=dict.fromkeys(live.table.deployments, Broken()),
        sink=Outcomes(),
        health=NotedHealth(),
    )
    async with running(MessagesEndpoint(exchange, counting=False)) as url:
        yield url


async def test_a_bug_of_ours(broken_url, proxy):
    """A bug is a 500 that tells nothing of the inside (conformance 062, 292)."""
    answer = await ask(broken_url, "/v1/messages", headers=proxy.headers, body=turn())

    assert_error(answer, 500, "api_error")
    assert b"secret" not in answer.body
