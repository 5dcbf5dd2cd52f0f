"""Section B: what a client may say in its headers, and where it goes."""

import pytest

from tests.support.black_box import COUNT, MESSAGES, assert_error, http_answer, post
from tests.support.http_wire import ask
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.proxy import UPSTREAM_KEY, running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERSION = ("anthropic-version", "2023-06-01")
NEWEST = {"anthropic-version": "2026-10-21"}


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ([("x-api-key", "{T}")], 200),
        ([("X-API-Key", "{T}")], 200),
        ([("authorization", "Bearer {T}")], 200),
        ([("AUTHORIZATION", "bearer {T}")], 200),
        ([("authorization", "BEARER {T}")], 200),
        ([("x-api-key", "{T}"), ("authorization", "Bearer {T}")], 200),
        ([("x-api-key", "sk-other"), ("authorization", "Bearer {T}")], 200),
        ([("x-api-key", "{T}"), ("authorization", "Bearer other")], 200),
        ([("x-api-key", "sk-other"), ("authorization", "Bearer another")], 401),
        ([("x-api-key", "sk-other")], 401),
        ([("authorization", "Basic {T}")], 401),
        ([("authorization", "{T}")], 401),
        ([("x-api-key", "")], 401),
        ([], 401),
    ],
)
@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_credentials(model, credentials, status, proxy):
    """Either header will do, whatever its case; a wrong one is a 401 that does not repeat it.

    Claude gets one credential, ours (conformance 022, 023, 024, 264).
    """
    headers = [VERSION, *((name, value.format(T=proxy.token)) for name, value in credentials)]

    answer = await ask(proxy.base_url, MESSAGES, headers=headers, body=turn(model=model))

    assert status == answer.status
    if status == 401:
        assert_error(answer, 401, "authentication_error")
        assert not any(word in answer.body for word in (b"sk-other", b"another"))
        assert [] == list(proxy.claude.requests)
    elif model == CLAUDE:
        sent = [
            pair
            for pair in proxy.claude.requests[0].headers
            if pair[0].lower() in (b"x-api-key", b"authorization")
        ]
        assert [(b"x-api-key", UPSTREAM_KEY.encode())] == sent


async def test_the_credential_comes_first(proxy):
    """A wrong key is told before a missing version and before bad JSON (conformance 024, 116)."""
    for headers in ([("x-api-key", "wrong")], [("x-api-key", "wrong"), VERSION]):
        answer = await ask(proxy.base_url, MESSAGES, headers=headers, body=b"{not json")
        assert_error(answer, 401, "authentication_error")


@pytest.mark.parametrize("credentials", [[], [("x-api-key", "any")], [("authorization", "x y z")]])
async def test_without_auth_any_credential_serves(credentials):
    """With auth off nothing is asked for (conformance 024)."""
    async with running_proxy(changes={"auth": {"mode": "off"}}) as proxy:
        answer = await ask(
            proxy.base_url, COUNT, headers=[VERSION, *credentials], body=turn(max_tokens=None)
        )

    assert 200 == answer.status


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_the_version_is_required(model, path, proxy):
    """Without `anthropic-version` the answer is a 400 that says so (conformance 025)."""
    headers = {"x-api-key": proxy.token}

    answer = await ask(proxy.base_url, path, headers=headers, body=turn(model=model))

    assert_error(answer, 400, "invalid_request_error", "anthropic-version: header is required")
    assert "false" == answer.header("x-should-retry")


@pytest.mark.parametrize(
    ("version", "status"),
    [("2023-06-01", 200), ("2026-10-21", 200), ("2031-01-01", 400), ("latest", 400)],
)
@pytest.mark.parametrize("path", [MESSAGES, COUNT])
async def test_versions(path, version, status, proxy, relay):
    """An unknown version is a local model's 400, and Claude's own business (conformance 026)."""
    local = await post(proxy, turn(), path=path, headers={"anthropic-version": version})
    assert status == local.status
    if status != 200:
        assert_error(local, 400, "invalid_request_error", "anthropic-version", version)

    relay.claude.answer = http_answer()
    sent = await post(
        relay.proxy, turn(model=CLAUDE), path=path, headers={"anthropic-version": version}
    )
    assert 200 == sent.status
    assert f"\r\nanthropic-version: {version}\r\n".encode() in relay.claude.heads[0].lower()


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
async def test_sampling_by_version(name, path, proxy):
    """The newest version refuses sampling options; the older honours them (conformance 027)."""
    body = turn(**{name: 1})

    assert_error(
        await post(proxy, body, path=path, headers=NEWEST), 400, "invalid_request_error", name
    )
    assert 200 == (await post(proxy, body, path=path)).status
    if path == MESSAGES:
        assert 1 == proxy.ollama.generations[0].body["options"][name]


DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "Words."},
}
CITED = {"type": "text", "text": "x", "citations": [{"type": "char_location"}]}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1"}
SEARCH = {"type": "search_result", "source": "s", "title": "t"}


@pytest.mark.parametrize(
    ("messages", "refused"),
    [
        ([("user", "x"), ("assistant", [DOCUMENT]), ("user", "y")], True),
        ([("user", [CITED])], True),
        ([("user", [{**SEARCH, "content": [CITED]}])], True),
        ([("user", "x"), ("assistant", [CITED]), ("user", "y")], False),
        ([("user", [{**DOCUMENT, "citations": {"enabled": True}}])], False),
        (
            [("user", "x"), ("assistant", [CALL]), ("user", [{**RESULT, "content": [DOCUMENT]}])],
            False,
        ),
    ],
    ids=["document", "citations", "search", "own-citations", "enabled", "nested-document"],
)
async def test_blocks_by_version(messages, refused, proxy):
    """The newest version refuses these blocks, the older serves all of them (conformance 028)."""
    body = turn(messages=[{"role": role, "content": content} for role, content in messages])

    assert 200 == (await post(proxy, body)).status
    newest = await post(proxy, body, headers=NEWEST)
    if refused:
        assert_error(newest, 400, "invalid_request_error")
    else:
        assert 200 == newest.status


BETAS = [
    ("anthropic-beta", "a-2025-01-01, b-2099-12-31,,x"),
    ("anthropic-beta", "c-2025-04-20"),
]
NOISE = [
    ("x-claude-code-session-id", "8d1e"),
    ("x-claude-code-agent-id", "a1"),
    ("x-claude-code-new-thing", "1"),
    ("anthropic-workspace-id", "wrkspc_1"),
    ("anthropic-dangerous-direct-browser-access", "true"),
    ("x-stainless-retry-count", "2"),
    ("x-stainless-read-timeout", "600"),
    ("x-stainless-helper-method", "stream"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ("tracestate", "a=b"),
    ("idempotency-key", "stainless-python-retry-1"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("user-agent", "claude-cli/2.1.197 (external, cli)"),
]
KEPT_HOME = [("cookie", "a=b"), ("x-forwarded-for", "10.0.0.1"), ("proxy-authorization", "Basic x")]


async def test_a_local_model_hears_no_client_headers(proxy):
    """Whatever a client sends, Ollama gets its own host and nothing of the client's.

    Unknown betas and bookkeeping headers change nothing (conformance 029, 031, 032, 034, 035).
    """
    headers = [*proxy.headers.items(), *BETAS, *NOISE, *KEPT_HOME]

    answer = await ask(proxy.base_url, MESSAGES, headers=headers, body=turn())

    assert 200 == answer.status
    sent = {
        name.decode().lower(): value.decode() for name, value in proxy.ollama.generations[0].headers
    }
    assert proxy.ollama_url.removeprefix("http://") == sent["host"]
    allowed = {"host", "accept", "accept-encoding", "connection", "content-type", "user-agent"}
    assert set() == set(sent) - allowed - {"content-length", "transfer-encoding"}
    assert "claude" not in sent["user-agent"]
    assert proxy.token not in str(sent)


async def test_claude_hears_them_all(relay):
    """Toward Claude every end-to-end header goes, repeated ones too, byte for byte.

    What belongs to the hop or to us stays here (conformance 029, 030, 033, 266).
    """
    relay.claude.answer = http_answer()
    hop = [("connection", "keep-alive, x-hop"), ("x-hop", "1"), ("te", "trailers")]
    ours = [("x-ccproxy-agent", "chief-architect")]
    headers = [*relay.proxy.headers.items(), *BETAS, *NOISE, *KEPT_HOME, *hop, *ours]

    answer = await ask(relay.proxy.base_url, MESSAGES, headers=headers, body=turn(model=CLAUDE))

    assert 200 == answer.status
    lines = [line.partition(b": ") for line in relay.claude.heads[0].split(b"\r\n")[1:]]
    sent = [(name.decode().lower(), value.decode()) for name, _, value in lines]
    expected = [VERSION, *BETAS, *NOISE]
    assert expected == [pair for pair in sent if pair in expected]
    assert [
        ("host", relay.claude.base_url.removeprefix("http://")),
        ("x-api-key", UPSTREAM_KEY),
        ("content-length", str(len(relay.claude.bodies[0]))),
    ] == sorted(
        (pair for pair in sent if pair not in expected),
        key=lambda pair: ("host", "x-api-key", "content-length").index(pair[0]),
    )
