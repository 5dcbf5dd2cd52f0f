"""Models, health and metrics of a running proxy (sections J and K)."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.proxy import running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def get(proxy, path):
    return await ask(proxy.base_url, path, method="GET", headers=proxy.headers)


def table(*route):
    profile = {"default": {"route": list(route)}}
    return {"version": 1, "active_profile": "p", "profiles": {"p": profile}}


async def test_models(proxy):
    """Deployments first, then Claude's ids, none twice, each one found by itself (conformance 004, 249, 256)."""
    listing = (await get(proxy, "/v1/models?limit=1000")).json()

    ids = [model["id"] for model in listing["data"]]
    assert ["qwen-coder", "qwen-quality"] == ids[:2]
    assert len(ids) == len(set(ids))
    assert any(model_id.startswith("claude-sonnet-4") for model_id in ids)
    assert (ids[0], ids[-1], False) == (
        listing["first_id"],
        listing["last_id"],
        listing["has_more"],
    )
    for model in listing["data"]:
        assert model == (await get(proxy, f"/v1/models/{model['id']}")).json()


async def test_every_listed_model_is_routable(proxy):
    """An id of the list is served (design 4.2)."""
    for model in (await get(proxy, "/v1/models?limit=1000")).json()["data"]:
        answer = await ask(
            proxy.base_url,
            "/v1/messages/count_tokens",
            headers=proxy.headers,
            body=turn(model=model["id"], max_tokens=None),
        )
        assert 200 == answer.status, model["id"]


async def test_pages(proxy):
    """Following after_id visits every model once and ends (conformance 252, 253)."""
    seen, after = [], ""
    while True:
        page = (await get(proxy, f"/v1/models?limit=3{after}")).json()
        seen += [model["id"] for model in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after_id={page['last_id']}"

    assert seen == [m["id"] for m in (await get(proxy, "/v1/models?limit=1000")).json()["data"]]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models?limit=0", 400),
        ("/v1/models?limit=1001", 400),
        ("/v1/models?limit=x", 400),
        ("/v1/models?after_id=nobody", 400),
        ("/v1/models?after_id=a&before_id=b", 400),
        ("/v1/models/nothing", 404),
        ("/v1/models/qwen%2Dcoder", 200),
        ("/agents/code-reviewer/v1/models/qwen-coder", 200),
        ("/agents/nobody/v1/models/qwen-coder", 404),
    ],
)
async def test_queries_for_models(path, status, proxy):
    """Limits and cursors are checked, ids may be percent-encoded (conformance 005, 251, 252)."""
    answer = await get(proxy, path)

    assert status == answer.status
    if status != 200:
        assert answer.error["message"]


@pytest.mark.parametrize("trouble", ["hang", "refuse", "status", "html"])
async def test_models_without_claude(trouble):
    """A slow, absent or broken Claude costs its ids and about a second, no more (conformance 254)."""
    async with running_proxy() as proxy:
        if trouble == "refuse":
            outage = asyncio.create_task(proxy.claude.refuse(2))
        else:
            proxy.claude.faults.append(Fault(FaultKind(trouble), status=500, times=9))
        async with asyncio.timeout(2):
            listing = await get(proxy, "/v1/models?limit=1000")
        if trouble == "refuse":
            outage.cancel()

    ids = [model["id"] for model in listing.json()["data"]]
    assert 200 == listing.status
    assert {"qwen-coder", "claude-opus"} <= set(ids)
    assert not [one for one in ids if one.startswith("claude-opus-4")]


async def test_the_list_of_claude_is_kept(proxy):
    """Claude is asked once in five minutes, not by every picker (conformance 254)."""
    await get(proxy, "/v1/models")
    await asyncio.gather(*(get(proxy, "/v1/models") for _ in range(20)))

    assert len([r for r in proxy.claude.requests if r.path == "/v1/models"]) <= 1


async def test_models_of_a_private_house():
    """A local_only profile does not even ask Claude for names (design 4.4)."""
    routing = table("qwen-coder")
    routing["profiles"]["p"]["privacy"] = "local_only"
    async with running_proxy(routing=routing) as proxy:
        assert 200 == (await get(proxy, "/v1/models")).status
        assert [] == list(proxy.claude.requests)


async def test_ready_once_ollama_answered():
    """A route of local models is ready as soon as Ollama was heard of (conformance 237)."""
    async with running_proxy(routing=table("qwen-coder")) as proxy:

        async def ready():
            return (await ask(proxy.base_url, "/health/ready", method="GET")).status

        async with asyncio.timeout(10):
            while await ready() != 200:  # noqa: ASYNC110 - it is about the endpoint
                await asyncio.sleep(0.01)
        health = (await get(proxy, "/health")).json()
        assert True is health["ready"]
        backend = health["backends"][0]
        assert (proxy.ollama_url, "up") == (backend["api_base"], backend["state"])
        state = {d["deployment"]: d["unavailable"] for d in health["deployments"]}
        assert None is state["qwen-coder"]


async def test_not_ready_while_everything_is_down():
    """It starts with every upstream down, says so, and other paths still answer (conformance 237)."""
    missing = {
        "model_name": "gone",
        "litellm_params": {"model": "ollama_chat/q", "api_base": "http://127.0.0.1:9"},
    }
    async with running_proxy(routing=table("gone"), changes={"model_list": [missing]}) as proxy:
        live = await ask(proxy.base_url, "/health/live", method="GET")
        ready = await ask(proxy.base_url, "/health/ready", method="GET")
        message = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model="gone")
        )
        models = await get(proxy, "/v1/models")
        detail = (await get(proxy, "/health")).json()

    assert (200, 503) == (live.status, ready.status)
    assert b"gone" not in ready.body
    assert (529, "overloaded_error") == (message.status, message.error["type"])
    assert 200 == models.status
    why = detail["deployments"][0]["unavailable"]
    assert why.startswith("Ollama does not answer (down since 20")


async def test_a_claude_without_its_key():
    """A missing key makes that deployment unavailable, and only that one (design 4.1)."""
    key = "os.environ/CCPROXY_TEST_NO_SUCH_KEY"
    params = {"model": "anthropic/*", "api_key": key}
    changes = {"model_list": [{"model_name": "c", "litellm_params": params}]}
    async with running_proxy(routing=table("c"), changes=changes) as proxy:
        ready = await ask(proxy.base_url, "/health/ready", method="GET")
        message = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model="c")
        )
        upload = await ask(proxy.base_url, "/v1/files", headers=proxy.headers, body=b"x")

    assert 503 == ready.status
    assert (529, "overloaded_error") == (message.status, message.error["type"])
    assert 404 == upload.status


async def test_health_has_no_secrets(proxy):
    """Neither keys nor tokens stand in /health or /metrics (conformance 277)."""
    await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE))
    for path in ("/health", "/metrics"):
        body = (await get(proxy, path)).body.decode()
        assert "upstream-key" not in body
        assert proxy.token not in body


async def samples(proxy):
    answer = await get(proxy, "/metrics")
    assert answer.header("content-type").startswith("text/plain")
    families = text_string_to_metric_families(answer.body.decode())
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_count_what_happened(proxy):
    """One request each: status, attempts, agents and tokens grow by what the client saw (design 2.8)."""
    before = await samples(proxy)
    proxy.ollama.add_fault("busy")
    fallen = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=MIXED)
    )
    local = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=LOCAL))
    await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(max_tokens=-1))
    await ask(proxy.base_url, "/v1/messages", headers={}, body=turn())
    await ask(
        proxy.base_url,
        "/agents/code-reviewer/v1/messages",
        headers=proxy.headers,
        body=turn(model=MIXED),
    )
    after = await samples(proxy)

    def grown(name, *labels):
        key = (name, *sorted(labels))
        return after.get(key, 0) - before.get(key, 0)

    count = "ccproxy_requests_total"
    assert 1 == grown(count, "messages", "claude-sonnet", "claude", "200", "completed")
    assert 2 == grown(count, "messages", "qwen-coder", "local", "200", "completed")
    assert 1 == grown(count, "messages", "qwen-coder", "local", "400", "refused")
    assert 1 == grown(count, "messages", "none", "none", "401", "refused")
    assert 1 == grown("ccproxy_attempts_total", "qwen-coder", "overloaded")
    assert 1 == grown("ccproxy_attempts_total", "claude-sonnet", "ok")
    assert 1 == grown("ccproxy_agent_matches_total", "path")
    claude = fallen.json()["usage"]
    assert claude["input_tokens"] == grown("ccproxy_tokens_total", "none", "claude-sonnet", "input")
    assert claude["output_tokens"] == grown(
        "ccproxy_tokens_total", "none", "claude-sonnet", "output"
    )
    assert (
        grown("ccproxy_tokens_total", "none", "qwen-coder", "output")
        >= local.json()["usage"]["output_tokens"]
    )


async def test_endings(proxy):
    """A broken stream and a client that left are counted as what they were (design 2.8)."""
    before = await samples(proxy)
    proxy.ollama.add_fault("reset", after_records=2)
    await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn("Give me 9 words.", stream=True),
    )
    proxy.ollama.add_fault("hang")
    task = asyncio.create_task(
        ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(stream=True))
    )
    record = await proxy.ollama.generation(1)
    task.cancel()
    await record.disconnected.wait()
    after = await samples(proxy)

    grown = {key for key, value in after.items() if value > before.get(key, 0)}
    endings = {key for key in grown if key[0] == "ccproxy_requests_total"}
    assert {"broken", "client_gone"} == {
        label for key in endings for label in key if label in ("broken", "client_gone")
    }


async def test_backends_and_breakers_are_in_the_metrics(proxy):
    """Whether a backend answers is a metric; one that nobody asked has none (design 3)."""
    found = await samples(proxy)

    assert 1.0 == found[("ccproxy_backend_up", proxy.ollama_url)]
    assert 1.0 == found[("ccproxy_backend_changes_total", proxy.ollama_url, "up")]
    assert 1.0 <= found[("ccproxy_backend_probes_total", proxy.ollama_url)]
    states = {"closed": 1.0, "open": 0.0, "half_open": 0.0}
    for state, value in states.items():
        key = ("ccproxy_breaker_state", *sorted(["qwen-coder", state]))
        assert value == found[key]


async def test_the_schema_is_for_operators(proxy):
    """`/openapi.json` needs the ops scope; each path is described once, and no name doubly."""
    nobody = await ask(proxy.base_url, "/openapi.json", method="GET")
    client = {"x-api-key": proxy.new_token("no-ops")}
    refused = await ask(proxy.base_url, "/openapi.json", method="GET", headers=client)
    schema = (await get(proxy, "/openapi.json")).json()

    assert [401, 403] == [nobody.status, refused.status]
    operations = [op for path in schema["paths"].values() for op in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert {"get", "post"} == {method for path in schema["paths"].values() for method in path}
    assert {"/health", "/metrics", "/v1/models"} <= set(schema["paths"])
    for prefix in ("", "/agents/{slug}"):
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            described = schema["paths"][prefix + path]["post"]
            assert {"anthropic-version"} <= {each["name"] for each in described["parameters"]}
            assert described["requestBody"]["content"]["application/json"]["schema"]
    assert not any("422" in operation["responses"] for operation in operations)


@pytest.mark.parametrize("path", ["/", "/api/hello", "/health/live", "/health/ready", "/health"])
async def test_probes_may_ask_for_the_head_alone(path, proxy):
    """HEAD is answered like GET, without the body."""
    head = await ask(proxy.base_url, path, method="HEAD", headers=proxy.headers)

    assert (200, b"") == (head.status, head.body)
