"""Edits of the routing file while many streams run: none is disturbed, the next request sees them."""

import asyncio
import re
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from ccproxy.cli.main import main
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.http_wire import ask, wire
from tests.support.messages import MIXED, turn
from tests.support.proxy import TEST_SPEED, running_proxy
from tests.support.sizes import count

STREAMS = count(quick=12, ci=50, full=50)
IN_FORCE_S = 3.0
"""Within this an edit serves."""
SLOW = 0.3
"""The models' pace while files are edited: the words take much longer than the edits."""
WORDS = 180


def table(deployment):
    return (
        "version: 1\nactive_profile: a\nprofiles:\n  a:\n"
        f"    tiers:\n      sonnet: {{route: [{deployment}]}}\n"
        f"    default: {{route: [{deployment}]}}\n"
    )


async def deployment_now(proxy):
    answer = await ask(
        proxy.base_url,
        "/v1/messages/count_tokens",
        headers=proxy.headers,
        body=turn(model=MIXED, max_tokens=None),
    )
    assert answer.status == 200, answer.body
    return answer.header("x-ccproxy-deployment")


async def seconds_until(proxy, deployment):
    """Return how long it took until the next request went to that deployment."""
    started = monotonic()
    async with asyncio.timeout(IN_FORCE_S):
        while await deployment_now(proxy) != deployment:  # noqa: ASYNC110 - asked over HTTP
            await asyncio.sleep(0.02)
    return monotonic() - started


async def routing_health(proxy):
    answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
    return answer.json()["routing"]


async def metric(proxy, line):
    answer = await ask(proxy.base_url, "/metrics", method="GET", headers=proxy.headers)
    found = re.search(rf"^{re.escape(line)} (\S+)$", answer.body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def rejected(proxy):
    async with asyncio.timeout(10):
        while (found := (await routing_health(proxy))["rejected"]) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


class Streams:
    """Streams that have begun, are held by a slow model, and are read to their end later."""

    def __init__(self, proxy, stack):
        self._proxy = proxy
        self._stack = stack
        self._connections = []
        self.heads = []

    async def begin(self):
        for _ in range(STREAMS):
            connection = await self._stack.enter_async_context(wire(self._proxy.base_url))
            body = turn(f"Give me {WORDS} words.", MIXED, stream=True, max_tokens=4000)
            await connection.send("POST", "/v1/messages", self._proxy.headers, body)
            self._connections.append(connection)
        self.heads = [await each.read_head() for each in self._connections]

    async def bodies(self):
        return await asyncio.gather(*(self._body(each) for each in self._connections))

    @staticmethod
    async def _body(connection):
        chunks = []
        while chunk := await connection.read_chunk():
            chunks.append(chunk)
        return b"".join(chunks)


@pytest.fixture
async def proxy():
    """A proxy whose local models write slowly, each for all streams at once."""
    ollama = SimulatedOllama(speed=TEST_SPEED, num_parallel=STREAMS, memory_gib=400)
    async with running_proxy(ollama=ollama, patience_s=0.2) as running:
        running.routing_file.write_text(table("qwen-fast"))
        await seconds_until(running, "qwen-fast")
        # LiteLLM's import is over after the first answer.
        first = await ask(
            running.base_url, "/v1/messages", headers=running.headers, body=turn(model=MIXED)
        )
        assert first.status == 200, first.body
        yield running


async def test_edits_while_streams_run(proxy, monkeypatch):
    """Streams are undisturbed by a good edit, a broken one and a rollback; each acts at once."""
    proxy.ollama.speed = SLOW
    async with AsyncExitStack() as stack:
        streams = Streams(proxy, stack)
        await streams.begin()
        assert proxy.ollama.open_streams == STREAMS

        proxy.routing_file.write_text(table("claude-sonnet"))
        await seconds_until(proxy, "claude-sonnet")
        edited = await routing_health(proxy)

        proxy.routing_file.write_text(table("claude-sonnte"))
        problem = await rejected(proxy)
        assert "claude-sonnte" in problem["problems"][0]
        assert "routing.yaml:6:24:" in problem["problems"][0]
        assert (await routing_health(proxy))["version"] == edited["version"]
        assert await deployment_now(proxy) == "claude-sonnet"
        assert await metric(proxy, 'ccproxy_reloads_total{result="rejected"}') == 1
        assert await metric(proxy, "ccproxy_routing_edit_rejected") == 1

        await rolled_back(proxy, monkeypatch)
        await rolled_back(proxy, monkeypatch)
        await seconds_until(proxy, "qwen-fast")
        assert await metric(proxy, "ccproxy_routing_edit_rejected") == 0

        # Everything happened while all of them were running.
        assert proxy.ollama.open_streams == STREAMS
        proxy.ollama.speed = TEST_SPEED
        bodies = await streams.bodies()

    assert {status for status, _ in streams.heads} == {200}
    for (_, headers), body in zip(streams.heads, bodies, strict=True):
        assert dict(headers)["x-ccproxy-deployment"] == "qwen-fast"
        assert body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        assert b"event: error" not in body
    texts = {b"".join(re.findall(rb'"text":"([^"]*)"', body)) for body in bodies}
    assert len(texts) == 1
    assert len(texts.pop().split()) >= WORDS


async def rolled_back(proxy, monkeypatch):
    """Run `ccproxy routes rollback` as an operator would."""
    monkeypatch.setenv("HOME", str(proxy.config_file.parent))
    config = str(proxy.config_file)

    def run():
        with pytest.raises(SystemExit) as caught:
            main(["routes", "rollback", "--yes", "--config", config])
        return caught.value.code or 0

    assert await asyncio.to_thread(run) == 0


async def test_an_edit_by_replacing_the_file_is_seen_too(proxy):
    """Editors write a new file and rename it over the old one."""
    for deployment in ("qwen-coder", "claude-haiku"):
        aside = proxy.routing_file.with_suffix(".new")
        aside.write_text(table(deployment))
        aside.replace(proxy.routing_file)
        await seconds_until(proxy, deployment)
