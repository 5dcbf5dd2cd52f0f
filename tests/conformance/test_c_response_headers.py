"""Section C: the headers of every answer."""

import pytest

from tests.support.black_box import COUNT, MESSAGES, http_answer, post
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWERS = [
    ("POST", MESSAGES, turn(), 200),
    ("POST", MESSAGES, turn(stream=True), 200),
    ("POST", MESSAGES, turn(model=CLAUDE), 200),
    ("POST", MESSAGES, turn(model=CLAUDE, stream=True), 200),
    ("POST", COUNT, turn(), 200),
    ("GET", "/v1/models", b"", 200),
    ("GET", f"/v1/models/{LOCAL}", b"", 200),
    ("POST", MESSAGES, turn(max_tokens="x"), 400),
    ("POST", MESSAGES, b"{", 400),
    ("POST", MESSAGES, turn(model=CLAUDE, max_tokens=None), 400),
    ("GET", "/v1/models?limit=0", b"", 400),
    ("GET", "/v1/models/nobody", b"", 404),
    ("POST", "/agents/nobody/v1/messages", turn(), 404),
    ("GET", "/nowhere", b"", 404),
    ("GET", MESSAGES, b"", 405),
]


async def test_every_answer_has_its_id(proxy):
    """Each answer carries a request id of its own, which an error repeats (conformance 036)."""
    seen = set()
    for method, path, body, status in ANSWERS * 2:
        answer = await ask(proxy.base_url, path, method=method, headers=proxy.headers, body=body)

        assert status == answer.status, path
        ids = [value for name, value in answer.headers if name == "request-id"]
        assert 1 == len(ids), path
        assert ids[0].startswith("req_")
        seen.add(ids[0])
        if status >= 400:
            assert ids[0] == answer.json()["request_id"]
    assert len(ANSWERS * 2) == len(seen)


@pytest.mark.parametrize(("method", "path", "body", "status"), ANSWERS)
async def test_content_types(method, path, body, status, proxy):
    """JSON says that it is JSON; a stream says so, is not cached, not counted and not encoded.

    (conformance 038, 039, 033)
    """
    headers = proxy.headers | {"accept-encoding": "gzip, deflate, br"}

    answer = await ask(proxy.base_url, path, method=method, headers=headers, body=body)

    if isinstance(body, dict) and body.get("stream"):
        assert "text/event-stream; charset=utf-8" == answer.header("content-type")
        assert "no-cache" == answer.header("cache-control")
        assert None is answer.header("content-length")
    else:
        assert "application/json" == answer.header("content-type")
    assert None is answer.header("content-encoding")


RELAYED = [
    ("request-id", "req_011CUpstream"),
    ("anthropic-organization-id", "org-1"),
    ("anthropic-workspace-id", "wrkspc_1"),
    *(
        (f"anthropic-ratelimit-{kind}-{what}", "7")
        for kind in ("requests", "tokens", "input-tokens", "output-tokens", "unified-5h")
        for what in ("limit", "remaining", "reset")
    ),
    ("anthropic-priority-input-tokens-limit", "5"),
    ("anthropic-ratelimit-unified-status", "allowed"),
    ("retry-after", "77"),
    ("retry-after-ms", "77123"),
    ("x-should-retry", "true"),
    ("cf-ray", "x"),
    ("x-something-new", "a"),
    ("x-something-new", "b"),
]
DROPPED = [
    ("connection", "keep-alive, x-hop"),
    ("keep-alive", "timeout=5"),
    ("x-hop", "1"),
    ("proxy-authenticate", "Basic"),
    ("proxy-status", "x"),
    ("trailer", "x-sum"),
    ("upgrade", "h2c"),
    ("set-cookie", "__cf_bm=1; path=/"),
]


@pytest.mark.parametrize("status", [200, 400, 429, 529])
async def test_claudes_headers(status, relay):
    """Claude's end-to-end headers arrive unchanged, its hop's don't; our id stands beside its.

    (conformance 037, 040, 045, 274)
    """
    body = b'{"type":"error","error":{"type":"x","message":"y"}}'
    relay.claude.answer = http_answer(status, body, *RELAYED, *DROPPED)

    answer = await post(relay.proxy, turn(model=CLAUDE))

    assert (status, body) == (answer.status, answer.body)
    names = {name for name, _ in RELAYED}
    assert RELAYED == [pair for pair in answer.headers if pair[0] in names]
    added = {name for name, _ in answer.headers} - names
    assert {
        "content-type",
        "content-length",
        "x-ccproxy-request-id",
        "x-ccproxy-agent",
        "x-ccproxy-agent-source",
        "x-ccproxy-deployment",
        "x-ccproxy-route",
        "x-ccproxy-attempts",
    } == added
    assert "req_011CUpstream" != answer.header("x-ccproxy-request-id")


@pytest.mark.parametrize("stream", [False, True])
async def test_local_answers_invent_nothing(stream, proxy):
    """A local answer has no rate limits; it says where it came from (conformance 041, 044)."""
    answer = await post(proxy, turn(stream=stream))

    assert [] == [name for name, _ in answer.headers if name.startswith("anthropic-")]
    assert "local" == answer.header("x-ccproxy-route")
    assert LOCAL == answer.header("x-ccproxy-deployment")
    assert f"{LOCAL}:ok" == answer.header("x-ccproxy-attempts")
    assert answer.header("request-id") == answer.header("x-ccproxy-request-id")


async def test_a_chunked_answer_sheds_its_framing(relay):
    """Claude's chunking is its hop's: the client gets one framing, not two (conformance 045)."""
    frames = b"event: ping\ndata: {}\n\n"
    relay.claude.answer = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(frames), frames)
    )

    answer = await post(relay.proxy, turn(model=CLAUDE, stream=True))

    assert frames == answer.body
    assert ["chunked"] == [v for n, v in answer.headers if n == "transfer-encoding"]
    assert None is answer.header("content-length")
