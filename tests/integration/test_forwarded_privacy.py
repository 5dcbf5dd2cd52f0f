"""What stays on the host of the requests that only Claude can serve: batches and uploads."""

from __future__ import annotations

import pytest

from tests.support.http_wire import ask
from tests.support.messages import turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROMPT = "\n".join(f"Line {number} of what the auditor is told to look for." for number in range(9))
PROXY_OPTIONS = {
    "prompts": {"security-auditor": PROMPT},
    "routing": {
        "version": 1,
        "active_profile": "p",
        "profiles": {
            "p": {
                "agents": {
                    "security-auditor": {"route": ["qwen-coder"], "privacy": "local_only"},
                    "code-reviewer": {"route": ["qwen-fast"]},
                },
                "default": {"route": ["claude-sonnet"]},
            }
        },
    },
}
MODEL = "claude-sonnet-4-5"
IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def _batch(**item):
    return {"requests": [{"custom_id": "a", "params": {**turn(model=MODEL), **item}}]}


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v1/messages/batches", {}, _batch(system=f"Before.\n{PROMPT}\nAfter.")),
        (
            "/v1/messages/batches",
            {"x-ccproxy-agent": "code-reviewer"},
            _batch(system=[{"type": "text", "text": PROMPT}]),
        ),
        ("/v1/messages/batches", {"x-ccproxy-agent": "security-auditor"}, _batch()),
        ("/v1/files", {"x-ccproxy-agent": "security-auditor"}, b"secret"),
    ],
    ids=["prompt", "prompt and header", "header", "upload by header"],
)
async def test_what_a_message_may_not_a_batch_may_not(path, headers, body, proxy):
    """A batch's item is identified like a message, by whatever signal it carries (design 4.4)."""
    answer = await ask(proxy.base_url, path, headers=proxy.headers | headers, body=body)

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"]), answer.body
    assert "local_only" in answer.error["message"]
    assert [] == list(proxy.claude.requests)


async def test_an_upload_of_a_client_agent_that_was_recognised(proxy):
    """A later request with the agent's id is the agent's, also on these paths (design 4.4)."""
    headers = proxy.headers | {"x-claude-code-agent-id": "a-1", "x-claude-code-session-id": "s-1"}
    first = await ask(
        proxy.base_url, "/v1/messages", headers=headers, body=turn(model=MODEL, system=PROMPT)
    )
    answer = await ask(proxy.base_url, "/v1/files", headers=headers, body=b"secret")

    assert "security-auditor" == first.header("x-ccproxy-agent")
    assert (400, "security-auditor") == (answer.status, answer.header("x-ccproxy-agent"))
    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize(
    "body",
    [
        _batch(),
        _batch(
            model="agent/code-reviewer",
            messages=[{"role": "user", "content": [{"type": "image", "source": IMAGE}]}],
        ),
    ],
    ids=["plain", "no local deployment could do it"],
)
async def test_a_batch_without_anything_private(body, proxy):
    """It reaches Claude, whatever a local deployment could have made of it."""
    await ask(proxy.base_url, "/v1/messages/batches", headers=proxy.headers, body=body)

    assert ["/v1/messages/batches"] == [request.path for request in proxy.claude.requests]


@pytest.mark.parametrize(
    ("token_agents", "system", "status"),
    [
        (("code-reviewer", "test-automator"), PROMPT, 403),
        (("code-reviewer",), PROMPT, None),
    ],
    ids=["several agents", "one agent"],
)
async def test_a_limited_tokens_batch(token_agents, system, status, proxy):
    """An item that says who it is of needs a token that may be that agent."""
    token = proxy.new_token(f"limited-{len(token_agents)}", agents=token_agents)
    headers = proxy.headers | {"x-api-key": token, "x-ccproxy-agent": "code-reviewer"}

    answer = await ask(
        proxy.base_url, "/v1/messages/batches", headers=headers, body=_batch(system=system)
    )

    if status is not None:
        assert status == answer.status, answer.body
        assert [] == list(proxy.claude.requests)
    else:
        assert 1 == len(list(proxy.claude.requests))
