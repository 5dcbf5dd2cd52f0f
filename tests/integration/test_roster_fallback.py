"""The architect's `fallback` block of the shipped roster, with a Claude that fails."""

import json

import pytest

from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.http_wire import ask
from tests.support.messages import turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROXY_OPTIONS = {
    "routing": {
        "version": 1,
        "active_profile": "p",
        "profiles": {
            "p": {
                "tiers": {
                    "opus": {"route": ["claude-opus"]},
                    "sonnet": {"route": ["claude-sonnet"]},
                },
                "default": {"route": ["claude-opus"]},
            }
        },
    },
}
ARCHITECT = "/agents/chief-architect/v1/messages"
STRANGER = "/v1/messages"
OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"


def fails(proxy, status, message="", times=1):
    """Let the next requests to Claude fail."""
    proxy.claude.faults.append(
        Fault(FaultKind.STATUS, status=status, message=message, times=times, path="/v1/messages")
    )


async def request(proxy, path=ARCHITECT):
    """Return the answer, and which models Claude was asked for."""
    answer = await ask(proxy.base_url, path, headers=proxy.headers, body=turn(model=OPUS))
    return answer, [json.loads(each.body)["model"] for each in proxy.claude.requests]


@pytest.mark.parametrize(
    ("status", "message", "failure"),
    [(429, "", "rate_limit"), (529, "", "overloaded"), (400, TOO_LONG, "context_overflow")],
)
async def test_a_trigger_leads_to_a_model_of_the_blocks_tier(proxy, status, message, failure):
    """rate_limit, availability and token_limit; Claude is then asked for another model."""
    fails(proxy, status, message)

    answer, asked = await request(proxy)

    assert (200, [OPUS, SONNET]) == (answer.status, asked)
    assert f"claude-opus:{failure},claude-sonnet:ok" == answer.header("x-ccproxy-attempts")
    assert "claude-sonnet" == answer.header("x-ccproxy-deployment")


async def test_without_a_trigger_the_error_is_the_clients(proxy):
    """A 400 of another kind is relayed in Claude's words, and nobody else is asked (conformance 064)."""
    fails(proxy, 400, "messages: what is this?")

    answer, asked = await request(proxy)

    assert (400, "messages: what is this?", [OPUS]) == (
        answer.status,
        answer.error["message"],
        asked,
    )


async def test_the_last_overflow_is_told_in_claudes_words(proxy):
    """Where the other model has no room either, a client reads Claude's own 400 (conformance 064)."""
    fails(proxy, 400, TOO_LONG, times=2)

    answer, asked = await request(proxy)

    assert (400, TOO_LONG, [OPUS, SONNET]) == (answer.status, answer.error["message"], asked)
    attempts = "claude-opus:context_overflow,claude-sonnet:context_overflow"
    assert attempts == answer.header("x-ccproxy-attempts")


async def test_an_overflow_of_others_stays_claudes_business(proxy):
    """Without a block in the roster nothing is read into Claude's answer."""
    fails(proxy, 400, TOO_LONG)

    answer, asked = await request(proxy, STRANGER)

    assert (400, [OPUS]) == (answer.status, asked)
    assert "claude-opus:client_fault" == answer.header("x-ccproxy-attempts")
