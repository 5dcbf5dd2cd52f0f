"""Toward Claude nothing changes: bytes out, bytes back (conformance section L)."""

import asyncio
import hashlib
import json
import zlib

import brotli
import pytest
import pytest_asyncio
from anthropic._streaming import SSEDecoder

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, MIXED, WEATHER, turn
from tests.support.outcomes import outcome_of
from tests.support.proxy import UPSTREAM_KEY, running_proxy
from tests.support.sizes import count
from tests.support.waiting import settled, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def fault(kind, **settings):
    return Fault(FaultKind(kind), **settings)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


ODD_BODY = (
    b'{ "zeta" : [1.0, 1e2, 1E+2, -0.0, 12345678901234567890, 0.1000],\r\n\t"max_tokens":64 ,'
    b'"x":"\\u00fc\\ud83d\\ude80 \xc3\xbc \\/ /","messages":[{"content":"hi \xf0\x9f\x9a\x80",'
    b'"role":"user"}],"model":"claude-opus-4-6" , "unknown_field": {"b":1,"a":2}, '
    b'"system":[{"type":"text","text":"x-anthropic-billing-header: a"},{"type":"text","text":"b"}],'
    b'"dup":1,"dup":2%b}  \n'
)


@pytest.mark.parametrize("coding", [None, "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "sse"])
async def test_bytes_in_both_directions(stream, coding, proxy):
    """Body and answer are the same bytes at both ends, encoded or not (conformance 258, 267, 268, 269)."""
    body = ODD_BODY % (b', "stream": true' if stream else b"")
    headers = proxy.headers
    if coding:
        proxy.claude.faults.append(fault("encode", coding=coding))
        headers = headers | {"accept-encoding": "gzip, deflate, br, zstd"}

    answer = await ask(proxy.base_url, "/v1/messages?beta=true", headers=headers, body=body)

    record = proxy.claude.requests[0]
    assert 200 == answer.status
    assert sha256(body) == record.body_sha256
    assert record.response_sha256 == sha256(answer.body)
    assert coding == answer.header("content-encoding")
    plain = {
        None: bytes,
        "gzip": lambda data: zlib.decompress(data, 31),
        "deflate": zlib.decompress,
        "br": brotli.decompress,
    }.get(coding)
    if plain is not None:
        assert (b"event: message_stop" in plain(answer.body)) == stream


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_an_encoded_request_body(coding, proxy):
    """A compressed body is forwarded compressed, byte for byte (conformance 258)."""
    encode = {"gzip": zlib.compressobj(wbits=31), "deflate": zlib.compressobj()}[coding]
    body = encode.compress(ODD_BODY % b"") + encode.flush()

    await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers | {"content-encoding": coding},
        body=body,
    )

    assert sha256(body) == proxy.claude.requests[0].body_sha256


ERRORS = [
    (CLAUDE, {"max_tokens": None}, None, 400),
    ("claude-opus-4-8", {"messages": []}, None, 400),
    (CLAUDE, {}, fault("status", status=413, message="[simulated] zu groß"), 413),
    (
        CLAUDE,
        {},
        fault("status", status=400, message="prompt is too long: 9 tokens > 8 maximum"),
        400,
    ),
    (CLAUDE, {}, fault("status", status=409), 409),
    (CLAUDE, {}, fault("redirect"), 307),
]


@pytest.mark.parametrize("case", ERRORS)
async def test_error_bytes(case, proxy):
    """Claude's own errors and redirects are relayed untouched, none followed (conformance 064, 268, 275)."""
    model, changes, trouble, status = case
    if trouble is not None:
        proxy.claude.faults.append(
            fault(trouble.kind, status=trouble.status, message=trouble.message)
        )

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=model, **changes)
    )

    record = proxy.claude.requests[0]
    assert status == answer.status
    assert record.response_sha256 == sha256(answer.body)
    assert 1 == len(proxy.claude.requests)
    if status == 307:
        assert "http://127.0.0.1:9/elsewhere" == answer.header("location")


async def test_answer_headers(proxy):
    """Rate limits and organisation arrive as they are; cookies and hop headers don't (conformance 040, 045, 274)."""
    proxy.claude.faults.append(fault("set_cookie", times=2))
    first = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
    )
    await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE))

    names = [name for name, _ in first.headers]
    assert 12 == sum(name.startswith("anthropic-ratelimit-") for name in names)
    assert first.header("anthropic-organization-id")
    assert first.header("x-simulated")
    assert {"set-cookie", "transfer-encoding", "connection"} & set(names) <= {"transfer-encoding"}
    assert len(first.body) == int(first.header("content-length"))
    assert not [name for name, _ in proxy.claude.requests[1].headers if name == b"cookie"]


@pytest.mark.parametrize("kind", ["trailing"])
async def test_bytes_after_the_end(kind, proxy):
    """What follows message_stop is passed on, and the connection serves again (conformance 269, 270)."""
    proxy.claude.faults.append(fault(kind))
    async with wire(proxy.base_url) as connection:
        for _ in range(2):
            body = turn(model=CLAUDE, stream=True)
            await connection.send("POST", "/v1/messages", proxy.headers, body)
            answer = await connection.read_answer()
            assert proxy.claude.requests[-1].response_sha256 == sha256(answer.body)

    assert b"unheard_of" not in answer.body


BREAKS = [(kind, after) for kind in ("reset", "cut") for after in (1, 150, 333, 334, 335, 700)]


@pytest.mark.parametrize(("kind", "after"), BREAKS)
async def test_claude_dies_in_the_middle(kind, after, proxy):
    """What came is relayed, then a well-formed error event, and no clean end (conformance 271)."""
    proxy.claude.faults.append(fault(kind, after_bytes=after))
    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn("Grüße 🚀 ✓", model=CLAUDE, stream=True),
    )

    assert 200 == answer.status
    assert answer.complete
    frames = answer.body.split(b"\n\n")
    assert b"" == frames[-1]
    assert frames[-2].startswith(b"event: error\ndata: ")
    error = json.loads(frames[-2].partition(b"data: ")[2])["error"]
    assert "api_error" == error["type"]
    assert b"message_stop" not in answer.body
    if kind == "cut":
        assert sha256(answer.body[:after]) == proxy.claude.requests[0].response_sha256
    assert answer.body.decode()  # a cut character is closed, not left open


async def test_a_stream_may_be_cut_anywhere(proxy):
    """Wherever it stops, an SDK's decoder reads whole frames and then the error (conformance 271)."""
    step = count(quick=7, ci=2, full=1)
    for after in range(1, 500, step):
        proxy.claude.faults.append(fault("cut", after_bytes=after))
        body = turn("Grüße 🚀 ✓", model=CLAUDE, stream=True)
        answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)

        events = list(SSEDecoder().iter_bytes(iter([answer.body])))
        assert "error" == events[-1].event, after
        assert "api_error" == json.loads(events[-1].data)["error"]["type"]
        for event in events[:-1]:
            assert event.event == "ping" or json.loads(event.data)["type"] == event.event, after


@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_claude_dies_in_a_json_answer(kind, proxy):
    """A body that cannot be completed ends in a cut connection, not in a short success (conformance 268)."""
    proxy.claude.faults.append(fault(kind, after_bytes=100))

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
    )

    assert not answer.complete


async def test_an_error_event_of_claudes_own(proxy):
    """It is relayed as it is, with nothing of ours behind it (conformance 268)."""
    proxy.claude.faults.append(fault("error_event", after_bytes=200))

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE, stream=True)
    )

    assert proxy.claude.requests[0].response_sha256 == sha256(answer.body)
    assert 1 == answer.body.count(b"event: error")


@pytest.mark.parametrize("after_bytes", [1, 1000], ids=["before its content", "after it began"])
async def test_an_error_event_is_a_failure(after_bytes, proxy):
    """The outcome and the breaker hear of it, although the status was 200 (conformance 155)."""
    proxy.claude.faults.append(fault("error_event", after_bytes=after_bytes))
    before = proxy.proxy.health.breakers["claude-opus"].failures

    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn("Give me 90 words.", model=CLAUDE, stream=True),
    )
    outcome = await outcome_of(proxy, answer.header("x-ccproxy-request-id"))

    assert (["claude-opus:overloaded"], "broken") == (outcome["attempts"], outcome["ending"])
    assert before + 1 == proxy.proxy.health.breakers["claude-opus"].failures


async def test_bytes_flow_while_claude_pauses(proxy):
    """The first bytes are there while the rest is still to come (conformance 153, 269)."""
    proxy.claude.faults.append(fault("stall", after_bytes=200))
    async with wire(proxy.base_url) as connection:
        body = turn(model=CLAUDE, stream=True)
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        await connection.read_head()
        received = b""
        while len(received) < 200:
            received += await connection.read_chunk()

    assert 200 == len(received)


async def test_one_key_and_it_is_ours(proxy):
    """Exactly one credential goes upstream, in every kind of request (conformance 264)."""
    for method, path, body in (
        ("POST", "/v1/messages", turn(model=CLAUDE)),
        ("POST", "/v1/messages/count_tokens", turn(model=CLAUDE, max_tokens=None)),
        ("POST", "/v1/files", b"x"),
        ("GET", "/v1/models", b""),
    ):
        pairs = [("authorization", f"Bearer {proxy.token}"), ("x-api-key", proxy.token)]
        pairs.append(("anthropic-version", "2023-06-01"))
        await ask(proxy.base_url, path, method=method, headers=pairs, body=body)

    for record in proxy.claude.requests:
        sent = [v for n, v in record.headers if n in (b"x-api-key", b"authorization")]
        assert [UPSTREAM_KEY.encode()] == sent
        assert proxy.token.encode() not in b"".join(b"".join(pair) for pair in record.headers)


def local_thinking(proxy_answer):
    return [block for block in proxy_answer["content"] if block["type"] == "thinking"]


async def test_local_thinking_is_cut(proxy):
    """Thinking that a local model signed does not reach Claude; all else is untouched (conformance 261, 262)."""
    local = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn("Think.", "qwen-thinker", thinking={"type": "adaptive"}),
    )
    content = local.json()["content"]
    assert local_thinking(local.json())
    body = turn(
        model=CLAUDE,
        messages=[
            {"role": "user", "content": "Think."},
            {"role": "assistant", "content": content},
            {"role": "user", "content": "And now?"},
        ],
    )
    raw = json.dumps(body, indent=1).encode()

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=raw)

    sent = json.loads(proxy.claude.requests[0].body)
    assert 200 == answer.status
    assert "local_thinking_cut=1" == answer.header("x-ccproxy-notes")
    assert [] == local_thinking(sent["messages"][1])
    assert [b for b in content if b["type"] != "thinking"] == sent["messages"][1]["content"]
    assert {k: v for k, v in sent.items() if k != "messages"} == {
        k: v for k, v in body.items() if k != "messages"
    }
    prefix = raw.partition(b'"content": [')[0]
    assert proxy.claude.requests[0].body.startswith(prefix)


async def test_claudes_own_history_is_untouched(proxy):
    """Thinking, signatures and tool results of Claude go back byte for byte (conformance 260, 261)."""
    question = {"role": "user", "content": "use the get_weather tool"}
    options = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": [WEATHER]}
    first = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers,
        body=turn(model=CLAUDE, max_tokens=4000, messages=[question], **options),
    )
    content = first.json()["content"]
    call = next(block for block in content if block["type"] == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "rain"}
    body = turn(
        model=CLAUDE,
        max_tokens=4000,
        messages=[
            question,
            {"role": "assistant", "content": content},
            {"role": "user", "content": [result]},
        ],
        **options,
    )
    raw = json.dumps(body).encode()

    second = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=raw)

    assert 200 == second.status
    assert raw == proxy.claude.requests[-1].body
    assert None is second.header("x-ccproxy-notes")


TABLE = {
    "version": 1,
    "active_profile": "p",
    "profiles": {"p": {"default": {"route": ["named"]}, "tiers": {"opus": {"route": ["any"]}}}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two_claudes():
    """A proxy with a deployment that names its Claude id and one that does not."""
    claude = SimulatedClaude(speed=0)
    async with claude.serve() as base:

        def deployment(name, model):
            params = {"model": f"anthropic/{model}", "api_base": base, "api_key": "k"}
            return {"model_name": name, "litellm_params": params}

        models = [deployment("named", "claude-sonnet-4-5"), deployment("any", "*")]
        async with running_proxy(routing=TABLE, changes={"model_list": models}) as proxy:
            yield proxy, claude


@pytest.mark.parametrize(
    ("model", "sent", "edited"),
    [
        ("claude-haiku-4-5", "claude-sonnet-4-5", True),
        ("named", "claude-sonnet-4-5", True),
        ("qwen", "claude-sonnet-4-5", True),
        ("claude-sonnet-4-5", "claude-sonnet-4-5", False),
        ("claude-opus-4-6", "claude-opus-4-6", False),
    ],
)
async def test_model_rewriting(model, sent, edited, two_claudes):
    """Only the value of `model` changes, and only where the deployment names an id (conformance 259)."""
    proxy, claude = two_claudes
    claude.reset()
    raw = (ODD_BODY % b"").replace(b'"claude-opus-4-6"', json.dumps(model).encode())

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=raw)

    expected = raw.replace(json.dumps(model).encode(), json.dumps(sent).encode())
    record = claude.requests[0]
    assert 200 == answer.status
    assert expected == record.body
    assert (raw != record.body) == edited
    assert (b"content-length", b"%d" % len(expected)) in record.headers
    assert sent == answer.json()["model"]


async def test_rewriting_an_encoded_body(two_claudes):
    """An encoded body whose model changes goes out plain and says so (conformance 259, 267)."""
    proxy, claude = two_claudes
    claude.reset()
    raw = json.dumps(turn(model="claude-haiku-4-5")).encode()
    compressor = zlib.compressobj(wbits=31)

    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=proxy.headers | {"content-encoding": "gzip"},
        body=compressor.compress(raw) + compressor.flush(),
    )

    assert 200 == answer.status
    assert raw.replace(b"claude-haiku-4-5", b"claude-sonnet-4-5") == claude.requests[0].body
    assert b"content-encoding" not in dict(claude.requests[0].headers)


async def test_stale_connections(proxy):
    """After Claude restarted, pooled connections are not a reason to fail (conformance 242, 276)."""
    for _ in range(3):
        answers = await asyncio.gather(
            *(
                ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE))
                for _ in range(5)
            )
        )
        assert [200] * 5 == [answer.status for answer in answers]
        await proxy.claude.refuse(0.01)


async def test_a_slow_reader_holds_claude_back():
    """What a client does not read stays at Claude; memory is bounded (conformance 160)."""
    written = 0
    frame = b"event: ping\ndata: {}\n\n" * 500

    async def endless(reader, writer):
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while True:
                writer.write(frame)
                await writer.drain()
                written += len(frame)
        except ConnectionError:
            gone.set()
        finally:
            writer.transport.abort()

    gone = asyncio.Event()
    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    params = {"model": "anthropic/*", "api_base": base, "api_key": "k"}
    table = {"version": 1, "active_profile": "p", "profiles": {"p": {"default": {"route": ["c"]}}}}
    changes = {"model_list": [{"model_name": "c", "litellm_params": params}]}
    async with (
        running_proxy(routing=table, changes=changes) as proxy,
        wire(proxy.base_url, read_limit_bytes=2**16) as connection,
    ):
        body = turn(model=MIXED, stream=True)
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        await connection.read_head()
        connection.writer.transport.pause_reading()
        assert await settled(lambda: written) < 16 * 1024 * 1024
        connection.abort()
        async with asyncio.timeout(1):
            await gone.wait()
    server.close()
    await server.wait_closed()


async def test_streams_of_many_clients_do_not_mix(proxy):
    """Fifty streams at once, each with its own text (conformance 021, 288)."""
    answers = await asyncio.gather(
        *(
            ask(
                proxy.base_url,
                "/v1/messages",
                headers=proxy.headers,
                body=turn(f"client-{number}-end", model=CLAUDE, stream=True),
            )
            for number in range(50)
        )
    )

    for number, answer in enumerate(answers):
        texts = [json.loads(line[6:]) for line in answer.body.splitlines() if line[:6] == b"data: "]
        said = "".join(
            f["delta"].get("text", "") for f in texts if f["type"] == "content_block_delta"
        )
        assert f"client-{number}-end" in said
    await until(lambda: proxy.claude.open_streams == 0)
