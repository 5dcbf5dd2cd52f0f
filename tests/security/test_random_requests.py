"""Requests that no client would send: no 500, no hang, nothing left (docs/security.md)."""

import asyncio

import pytest

from tests.support.http_wire import wire
from tests.support.leftovers import held
from tests.support.random_requests import random_request
from tests.support.sizes import count
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

REQUESTS = count(quick=120, ci=400, full=90_000)
CLIENTS = 8
ANSWER_S = 30.0
"""The simulators answer at once; a request that takes this long hangs."""
MOST_GROWTH_BYTES = 48 * 1024 * 1024
STATUSES = {200, 304, 400, 401, 403, 404, 405, 409, 413, 415}
"""What a request may be told whatever it is; all of them say whose fault it is."""


async def tell(connection, proxy, request):
    """Send one request; returns its answer, and whether the connection is good for another."""
    headers = [("x-api-key", proxy.token), *request.headers]
    await connection.send(request.method, request.path, headers, request.body)
    answer = await connection.read_answer(request.method)
    return answer, answer.header("connection") != "close"


async def ask_all(base_url, proxy, seeds, wrong):
    """Send the requests of all seeds, on one connection as long as that lasts."""
    pending = list(seeds)
    while pending:
        async with wire(base_url) as connection:
            keeps = True
            while pending and keeps:
                seed = pending.pop()
                request = random_request(seed)
                try:
                    async with asyncio.timeout(ANSWER_S):
                        answer, keeps = await tell(connection, proxy, request)
                except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
                    wrong.append((seed, repr(error)))
                    break
                if answer.status not in STATUSES:
                    wrong.append((seed, answer.status, answer.body[:300]))
                elif answer.status >= 400 and request.method != "HEAD":
                    blamed = answer.error["type"]
                    wrong += [(seed, blamed)] if blamed == "api_error" else []


@pytest.mark.timeout(count(quick=180, ci=180, full=7200))
async def test_whatever_is_sent_is_answered(base_url, proxy):
    """Mutated requests to every path end in an answer that blames whom it should, and leave nothing."""
    wrong, before, part = [], None, REQUESTS // 5
    for seeds in (range(start, start + part) for start in range(0, REQUESTS, part)):
        await asyncio.gather(
            *(ask_all(base_url, proxy, seeds[number::CLIENTS], wrong) for number in range(CLIENTS))
        )
        await proxy.ollama.idle()
        await until(lambda: proxy.claude.open_streams == 0)
        # What the simulators remember of requests is not the proxy's.
        proxy.ollama.reset()
        proxy.claude.reset()
        # What is made once (pools, caches, tasks that watch) is there after the first fifth.
        before = before or held()
    assert not wrong, wrong[:10]

    await until(lambda: held().tasks <= before.tasks + 2, 10)
    after = held()
    # A connection to Claude stays open for each client for a while, and threads keep a file or two.
    assert after.files <= before.files + CLIENTS + 8
    assert after.rss_bytes < before.rss_bytes + MOST_GROWTH_BYTES
