"""Faults by name that no other file has: each on real sockets, with what the client hears.

Where the others are: refused, reset, garbled and broken answers, a full queue and an error inside a
200 in test_fallback, test_streams, test_commit and test_late_fallback; whole processes in
test_process_faults; a wall clock that jumps, and all of them at once, in tests/soak.
"""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic

import pytest
import pytest_asyncio

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.grammar import check_stream
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import FORGIVING, UPSTREAM_KEY, RunningProxy, running_proxy
from tests.support.sizes import count

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST_BYTE_S = 0.3
DEADLINE_S = 1.0
PATIENCE_S = 0.2
RULES = FORGIVING | {
    "health_rules": replace(FORGIVING["health_rules"], dwell_s=0.001, successes_to_up=1)
}
"""What the first probes of a lost host found out can be taken back."""
NOWHERE = "nowhere.localhost"
"""A name that has no address, and that no name server outside is asked for."""


def local(name, base_url, **params):
    model = {"model": "ollama_chat/qwen-fast", "api_base": base_url, "num_ctx": 32768, **params}
    return {"model_name": name, "litellm_params": model}


def claude(name, base_url, **params):
    model = {"model": "anthropic/*", "api_base": base_url, "api_key": UPSTREAM_KEY, **params}
    info = {"base_model": "claude-sonnet-5-5"}
    return {"model_name": name, "litellm_params": model, "model_info": info}


@pytest.fixture(scope="module")
def claude_simulator():
    return SimulatedClaude(speed=1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(claude_simulator):
    """A proxy with deployments that wait for no more than 0.3 s, and some whose host has no name."""
    ollama = SimulatedOllama(speed=1000)
    async with (
        ollama.serve() as ollama_url,
        claude_simulator.serve() as claude_url,
        half_closing() as half_url,
    ):
        models = [
            local("qwen", ollama_url),
            local("qwen-hasty", ollama_url, stream_timeout=FIRST_BYTE_S),
            local("qwen-half", half_url),
            local("qwen-lost", f"http://{NOWHERE}:9"),
            claude("claude", claude_url),
            claude("claude-hasty", claude_url, timeout=FIRST_BYTE_S),
            claude("claude-lost", f"https://{NOWHERE}:9"),
        ]
        profile = {
            "tiers": {
                "opus": {"route": ["qwen-hasty", "claude"]},
                "sonnet": {"route": ["claude-hasty", "qwen"]},
                "haiku": {"route": ["claude-lost", "qwen-lost", "qwen"]},
            },
            "rules": [
                {
                    "name": "slow",
                    "when": {"header": {"x-case": "slow"}},
                    "route": ["qwen"],
                    "deadline_s": DEADLINE_S,
                },
                {
                    "name": "storm",
                    "when": {"header": {"x-case": "storm"}},
                    "route": ["claude", "qwen"],
                },
                {
                    "name": "half",
                    "when": {"header": {"x-case": "half"}},
                    "route": ["qwen-half", "claude"],
                },
            ],
        }
        table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
        async with running_proxy(
            routing=table, changes={"model_list": models}, patience_s=PATIENCE_S, **RULES
        ) as proxy:
            ready = await ask(
                proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model="qwen")
            )
            assert 200 == ready.status, ready.body
            for address in proxy.proxy.health.backends:
                proxy.proxy.health.observe(address, ok=True, why="the tests begin")
            yield World(proxy, ollama, claude_simulator)


@pytest_asyncio.fixture(loop_scope="module")
async def around(world):
    world.ollama.reset()
    world.claude.reset()
    yield world
    await world.ollama.resume()


@dataclass(frozen=True)
class World:
    proxy: RunningProxy
    ollama: SimulatedOllama
    claude: SimulatedClaude

    async def ask(self, model, *, case="", **more):
        headers = self.proxy.headers | ({"x-case": case} if case else {})
        async with asyncio.timeout(10):
            return await ask(
                self.proxy.base_url,
                "/v1/messages",
                headers=headers,
                body=turn(model=model, **more),
            )


SAYS = {
    b"/api/version": {"version": "0.33.0"},
    b"/api/tags": {"models": [{"name": "qwen-fast:latest", "digest": "1", "size": 1}]},
    b"/api/ps": {"models": []},
    b"/api/show": {"capabilities": ["completion", "tools"], "model_info": {}},
}
"""What a healthy Ollama says of itself."""


@asynccontextmanager
async def half_closing():
    """An Ollama that ends its half of the connection in the middle, and goes on reading."""
    over = asyncio.Event()

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"POST /api/chat"):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n{")
            writer.write_eof()
            await over.wait()
        else:
            body = json.dumps(next(said for path, said in SAYS.items() if path in head)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        over.set()


OPUS, SONNET, HAIKU = "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_ollama_accepts_nothing(stream, around):
    """Connections that nobody accepts are waited for as long as for a first byte, no longer."""
    await around.ollama.hang()
    fallen = await around.ask(OPUS, stream=stream)
    await around.ollama.resume()
    again = await around.ask(OPUS, stream=stream)

    assert (200, 1) == (fallen.status, len(around.claude.requests))
    assert "qwen-hasty:ok" == again.header("x-ccproxy-attempts")
    if stream:
        assert None is check_stream(fallen.body).error
    else:
        assert "qwen-hasty:timeout_first_byte,claude:ok" == fallen.header("x-ccproxy-attempts")


async def test_claude_accepts_nothing(around):
    """The same at Claude; a local model serves meanwhile."""
    outage = asyncio.create_task(around.claude.hang(60))
    await asyncio.sleep(0)
    fallen = await around.ask(SONNET)
    outage.cancel()
    await around.claude.refuse(0)
    again = await around.ask(SONNET)

    assert "claude-hasty:timeout_first_byte,qwen:ok" == fallen.header("x-ccproxy-attempts")
    assert "claude-hasty:ok" == again.header("x-ccproxy-attempts")


@pytest.mark.parametrize("side", ["ollama", "claude"])
@pytest.mark.parametrize("delay_s", [0.05, 30])
async def test_slow_headers(delay_s, side, around):
    """Headers that come in time are an answer; those that don't are somebody else's turn."""
    if side == "ollama":
        around.ollama.add_fault("delay_headers", seconds=delay_s)
        first, second, model = "qwen-hasty", "claude", OPUS
    else:
        around.claude.faults.append(Fault(FaultKind.DELAY, seconds=delay_s))
        first, second, model = "claude-hasty", "qwen", SONNET
    answer = await around.ask(model)

    in_time = delay_s < FIRST_BYTE_S
    expected = f"{first}:ok" if in_time else f"{first}:timeout_first_byte,{second}:ok"
    assert (200, expected) == (answer.status, answer.header("x-ccproxy-attempts"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_one_byte_at_a_time(stream, around):
    """It is never silent, so no silence ends it; the route's deadline does (conformance 155)."""
    around.ollama.add_fault("slow_bytes", seconds=0.02)
    began = monotonic()
    answer = await around.ask(SONNET, case="slow", stream=stream)
    took_s = monotonic() - began

    assert DEADLINE_S * 0.9 < took_s < DEADLINE_S + 2
    if stream:
        assert "deadline" in check_stream(answer.body).error["message"]
    else:
        assert (504, "timeout_error") == (answer.status, answer.error["type"])


async def test_a_line_without_end(around):
    """What is longer than any record is given up, and somebody else answers."""
    around.ollama.add_fault("endless_line", after_records=0)
    answer = await around.ask(OPUS)
    endless = around.ollama.generations[0]

    assert "qwen-hasty:malformed_output,claude:ok" == answer.header("x-ccproxy-attempts")
    async with asyncio.timeout(1):
        await endless.disconnected.wait()


async def test_a_connection_that_is_half_closed(around):
    """An end in the middle is an end, though the other side goes on listening."""
    began = monotonic()
    answer = await around.ask(SONNET, case="half")

    assert "qwen-half:broken_stream,claude:ok" == answer.header("x-ccproxy-attempts")
    assert monotonic() - began < 5


async def test_no_name_service(around):
    """A host whose name nobody knows is one that cannot be connected to; no name is told."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(NOWHERE, 9)
    answer = await around.ask(HAIKU)
    alone = await around.ask("claude-lost")

    attempts = answer.header("x-ccproxy-attempts").split(",")
    # Probes may have found out before that nobody answers there; then nobody is asked.
    attempts = [each for each in attempts if each != "qwen-lost:connect_error"]
    assert ["claude-lost:connect_error", "qwen:ok"] == attempts
    assert (529, "overloaded_error") == (alone.status, alone.error["type"])
    assert NOWHERE not in alone.body.decode()


async def test_a_model_is_deleted_and_pulled_again(around):
    """Whoever deletes it between two requests: the next one is Claude's, the one after a pull not."""
    first = await around.ask(OPUS)
    model = around.ollama.models.pop("qwen-fast:latest")
    without = await around.ask(OPUS)
    around.ollama.models["qwen-fast:latest"] = model
    again = await around.ask(OPUS)

    attempts = [each.header("x-ccproxy-attempts") for each in (first, without, again)]
    assert ["qwen-hasty:ok", "qwen-hasty:model_missing,claude:ok", "qwen-hasty:ok"] == attempts


STORM = count(quick=20, ci=40, full=200)


@pytest.mark.parametrize("retry_after_s", [None, 30], ids=["no time named", "30 s named"])
@pytest.mark.parametrize("status", [429, 529])
async def test_a_storm_at_claude(status, retry_after_s, around):
    """Every request is served elsewhere, and nobody is asked more often than the clients asked."""
    around.claude.faults.append(
        Fault(FaultKind.STATUS, times=10_000, status=status, retry_after_s=retry_after_s)
    )
    answers = await asyncio.gather(*(around.ask(SONNET, case="storm") for _ in range(STORM)))

    failure = "rate_limit" if status == 429 else "overloaded"
    assert {200} == {answer.status for answer in answers}
    assert {f"claude:{failure},qwen:ok"} == {
        answer.header("x-ccproxy-attempts") for answer in answers
    }
    assert STORM == len(around.claude.requests)


@pytest.mark.parametrize("retry_after_s", [None, 30], ids=["no time named", "30 s named"])
async def test_a_storm_everywhere(retry_after_s, around):
    """With nobody left the clients hear of it at once, with the wait that Claude names."""
    around.claude.faults.append(
        Fault(FaultKind.STATUS, times=10_000, status=429, retry_after_s=retry_after_s)
    )
    around.ollama.add_fault("busy", times=10_000)
    answers = await asyncio.gather(*(around.ask(SONNET, case="storm") for _ in range(STORM)))

    # The last to be asked decides: Ollama, which names none.
    assert {(529, "true", "2")} == {
        (each.status, each.header("x-should-retry"), each.header("retry-after")) for each in answers
    }
    assert STORM == len(around.claude.requests) == len(around.ollama.generations)
    around.ollama.faults.clear()
    around.claude.faults.clear()
    assert 200 == (await around.ask(SONNET, case="storm")).status
