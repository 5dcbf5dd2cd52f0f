"""Many requests, much trouble, and nothing left behind (conformance 021, 159; issue: Speed and memory)."""

import asyncio
import itertools
import random

import pytest

from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, MIXED, WEATHER, turn
from tests.support.sizes import count
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROXY_OPTIONS = {"patience_s": 0.2, "ping_after_s": 0.1}

OLLAMA_FAULTS = (
    "reset_before_headers",
    "non_json",
    "html_500",
    "empty_body",
    "busy",
    "unauthorized",
    "reset",
    "close",
    "no_done",
    "error_line",
    "garbage_line",
    "split_utf8",
    "one_chunk",
    "hang",
    "stall",
)
CLAUDE_FAULTS = ("status", "html", "hang", "reset", "cut", "stall", "error_event", "redirect")
KNOWN_STATUSES = {200, 307, 400, 401, 404, 413, 429, 500, 502, 504, 529}


def kinds_of_requests(proxy):
    """Every kind of request, in an endless round."""
    good = proxy.headers
    return itertools.cycle(
        [
            ("POST", "/v1/messages", good, turn("Give me 30 words.", LOCAL, stream=True)),
            ("POST", "/v1/messages", good, turn(model=LOCAL)),
            ("POST", "/v1/messages", good, turn(model=CLAUDE, stream=True)),
            ("POST", "/v1/messages", good, turn(model=CLAUDE)),
            (
                "POST",
                "/v1/messages",
                good,
                turn("use the get_weather tool", MIXED, tools=[WEATHER]),
            ),
            ("POST", "/agents/security-auditor/v1/messages", good, turn(model=MIXED, stream=True)),
            ("POST", "/v1/messages/count_tokens", good, turn(max_tokens=None)),
            ("GET", "/v1/models", good, b""),
            ("POST", "/v1/files", good, b"x" * 10_000),
            ("POST", "/v1/messages", {}, turn()),
            ("POST", "/v1/messages", good, b"{"),
            ("POST", "/v1/messages", good, turn("x" * 400_000, MIXED, stream=True)),
        ]
    )


async def one(proxy, request, leaves_after_s):
    """Send one request; returns its status, or None for a client that left."""
    method, path, headers, body = request
    task = asyncio.create_task(ask(proxy.base_url, path, method=method, headers=headers, body=body))
    done, _ = await asyncio.wait({task}, timeout=leaves_after_s)
    if not done:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None
    return (await task).status


def proxy_tasks():
    """The tasks that serve requests, by what they run."""
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_nothing_is_left_after_a_storm(proxy):
    """After mixed requests, faults and vanishing clients: no stream, no task, and it serves."""
    chance = random.Random(7)  # noqa: S311 - the same storm every time
    await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
    await until(lambda: proxy.ollama.open_streams == 0)
    baseline = {task.get_name() for task in proxy_tasks()}
    before = len(proxy_tasks())
    statuses = []
    requests = kinds_of_requests(proxy)
    for _ in range(count(quick=5, ci=10, full=50)):
        for name in chance.sample(OLLAMA_FAULTS, 6):
            proxy.ollama.add_fault(name, after_records=chance.randrange(4))
        for name in chance.sample(CLAUDE_FAULTS, 4):
            status = chance.choice((400, 401, 429, 500, 529))
            after = chance.choice((0, 100, 400))
            proxy.claude.faults.append(Fault(FaultKind(name), status=status, after_bytes=after))
        statuses += await asyncio.gather(
            *(one(proxy, next(requests), chance.uniform(0.02, 1.5)) for _ in range(40))
        )
    proxy.ollama.faults.clear()
    proxy.claude.faults.clear()

    async with asyncio.timeout(1.5):
        await proxy.ollama.idle()
        await until(lambda: proxy.claude.open_streams == 0)
    await until(lambda: len(proxy_tasks()) <= before, 5)
    assert {
        task.get_name() for task in proxy_tasks() if task.get_name().startswith("ollama")
    } <= baseline
    assert {status for status in statuses if status is not None} <= KNOWN_STATUSES
    assert 200 in statuses
    for model in (LOCAL, CLAUDE):
        answer = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=model)
        )
        assert 200 == answer.status


@pytest.mark.parametrize("side", ["ollama", "claude"])
async def test_clients_that_vanish_together(side, proxy):
    """A second after they all left no upstream stream is open (issue: Speed and memory; conformance 159)."""
    clients = count(quick=100, ci=200, full=500)
    if side == "ollama":
        proxy.ollama.add_fault("hang", times=clients)
    else:
        fault = Fault(FaultKind.STALL, times=clients, after_bytes=100)
        proxy.claude.faults.append(fault)
    body = turn(model=LOCAL if side == "ollama" else CLAUDE, stream=True)

    async def hold():
        async with wire(proxy.base_url) as connection:
            await connection.send("POST", "/v1/messages", proxy.headers, body)
            await connection.read_head()
            await asyncio.Event().wait()

    before = len(proxy_tasks())
    tasks = [asyncio.create_task(hold()) for _ in range(clients)]
    if side == "ollama":
        await until(lambda: proxy.ollama.open_streams == clients, 10)
    else:
        await until(lambda: proxy.claude.open_streams == clients, 10)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    async with asyncio.timeout(1):
        if side == "ollama":
            await proxy.ollama.idle()
        else:
            await until(lambda: proxy.claude.open_streams == 0)
    await until(lambda: len(proxy_tasks()) <= before)


async def test_slots_come_free_again(proxy):
    """Requests that failed or left gave their place back: as many as ever can be served (conformance 285)."""
    for name in OLLAMA_FAULTS:
        proxy.ollama.add_fault(name, after_records=1)
        task = asyncio.create_task(
            ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(stream=True))
        )
        await asyncio.wait({task}, timeout=0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await proxy.ollama.idle()

    async with asyncio.timeout(10):
        answers = await asyncio.gather(
            *(
                ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
                for _ in range(20)
            )
        )
    assert [200] * 20 == [answer.status for answer in answers]
