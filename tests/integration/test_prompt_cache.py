"""The prompt cache of a local model, through a whole proxy: kept, counted, and told when it broke."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from itertools import pairwise

import pytest

from ccproxy.demo.ollama_models import default_fleet
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.http_wire import ask
from tests.support.messages import LOCAL, MIXED, WEATHER, turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE = "def f(x):\n    return x + 1\n" * 200


def request_of(turns, *, billing="a1", system="You are an agent.", **more):
    """Return a request of Claude Code after so many tool calls."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Read the files."}]},
        {"role": "system", "content": [{"type": "text", "text": "Today is Monday."}]},
    ]
    for number in range(turns):
        call = {
            "type": "tool_use",
            "id": f"t{number}",
            "name": "get_weather",
            "input": {"city": "X"},
        }
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": FILE}
        messages += [
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
            {"role": "system", "content": "Be brief."},
        ]
    blocks = [f"x-anthropic-billing-header: cc_version=2.1.329.{billing};", system]
    return turn(
        messages=messages,
        system=[{"type": "text", "text": text} for text in blocks],
        tools=[WEATHER],
        **more,
    )


def headers_of(proxy, session):
    return {**proxy.headers, "x-claude-code-session-id": session}


async def send(proxy, body, session):
    """Return the answer to one request of a session."""
    answer = await ask(
        proxy.base_url, "/v1/messages", headers=headers_of(proxy, session), body=body
    )
    assert answer.status == 200, answer.body
    return answer


async def prompt_tokens(proxy):
    """Return the metric's values, by kind."""
    page = await ask(proxy.base_url, "/metrics", method="GET", headers=proxy.headers)
    found = {"reused": 0.0, "evaluated": 0.0}
    for line in page.body.decode().splitlines():
        if line.startswith("ccproxy_prompt_tokens_total{") and f'deployment="{LOCAL}"' in line:
            kind = line.partition('kind="')[2].partition('"')[0]
            found[kind] += float(line.rpartition(" ")[2])
    return found


async def test_turn_after_turn_the_prefix_holds(proxy):
    """What Ollama is sent begins with what it was sent before, and it reads only the rest (167)."""
    session = str(uuid.uuid4())
    for turns in range(4):
        answer = await send(proxy, request_of(turns, billing=f"b{turns}"), session)
        assert "prefix_broken" not in (answer.header("x-ccproxy-notes") or "")

    sent = proxy.ollama.generations
    for before, after in pairwise(sent):
        count = len(before.body["messages"])
        assert after.body["messages"][:count] == before.body["messages"]
        assert after.body["tools"] == before.body["tools"]
        assert after.cached_tokens > 0.9 * before.prompt_tokens


async def test_reused_and_evaluated_tokens_are_counted(proxy):
    """The second turn reuses the first one's prompt; together they are Ollama's count (219)."""
    session = str(uuid.uuid4())
    await send(proxy, request_of(2, system="You count."), session)
    before = await prompt_tokens(proxy)
    await send(proxy, request_of(3, system="You count."), session)
    after = await prompt_tokens(proxy)

    first, second = proxy.ollama.generations
    reused, evaluated = (after[kind] - before[kind] for kind in ("reused", "evaluated"))
    assert reused + evaluated == second.prompt_tokens
    assert reused == pytest.approx(second.cached_tokens, rel=0.05)
    assert reused == pytest.approx(first.prompt_tokens, rel=0.05)


async def test_a_broken_prefix_is_named(proxy):
    """The header says which part and byte broke it, and nothing of what stands there."""
    session = str(uuid.uuid4())
    await send(proxy, request_of(2, system="It is 12:01."), session)
    answer = await send(proxy, request_of(3, system="It is 12:02."), session)

    assert "prefix_broken=system:10" in answer.header("x-ccproxy-notes").split(",")


async def test_an_answer_that_is_not_asked_for_reads_nothing(proxy):
    """`max_tokens: 0` sends nothing, so nothing counts as read (conformance 202)."""
    session = str(uuid.uuid4())
    await send(proxy, request_of(2, system="A", max_tokens=0), session)
    answer = await send(proxy, request_of(2, system="B"), session)

    assert "prefix_broken" not in (answer.header("x-ccproxy-notes") or "")


async def test_a_load_is_logged(proxy, caplog):
    """At INFO, with its seconds; a model that is in memory loads nothing (conformance 235)."""
    caplog.set_level(logging.INFO, "ccproxy")
    proxy.ollama.memory.residents.clear()
    await send(proxy, turn(), "s")
    await send(proxy, turn(), "s")

    loads = [record.message for record in caplog.records if "was loaded" in record.message]
    assert loads == [f"{LOCAL}: the model was loaded in 6.0 s"]


async def test_who_would_be_too_late_is_tried_last():
    """Explain and traffic agree that Claude goes first once the local model is known to be slow."""
    models = [replace(model, prefill_tokens_per_s=10) for model in default_fleet()]
    async with running_proxy(ollama=SimulatedOllama(models, speed=10_000)) as proxy:
        asked = request_of(4, model=MIXED, system="Slow.")

        async def explained():
            told = await ask(proxy.base_url, "/admin/explain", headers=proxy.headers, body=asked)
            return told.json()

        local = (await explained())["attempts"][0]["deployment"]
        for system in ("One.", "Two."):
            await send(proxy, request_of(1, model=local, system=system), system)

        async def moved():
            told = await explained()
            return told if told["attempts"][0]["deployment"] != local else None

        told = await until_found(moved)  # a snapshot of the fleet serves for a second
        answer = await send(proxy, asked, "new")
        await send(proxy, {**asked, "model": local}, "read")
        again = await send(proxy, asked, "read")

    (why,) = (step["reason"] for step in told["trace"] if step["name"] == local)
    assert why.startswith("usable after those that are in time: would take about ")
    assert why.endswith(" unread tokens at 10/s; the limit is 300 s")
    assert told["attempts"][-1]["deployment"] == local
    assert answer.header("x-ccproxy-deployment") == told["attempts"][0]["deployment"]
    assert answer.header("x-ccproxy-route") == "claude"
    assert f"late={local}" in answer.header("x-ccproxy-notes").split(",")
    assert again.header("x-ccproxy-deployment") == local, "it has read that conversation"
