"""Sections J and K: what makes Ollama lose a prompt, counting, and the list of models."""

import asyncio

import pytest

from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.pipeline.slots import Slots
from ccproxy.ports import AttemptFailed, ModelDone
from routing.failures import FailureClass
from tests.support.black_box import COUNT, assert_error, post, sent_to_model, stream
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, WEATHER, turn
from tests.support.proxy import running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

RUNNER_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "num_thread", "use_mmap", "main_gpu")


async def test_the_model_is_loaded_once(proxy):
    """Whatever is asked, runner options never differ, so Ollama loads once (199, 227, 232)."""
    bodies = [
        turn(),
        turn("x" * 9000, max_tokens=4000, temperature=0.3, top_k=4),
        turn(tools=[WEATHER], tool_choice={"type": "any"}),
        turn(stream=True, stop_sequences=["END"]),
        turn(output_format={"type": "json_schema", "schema": {"type": "object"}}),
    ]
    for body in bodies:
        assert 200 == (await post(proxy, body)).status

    sent = [request.body for request in proxy.ollama.generations]
    fixed = [
        (
            {name: body["options"].get(name) for name in RUNNER_OPTIONS},
            body["keep_alive"],
            body["truncate"],
            body["shift"],
        )
        for body in sent
    ]
    assert [fixed[0]] * len(bodies) == fixed
    assert 1 == proxy.ollama.loads


def deployment(name, base, **params):
    return {
        "model_name": name,
        "litellm_params": {"model": "ollama_chat/qwen3:8b", "api_base": base, **params},
    }


async def test_the_window_is_always_pinned():
    """A deployment without `num_ctx` gets one that agents can work in (conformance 197, 227)."""
    ollama = SimulatedOllama(speed=1000)
    async with ollama.serve() as url:
        profile = {"default": {"route": ["plain"]}}
        table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
        models = [deployment("plain", url)]
        async with running_proxy(routing=table, changes={"model_list": models}) as proxy:
            assert 200 == (await post(proxy, turn(model="plain"))).status

        assert ollama.generations[0].body["options"]["num_ctx"] >= 16384


async def counted(proxy, words):
    answer = await post(proxy, turn(words, max_tokens=None), path=COUNT)
    return answer.json()["input_tokens"]


async def test_overflow_is_told_before_ollama_hears_of_it(proxy):
    """A prompt that leaves no room is refused in Claude's words, which name both numbers.

    The estimate is the one of count_tokens; below the bound the prompt is sent whole.

    (conformance 228, 229, 246)
    """
    words = "word " * 70_000
    tokens = await counted(proxy, words)

    for streamed in (False, True):
        answer = await post(proxy, turn(words, stream=streamed))
        assert_error(
            answer,
            400,
            "invalid_request_error",
            f"prompt is too long: {tokens} tokens > 31744 maximum",
        )
        assert "false" == answer.header("x-should-retry")
    assert [] == proxy.ollama.generations

    shorter = "word " * 20_000
    assert 200 == (await post(proxy, turn(shorter))).status
    assert shorter == sent_to_model(proxy)["messages"][0]["content"]


async def test_a_removed_model(proxy):
    """A model that vanished is a 404; back again, it serves; nobody pulls it (055, 236, 241)."""
    model = proxy.ollama.models.pop("qwen2.5-coder:32b-instruct")

    assert_error(await post(proxy, turn()), 404, "not_found_error", LOCAL)
    assert not any(request.path == "/api/pull" for request in proxy.ollama.requests)

    proxy.ollama.models["qwen2.5-coder:32b-instruct"] = model
    assert 200 == (await post(proxy, turn())).status


async def test_a_restart_of_ollama(proxy):
    """While Ollama is away the client hears 529; once back, the next request works (237, 242)."""
    await proxy.ollama.refuse()
    assert_error(await post(proxy, turn()), 529, "overloaded_error")
    assert 200 == (await post(proxy, turn(model=CLAUDE))).status
    await proxy.ollama.resume()

    assert 200 == (await post(proxy, turn())).status


async def test_an_old_ollama():
    """Without capabilities in its listings a model is tried, not thinking (238, 240)."""
    old = SimulatedOllama(speed=1000, tags_capabilities=False)
    async with running_proxy(ollama=old) as proxy:
        body = turn(tools=[WEATHER], thinking={"type": "adaptive"})
        assert 200 == (await post(proxy, body)).status
        assert None is not sent_to_model(proxy).get("tools")


async def test_environment_proxies_are_ignored(monkeypatch):
    """`HTTP_PROXY` does not take a prompt elsewhere (conformance 243)."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with running_proxy() as proxy:
        assert 200 == (await post(proxy, turn())).status
        assert 200 == (await post(proxy, turn(model=CLAUDE))).status


async def test_a_queue_has_an_end():
    """Who waits too long for a slot is told that the model is overloaded (conformance 234)."""
    slots = Slots(1, queue_timeout_s=0.05)
    released = asyncio.Event()

    async def answering():
        await released.wait()
        yield ModelDone("stop")

    async def consume():
        return [item async for item in slots.admitted(answering())]

    first = asyncio.create_task(consume())
    await asyncio.sleep(0)
    with pytest.raises(AttemptFailed) as failed:
        await consume()
    assert FailureClass.OVERLOADED is failed.value.failure
    released.set()
    assert 1 == len(await first)
    assert 1 == len(await consume())


async def test_requests_queue_here():
    """With one slot the second request waits, and its stream is pinged meanwhile (151, 234)."""
    ollama = SimulatedOllama(speed=1000)
    async with ollama.serve() as url:
        models = [deployment("one", url, max_parallel_requests=1)]
        profile = {"default": {"route": ["one"]}}
        table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
        async with running_proxy(
            routing=table, changes={"model_list": models}, patience_s=0.1, ping_after_s=0.1
        ) as proxy:
            released = asyncio.Event()
            ollama.answer_with(released, {"message": {"content": "A"}, "done": True})
            body = turn(model="one", stream=True)
            first = asyncio.create_task(post(proxy, body))
            await ollama.generation()
            second = asyncio.create_task(post(proxy, body))
            await asyncio.sleep(0.5)
            assert 1 == len(ollama.generations)
            released.set()
            answers = [await first, await second]

    assert [200, 200] == [answer.status for answer in answers]
    assert all(b"event: ping" in answer.body for answer in answers)
    assert all(b"event: message_stop" in answer.body for answer in answers)


async def test_counting_asks_nobody(proxy):
    """count_tokens is an estimate: no generation, no load, the same each time, never less for more.

    (conformance 244, 245)
    """
    counts = [await counted(proxy, "word " * n) for n in (1, 1, 10, 100)]

    assert counts[0] == counts[1] > 0
    assert counts == sorted(counts)
    assert [] == proxy.ollama.generations
    assert 0 == proxy.ollama.loads


@pytest.mark.parametrize(
    "changes",
    [
        {"system": "Be brief."},
        {"tools": [WEATHER]},
        {
            "messages": [
                {"role": "user", "content": "Say hello."},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "t_1", "name": "get_weather", "input": {"a": 1}}
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t_1"}]},
            ]
        },
    ],
)
async def test_everything_counts(changes, proxy):
    """System, tools and tool blocks are part of the count (conformance 244)."""
    bare = await post(proxy, turn(max_tokens=None), path=COUNT)
    more = await post(proxy, turn(max_tokens=None, **changes), path=COUNT)

    assert more.json()["input_tokens"] > bare.json()["input_tokens"]


async def test_the_estimate_is_near_the_models_count(proxy):
    """For prose the estimate and what Ollama counted differ by less than a third (244, 246)."""
    words = "The quick brown fox jumps over the lazy dog, and then it rests a while. " * 50
    estimate = await counted(proxy, words)

    message = (await stream(proxy, turn(words))).message

    assert 0.66 < estimate / message["usage"]["input_tokens"] < 1.5


INFO_FIELDS = {
    "type",
    "id",
    "display_name",
    "created_at",
    "max_input_tokens",
    "max_tokens",
    "capabilities",
    "lifecycle",
    "deprecated_at",
    "retires_at",
    "line",
}


@pytest.mark.parametrize("credential", ["x-api-key", "authorization"])
async def test_the_list_of_models(credential, proxy):
    """One credential is enough; each local model has every field of the type (249, 253, 257)."""
    value = proxy.token if credential == "x-api-key" else f"Bearer {proxy.token}"

    answer = await ask(proxy.base_url, "/v1/models", method="GET", headers={credential: value})

    assert 200 == answer.status
    listing = answer.json()
    assert {"data", "has_more", "first_id", "last_id"} == set(listing)
    local = listing["data"][0]
    assert INFO_FIELDS == set(local)
    assert ("model", LOCAL, "active") == (local["type"], local["id"], local["lifecycle"])
    assert local["created_at"].endswith("Z")
    assert 32768 == local["max_input_tokens"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after_id=a&before_id=b", "after_id=nobody"]
)
async def test_bad_pages(query, proxy):
    """Limits and cursors are checked (conformance 251, 252)."""
    answer = await ask(proxy.base_url, f"/v1/models?{query}", method="GET", headers=proxy.headers)

    assert_error(answer, 400, "invalid_request_error")


async def test_every_page_once(proxy):
    """Following the cursors visits each model once and ends; no id comes twice (252, 253, 256)."""
    whole = await ask(proxy.base_url, "/v1/models?limit=1000", method="GET", headers=proxy.headers)
    ids = [info["id"] for info in whole.json()["data"]]
    seen, query = [], "limit=3"
    while True:
        answer = await ask(
            proxy.base_url, f"/v1/models?{query}", method="GET", headers=proxy.headers
        )
        listing = answer.json()
        seen += [info["id"] for info in listing["data"]]
        if not listing["has_more"]:
            break
        query = f"limit=3&after_id={listing['last_id']}"

    assert ids == seen
    assert len(ids) == len(set(ids))


async def test_models_without_anybody(relay):
    """With every upstream down the list is there at once (conformance 254)."""
    async with asyncio.timeout(15):
        answer = await ask(
            relay.proxy.base_url,
            "/v1/models?limit=1000",
            method="GET",
            headers=relay.proxy.headers,
        )

    assert 200 == answer.status
    assert "raw" == answer.json()["data"][0]["id"]
