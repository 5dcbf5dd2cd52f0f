"""What stays on the host of the requests that only Claude can serve: batches and uploads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from routing.types import Privacy
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.proxy import RunningProxy

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


@pytest.fixture(scope="module")
def private_token(shared_proxy) -> str:
    """A token that is limited to this host."""
    return shared_proxy.new_token("private", privacy=Privacy.LOCAL_ONLY)


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


# --- rules that only some items or callers meet ------------------------------------------------

READ = {"name": "read_vault", "description": "d", "input_schema": {"type": "object"}}
BATCHES = "/v1/messages/batches"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def choosy() -> AsyncIterator[RunningProxy]:
    """A proxy whose rules keep a project, a tool and long prompts on the host."""
    rules = [
        {"name": "blue", "when": {"project": "blue"}, "privacy": "local_only"},
        {"name": "vault", "when": {"tool_names": ["*_vault"]}, "privacy": "local_only"},
        {"name": "long", "when": {"min_input_tokens": 5000}, "privacy": "local_only"},
    ]
    profile = {**PROXY_OPTIONS["routing"]["profiles"]["p"], "rules": rules}
    routing = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    async with running_proxy(prompts=PROXY_OPTIONS["prompts"], routing=routing) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("path", "headers", "body", "sent"),
    [
        (BATCHES, {}, _batch(), True),
        (BATCHES, {"x-ccproxy-project": "green"}, _batch(tools=[{**READ, "name": "read"}]), True),
        (BATCHES, {"x-ccproxy-project": "blue"}, _batch(), False),
        (BATCHES, {}, _batch(tools=[READ]), False),
        (BATCHES, {}, {"requests": [*_batch()["requests"], *_batch(tools=[READ])["requests"]]}, False),
        (BATCHES, {}, _batch(messages=[{"role": "user", "content": "word " * 9000}]), False),
        (BATCHES, {}, {"requests": []}, False),
        (BATCHES, {}, {"requests": [*_batch()["requests"], {"params": [READ]}]}, False),
        (BATCHES, {}, {"requests": [*_batch()["requests"], "read_vault"]}, False),
        (BATCHES, {"x-ccproxy-agent": "security-auditor"}, _batch(model="agent/code-reviewer"), False),
        ("/agents/security-auditor/v1/messages/batches", {}, _batch(), False),
        (f"{BATCHES}/msgbatch_1/cancel", {}, b"", False),
        ("/v1/files", {}, b"secret", False),
    ],
    ids=[
        "nothing that a rule asks for",
        "another project and tool",
        "the project",
        "the tool",
        "the tool in one item of two",
        "a long prompt",
        "no items",
        "params that are no object",
        "an item that is no object",
        "a header that says otherwise than the item",
        "the path",
        "another method of batches",
        "an upload",
    ],
)  # fmt: skip
async def test_rules_are_asked_of_each_item(path, headers, body, sent, choosy):
    """A rule refuses the batches it applies to; what nobody looks into, wherever it might apply."""
    choosy.claude.reset()
    answer = await ask(choosy.base_url, path, headers=choosy.headers | headers, body=body)

    assert sent == bool(list(choosy.claude.requests)), answer.body
    if not sent:
        assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
        assert "local_only" in answer.error["message"]


async def test_an_empty_batch_of_a_private_agent(proxy):
    """Without an item there is nothing to look into, so the path decides (design 4.4)."""
    for path in ("/agents/security-auditor/v1/messages/batches", BATCHES):
        answer = await ask(proxy.base_url, path, headers=proxy.headers, body={"requests": []})
        assert ("local_only" in answer.body.decode()) is path.startswith("/agents/")

    assert [BATCHES] == [request.path for request in proxy.claude.requests]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", turn(model=MODEL)),
        ("/v1/messages/count_tokens", turn(model=MODEL)),
        (BATCHES, _batch()),
        (BATCHES, {"requests": []}),
        ("/v1/files", b"secret"),
    ],
    ids=["message", "count", "batch", "empty batch", "upload"],
)
async def test_nothing_of_a_local_only_token_leaves(path, body, private_token, proxy):
    """A token's privacy is combined with the table's, on every path (design 4.4)."""
    headers = proxy.headers | {"x-api-key": private_token}
    answer = await ask(proxy.base_url, path, headers=headers, body=body)

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"]), answer.body
    assert "local_only" in answer.error["message"]
    assert [] == list(proxy.claude.requests)


async def test_a_limited_token_whose_items_say_who_they_are(proxy):
    """A token of several agents need not name one for the batch where every item does."""
    token = proxy.new_token("two", agents=("code-reviewer", "test-automator"))
    headers = proxy.headers | {"x-api-key": token}
    named, unnamed = _batch(model="agent/code-reviewer"), {"requests": []}

    answer = await ask(proxy.base_url, BATCHES, headers=headers, body=unnamed)
    assert 403 == answer.status, answer.body
    await ask(proxy.base_url, BATCHES, headers=headers, body=named)
    assert 1 == len(list(proxy.claude.requests))
