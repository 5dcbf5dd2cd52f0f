"""Requests that reach Claude under a name that is no model of Claude's."""

import pytest

from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy


@pytest.mark.parametrize(
    ("model", "asked_for"),
    [
        ("claude-opus", "claude-opus-5-5"),
        ("agent/chief-architect", "claude-opus-5-5"),
        ("claude-sonnet", "claude-sonnet-5-5"),
        ("claude-opus-4-6", "claude-opus-4-6"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5-20251101"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_claude_is_asked_for_a_model_it_has(model, asked_for, path):
    """Names of deployments and agents become `base_model`; ids of Claude's stay what they are."""
    async with running_proxy() as proxy:
        answer = await ask(proxy.base_url, path, headers=proxy.headers, body=turn(model=model))

        assert 200 == answer.status, answer.body
        assert asked_for.encode() in proxy.claude.requests[-1].body
