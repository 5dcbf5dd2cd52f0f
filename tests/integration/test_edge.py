"""Paths, methods, transport: what any HTTP client meets (conformance section A)."""

import asyncio
import gzip
import json
import zlib

import pytest

from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.proxy import running_proxy
from tests.support.sizes import count

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY_TIMEOUT_S = 1.0
PROXY_OPTIONS = {"body_timeout_s": BODY_TIMEOUT_S}
LIMIT_BYTES = 32 * 1024 * 1024


def assert_anthropic_error(answer, status, error_type):
    assert status == answer.status, answer.body
    payload = answer.json()
    assert {"type", "error", "request_id"} == set(payload)
    assert "error" == payload["type"]
    assert error_type == payload["error"]["type"]
    assert payload["error"]["message"]
    assert "application/json" == answer.header("content-type")
    assert payload["request_id"] == answer.header("request-id")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages?a=%2F&a"])
@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_the_query_does_not_route(path, model, proxy):
    """A query string changes nothing; toward Claude it goes along unchanged (conformance 002)."""
    answer = await ask(proxy.base_url, path, headers=proxy.headers, body=turn(model=model))

    assert 200 == answer.status
    if model == CLAUDE:
        assert path.partition("?")[2].encode() == proxy.claude.requests[0].query
        assert "/v1/messages" == proxy.claude.requests[0].path


@pytest.mark.parametrize(
    "path", ["/v1/messages/count_tokens", "/v1/messages/count_tokens?beta=true"]
)
@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_counting(path, model, proxy):
    """count_tokens answers one integer and generates nothing (conformance 003, 245, 248)."""
    body = turn(model=model, max_tokens=None)

    answer = await ask(proxy.base_url, path, headers=proxy.headers, body=body)

    assert 200 == answer.status
    assert {"input_tokens"} == set(answer.json())
    assert answer.json()["input_tokens"] >= 1
    assert [] == proxy.ollama.generations


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json;charset=iso-8859-1",
        "text/plain",
    ],
)
async def test_content_types_that_serve(content_type, proxy):
    """JSON is read under any of these labels, or none (conformance 014, 015)."""
    headers = dict(proxy.headers)
    if content_type:
        headers["content-type"] = content_type

    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn())

    assert 200 == answer.status


async def test_a_charset_nobody_reads(proxy):
    """Another charset is refused by its documented code (conformance 015)."""
    headers = proxy.headers | {"content-type": "application/json; charset=utf-16"}

    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn())

    assert_anthropic_error(answer, 400, "invalid_request_error")
    assert "unsupported_charset" == answer.error["details"]["error_code"]


@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_chunked_bodies(model, proxy):
    """A body without a declared length, in odd pieces, is served (conformance 017)."""
    raw = json.dumps(turn("Grüße aus Köln 🚀", model)).encode()
    pieces = [raw[i : i + 7] for i in range(0, len(raw), 7)]

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, chunks=pieces)

    assert 200 == answer.status
    if model == CLAUDE:
        assert raw == proxy.claude.requests[0].body


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "identity", ""])
@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_encoded_bodies(coding, model, proxy):
    """An encoded body is decoded for routing and reaches Claude as it came (conformance 016, 258)."""
    raw = json.dumps(turn(model=model)).encode()
    encode = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}
    sent = encode.get(coding, bytes)(raw)
    headers = proxy.headers | {"content-encoding": coding}

    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=sent)

    if model == LOCAL:
        assert 200 == answer.status
    else:
        recorded = proxy.claude.requests[0]
        assert sent == recorded.body
        assert (b"content-encoding", coding.encode()) in recorded.headers


@pytest.mark.parametrize(
    ("coding", "body", "status", "error_type", "code"),
    [
        ("br", b"{}", 400, "invalid_request_error", "request_body_encoding_unsupported"),
        ("gzip, gzip", b"{}", 400, "invalid_request_error", "request_body_encoding_unsupported"),
        ("gzip", b"not gzip", 400, "invalid_request_error", "request_body_encoding_invalid"),
        ("gzip", b"", 400, "invalid_request_error", "request_body_encoding_invalid"),
        (
            "gzip",
            gzip.compress(b"{}")[:-9],
            400,
            "invalid_request_error",
            "request_body_encoding_invalid",
        ),
        (
            "gzip",
            gzip.compress(b"{}") + gzip.compress(b"[]"),
            400,
            "invalid_request_error",
            "request_body_encoding_invalid",
        ),
        (
            "gzip",
            gzip.compress(b" " * (LIMIT_BYTES + 1), 1),
            413,
            "request_too_large",
            "request_body_too_large_after_decoding",
        ),
        (
            "gzip",
            gzip.compress(gzip.compress(bytes(LIMIT_BYTES * 8), 9), 9),
            400,
            "invalid_request_error",
            None,
        ),
    ],
    ids=["br", "twice", "corrupt", "empty", "cut", "two-members", "bomb", "bomb-in-a-bomb"],
)
async def test_bodies_that_cannot_be_decoded(coding, body, status, error_type, code, proxy):
    """What cannot be decoded within the limit is refused by its code (conformance 016)."""
    headers = proxy.headers | {"content-encoding": coding}

    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=body)

    assert_anthropic_error(answer, status, error_type)
    assert code == answer.error.get("details", {}).get("error_code")


async def test_a_declared_body_above_the_limit(proxy):
    """413 comes back readable before the body was sent (conformance 018)."""
    async with wire(proxy.base_url) as connection:
        connection.write_head("POST", "/v1/messages", proxy.headers, LIMIT_BYTES + 1)
        answer = await connection.read_answer()

    assert_anthropic_error(answer, 413, "request_too_large")
    assert "false" == answer.header("x-should-retry")


async def test_an_undeclared_body_above_the_limit(proxy):
    """A chunked body is cut off at the limit with a readable 413 (conformance 018)."""
    piece = b" " * (1024 * 1024)
    async with wire(proxy.base_url) as connection:
        connection.write_head("POST", "/v1/messages", proxy.headers, None)
        for _ in range(34):
            connection.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        answer = await connection.read_answer()

    assert_anthropic_error(answer, 413, "request_too_large")


async def test_a_declared_upload_above_the_limit(proxy):
    """An upload beyond Anthropic's 500 MB is a 413 too, not an outage (conformance 018)."""
    headers = proxy.headers | {"content-type": "application/octet-stream"}
    async with wire(proxy.base_url) as connection:
        connection.write_head("POST", "/v1/files", headers, 501 * 1024 * 1024)
        answer = await connection.read_answer()

    assert_anthropic_error(answer, 413, "request_too_large")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batches", "/v1/files"])
@pytest.mark.parametrize("start", [b"", b'{"model":'], ids=["nothing", "half"])
async def test_a_slow_body_is_bounded(path, start, proxy):
    """Headers and then no body: refused by its code within the time allowed (conformance 019)."""
    async with wire(proxy.base_url) as connection:
        connection.write_head("POST", path, proxy.headers, 1000)
        connection.writer.write(start)
        answer = await connection.read_answer()

    assert_anthropic_error(answer, 400, "invalid_request_error")
    assert "request_body_timeout" == answer.error["details"]["error_code"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/messages", {"x-api-key": "wrong"}, 401),
        ("POST", "/v1/messages", {"anthropic-version": ""}, 400),
        ("POST", "/v1/messages", {"content-type": "text/plain; charset=utf-7"}, 400),
        ("PUT", "/v1/messages", {}, 405),
        ("POST", "/nowhere", {}, 404),
        ("POST", "/agents/nobody/v1/messages", {}, 404),
    ],
)
async def test_a_connection_survives_a_refusal(method, path, headers, status, proxy):
    """After a 4xx whose body nobody read the same connection serves (conformance 020)."""
    async with wire(proxy.base_url) as connection:
        for body in (turn("x" * 300_000), turn()):
            await connection.send(method, path, proxy.headers | headers, body)
            assert status == (await connection.read_answer()).status
        await connection.send("POST", "/v1/messages", proxy.headers, turn())
        assert 200 == (await connection.read_answer()).status


async def test_pipelined_requests_are_answered_in_order(proxy):
    """Two requests written at once get two answers, in order (conformance 020)."""
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, turn(model=CLAUDE))
        await connection.send("GET", "/nowhere", proxy.headers)

        assert [200, 404] == [(await connection.read_answer()).status for _ in range(2)]


async def test_expect_continue(proxy):
    """A client that waits for `100 Continue` gets it, and its answer (conformance 020)."""
    raw = json.dumps(turn()).encode()
    async with wire(proxy.base_url) as connection:
        headers = proxy.headers | {"expect": "100-continue"}
        connection.write_head("POST", "/v1/messages", headers, len(raw))
        assert b"HTTP/1.1 100" in await connection.read_until(b"\r\n\r\n")
        connection.writer.write(raw)

        assert 200 == (await connection.read_answer()).status


UNKNOWN_PATHS = [
    "/nowhere",
    "/v1",
    "/agents",
    "/agents/code-reviewer",
    "/agents/code-reviewer/nowhere",
    "/v1/v1/messages",
    "/agents/code-reviewer/v1/v1/messages",
    "/v1/messages/",
    "/v1/messages/count_tokens/",
    "/v1//messages",
    "//v1/messages",
    "/v1/x/../messages",
    "/v1/./messages",
    "/v1/%2e%2e/v1/messages",
    "/agents%2Fcode-reviewer/v1/messages",
    "/agents%2Fcode-reviewer%2Fv1%2Fmessages",
    "/v1/messages%2f",
]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", UNKNOWN_PATHS)
async def test_unknown_paths(method, path, proxy):
    """No path leads elsewhere: a 404 in Anthropic's shape, no redirect (conformance 008, 012, 013).

    A Messages body under a path that is merely misspelt is not shown to Claude either.
    """
    answer = await ask(
        proxy.base_url, path, method=method, headers=proxy.headers, body=turn(model=CLAUDE)
    )

    assert_anthropic_error(answer, 404, "not_found_error")
    assert None is answer.header("location")
    assert [] == list(proxy.claude.requests)


async def test_a_doubled_version_says_what_to_do(proxy):
    """A base URL that ends in /v1 is explained to its user (conformance 013)."""
    answer = await ask(proxy.base_url, "/v1/v1/messages", headers=proxy.headers, body=turn())

    assert "base URL" in answer.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/messages", "POST"),
        ("HEAD", "/v1/messages", "POST"),
        ("DELETE", "/v1/messages/count_tokens", "POST"),
        ("GET", "/agents/code-reviewer/v1/messages", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/qwen-coder", "GET"),
        ("PUT", "/agents/code-reviewer/v1/models", "GET"),
        ("POST", "/health/live", "GET"),
        ("DELETE", "/metrics", "GET"),
    ],
)
async def test_wrong_methods(method, path, allowed, proxy):
    """A known path with another method is a 405 that names the right one (conformance 009, 048)."""
    answer = await ask(proxy.base_url, path, method=method, headers=proxy.headers, body=b"")

    assert 405 == answer.status
    assert allowed in answer.header("allow").replace(" ", "").split(",")
    if method != "HEAD":
        assert_anthropic_error(answer, 405, "invalid_request_error")
    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/api/hello", "/health/live", "/health/ready"])
async def test_open_probes(method, path, proxy):
    """These need no token and ask no backend; HEAD has no body (conformance 010, 011)."""
    answer = await ask(proxy.base_url, path, method=method)

    assert 200 == answer.status
    assert (method == "HEAD") == (answer.body == b"")
    assert [] == list(proxy.claude.requests) + proxy.ollama.generations


async def test_other_paths_go_to_claude_as_they_are(proxy):
    """An upload passes byte for byte, in both directions (conformance 006, 278)."""
    body = bytes(range(256)) * 400
    headers = proxy.headers | {"content-type": "multipart/form-data; boundary=x"}

    answer = await ask(proxy.base_url, "/v1/files?beta=true", headers=headers, body=body)

    recorded = proxy.claude.requests[0]
    assert 200 == answer.status
    assert (body, b"beta=true") == (recorded.body, recorded.query)
    assert len(body) == answer.json()["size_bytes"]
    assert "claude" == answer.header("x-ccproxy-route")


async def test_unknown_claude_paths_are_claudes_to_refuse(proxy):
    """A path of the API that we do not know gets Claude's own answer (conformance 006, 007)."""
    answer = await ask(proxy.base_url, "/v1/complete", headers=proxy.headers, body={"prompt": "x"})

    assert 404 == answer.status
    assert "not_found_error" == answer.error["type"]
    assert proxy.claude.requests[0].response_bytes == len(answer.body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/files"),
        ("GET", "/v1/messages/batches"),
        ("POST", "/v1/complete"),
        ("GET", "/v1/unheard_of"),
    ],
)
async def test_without_a_claude_deployment(method, path):
    """Paths that only Claude serves say so where there is no Claude (conformance 006, 008)."""
    table = {"version": 1, "active_profile": "p", "profiles": {"p": {"default": {"route": ["l"]}}}}
    local = {
        "model_name": "l",
        "litellm_params": {"model": "ollama_chat/q", "api_base": "http://127.0.0.1:9"},
    }
    async with running_proxy(routing=table, changes={"model_list": [local]}) as proxy:
        answer = await ask(proxy.base_url, path, method=method, headers=proxy.headers, body=b"{}")

    assert_anthropic_error(answer, 404, "not_found_error")
    assert "Claude" in answer.error["message"]


async def test_a_stalled_ollama_delays_nobody(proxy):
    """100 streams wait for a silent Ollama; Claude, models and health answer (conformance 021)."""
    streams = count(quick=100, ci=100, full=400)
    proxy.ollama.add_fault("hang", times=streams)
    body = turn(model=LOCAL, stream=True)
    waiting = [
        asyncio.create_task(ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body))
        for _ in range(streams)
    ]
    await proxy.ollama.generation(streams - 1)
    others = [
        ("POST", "/v1/messages", turn(model=CLAUDE)),
        ("POST", "/v1/messages", turn(model=CLAUDE, stream=True)),
        ("POST", "/v1/messages/count_tokens", turn(max_tokens=None)),
        ("GET", "/v1/models", b""),
        ("GET", "/health/live", b""),
        ("GET", "/health", b""),
        ("GET", "/metrics", b""),
    ]

    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(
                ask(proxy.base_url, path, method=method, headers=proxy.headers, body=body)
                for method, path, body in others
            )
        )

    assert [200] * len(others) == [answer.status for answer in answers]
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(2):
        await proxy.ollama.idle()
