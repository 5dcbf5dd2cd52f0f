"""Patience, commit and pings of a local stream (conformance 151, 154, 158, 160)."""

import asyncio

import pytest

from tests.support.grammar import check_stream
from tests.support.http_wire import ask, wire
from tests.support.messages import LOCAL, MIXED, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 0.25
PING_AFTER_S = 0.1
PROXY_OPTIONS = {"patience_s": PATIENCE_S, "ping_after_s": PING_AFTER_S}

DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


def said(text):
    return {"message": {"role": "assistant", "content": text}}


async def test_a_silent_model_is_committed_and_pinged(proxy):
    """After the patience: 200, message_start, pings; then the answer as ever (conformance 150, 151, 158)."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(gate, said("late"), DONE)
    clock = asyncio.get_running_loop().time
    async with wire(proxy.base_url) as connection:
        began = clock()
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        status, headers = await connection.read_head()
        committed_s = clock() - began
        chunks = [await connection.read_chunk() for _ in range(4)]
        gate.set()
        while chunk := await connection.read_chunk():
            chunks.append(chunk)

    assert 200 == status
    assert committed_s >= PATIENCE_S * 0.9
    assert dict(headers)["x-ccproxy-attempts"] == "qwen-coder:ok"
    assert chunks[0].startswith(b"event: message_start\n")
    assert [b'event: ping\ndata: {"type":"ping"}\n\n'] * 3 == [
        chunk.replace(b'": "', b'":"') for chunk in chunks[1:4]
    ]
    assert "late" == check_stream(b"".join(chunks)).message["content"][0]["text"]


async def test_silence_in_the_middle_is_pinged(proxy):
    """A model that falls silent between words does not let the line go quiet (conformance 151)."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(said("one "), gate, said("two"), DONE)
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        await connection.read_head()
        raw = b""
        while raw.count(b"event: ping") < 2:
            raw += await connection.read_chunk()
        gate.set()
        while chunk := await connection.read_chunk():
            raw += chunk

    assert "one two" == check_stream(raw).message["content"][0]["text"]


async def test_a_busy_stream_has_no_pings(proxy):
    """Pings fill silence and nothing else (conformance 150, 152)."""
    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn("Give me 300 words.", stream=True, max_tokens=2000),
    )

    assert b"event: ping" not in answer.body


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        ("reset_before_headers", "api_error"),
        ("busy", "overloaded_error"),
        ("delete_model", "not_found_error"),
        ("html_500", "api_error"),
    ],
)
@pytest.mark.parametrize("model", [LOCAL, MIXED])
async def test_the_same_failure_before_and_after_commit(fault, error_type, model, proxy):
    """Before: a status, or a fallback. After: that fallback, or `event: error` (conformance 154, 155, 273)."""
    proxy.ollama.add_fault(fault, times=2)
    early = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=model, stream=True)
    )
    proxy.ollama.reset()
    gate = asyncio.Event()
    for _ in range(2):
        proxy.ollama.answer_with(gate)
    async with wire(proxy.base_url) as connection:
        body = turn(model=model, stream=True)
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        status, _ = await connection.read_head()
        raw = await connection.read_chunk()
        gate.set()
        while chunk := await connection.read_chunk():
            raw += chunk

    late = check_stream(raw)
    assert 200 == status
    if model == LOCAL:
        assert (error_type, "api_error") == (early.error["type"], late.error["type"])
    else:
        assert (200, "claude") == (early.status, early.header("x-ccproxy-route"))
        assert late.error is None


async def test_ollama_goes_away_while_the_client_waits(proxy):
    """An outage after the commit is an error event within a moment (conformance 155, 242)."""
    proxy.ollama.add_fault("hang")
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        await connection.read_until(b"event: ping")
        await proxy.ollama.refuse()
        async with asyncio.timeout(2):
            rest = await connection.read_until(b"0\r\n\r\n")

    assert b"event: error" in rest


async def test_the_client_leaves_a_committed_stream(proxy):
    """Between two pings the model is let go, too (conformance 159)."""
    proxy.ollama.add_fault("hang")
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
        await connection.read_until(b"event: ping")
        connection.abort()
        async with asyncio.timeout(1):
            await proxy.ollama.generations[0].disconnected.wait()


async def test_a_client_that_does_not_stream_waits_in_silence(proxy):
    """Patience is for streams: a whole answer comes when it is ready (conformance 129, 163)."""
    gate = asyncio.Event()
    proxy.ollama.answer_with(gate, said("late"), DONE)
    task = asyncio.create_task(
        ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
    )
    await proxy.ollama.generation()
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_S * 2)
    gate.set()
    answer = await task

    assert set() == done
    assert "late" == answer.json()["content"][0]["text"]
