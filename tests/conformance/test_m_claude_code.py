"""Section M over the wire: what Claude Code sends, without the program itself.

tests/clients runs the program where it is installed.
"""

import re

import pytest

from tests.ccproxy.wire.test_validate_clients import claude_code
from tests.support.black_box import assert_error, post, sent_to_model, stream
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, WEATHER, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

OVERFLOW = re.compile(r"prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", re.IGNORECASE)
"""What Claude Code looks for. Source: text in its program, 2.1.197."""
BETAS = ",".join(f"some-beta-{number}-2026-01-01" for number in range(12))
CLIENT = {"anthropic-beta": BETAS, "user-agent": "claude-cli/2.1.329 (external, sdk-cli)"}
THINKER = "qwen-thinker"


@pytest.mark.parametrize("model", [LOCAL, THINKER, CLAUDE])
@pytest.mark.parametrize("credential", ["authorization", "x-api-key"])
async def test_a_turn_of_claude_code(credential, model, proxy):
    """A whole turn with either credential, all its options and `?beta=true` (280, 282, 283)."""
    value = proxy.token if credential == "x-api-key" else f"Bearer {proxy.token}"
    headers = {**CLIENT, credential: value, "anthropic-version": "2023-06-01"}

    body = claude_code(model=model, max_tokens=4000)
    if model == CLAUDE:
        body["messages"] = body["messages"][:2]  # its thinking was not signed by this Claude

    answer = await ask(proxy.base_url, "/v1/messages?beta=true", headers=headers, body=body)

    assert 200 == answer.status, answer.body
    assert answer.body.startswith(b"event: message_start\n")
    assert b"event: message_stop\n" in answer.body


async def test_many_tools_and_a_long_prompt(proxy):
    """Twenty tools and fifteen thousand tokens reach a local model whole (conformance 281)."""
    tools = [WEATHER | {"name": f"tool_{number}"} for number in range(20)]
    prompt = "All of this matters to the task. " * 2500

    message = (await stream(proxy, turn("Begin.", system=prompt, tools=tools))).message

    assert message["usage"]["input_tokens"] > 15_000
    sent = sent_to_model(proxy)
    assert prompt == sent["messages"][0]["content"]
    assert sorted(f"tool_{n}" for n in range(20)) == [t["function"]["name"] for t in sent["tools"]]


async def test_an_overflow_can_be_compacted(proxy):
    """The overflow has the numbers Claude Code reads; what it sends then is served (281, 284)."""
    history = [
        {"role": role, "content": "Something was said. " * 2000}
        for _ in range(10)
        for role in ("user", "assistant")
    ]
    last = {"role": "user", "content": "Go on."}

    refused = await post(proxy, turn(stream=True, messages=[*history, last]))

    assert_error(refused, 400, "invalid_request_error")
    found = OVERFLOW.search(refused.error["message"])
    assert found is not None
    assert int(found[1]) > int(found[2]) > 0
    summary = {"role": "user", "content": "This session continues an earlier one. Summary: …"}
    assert 200 == (await post(proxy, turn(stream=True, messages=[summary, last]))).status


async def test_tools_of_the_conversations_end(proxy):
    """A removed tool is not offered, one that a message defines is (conformance 080)."""
    change = {
        "role": "system",
        "content": [
            {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "get_weather"}},
            {
                "type": "tool_addition",
                "tool": {"type": "tool_definition", "definition": WEATHER | {"name": "get_news"}},
            },
        ],
    }
    messages = [{"role": "user", "content": "Hi"}, change]

    answer = await post(proxy, turn(messages=messages, tools=[WEATHER, WEATHER | {"name": "get"}]))

    assert 200 == answer.status, answer.body
    names = [tool["function"]["name"] for tool in sent_to_model(proxy)["tools"]]
    assert ["get", "get_news"] == names
