"""Faults of whole processes: an Ollama that is killed, no descriptors left, a stop signal.

What a killed proxy leaves on the disk is looked at by the soak (`tests/soak`).
"""

import asyncio
import signal
import sqlite3
from contextlib import closing, suppress
from time import monotonic

import pytest
import pytest_asyncio

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.grammar import check_stream
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.ollama_program import OllamaProgram
from tests.support.proxy import UPSTREAM_KEY, running_proxy
from tests.support.soak.house import GRACE_S, free_port, running_house
from tests.support.tools import ROOT
from tests.support.waiting import until, until_found

KNOWN = {200, 500, 502, 529}
LOST_S = 1.0
"""What a crash may cost of the ledger (docs/ledger.md)."""


async def test_ollama_is_killed_and_started_again():
    """The running stream ends in one error event; the next process serves (conformance 242)."""
    ollama = OllamaProgram(free_port())
    await ollama.start()
    try:
        params = {"model": "ollama_chat/qwen-fast", "api_base": ollama.base_url, "num_ctx": 4096}
        models = [{"model_name": LOCAL, "litellm_params": params}]
        table = {"version": 1, "active_profile": "p", "profiles": {"p": {}}}
        async with running_proxy(routing=table, changes={"model_list": models}) as proxy:
            body = turn("Give me 300 words.", stream=True, max_tokens=2000)
            async with wire(proxy.base_url) as connection:
                await connection.send("POST", "/v1/messages", proxy.headers, body)
                await connection.read_head()
                raw = b""
                while b"text_delta" not in raw:
                    raw += await connection.read_chunk()
                await ollama.kill()
                while chunk := await connection.read_chunk():
                    raw += chunk
            down = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
            await ollama.start()
            again = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
    finally:
        await ollama.kill()

    checked = check_stream(raw)
    assert "api_error" == checked.error["type"]
    assert checked.message["content"][0]["text"]
    assert (529, "true") == (down.status, down.header("x-should-retry"))
    assert "end_turn" == again.json()["stop_reason"]


@pytest.fixture
def claude():
    return SimulatedClaude(speed=1000)


@pytest_asyncio.fixture
async def house(claude, tmp_path):
    """A proxy in a process of its own, in front of Claude alone: it starts in no time."""
    async with claude.serve() as claude_url:
        params = {"model": "anthropic/*", "api_base": claude_url, "api_key": UPSTREAM_KEY}
        document = {
            "auth": {"tokens_file": "tokens.json"},
            "roster": str(ROOT / "config/orchestra-config.json"),
            "model_list": [{"model_name": "claude", "litellm_params": params}],
            "ledger": {"url": "sqlite:///ccproxy.db"},
        }
        profile = {"default": {"route": ["claude"]}}
        table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
        async with running_house(tmp_path, document, table) as running:
            yield running


async def test_no_descriptors_are_left(house):
    """What cannot be had is refused or cut, never waited for; with descriptors it serves again."""
    body = turn(model=CLAUDE)

    async def one():
        try:
            async with asyncio.timeout(20):
                answer = await ask(house.base_url, "/v1/messages", headers=house.headers, body=body)
        except (ConnectionError, asyncio.IncompleteReadError):
            return None
        return answer.status

    async def served():
        return await one() == 200 or None

    await until_found(served)
    before = await house.inside()
    await house.limit_descriptors(before["descriptors"] + 6)
    outcomes = await asyncio.gather(*(one() for _ in range(40)))
    await until_found(served)
    await house.limit_descriptors(0)
    afterwards = [await one() for _ in range(3)]

    assert set(outcomes) <= {*KNOWN, None}
    assert {200} < set(outcomes), "the limit was not felt"
    assert [200] * 3 == afterwards
    assert "Traceback" not in house.log.read_text()


async def test_a_stop_signal_lets_streams_end(house, claude):
    """SIGTERM: what ends within the grace ends as ever, the rest in an error event, and it is gone."""
    claude.faults += [
        Fault(FaultKind.STALL, after_bytes=500, seconds=0.5),
        Fault(FaultKind.STALL, after_bytes=500),
        Fault(FaultKind.HANG),
    ]
    streamed = turn("Say it.", CLAUDE, stream=True)
    bodies = [streamed, streamed, turn(model=CLAUDE)]
    asking = []
    for number, body in enumerate(bodies, 1):
        asking.append(
            asyncio.create_task(
                ask(house.base_url, "/v1/messages", headers=house.headers, body=body)
            )
        )
        await until(lambda number=number: len(claude.requests) == number)
    async with asyncio.timeout(GRACE_S + 3):
        code = await house.ended_by(signal.SIGTERM)
    short, long, waiting = await asyncio.gather(*asking)

    with suppress(ConnectionError):
        await ask(house.base_url, "/health/live", method="GET")
        pytest.fail("somebody still listens")
    assert code in (0, -signal.SIGTERM)
    assert None is check_stream(short.body).error
    assert long.complete
    assert b"event: error\ndata: " in long.body
    assert (529, "true") == (waiting.status, waiting.header("x-should-retry"))
    assert "Traceback" not in house.log.read_text()


async def test_a_killed_proxy_loses_the_last_second_at_most(house):
    """SIGKILL under load: the ledger is whole, and has every request that ended before that."""
    body = turn(model=CLAUDE)
    answered = []

    async def worker():
        while True:
            answer = await ask(house.base_url, "/v1/messages", headers=house.headers, body=body)
            answered.append((monotonic(), answer.header("x-ccproxy-request-id")))

    workers = [asyncio.create_task(worker()) for _ in range(10)]
    await until(lambda: len(in_ledger(house.ledger)) > 100)
    await house.ended_by(signal.SIGKILL)
    killed_at = monotonic()
    for each in workers:
        each.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    found = in_ledger(house.ledger)
    assert {name for at, name in answered if at < killed_at - LOST_S} <= found
    with closing(sqlite3.connect(house.ledger)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (summed,) = connection.execute("SELECT sum(requests) FROM hourly").fetchone()
    assert summed == len(found)


def in_ledger(path):
    """Return the ids of all requests that the ledger has."""
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
        return {name for (name,) in connection.execute("SELECT request_id FROM requests")}
    return set()
