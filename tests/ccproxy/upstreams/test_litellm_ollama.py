"""A call through LiteLLM to an Ollama made of exact bytes: what is sent, read, and given up."""

from __future__ import annotations

import asyncio
import importlib.metadata
import socket
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from ccproxy.ports import AttemptFailed, ModelCall, ModelDelta, ModelDone, ToolCall
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target
from routing.failures import FailureClass
from tests.support.scripted_ollama import (
    HEAD,
    Reset,
    answer,
    chunk,
    done,
    line,
    refusal,
    said,
    scripted_ollama,
)

if TYPE_CHECKING:
    from tests.support.scripted_ollama import ScriptedOllama, Step

ASK = ModelCall(messages=[{"role": "user", "content": "hi"}])


@pytest.fixture(scope="module")
def runtime() -> LiteLLMRuntime:
    """Return LiteLLM, imported once for all tests here."""
    return LiteLLMRuntime()


def target(ollama: ScriptedOllama, **changes: Any) -> Target:
    """Return a deployment on the scripted server."""
    facts = {
        "model": "ollama_chat/qwen3:8b",
        "name": "qwen",
        "api_base": ollama.base_url,
        "num_ctx": 4096,
        "keep_alive": "30m",
        "timeout_s": 10.0,
        "first_byte_timeout_s": 10.0,
    }
    return Target(**(facts | changes))


async def collected(upstream: LiteLLMUpstream, call: ModelCall = ASK) -> list[Any]:
    """Return everything one call says, and close the upstream."""
    try:
        return [event async for event in upstream.stream(call)]
    finally:
        await upstream.aclose()


async def sent(runtime: LiteLLMRuntime, call: ModelCall, **changes: Any) -> Any:
    """Return the body that arrives for a call."""
    async with scripted_ollama(answer(done())) as ollama:
        await collected(LiteLLMUpstream(runtime, target(ollama, **changes)), call)
        return ollama.bodies[0]


def test_the_version_these_tests_were_made_for() -> None:
    """What arrives on the wire was verified with one version of LiteLLM only."""
    version = importlib.metadata.version("litellm")

    assert "1.105.3" == version, (
        f"litellm is {version}: read what changed in OllamaChatConfig.transform_request, "
        "BaseConfig.get_async_custom_stream_wrapper and AsyncHTTPHandler, run the tests of "
        "ccproxy/upstreams, and only then change the version here and in pyproject.toml"
    )


async def test_everything_on_the_wire(runtime: LiteLLMRuntime) -> None:
    """The body is Ollama's own shape, with nothing lost and nothing added.

    (conformance 165, 171, 174, 175, 177, 190, 191, 193, 198, 200, 232)
    """
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
    }
    function = {"name": "f", "arguments": {"b": 1, "a": {"z": 2, "c": 3}}}
    call = ModelCall(
        messages=[
            {"role": "system", "content": "S1\n\nS2"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see [Image 1]"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                ],
            },
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": function},
                    {"id": "t2", "type": "function", "function": function},
                ],
            },
            {"role": "tool", "content": "x", "tool_call_id": "t1", "tool_name": "f"},
            {
                "role": "tool",
                "content": "y",
                "tool_call_id": "t2",
                "tool_name": "f",
                "images": ["aGk="],
            },
        ],
        tools=[tool],
        max_output_tokens=77,
        temperature=0.0,
        top_p=0.5,
        top_k=0,
        think=True,
        response_schema={"type": "object", "properties": {"a": {"type": "string"}}},
    )

    assert {
        "model": "qwen3:8b",
        "messages": [
            {"role": "system", "content": "S1\n\nS2"},
            {"role": "user", "content": "see [Image 1]", "images": ["aGk="]},
            {
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [
                    {"id": "t1", "function": function},
                    {"id": "t2", "function": function},
                ],
            },
            {"role": "tool", "content": "x", "tool_call_id": "t1", "tool_name": "f"},
            {
                "role": "tool",
                "content": "y",
                "tool_call_id": "t2",
                "tool_name": "f",
                "images": ["aGk="],
            },
        ],
        "tools": [tool],
        "options": {
            "num_ctx": 4096,
            "num_predict": 77,
            "temperature": 0.0,
            "top_p": 0.5,
            "top_k": 0,
        },
        "format": {"type": "object", "properties": {"a": {"type": "string"}}},
        "keep_alive": "30m",
        "stream": True,
        "think": True,
        "truncate": False,
        "shift": False,
    } == await sent(runtime, call)


async def test_the_least_on_the_wire(runtime: LiteLLMRuntime) -> None:
    """What the client left open is left to the model; no stop list is ever sent (191, 192)."""
    assert {
        "model": "qwen3:8b",
        "messages": [{"role": "user", "content": "hi"}],
        "options": {"num_ctx": 4096, "num_predict": 4096},
        "keep_alive": "30m",
        "stream": True,
        "think": False,
        "truncate": False,
        "shift": False,
    } == await sent(runtime, ASK)


@pytest.mark.parametrize(
    ("model", "think", "expected"),
    [
        ("ollama_chat/qwen3:8b", False, False),
        ("ollama_chat/qwen3:8b", "low", True),
        ("ollama_chat/gpt-oss:20b", "low", "low"),
        ("ollama_chat/gpt-oss:20b", False, False),
        ("ollama_chat/qwen3:8b", None, None),
    ],
)
async def test_thinking_on_the_wire(
    runtime: LiteLLMRuntime, model: str, think: Any, expected: Any
) -> None:
    """Levels go to the models that know them, others are switched on (conformance 195)."""
    call = ModelCall(messages=ASK.messages, think=think)

    assert expected is (await sent(runtime, call, model=model)).get("think") or expected == "low"


async def test_key_order_survives(runtime: LiteLLMRuntime) -> None:
    """Arguments and schemas keep their key order for the model's prompt cache (174, 183)."""
    schema = {"type": "object", "properties": {"z": {}, "a": {}}, "required": []}
    function = {"name": "f", "arguments": {"z": 1, "a": 2}}
    call = ModelCall(
        messages=[
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "t", "type": "function", "function": function}],
            },
            {"role": "tool", "content": "x", "tool_call_id": "t", "tool_name": "f"},
        ],
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
    )
    async with scripted_ollama(answer(done())) as ollama:
        await collected(LiteLLMUpstream(runtime, target(ollama)), call)

        raw = ollama.raw_bodies[0]
        assert b'"arguments":{"z":1,"a":2}' in raw
        assert b'"properties":{"z":{},"a":{}},"required":[]' in raw


@pytest.mark.parametrize(
    ("api_key", "expected"), [(None, None), ("sk-upstream", "Bearer sk-upstream")]
)
async def test_headers(
    runtime: LiteLLMRuntime,
    monkeypatch: pytest.MonkeyPatch,
    api_key: str | None,
    expected: str | None,
) -> None:
    """Only the deployment's own key is sent, never one of the environment (034, 035)."""
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-of-the-user")
    async with scripted_ollama(answer(done())) as ollama:
        await collected(LiteLLMUpstream(runtime, target(ollama, api_key=api_key)))

        headers = ollama.headers[0]
    assert expected == headers.pop("authorization", None)
    assert ollama.base_url == "http://" + headers.pop("host")
    assert {
        "accept": "application/x-ndjson",
        "accept-encoding": "identity",
        "connection": "close",
        "content-type": "application/json",
        "content-length": str(len(ollama.raw_bodies[0])),
        "user-agent": "ccproxy",
    } == headers


async def test_only_chat_is_asked(runtime: LiteLLMRuntime) -> None:
    """One call is one request, with or without a slash after the base, and no `/api/show`."""
    async with scripted_ollama(answer(done())) as ollama:
        base = ollama.base_url + "/"
        await collected(LiteLLMUpstream(runtime, target(ollama, api_base=base)))

        assert ["/api/chat"] == ollama.paths


async def test_proxies_of_the_environment_are_ignored(
    runtime: LiteLLMRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt for a local model does not go to the machine's HTTP proxy (conformance 243)."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with scripted_ollama(answer(done())) as ollama:
        assert [ModelDone("stop")] == await collected(LiteLLMUpstream(runtime, target(ollama)))


async def test_a_whole_answer(runtime: LiteLLMRuntime) -> None:
    """Thinking, text, calls and true counts arrive as they were said (conformance 205, 206, 209, 218)."""
    script = answer(
        said(thinking="h"),
        said(content="a"),
        said(tool_calls=[{"id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}]),
        done(prompt_eval_count=9, eval_count=4),
    )
    async with scripted_ollama(script) as ollama:
        assert [
            ModelDelta(thinking="h"),
            ModelDelta(text="a"),
            ModelDelta(tool_calls=(ToolCall("c1", "f", {"x": 1}),)),
            ModelDone("stop", 9, 4),
        ] == await collected(LiteLLMUpstream(runtime, target(ollama)))


async def test_each_piece_arrives_at_once(runtime: LiteLLMRuntime) -> None:
    """A delta is yielded before the next record exists (conformance 153)."""
    go_on = asyncio.Event()
    script: list[Step] = [HEAD, chunk(said(content="a")), go_on, chunk(done()), b"0\r\n\r\n"]
    async with scripted_ollama(script) as ollama:
        events = LiteLLMUpstream(runtime, target(ollama)).stream(ASK)
        async with aclosing(events):
            assert ModelDelta(text="a") == await anext(events)
            go_on.set()
            assert ModelDone("stop") == await anext(events)


@pytest.mark.parametrize(
    ("script", "before", "failure"),
    [
        (answer(said(content="a")), 1, FailureClass.BROKEN_STREAM),
        (answer(said(content="a"), end=False), 1, FailureClass.BROKEN_STREAM),
        ([HEAD, chunk(said(content="a")), b"40\r\n{"], 1, FailureClass.BROKEN_STREAM),
        ([HEAD, Reset()], 0, FailureClass.BROKEN_STREAM),
        ([Reset()], 0, FailureClass.BROKEN_STREAM),
        (answer(said(content="a"), line(error="out of memory")), 1, FailureClass.OVERLOADED),
        (answer(said(content="a"), b"{nonsense\n"), 1, FailureClass.MALFORMED_OUTPUT),
        (answer(b"<html></html>\n"), 0, FailureClass.MALFORMED_OUTPUT),
        (refusal(503, b'{"error":"server busy"}', b"retry-after: 3"), 0, FailureClass.OVERLOADED),
        (refusal(404, b'{"error":"model not found"}'), 0, FailureClass.MODEL_MISSING),
        (refusal(500, b"oops"), 0, FailureClass.BROKEN_STREAM),
        (
            refusal(307, b"", b"location: http://127.0.0.1:9/"),
            0,
            FailureClass.MALFORMED_OUTPUT,
        ),
    ],
)
async def test_trouble(
    runtime: LiteLLMRuntime, script: list[Step], before: int, failure: FailureClass
) -> None:
    """Each way to fail has its class, and is asked only once (054, 055, 061, 157, 221)."""
    async with scripted_ollama(script) as ollama:
        upstream = LiteLLMUpstream(runtime, target(ollama))
        events = upstream.stream(ASK)
        for _ in range(before):
            assert ModelDelta(text="a") == await anext(events)
        with pytest.raises(AttemptFailed) as broken:
            await anext(events)
        await upstream.aclose()

        assert failure is broken.value.failure
        assert 1 == len(ollama.paths)
        assert "litellm" not in broken.value.message.lower()


async def test_nobody_there(runtime: LiteLLMRuntime) -> None:
    """A refused connection is told without its address (conformance 053)."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    deployment = Target("ollama_chat/qwen3:8b", "qwen", f"http://127.0.0.1:{port}")

    with pytest.raises(AttemptFailed) as broken:
        await collected(LiteLLMUpstream(runtime, deployment))

    assert FailureClass.CONNECT_ERROR is broken.value.failure
    assert str(port) not in broken.value.message


@pytest.mark.parametrize(
    ("begun", "failure"),
    [
        ([], FailureClass.TIMEOUT_FIRST_BYTE),
        ([HEAD], FailureClass.TIMEOUT_FIRST_BYTE),
        ([HEAD, chunk(said(content="a"))], FailureClass.TIMEOUT_BETWEEN_BYTES),
        ([HEAD, chunk(said(content="a")), chunk(b'{"mess')], FailureClass.TIMEOUT_BETWEEN_BYTES),
    ],
)
async def test_silence(runtime: LiteLLMRuntime, begun: list[Step], failure: FailureClass) -> None:
    """Silence ends the attempt and the connection, by phase (conformance 063, 157)."""
    async with scripted_ollama([*begun, asyncio.Event()]) as ollama:
        deployment = target(ollama, timeout_s=0.05, first_byte_timeout_s=0.3)
        with pytest.raises(AttemptFailed) as broken:
            await collected(LiteLLMUpstream(runtime, deployment))
        await ollama.client_left.wait()

    assert failure is broken.value.failure


async def test_a_slow_reader_is_no_silence(runtime: LiteLLMRuntime) -> None:
    """The time a client takes between two pieces does not count against the model (160)."""
    async with scripted_ollama(answer(said(content="a"), said(content="b"), done())) as ollama:
        upstream = LiteLLMUpstream(runtime, target(ollama, timeout_s=0.05))
        async for _ in upstream.stream(ASK):
            await asyncio.sleep(0.1)
        await upstream.aclose()


async def test_a_base_that_is_no_url(runtime: LiteLLMRuntime) -> None:
    """A mistyped base is a connection that cannot be made (conformance 053)."""
    deployment = Target("ollama_chat/qwen3:8b", "qwen", "http://127.0.0.1:notaport")

    with pytest.raises(AttemptFailed) as broken:
        await collected(LiteLLMUpstream(runtime, deployment))

    assert FailureClass.CONNECT_ERROR is broken.value.failure


@pytest.mark.parametrize("begun", [[], [HEAD], [HEAD, chunk(said(content="a"))]])
async def test_cancelling_closes_the_connection(runtime: LiteLLMRuntime, begun: list[Step]) -> None:
    """A client that leaves frees the model at once, before the first byte too (159)."""
    async with scripted_ollama([*begun, asyncio.Event()]) as ollama:
        upstream = LiteLLMUpstream(runtime, target(ollama))
        task = asyncio.create_task(collected(upstream))
        await ollama.got_request.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async with asyncio.timeout(1):
            await ollama.client_left.wait()


async def test_closing_the_generator_closes_the_connection(runtime: LiteLLMRuntime) -> None:
    """Ending an answer early frees the model at once (conformance 159, 217)."""
    script: list[Step] = [HEAD, chunk(said(content="a")), asyncio.Event()]
    async with scripted_ollama(script) as ollama:
        upstream = LiteLLMUpstream(runtime, target(ollama))
        events = upstream.stream(ASK)
        await anext(events)
        await events.aclose()

        async with asyncio.timeout(1):
            await ollama.client_left.wait()
        await upstream.aclose()


async def test_the_next_request_after_trouble(runtime: LiteLLMRuntime) -> None:
    """No connection outlives a request, so a restarted Ollama is met afresh (conformance 242)."""
    async with scripted_ollama(answer(done())) as ollama:
        upstream = LiteLLMUpstream(runtime, target(ollama))
        for _ in range(3):
            assert [ModelDone("stop")] == [event async for event in upstream.stream(ASK)]
        await upstream.aclose()

        assert 3 == len(ollama.paths)


async def test_many_at_once(runtime: LiteLLMRuntime) -> None:
    """Fifty streams run side by side on one upstream (conformance 021)."""
    go_on = asyncio.Event()
    script: list[Step] = [HEAD, chunk(said(content="a")), go_on, chunk(done()), b"0\r\n\r\n"]
    async with scripted_ollama(script) as ollama:
        upstream = LiteLLMUpstream(runtime, target(ollama))
        begun = [upstream.stream(ASK) for _ in range(50)]
        assert [ModelDelta(text="a")] * 50 == await asyncio.gather(*map(anext, begun))
        go_on.set()
        assert [ModelDone("stop")] * 50 == await asyncio.gather(*map(anext, begun))
        for events in begun:
            await events.aclose()
        await upstream.aclose()
