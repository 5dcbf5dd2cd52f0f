"""Section E over the wire: the rows of the validator's own tests, and what Claude may judge."""

import json

import pytest

from tests.ccproxy.wire.test_json_body import INVALID
from tests.ccproxy.wire.test_validate import NEW_ROWS, ROWS, Elsewhere
from tests.support.black_box import COUNT, MESSAGES, assert_error, http_answer, post
from tests.support.messages import CLAUDE, LOCAL, MIXED, WEATHER, turn
from tests.support.proxy import running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize("body", INVALID.values(), ids=INVALID.keys())
async def test_bodies_that_are_no_object(body, path, relay):
    """What is not one JSON object is refused before any upstream hears of it (067-070)."""
    answer = await post(relay.proxy, body, path=path)

    assert_error(answer, 400, "invalid_request_error", "not valid JSON")
    assert "false" == answer.header("x-should-retry")
    assert [] == relay.claude.bodies


async def test_of_duplicate_keys_the_last_counts(proxy):
    """Routing reads the same `model` that Claude does, the last one (conformance 071)."""
    body = json.dumps(turn(model=LOCAL))[:-1] + f', "model": "{CLAUDE}"}}'

    answer = await post(proxy, body.encode())

    assert "claude" == answer.header("x-ccproxy-route")
    assert body.encode() == proxy.claude.requests[0].body


# The one row whose hundred images fill the simulated model's window.
WIRE_ROWS = [row for row in ROWS if row[0] != "107 100 images"]


def sees_images(body):
    return '"type": "image"' in json.dumps(body)


@pytest.mark.parametrize(
    ("body", "expected", "version"),
    [
        *((body, expected, "2023-06-01") for _, body, expected in WIRE_ROWS),
        *((body, expected, "2026-10-21") for _, body, expected in NEW_ROWS),
    ],
    ids=[row[0] for row in (*WIRE_ROWS, *NEW_ROWS)],
)
async def test_rows_of_the_validator(body, expected, version, proxy):
    """Each rule's row is served, or refused with its words and without a call to Ollama (072-115)."""
    if body.get("model") == LOCAL and sees_images(body):
        body = body | {"model": "qwen-vision"}

    answer = await post(proxy, body, headers={"anthropic-version": version})

    if expected is None:
        assert 200 == answer.status, answer.body
    else:
        text = expected.text if isinstance(expected, Elsewhere) else expected
        if text.startswith(("model: Input", "model: String")):
            text = "model: "  # told before any route is chosen, in words of its own
        assert_error(answer, 400, "invalid_request_error")
        assert answer.error["message"].startswith(text)
        assert "false" == answer.header("x-should-retry")
        assert [] == proxy.ollama.generations


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
async def test_an_unknown_model(path):
    """Without a default route an unknown id is a 404 that names it (conformance 073)."""
    profile = {"tiers": {"opus": {"route": [LOCAL]}}}
    table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    async with running_proxy(routing=table) as proxy:
        answer = await post(proxy, turn(model="gpt-4o"), path=path)

    assert_error(answer, 404, "not_found_error", "model: gpt-4o")
    assert "false" == answer.header("x-should-retry")


async def test_no_output_at_all(proxy):
    """`max_tokens: 0` is a whole Message without content; nothing is generated (075, 202)."""
    answer = await post(proxy, turn(max_tokens=0))

    assert 200 == answer.status
    message = answer.json()
    assert ([], "max_tokens", None) == (
        message["content"],
        message["stop_reason"],
        message["stop_sequence"],
    )
    assert message["usage"]["input_tokens"] > 0
    assert 0 == message["usage"]["output_tokens"]
    assert [] == proxy.ollama.generations
    assert 0 == proxy.ollama.loads


async def test_more_output_than_fits_is_clamped(proxy):
    """A `max_tokens` beyond the window is no error: the model gets what is left (074, 230)."""
    answer = await post(proxy, turn(max_tokens=10**9))

    assert 200 == answer.status
    options = proxy.ollama.generations[0].body["options"]
    assert 0 < options["num_predict"] < options["num_ctx"]


ODD_BUT_CLAUDES = [
    {"messages": [{"role": "tool", "content": None}]},
    {"messages": [], "max_tokens": "many"},
    {"tools": [{"type": "web_search_20990101", "name": "x"}]},
    {"thread": {"type": "create"}},
    {"temperature": 7, "brand_new_field": {"a": [1, {"b": None}]}},
    {"stream": "yes", "tool_choice": "auto"},
    {"system": [{"type": "image"}], "thinking": {"type": "later"}},
    {"container": "c", "mcp_servers": [{}], "context_management": {"x": 1}},
]


@pytest.mark.parametrize("changes", ODD_BUT_CLAUDES)
@pytest.mark.parametrize("path", [MESSAGES, COUNT])
async def test_claude_judges_for_itself(path, changes, relay):
    """Toward Claude nothing but the model's name is looked at (conformance 066, 258)."""
    relay.claude.answer = http_answer()
    body = json.dumps(turn(model=CLAUDE) | changes, indent=1).encode()

    answer = await post(relay.proxy, body, path=path)

    assert 200 == answer.status
    assert [body] == relay.claude.bodies


IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGFsbG8="},
}
PDF = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
}


@pytest.mark.parametrize(
    "changes",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [WEATHER, {"type": "bash_20250124", "name": "bash"}]},
        {"messages": [{"role": "user", "content": [IMAGE]}]},
        {"messages": [{"role": "user", "content": [PDF]}]},
        {"container": "container_1"},
        {"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]},
        {"fallbacks": [{"model": "claude-x"}]},
        {"thread": {"type": "continue", "previous_message_id": "msg_1"}},
    ],
    ids=["server tool", "bash", "image", "pdf", "container", "mcp", "fallbacks", "thread"],
)
async def test_what_only_claude_can_do(changes, proxy):
    """Such a request goes on to Claude where the route has one, else it is a 400 by name.

    What is counted is what would be served (conformance 099, 108, 109, 110, 112, 245, 279).
    """
    routed = await post(proxy, turn(model=MIXED, **changes))
    assert "claude" == routed.header("x-ccproxy-route")
    assert routed.header("x-ccproxy-attempts").endswith("claude-sonnet:ok")
    counted = await post(proxy, turn(model=MIXED, **changes), path=COUNT)
    assert 200 == counted.status

    alone = await post(proxy, turn(model=LOCAL, **changes))
    assert_error(alone, 400, "invalid_request_error")
    assert "false" == alone.header("x-should-retry")
    assert [] == proxy.ollama.generations
    if "thread" in changes:
        assert "thread_not_found" == alone.error["details"]["error_code"]


@pytest.mark.parametrize("model", [LOCAL, MIXED])
async def test_a_new_thread(model, proxy):
    """A local model says that it keeps no thread, in the code the SDK understands (111)."""
    answer = await post(proxy, turn(model=model, thread={"type": "create"}))

    assert_error(answer, 400, "invalid_request_error")
    assert {"error_code": "thread_unsupported_request"} == answer.error["details"]


async def test_ignored_fields_are_named(proxy):
    """What a local model does not get is said in a header (conformance 110, 113)."""
    answer = await post(
        proxy, turn(diagnostics={}, context_management={}, brand_new=1, metadata={"user_id": "u"})
    )

    assert 200 == answer.status
    notes = answer.header("x-ccproxy-notes")
    assert "ignored=diagnostics,ignored=context_management,ignored=brand_new" == notes


PREFILL = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The answer is"}]


async def test_a_prefill_is_continued(proxy):
    """A final assistant message is the model's to continue (conformance 114, 203)."""
    answer = await post(proxy, turn(messages=PREFILL))

    assert 200 == answer.status
    assert PREFILL == proxy.ollama.generations[0].body["messages"]
