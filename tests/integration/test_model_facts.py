"""What Ollama says of its models, and what follows from it for requests and for `/health`."""

import math
from contextlib import asynccontextmanager

import pytest

from ccproxy.demo import ollama_server
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.http_wire import ask
from tests.support.messages import LOCAL, turn
from tests.support.proxy import running_proxy
from tests.support.waiting import until_found

TOO_LONG = "num_ctx 65536 is above what the model was trained for (32768)"


@asynccontextmanager
async def proxy_with_num_ctx(tokens):
    """Run a proxy whose `qwen-coder` has this context."""
    ollama = SimulatedOllama(speed=math.inf)
    async with ollama.serve() as url:
        params = {"model": "ollama_chat/qwen2.5-coder:32b-instruct", "api_base": url}
        local = {"model_name": LOCAL, "litellm_params": {**params, "num_ctx": tokens}}
        other = {
            "model_name": "qwen-fast",
            "litellm_params": {"model": "ollama_chat/qwen-fast", "api_base": url},
        }
        table = {
            "version": 1,
            "active_profile": "p",
            "profiles": {"p": {"default": {"route": [LOCAL, "qwen-fast"]}}},
        }
        async with running_proxy(routing=table, changes={"model_list": [local, other]}) as proxy:
            yield proxy, ollama


async def health(proxy):
    answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
    return answer.json()


async def known(proxy):
    """Wait until the models have been looked at, and return `/health`."""

    async def look():
        detail = await health(proxy)
        backend = detail["backends"][0]
        facts = [model["present"] for model in backend["models"]]
        return detail if backend["state"] == "up" and facts and all(facts) else None

    return await until_found(look)


async def send(proxy, path="/v1/messages", **changes):
    return await ask(proxy.base_url, path, headers=proxy.headers, body=turn(**changes))


async def test_a_context_beyond_the_training_is_not_used():
    """The next candidate serves, alone it is a 400 that says why, and `/health` shows it (197)."""
    async with proxy_with_num_ctx(65536) as (proxy, ollama):
        detail = await known(proxy)
        routed = await send(proxy, "/v1/messages/count_tokens", model="anything", max_tokens=None)
        alone = await send(proxy, model=LOCAL)
        generations = ollama.generations

    rows = {row["deployment"]: row["unavailable"] for row in detail["deployments"]}
    assert rows[LOCAL] == TOO_LONG
    assert rows["qwen-fast"] is None
    assert (routed.status, routed.header("x-ccproxy-attempts")) == (200, "qwen-fast:ok")
    assert alone.status == 400
    assert TOO_LONG in alone.error["message"]
    assert alone.header("x-should-retry") == "false"
    assert generations == []


async def test_health_tells_what_models_are():
    """Family, size, quantisation, abilities and trained length; nothing is loaded to find out."""
    async with running_proxy() as proxy:
        detail = await known(proxy)
        loads = proxy.ollama.loads

    models = {model["model"]: model for model in detail["backends"][0]["models"]}
    model = models["qwen3:8b"]
    assert (model["family"], model["parameter_size"], model["quantisation"]) == (
        "qwen3",
        "8.2B",
        "Q4_K_M",
    )
    assert (model["trained_context_tokens"], model["supports_thinking"]) == (40960, True)
    assert model["weights_bytes"] == int(5.2 * 2**30)
    assert (model["loaded"], loads) == (None, 0)


@pytest.mark.parametrize(("version", "warned"), [("0.12.5", True), ("0.12.6", False)])
async def test_an_ollama_that_may_cut_prompts_is_shown(version, warned, monkeypatch, caplog):
    """`/health` and the log warn of a version that ignores `truncate` and `shift` (199)."""
    monkeypatch.setattr(ollama_server, "VERSION", version)
    async with running_proxy(ollama=SimulatedOllama(speed=math.inf)) as proxy:
        backend = (await known(proxy))["backends"][0]

    assert (backend["version"], backend["warning"] is not None) == (version, warned)
    assert ("does not know `truncate`" in caplog.text) is warned
