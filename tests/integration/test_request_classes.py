"""Claude Code's own calls, over HTTP and under the shipped table: none is an agent's turn."""

import hashlib
import json

import pytest

from tests.support.http_wire import ask
from tests.support.messages import WEATHER, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT = {
    "user-agent": "claude-cli/2.1.329 (external, cli)",
    "x-claude-code-session-id": "4a4b7c8e-0000-4000-8000-000000000001",
}
MAIN = "claude-opus-5-5"
TITLE = {
    "type": "json_schema",
    "schema": {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    },
}
MONITOR = "You are a security monitor for autonomous AI coding agents. "
CLASSIFIER = turn(
    "<transcript>rm -rf /</transcript>",
    "claude-sonnet-5",
    max_tokens=64,
    system=[{"type": "text", "text": MONITOR + "Judge the action. " * 50}],
    stop_sequences=["</block>"],
    thinking={"type": "disabled"},
)
REWORDED = turn(
    "<transcript>rm -rf /</transcript>",
    "claude-sonnet-5",
    max_tokens=64,
    system="Other words for the same. " * 4_200,
    thinking={"type": "disabled"},
)


async def sent(proxy, body, path="/v1/messages", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await ask(proxy.base_url, path, headers={**proxy.headers, **CLIENT, **named}, body=body)


async def class_of(proxy, body, **headers):
    """Return what the proxy says of the very same request without sending it."""
    question = {**body, "headers": {**CLIENT, **headers}}
    answer = await ask(proxy.base_url, "/admin/explain", headers=proxy.headers, body=question)
    assert answer.status == 200, answer.body
    return answer.json()["request_class"]


async def test_a_session_title_is_a_small_local_models_work(proxy):
    """It asks for the main thread's model, and does not need it (conformance 287)."""
    body = turn("fix the login", MAIN, output_config={"format": TITLE}, stream=True)

    answer = await sent(proxy, body)

    assert (200, "qwen-fast") == (answer.status, answer.header("x-ccproxy-deployment"))
    assert "title" == await class_of(proxy, body)
    assert not proxy.claude.requests


@pytest.mark.parametrize(
    "body",
    [turn("count", "claude-haiku-5-5", stream=False), turn("quota", MAIN, max_tokens=1)],
    ids=["a small model without a stream", "one token"],
)
async def test_background_calls_are_a_small_local_models_work(body, proxy):
    """Chores of the main thread under built-in ids cost nothing (conformance 287)."""
    answer = await sent(proxy, body)

    assert (200, "qwen-fast") == (answer.status, answer.header("x-ccproxy-deployment"))
    assert "background" == await class_of(proxy, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": [WEATHER], "output_config": {"format": TITLE}},
        {"stream": True},
        {"safeguards": [{"type": "dangerous_tool_use"}], "tools": [WEATHER]},
    ],
    ids=["a title's schema with tools", "an ordinary turn", "a turn that carries safeguards"],
)
async def test_a_turn_stays_a_turn(changes, proxy):
    """What merely looks like one of the client's calls goes where the main thread's model goes."""
    body = turn("hello", MAIN, **changes)

    answer = await sent(proxy, body)

    assert "claude-opus" == answer.header("x-ccproxy-deployment"), answer.body
    assert "turn" == await class_of(proxy, body)


@pytest.mark.parametrize("body", [CLASSIFIER, REWORDED], ids=["its words", "its parameters"])
async def test_the_safety_classifier_goes_to_claude_as_it_is(body, proxy):
    """By its tier it would be a local model's; who judges what is dangerous is Claude, unchanged."""
    raw = json.dumps(body).encode()

    answer = await sent(proxy, raw)

    assert (200, "claude") == (answer.status, answer.header("x-ccproxy-route"))
    assert hashlib.sha256(raw).hexdigest() == proxy.claude.requests[0].body_sha256
    assert not proxy.ollama.generations
    assert "safety_classifier" == await class_of(proxy, body)


async def test_the_classifiers_model_without_its_marks_is_an_ordinary_one(proxy):
    """The same model id in a turn with tools is routed by its tier."""
    answer = await sent(proxy, turn("hello", "claude-sonnet-5", tools=[WEATHER]))

    assert "qwen-coder" == answer.header("x-ccproxy-deployment")


@pytest.mark.parametrize("body", [CLASSIFIER, REWORDED], ids=["its words", "its parameters"])
async def test_the_safety_classifier_is_refused_where_nothing_may_leave(body, proxy):
    """Under `local_only` neither Claude nor a local model judges: the client is told why."""
    answer = await sent(proxy, body, x_ccproxy_agent="security-auditor")

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "safety check" in answer.error["message"]
    assert "false" == answer.header("x-should-retry")
    assert not proxy.claude.requests
    assert not proxy.ollama.generations


async def test_counts_of_tokens_are_a_class_of_their_own(proxy):
    """`/context` sends dozens at once; they load no model."""
    answer = await sent(
        proxy, turn("foo", "claude-sonnet-5-5", max_tokens=None), "/v1/messages/count_tokens"
    )

    assert (200, "qwen-coder") == (answer.status, answer.header("x-ccproxy-deployment"))
    assert not proxy.ollama.generations
