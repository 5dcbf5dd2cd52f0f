"""Section N: what a web framework would do by itself, and bugs of ours after the first byte."""

import asyncio
import gzip
import json
from time import monotonic

import pytest

from ccproxy.api.messages import MessagesEndpoint
from ccproxy.auth import open_principal
from ccproxy.demo.asgi_server import running
from ccproxy.outcome import Ending, Usage
from ccproxy.pipeline.exchange import Exchange
from ccproxy.wire.assemble import error_event
from ccproxy.wire.events import encode
from routing.types import Side
from tests.support.black_box import assert_error, post
from tests.support.grammar import frames
from tests.support.health import NotedHealth
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.proxy import running_proxy
from tests.support.routers import router_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = b'event: message_start\ndata: {"type":"message_start"}\n\n'


class BrokenReply:
    """A stream with a bug after its first event."""

    status = 200
    headers = ((b"content-type", b"text/event-stream"),)
    needs_pings = True
    content_started = True
    failure = None
    usage = Usage()

    async def chunks(self):
        yield START
        raise RuntimeError("secret")

    def farewell(self, error_type, message):
        return encode(error_event(error_type, message))

    async def aclose(self):
        return None


class Broken:
    """A deployment that gives such a stream."""

    name = LOCAL
    side = Side.LOCAL

    def model_for(self, _request):
        return "m"

    async def open(self, _request):
        return BrokenReply()


class Outcomes(list):
    """An `OutcomeSink`."""

    record = list.append


async def test_a_bug_in_the_middle_of_a_stream(proxy):
    """It becomes an error event and nothing of the inside; never a silent end (062, 155, 293)."""
    live = proxy.proxy.live.loaded
    outcomes = Outcomes()
    exchange = Exchange(
        authenticate=lambda _headers, _peer="": open_principal(),
        router=router_of(live.table, live.roster),
        deployments=dict.fromkeys(live.table.deployments, Broken()),
        sink=outcomes,
        health=NotedHealth(),
    )
    async with running(MessagesEndpoint(exchange, counting=False)) as url:
        answer = await ask(url, "/v1/messages", headers=proxy.headers, body=turn(stream=True))

    assert answer.complete
    (_, _), (name, data) = frames(answer.body)
    assert "error" == name
    assert "api_error" == json.loads(data)["error"]["type"]
    assert b"secret" not in answer.body
    assert [Ending.BROKEN] == [outcome.ending for outcome in outcomes]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/nowhere", "/v1/messages/"])
async def test_nothing_compresses_or_redirects(path, proxy):
    """Large answers stay plain, and no path leads elsewhere (conformance 033, 294, 296)."""
    proxy.ollama.answer_with({"message": {"content": "word " * 20_000}, "done": True})
    headers = proxy.headers | {"accept-encoding": "gzip, br"}
    method = "GET" if path == "/v1/models" else "POST"

    answer = await ask(proxy.base_url, path, method=method, headers=headers, body=turn(stream=True))

    assert answer.status in (200, 404)
    assert (None, None) == (answer.header("content-encoding"), answer.header("location"))


@pytest.mark.parametrize(
    "changes", [{"max_tokens": "10"}, {"stream": 1}, {"stream": "false"}, {"temperature": "1"}]
)
async def test_nothing_is_coerced(changes, proxy):
    """A string is no number and 1 is not true (conformance 295)."""
    assert_error(await post(proxy, turn(**changes)), 400, "invalid_request_error")

    claude = json.dumps(turn(model=CLAUDE) | {"unknown": "1"} | changes).encode()
    await post(proxy, claude)
    assert claude == proxy.claude.requests[0].body


LONG_TEXT = turn(" ".join(str(number) for number in range(3_600_000)))
MANY_TEXTS = turn(system=[{"type": "text", "text": f"part {number}"} for number in range(300_000)])


@pytest.mark.parametrize("body", [LONG_TEXT, MANY_TEXTS], ids=["one long text", "many texts"])
async def test_a_large_body_stops_nobody(body, proxy):
    """While it is unpacked, read, searched and measured, the loop goes on turning (conformance 297)."""
    packed = gzip.compress(json.dumps(body).encode(), 1)
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    counting = asyncio.create_task(count_turns())
    answer = await post(proxy, packed, headers={"content-encoding": "gzip"})
    counting.cancel()

    assert_error(answer, 400, "invalid_request_error", "prompt is too long")
    assert turns > 40


async def test_the_patience_counts_from_the_requests_arrival():
    """However many attempts there are, the first byte comes in time (conformance 151, 158)."""
    profile = {"default": {"route": ["qwen-coder", "qwen-fast"]}}
    table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
    async with running_proxy(routing=table, patience_s=1.0, ping_after_s=0.1) as proxy:
        await post(proxy, turn())
        released = asyncio.Event()
        proxy.ollama.add_fault("delay_headers", model="qwen2.5-coder:32b-instruct", seconds=0.8)
        proxy.ollama.answer_with(b'{"error":"gone"}\n')
        proxy.ollama.add_fault("hang", model="qwen-fast:latest")
        async with wire(proxy.base_url) as connection:
            began = monotonic()
            await connection.send(
                "POST", "/v1/messages", proxy.headers, turn(model="anything", stream=True)
            )
            status, headers = await connection.read_head()
            waited_s = monotonic() - began
        released.set()

    assert 200 == status
    assert "qwen-coder:broken_stream,qwen-fast:ok" == dict(headers)["x-ccproxy-attempts"]
    assert 0.9 < waited_s < 1.6


async def test_notes_tell_of_the_answer_that_was_given(proxy):
    """What a failed attempt would have ignored is not said of Claude's answer (113, 273)."""
    proxy.ollama.add_fault("busy")

    answer = await post(proxy, turn(model=MIXED, brand_new=1))

    assert "claude" == answer.header("x-ccproxy-route")
    assert None is answer.header("x-ccproxy-notes")
    assert b'"brand_new": 1' in proxy.claude.requests[0].body
