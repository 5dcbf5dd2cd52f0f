"""Which deployment serves when one fails, and what the client hears when none does."""

import asyncio
import hashlib

import pytest

from ccproxy.demo.claude_faults import Fault, FaultKind
from routing.breaker import BreakerState
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.proxy import running_proxy
from tests.support.tries import tried
from tests.support.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRIVATE = "/agents/security-auditor/v1/messages"

OLLAMA_FAULTS = {
    # fault: (settings, failure class, status and type when it is the last attempt)
    "reset_before_headers": ({}, "broken_stream", 502, "api_error"),
    "non_json": ({}, "malformed_output", 502, "api_error"),
    "html_500": ({}, "broken_stream", 502, "api_error"),
    "empty_body": ({}, "broken_stream", 502, "api_error"),
    "busy": ({}, "overloaded", 529, "overloaded_error"),
    "unauthorized": ({}, "upstream_auth", 502, "api_error"),
    "forbidden": ({}, "upstream_auth", 502, "api_error"),
    "delete_model": ({}, "model_missing", 404, "not_found_error"),
    "bad_request context": (
        {"message": "context"},
        "context_overflow",
        400,
        "invalid_request_error",
    ),
    "bad_request native": (
        {"message": "context_native"},
        "context_overflow",
        400,
        "invalid_request_error",
    ),
    "bad_request tools": ({"message": "tools"}, "capability_missing", 400, "invalid_request_error"),
    "server_error oom": (
        {"message": "model requires more system memory (40 GiB) than is available"},
        "overloaded",
        529,
        "overloaded_error",
    ),
    "server_error runner": (
        {"message": "llama runner process has terminated: signal: killed"},
        "broken_stream",
        502,
        "api_error",
    ),
    "error_line": ({"after_records": 0}, "broken_stream", 502, "api_error"),
    "no_done": ({"after_records": 0}, "broken_stream", 502, "api_error"),
    "close": ({"after_records": 0}, "broken_stream", 502, "api_error"),
    "reset": ({"after_records": 0}, "broken_stream", 502, "api_error"),
    "garbage_line": ({"after_records": 0}, "malformed_output", 502, "api_error"),
}
FAULT_NAMES = list(OLLAMA_FAULTS)
LEAKS = (b"Traceback", b"litellm", b"LiteLLM", b"127.0.0.1", b"ollama.com", b".py", b"signin")


def order(proxy, name, times=1):
    settings, failure, status, error_type = OLLAMA_FAULTS[name]
    proxy.ollama.add_fault(name.partition(" ")[0], times=times, **settings)
    return failure, status, error_type


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULT_NAMES)
async def test_claude_serves_where_ollama_fails(name, stream, proxy):
    """Nothing was relayed yet, so the fallback is invisible but for a header (conformance 154, 273)."""
    failure, _, _ = order(proxy, name)

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=MIXED, stream=stream)
    )

    assert 200 == answer.status, answer.body
    assert f"qwen-coder:{failure},claude-sonnet:ok" == answer.header("x-ccproxy-attempts")
    assert "claude" == answer.header("x-ccproxy-route")
    assert 1 == len(proxy.claude.requests)
    assert stream == answer.body.count(b"event: message_stop")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULT_NAMES)
async def test_the_last_local_failure_is_told(name, stream, proxy):
    """A real status in Anthropic's shape; no address, no library, no traceback.

    (conformance 053, 054, 055, 056, 058, 059, 061, 154)
    """
    failure, status, error_type = order(proxy, name, times=2)

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(stream=stream)
    )

    assert (status, error_type) == (answer.status, answer.error["type"]), answer.body
    assert tried("qwen-coder", failure) == answer.header("x-ccproxy-attempts")
    assert [] == [leak for leak in LEAKS if leak in answer.body]
    assert answer.header("x-should-retry") in ("true", "false")
    if failure == "context_overflow":
        assert answer.error["message"].startswith("prompt is too long: ")
    if failure == "model_missing":
        assert "model: qwen-coder" == answer.error["message"]
    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAULT_NAMES)
async def test_a_local_only_agent_never_reaches_claude(name, stream, proxy):
    """Whatever fails, however often: Claude's log stays empty (design 4.4)."""
    failure, status, _ = order(proxy, name, times=3)

    answer = await ask(
        proxy.base_url, PRIVATE, headers=proxy.headers, body=turn(model=MIXED, stream=stream)
    )

    assert status == answer.status
    attempts = f"qwen-quality:{failure},{tried('qwen-coder', failure)}"
    assert attempts == answer.header("x-ccproxy-attempts")
    assert [] == list(proxy.claude.requests)

    async def served():
        again = await ask(proxy.base_url, PRIVATE, headers=proxy.headers, body=turn(model=MIXED))
        return again.header("x-ccproxy-attempts") == "qwen-quality:ok"

    proxy.ollama.reset()
    await until_found(served)  # what was deleted is pulled again, and that is noticed


async def test_a_local_only_agent_while_ollama_is_gone(proxy):
    """A refused connection, and again none to Claude; afterwards it works (conformance 053, 242)."""
    await proxy.ollama.refuse()

    down = await ask(proxy.base_url, PRIVATE, headers=proxy.headers, body=turn(model=MIXED))
    await proxy.ollama.resume()
    up = await ask(proxy.base_url, PRIVATE, headers=proxy.headers, body=turn(model=MIXED))

    assert (529, "overloaded_error") == (down.status, down.error["type"])
    attempts = f"qwen-quality:connect_error,{tried('qwen-coder', 'connect_error')}"
    assert attempts == down.header("x-ccproxy-attempts")
    assert 200 == up.status
    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PRIVATE, turn(model="claude-opus")),
        (PRIVATE, turn(model=CLAUDE)),
        (PRIVATE, turn("x" * 400_000, MIXED)),
        (
            PRIVATE,
            turn(
                model=MIXED,
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": "iVBORw0KGgo=",
                                },
                            }
                        ],
                    }
                ],
            ),
        ),
        (PRIVATE, turn(model=MIXED, tools=[{"type": "web_search_20250305", "name": "web_search"}])),
        (PRIVATE, turn(model=MIXED, stream=True, messages=[])),
        ("/v1/messages", turn(model="agent/security-auditor", max_tokens=-1)),
        ("/v1/messages/", turn(model="agent/security-auditor")),
        ("/v1/v1/messages", turn(model="agent/security-auditor")),
        (
            "/v1/messages/batches",
            {
                "requests": [
                    {"params": turn(model=MIXED)},
                    {"params": turn(model="agent/security-auditor")},
                ]
            },
        ),
        ("/v1/messages/batches/", {"requests": [{"params": turn(model="agent/security-auditor")}]}),
        (
            "/v1/messages/%62atches",
            {"requests": [{"params": turn(model="agent/security-auditor")}]},
        ),
        ("/agents/security-auditor/v1/files", b"secret"),
        ("/agents/security-auditor/v1/messages/batches", {"requests": []}),
    ],
)
async def test_no_way_around_local_only(path, body, proxy):
    """By name, by size, by capability, by a neighbouring path: nothing leaves the host (design 4.4)."""
    headers = proxy.headers | {"x-ccproxy-agent": "code-reviewer"}

    await ask(proxy.base_url, path, headers=headers, body=body)

    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize(
    "body",
    [
        turn(model=MIXED, max_tokens=-1),
        turn(model=MIXED, messages=[]),
        turn(model=MIXED, temperature=7),
        turn(model=MIXED, stream="yes"),
        turn(model=MIXED, thread={"type": "create"}),
        turn(model=MIXED, max_tokens=0, stream=True),
    ],
)
async def test_a_clients_own_mistake_does_not_fall_back(body, proxy):
    """A 400 is a 400: no second attempt, no retry (design 5; conformance 042, 051)."""
    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "qwen-coder:client_fault" == answer.header("x-ccproxy-attempts")
    assert "false" == answer.header("x-should-retry")
    assert [] == list(proxy.claude.requests) + proxy.ollama.generations


@pytest.mark.parametrize(
    "words",
    ['option "temperature" must be of type float32', "illegal base64 data at input byte 4"],
)
async def test_a_mistake_that_only_ollama_notices(words, proxy):
    """Ollama's 500 for a wrong option is the request's fault, and no other deployment's affair (conformance 060)."""
    proxy.ollama.add_fault("server_error", message=words)

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=MIXED)
    )

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "qwen-coder:client_fault" == answer.header("x-ccproxy-attempts")
    assert [] == list(proxy.claude.requests)


CLAUDE_THEN = {
    "version": 1,
    "active_profile": "p",
    "profiles": {
        "p": {
            "tiers": {
                "opus": {"route": ["claude-opus", "claude-sonnet"]},
                "sonnet": {"route": ["claude-sonnet", "qwen-coder"]},
            },
            "default": {"route": ["qwen-coder", "claude-sonnet"]},
        }
    },
}


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (529, "overloaded"),
        (500, "overloaded"),
        (503, "overloaded"),
        (429, "rate_limit"),
        (401, "upstream_auth"),
        (403, "upstream_auth"),
        (504, "timeout_first_byte"),
    ],
)
async def test_claude_in_trouble(status, failure):
    """Claude's trouble goes to the next deployment, a second Claude or a local one (design 5)."""
    async with running_proxy(routing=CLAUDE_THEN) as proxy:
        proxy.claude.faults.append(claude_fault("status", status=status))
        second = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
        )
        proxy.claude.faults.append(claude_fault("status", status=status))
        local = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=MIXED)
        )

    assert (200, 200) == (second.status, local.status)
    assert f"claude-opus:{failure},claude-sonnet:ok" == second.header("x-ccproxy-attempts")
    assert f"claude-sonnet:{failure},qwen-coder:ok" == local.header("x-ccproxy-attempts")


@pytest.mark.parametrize("status", [400, 404, 413, 422, 409])
async def test_claudes_verdict_on_the_request_stands(status, proxy):
    """Claude's 4xx about the request is final, though another deployment is left (conformance 272)."""
    proxy.claude.faults.append(claude_fault("status", status=status))

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
    )

    assert status == answer.status
    assert "claude-opus:client_fault" == answer.header("x-ccproxy-attempts")
    assert 1 == len(proxy.claude.requests)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 529])
async def test_the_last_answer_is_claudes_own(status, stream, proxy):
    """Its status, bytes and headers reach the client unchanged (conformance 064, 268, 272)."""
    for _ in range(2):
        fault = claude_fault("status", status=status, retry_after_s=7, message="Wörtlich 🚀")
        proxy.claude.faults.append(fault)

    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn(model=CLAUDE, stream=stream),
    )

    last = proxy.claude.requests[-1]
    assert status == answer.status
    assert last.response_sha256 == hashlib.sha256(answer.body).hexdigest()
    assert "7" == answer.header("retry-after")
    assert "Wörtlich 🚀" == answer.error["message"]
    assert 2 == len(proxy.claude.requests)
    assert answer.header("x-ccproxy-attempts").startswith("claude-opus:")
    assert ",claude-sonnet:" in answer.header("x-ccproxy-attempts")


async def test_html_from_claudes_edge_is_relayed(proxy):
    """Even a page of HTML is Claude's own answer when it is the last (conformance 064)."""
    for _ in range(2):
        proxy.claude.faults.append(claude_fault("html", status=502))

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
    )

    assert 502 == answer.status
    assert answer.body.startswith(b"<html>")


async def test_claude_unreachable(proxy):
    """Our own words in Anthropic's shape, and the next request works (conformance 065)."""
    outage = asyncio.create_task(proxy.claude.refuse(0.3))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        down = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
        )
    await outage
    up = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE))

    assert (529, "overloaded_error") == (down.status, down.error["type"])
    assert "Claude" in down.error["message"]
    assert "127.0.0.1" not in down.body.decode()
    attempts = f"claude-opus:connect_error,{tried('claude-sonnet', 'connect_error')}"
    assert attempts == down.header("x-ccproxy-attempts")
    assert 200 == up.status


@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_claude_hangs_up_without_an_answer(kind, proxy):
    """A connection that ends before the status goes to the next deployment (conformance 273)."""
    proxy.claude.faults.append(claude_fault(kind))

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
    )

    assert 200 == answer.status
    assert "claude-opus:connect_error,claude-sonnet:ok" == answer.header("x-ccproxy-attempts")


async def test_both_sides_down(proxy):
    """With nothing left the client hears 529 and that a retry makes sense (conformance 053, 065)."""
    await proxy.ollama.refuse()
    outage = asyncio.create_task(proxy.claude.refuse(0.3))
    await asyncio.sleep(0)

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=MIXED, stream=True)
    )
    await outage

    assert (529, "overloaded_error") == (answer.status, answer.error["type"])
    assert "true" == answer.header("x-should-retry")


async def test_the_next_request_after_a_failure_is_served_locally(proxy):
    """A failure belongs to its request: nothing stays broken behind it (conformance 236, 242)."""
    for name in FAULT_NAMES:
        if name == "delete_model":
            continue
        order(proxy, name)
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
        answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())

        assert 200 == answer.status, name


async def test_overflow_by_our_own_estimate(proxy):
    """What cannot fit is never sent; the words are Claude's own (conformance 229, 246)."""
    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn("word " * 100_000)
    )
    counted = await ask(
        proxy.base_url,
        "/v1/messages/count_tokens",
        headers=proxy.headers,
        body=turn("word " * 100_000, max_tokens=None),
    )

    tokens = counted.json()["input_tokens"]
    assert 400 == answer.status
    assert f"prompt is too long: {tokens} tokens > 31744 maximum" == answer.error["message"]
    assert "false" == answer.header("x-should-retry")
    assert [] == proxy.ollama.generations


async def test_a_local_model_asked_for_by_name_stays_alone(proxy):
    """A deployment's name is the whole route: no Claude behind it (design 4.2)."""
    proxy.ollama.add_fault("busy")

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=LOCAL)
    )

    assert 529 == answer.status
    assert [] == list(proxy.claude.requests)


def claude_fault(kind, **settings):
    return Fault(FaultKind(kind), **settings)


@pytest.mark.parametrize(("model", "is_news"), [(CLAUDE, False), ("claude-sonnet-4-5", True)])
async def test_a_rate_limit_is_the_asked_models(model, is_news):
    """Opus being limited takes Opus away from `claude-sonnet`, and no Sonnet: Claude limits each model."""
    table = {
        "version": 1,
        "active_profile": "p",
        "profiles": {"p": {"default": {"route": ["claude-sonnet"]}}},
    }
    async with running_proxy(routing=table) as proxy:
        proxy.claude.faults.append(claude_fault("status", status=429, retry_after_s=60))
        limited = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=model)
        )
        breaker = proxy.proxy.health.breakers["claude-sonnet"]

    assert 429 == limited.status
    assert is_news == (breaker.state is BreakerState.OPEN)
