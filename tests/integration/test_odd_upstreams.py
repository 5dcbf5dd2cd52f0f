"""Answers that the simulated Claude does not give: other servers, proxies and edges do (section L)."""

import asyncio
import json

import pytest

from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.http_wire import ask, wire
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.raw_upstream import raw_upstream
from tests.support.tries import tried

pytestmark = pytest.mark.asyncio

TABLE = {"version": 1, "active_profile": "p", "profiles": {"p": {"default": {"route": ["c"]}}}}


def facing(base_url):
    params = {"model": "anthropic/*", "api_base": base_url, "api_key": "k"}
    return {"model_list": [{"model_name": "c", "litellm_params": params}]}


def answer(status=b"200 OK", headers=(), body=b"{}", *, length=True):
    lines = [b"HTTP/1.1 " + status, *headers]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


ANSWERS = {
    "until EOF": (answer(body=b'{"a":1}', length=False), True, 200, b'{"a":1}'),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, b""),
    "unheard-of status": (answer(b"599 Odd", body=b"odd"), False, 599, b"odd"),
    "early hints": (
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(body=b"late"),
        False,
        200,
        b"late",
    ),
    "chunked with trailers": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2\r\n{}\r\n0\r\nx-t: 1\r\n\r\n",
        False,
        200,
        b"{}",
    ),
    "hop headers": (
        answer(
            headers=[
                b"connection: keep-alive, x-hop",
                b"x-hop: 1",
                b"keep-alive: timeout=5",
                b"proxy-authenticate: Basic",
                b"upgrade: h2c",
                b"x-end: 2",
            ]
        ),
        False,
        200,
        b"{}",
    ),
    "our own headers": (
        answer(headers=[b"content-type: application/json", b"server: other", b"date: then"]),
        False,
        200,
        b"{}",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_are_relayed(name):
    """Status, body and end-to-end headers arrive, the hop's own don't (conformance 045, 268, 270)."""
    raw, closes, status, body = ANSWERS[name]
    async with (
        raw_upstream(raw, close_after=closes) as upstream,
        running_proxy(routing=TABLE, changes=facing(upstream.base_url)) as proxy,
    ):
        for _ in range(2):
            got = await ask(
                proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model="claude-x")
            )
            assert (status, body) == (got.status, got.body)
            assert got.complete

    names = {key for key, _ in got.headers}
    assert set() == names & {"x-hop", "keep-alive", "proxy-authenticate", "upgrade", "trailer"}
    if name == "hop headers":
        assert "2" == got.header("x-end")
    if name == "our own headers":
        assert ("other", "then") == (got.header("server"), got.header("date"))


BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.7\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-type: appli",
    "bad length": b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_answers_that_are_none(name):
    """What is not HTTP is an outage of that upstream, in our words (conformance 065)."""
    async with (
        raw_upstream(BROKEN[name], close_after=True) as upstream,
        running_proxy(routing=TABLE, changes=facing(upstream.base_url)) as proxy,
    ):
        got = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model="claude-x")
        )

    assert (529, "overloaded_error") == (got.status, got.error["type"])
    assert tried("c", "connect_error") == got.header("x-ccproxy-attempts")
    assert "127.0.0.1" not in got.body.decode()


async def test_a_body_shorter_than_it_said():
    """A short body cannot pass for a whole one (conformance 268)."""
    raw = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    async with (
        raw_upstream(raw, close_after=True) as upstream,
        running_proxy(routing=TABLE, changes=facing(upstream.base_url)) as proxy,
    ):
        got = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model="claude-x")
        )

    assert not got.complete


async def test_an_event_stream_of_stated_length_that_breaks():
    """No error event fits into a stated length: the connection is cut (conformance 271)."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5000\r\n\r\n"
    async with (
        raw_upstream(head + b"event: ping\ndata: {}\n\n", close_after=True) as upstream,
        running_proxy(routing=TABLE, changes=facing(upstream.base_url)) as proxy,
    ):
        got = await ask(
            proxy.base_url,
            "/v1/messages",
            headers=proxy.headers,
            body=turn(model="claude-x", stream=True),
        )

    assert not got.complete
    assert got.body.startswith(b"event: ping\ndata: {}\n\n")


async def test_a_verdict_before_the_body_was_read():
    """An upstream that answers 413 at once and hangs up is heard all the same (conformance 268)."""

    async def early(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"413 Too Large", [b"content-type: application/json"], b'{"early":1}'))
        await writer.drain()
        await heard.wait()
        writer.transport.abort()

    heard = asyncio.Event()
    server = await asyncio.start_server(early, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with running_proxy(routing=TABLE, changes=facing(base_url)) as proxy:
        got = await ask(
            proxy.base_url,
            "/v1/messages",
            headers=proxy.headers,
            body=turn("x" * 20_000_000, model="claude-x"),
        )
        heard.set()
    server.close()
    await server.wait_closed()

    assert (413, b'{"early":1}') == (got.status, got.body)


@pytest.mark.parametrize("credential", [{}, {"x-api-key": "any"}, {"authorization": "Bearer any"}])
async def test_auth_off(credential):
    """Any credential or none is fine, and none goes upstream (conformance 024, 264)."""
    async with raw_upstream(answer()) as upstream:
        changes = facing(upstream.base_url) | {"auth": {"mode": "off"}}
        async with running_proxy(routing=TABLE, changes=changes) as proxy:
            got = await ask(
                proxy.base_url,
                "/v1/messages",
                headers={"anthropic-version": "2023-06-01"} | credential,
                body=turn(model="claude-x"),
            )
        head = upstream.heads[0].decode().lower()

    assert 200 == got.status
    assert "x-api-key: k" in head
    assert "any" not in head.replace("anthropic", "")


@pytest.mark.parametrize(
    "sign", [{"host": "evil.test"}, {"origin": "https://evil.test"}], ids=["rebinding", "forgery"]
)
async def test_auth_off_is_not_for_web_pages(sign):
    """A page of others reaches nothing through the browser that shows it (403)."""
    async with raw_upstream(answer()) as upstream:
        changes = facing(upstream.base_url) | {"auth": {"mode": "off"}}
        async with running_proxy(routing=TABLE, changes=changes) as proxy:
            for method, path in (("POST", "/v1/messages"), ("POST", "/admin/reload"), ("GET", "/")):
                headers = {"anthropic-version": "2023-06-01"} | sign
                got = await ask(
                    proxy.base_url,
                    path,
                    method=method,
                    headers=headers,
                    body=turn(model="claude-x"),
                )
                assert (403, "permission_error") == (got.status, got.error["type"])

    assert [] == upstream.heads


SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_result", "url": "https://x.test", "title": "é"}
BLOCKS = (
    ({"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a"}, None),
    (SEARCH, "input_json_delta"),
    ({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [FOUND]}, None),
    ({"type": "text", "text": "", "citations": []}, "citations_delta"),
    ({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}, None),
    ({"type": "not_invented_yet"}, "not_invented_delta"),
)
"""Blocks, and the type of their delta, if they have one."""


def frame(kind, **fields):
    data = json.dumps({"type": kind, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


async def test_blocks_that_only_claude_has():
    """Whole blocks, those of server tools and unknown ones arrive byte for byte (conformance 144)."""
    stream = b""
    for index, (block, delta) in enumerate(BLOCKS):
        stream += frame("content_block_start", index=index, content_block=block)
        if delta is not None:
            stream += frame("content_block_delta", index=index, delta={"type": delta, "x": " 1"})
        stream += frame("content_block_stop", index=index)
    stream += frame("message_stop")
    raw = answer(headers=[b"content-type: text/event-stream"], body=stream)
    async with (
        raw_upstream(raw) as upstream,
        running_proxy(routing=TABLE, changes=facing(upstream.base_url)) as proxy,
    ):
        body = turn(model="claude-x", stream=True)
        got = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)

    assert stream == got.body


async def test_one_slot():
    """With one slot the second stream waits, pinged, and is served when the first ends (conformance 234)."""
    ollama, gate = SimulatedOllama(speed=1000.0), asyncio.Event()
    done = {"done": True, "done_reason": "stop"}
    async with ollama.serve() as base_url:
        params = {
            "model": "ollama_chat/qwen-fast",
            "api_base": base_url,
            "num_ctx": 4096,
            "max_parallel_requests": 1,
        }
        changes = {"model_list": [{"model_name": "c", "litellm_params": params}]}
        async with (
            running_proxy(
                routing=TABLE, changes=changes, patience_s=0.1, ping_after_s=0.05
            ) as proxy,
            wire(proxy.base_url) as first,
            wire(proxy.base_url) as second,
            wire(proxy.base_url) as third,
        ):
            warm = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
            ollama.answer_with({"message": {"content": "one"}}, gate, done)
            for connection in (first, second, third):
                await connection.send("POST", "/v1/messages", proxy.headers, turn(stream=True))
                if connection is first:
                    await connection.read_until(b"text_delta")
                else:
                    await connection.read_until(b"event: ping")
            assert 2 == len(ollama.generations)
            second.abort()
            gate.set()
            rest = await third.read_until(b"0\r\n\r\n")

    assert 200 == warm.status
    assert b"message_stop" in rest
    assert 3 == len(ollama.generations)
