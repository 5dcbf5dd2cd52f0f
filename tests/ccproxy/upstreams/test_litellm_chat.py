"""A call through LiteLLM to an OpenAI-compatible server made of exact bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ccproxy.ports import AttemptFailed, ModelCall, ModelDelta, ModelDone, ToolCall
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target
from routing.failures import FailureClass
from tests.support.scripted_ollama import Reset, chunk, refusal, scripted_ollama

if TYPE_CHECKING:
    from tests.support.scripted_ollama import ScriptedOllama, Step

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ASK = ModelCall(messages=[{"role": "user", "content": "hi"}])
LAST = b"0\r\n\r\n"


def event(finish: str | None = None, usage: Any = None, **delta: Any) -> bytes:
    """Return one HTTP chunk with one chat completion chunk."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    data |= {"choices": [] if usage else choices, "usage": usage}
    return chunk(b"data: " + orjson.dumps(data) + b"\n\n")


def piece(index: int, identifier: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    """Return a piece of a tool call."""
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": identifier, "type": "function", "function": function}


def answer(*events: bytes) -> list[Step]:
    """Return the script of a complete answer."""
    return [HEAD, *events, chunk(b"data: [DONE]\n\n"), LAST]


@pytest.fixture(scope="module")
def runtime() -> LiteLLMRuntime:
    """Return LiteLLM, imported once for all tests here."""
    return LiteLLMRuntime()


def upstream(runtime: LiteLLMRuntime, server: ScriptedOllama, **changes: Any) -> LiteLLMUpstream:
    """Return a deployment on the scripted server."""
    facts = {"api_base": server.base_url, "api_key": "sk-x", "timeout_s": 10.0}
    return LiteLLMUpstream(runtime, Target("openai/m", "m", **(facts | changes)))


async def said(runtime: LiteLLMRuntime, script: list[Step], call: ModelCall = ASK) -> list[Any]:
    """Return everything one call says."""
    async with scripted_ollama(script) as server:
        return [one async for one in upstream(runtime, server).stream(call)]


async def test_text_and_usage(runtime: LiteLLMRuntime) -> None:
    """Words come at once, the provider's own counts at the end."""
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    script = answer(
        event(role="assistant", content="a"),
        event(content="b"),
        event("length"),
        event(usage=usage),
    )

    assert [ModelDelta(text="a"), ModelDelta(text="b"), ModelDone("length", 9, 4)] == await said(
        runtime, script
    )


async def test_tool_calls_in_pieces(runtime: LiteLLMRuntime) -> None:
    """Pieces are put together by index, and a new id begins a new call (conformance 209)."""
    script = answer(
        event(role="assistant", content=None, tool_calls=[piece(0, "c1", "f", '{"x"')]),
        event(tool_calls=[piece(0, None, None, ": 1}")]),
        event(tool_calls=[piece(0, "c2", "g", "{}")]),
        event("tool_calls"),
    )

    events = await said(runtime, script)

    assert ModelDelta(tool_calls=(ToolCall("c1", "f", {"x": 1}), ToolCall("c2", "g", {}))) in events
    assert isinstance(events[-1], ModelDone)


async def test_what_is_sent(runtime: LiteLLMRuntime) -> None:
    """The request is OpenAI's own shape, without Ollama's specials."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    call = ModelCall(
        messages=[
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": "f", "arguments": {"x": 1}},
                    }
                ],
            },
            {"role": "tool", "content": "y", "tool_call_id": "t", "tool_name": "f"},
        ],
        tools=[tool],
        max_output_tokens=7,
        temperature=0.0,
    )
    async with scripted_ollama(answer(event("stop", content="a"))) as server:
        async for _ in upstream(runtime, server).stream(call):
            pass
        body = server.bodies[0]

    assert "/chat/completions" == server.paths[0]
    assert {
        "model": "m",
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "t",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"x":1}'},
                    }
                ],
            },
            {"role": "tool", "content": "y", "tool_call_id": "t"},
        ],
        "tools": [tool],
        "max_tokens": 7,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    } == body


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (refusal(401, b'{"error":{"message":"bad key sk-x"}}'), FailureClass.UPSTREAM_AUTH),
        (refusal(404, b'{"error":{"message":"no such model"}}'), FailureClass.MODEL_MISSING),
        (refusal(429, b'{"error":{"message":"slow down"}}'), FailureClass.RATE_LIMIT),
        (refusal(500, b"oops"), FailureClass.BROKEN_STREAM),
        (refusal(503, b'{"error":{"message":"busy"}}'), FailureClass.OVERLOADED),
        (
            refusal(400, b'{"error":{"message":"exceeds the context length"}}'),
            FailureClass.CONTEXT_OVERFLOW,
        ),
        ([Reset()], FailureClass.BROKEN_STREAM),
        (
            answer(event("tool_calls", tool_calls=[piece(0, "c", "f", '{"x')])),
            FailureClass.MALFORMED_OUTPUT,
        ),
    ],
)
async def test_trouble(runtime: LiteLLMRuntime, script: list[Step], failure: FailureClass) -> None:
    """LiteLLM's errors become classes with words of our own, after one try."""
    async with scripted_ollama(script) as server:
        with pytest.raises(AttemptFailed) as broken:
            async for _ in upstream(runtime, server).stream(ASK):
                pass

        assert failure is broken.value.failure
        assert 1 == len(server.paths) or not server.paths
    for secret in ("litellm", "OpenAI", "sk-x", "Traceback"):
        assert secret not in broken.value.message


async def test_nobody_there(runtime: LiteLLMRuntime) -> None:
    """A refused connection is told as one."""
    async with scripted_ollama([]) as server:
        gone = server
    with pytest.raises(AttemptFailed) as broken:
        await anext(upstream(runtime, gone).stream(ASK))

    assert FailureClass.CONNECT_ERROR is broken.value.failure


async def test_silence(runtime: LiteLLMRuntime) -> None:
    """Silence in the middle of an answer ends it (conformance 157)."""
    script: list[Step] = [HEAD, event(role="assistant", content="a"), asyncio.Event()]
    async with scripted_ollama(script) as server:
        events = upstream(runtime, server, timeout_s=0.1).stream(ASK)
        assert ModelDelta(text="a") == await anext(events)
        with pytest.raises(AttemptFailed) as broken:
            await anext(events)

    assert FailureClass.TIMEOUT_BETWEEN_BYTES is broken.value.failure


async def test_leaving_closes_the_connection(runtime: LiteLLMRuntime) -> None:
    """Closing the generator stops the provider at once (conformance 159)."""
    script: list[Step] = [HEAD, event(role="assistant", content="a"), asyncio.Event()]
    async with scripted_ollama(script) as server:
        events = upstream(runtime, server).stream(ASK)
        await anext(events)
        await events.aclose()

        async with asyncio.timeout(1):
            await server.client_left.wait()
