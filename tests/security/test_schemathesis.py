"""Everything that our OpenAPI schema allows, and what it forbids: no 500, no hang, nothing left."""

import asyncio
import functools

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from tests.support.http_wire import ask
from tests.support.leftovers import held
from tests.support.sizes import count
from tests.support.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # The proxy, in the other thread, uses the module while Hypothesis watches it.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
]

EXAMPLES = count(quick=2, ci=4, full=500)
"""Of each operation, as often good as bad."""
AT_LEAST = count(quick=25, ci=70, full=10_000)
"""Requests in all: with the 90,000 of `test_random_requests` a hundred thousand at full size."""
EVERY = count(quick=3, ci=2, full=1)
"""Making ready what breaks a schema takes a tenth of a second: each, every second or every third."""
ANSWER_S = 30.0
UNREADY = ("/health/ready", 503)
LIVE = "/admin/live"
"""Streams for a quarter of an hour; its head and its first line are enough."""


async def described(base_url, proxy):
    answer = await ask(base_url, "/openapi.json", method="GET", headers=proxy.headers)
    return schemathesis.openapi.from_dict(answer.json())


def wrong_with(case, session, base_url, token):
    """Send one case; returns what is wrong with its answer, or None."""
    given_headers = {**(case.headers or {}), "x-api-key": token}
    sent = case.as_transport_kwargs(base_url=base_url, headers=given_headers)
    with session.request(**sent, timeout=ANSWER_S, stream=True, allow_redirects=False) as answer:
        if case.operation.path == LIVE and answer.status_code == 200:
            return None if next(answer.iter_lines()) else "no line"
        if answer.status_code >= 500 and (case.operation.path, answer.status_code) != UNREADY:
            return f"{case.as_curl_command()}: {answer.status_code} {answer.content[:300]!r}"
        if 400 <= answer.status_code < 500 and answer.json()["type"] != "error":
            return f"{case.as_curl_command()}: {answer.content[:300]!r} is no error"
    return None


def send_all(operation, mode, base_url, token):
    """Send examples of one operation; returns how many, and what was wrong."""
    sent, wrong = 0, []
    strategy = operation.as_strategy(generation_mode=mode)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def send(case):
        nonlocal sent
        sent += 1
        if (trouble := wrong_with(case, session, base_url, token)) is not None:
            wrong.append(trouble)

    with requests.Session() as session:
        session.trust_env = False
        send()
    return sent, wrong


def ways(schema):
    """Return each operation with each mode that it has: some have nothing that could be wrong."""
    found = []
    for result in schema.get_all_operations():
        operation = result.ok()
        found.append((operation, GenerationMode.POSITIVE))
        if operation.body or operation.query or operation.headers or operation.path_parameters:
            found.append((operation, GenerationMode.NEGATIVE))
    return found


@pytest.mark.timeout(count(quick=180, ci=180, full=7200))
async def test_what_the_schema_allows_and_forbids(base_url, proxy):
    """Each operation answers each request with something of its own, and errors in our shape."""
    schema = await described(base_url, proxy)
    sent, found, before = 0, [], None
    for operation, mode in ways(schema)[::EVERY]:
        send = functools.partial(send_all, operation, mode, base_url, proxy.token)
        more, wrong = await asyncio.to_thread(send)
        sent, found = sent + more, found + wrong
        before = before or held()
    assert not found, found[:10]
    assert sent >= AT_LEAST, sent

    await proxy.ollama.idle()
    await until(lambda: held().tasks <= before.tasks + 2, 10)
    assert held().files <= before.files + 16
