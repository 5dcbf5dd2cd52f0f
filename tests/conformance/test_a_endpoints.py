"""Section A, what tests/integration/test_edge.py leaves: the endpoints' answers."""

import pytest

from tests.support.black_box import MESSAGES, assert_error, post
from tests.support.grammar import check_stream
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.proxy import running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
@pytest.mark.parametrize("accept", [None, "application/json", "text/event-stream", "*/*"])
@pytest.mark.parametrize("wanted", [None, False, True])
async def test_stream_or_json(wanted, accept, model, proxy):
    """The body's `stream` alone decides between JSON and SSE (conformance 001, 163)."""
    headers = {} if accept is None else {"accept": accept}

    answer = await post(proxy, turn(model=model, stream=wanted), headers=headers)

    assert 200 == answer.status
    if wanted:
        assert answer.header("content-type").startswith("text/event-stream")
        assert answer.body.startswith(b"event: message_start\n")
        if model == LOCAL:
            check_stream(answer.body)
    else:
        assert "application/json" == answer.header("content-type")
        assert "message" == answer.json()["type"]


ODD_NAMES = ["team/qwen", "qwen3:30b-a3b", "qwen2.5.1", "claude-haiku-at-home"]


async def test_models_with_odd_names():
    """A model's id may hold `:`, `/` and `.`, encoded or not, and sound like Claude (004, 005, 255)."""
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "ollama_chat/q", "api_base": "http://127.0.0.1:9"},
        }
        for name in ODD_NAMES
    ]
    profile = {"default": {"route": ODD_NAMES[:1]}}
    table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    spelled = {
        "team/qwen": "team/qwen",
        "team%2Fqwen": "team/qwen",
        "team%2fqwen": "team/qwen",
        "qwen3:30b-a3b": "qwen3:30b-a3b",
        "qwen3%3A30b-a3b": "qwen3:30b-a3b",
        "qwen2.5.1": "qwen2.5.1",
        "claude-haiku-at-home": "claude-haiku-at-home",
        "qwen2%2E5%2E1": "qwen2.5.1",
    }
    async with running_proxy(routing=table, changes={"model_list": models}) as proxy:
        listing = await ask(proxy.base_url, "/v1/models", method="GET", headers=proxy.headers)
        assert ODD_NAMES == [info["id"] for info in listing.json()["data"]]
        for path, name in spelled.items():
            answer = await ask(
                proxy.base_url, f"/v1/models/{path}", method="GET", headers=proxy.headers
            )
            assert (200, name) == (answer.status, answer.json().get("id")), path
        missing = await ask(
            proxy.base_url, "/v1/models/nobody", method="GET", headers=proxy.headers
        )
        assert_error(missing, 404, "not_found_error", "nobody")


async def test_messages_is_post_only(proxy):
    """Another method is a 405 that names the right one (conformance 009)."""
    answer = await ask(proxy.base_url, MESSAGES, method="GET", headers=proxy.headers)

    assert_error(answer, 405, "invalid_request_error")
    assert "POST" == answer.header("allow")
